"""The gates of a verification for people (Markdown) and for CI systems (JUnit XML, JSON)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from xml.etree import ElementTree

from serving.artifact import GateRecord

FORMAT = "protohead-verification/1"

_FORBIDDEN = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SIGNS = {"passed": "pass", "failed": "**FAIL**", "skipped": "skipped"}


@dataclass(frozen=True)
class Timed:
    """A gate, and how long it took.

    Attributes:
        gate: What was measured.
        seconds: Since the gate before. Of gates that are measured on the same runs of the network
            the first has the time of all.
    """

    gate: GateRecord
    seconds: float


def timed(gates: Iterable[GateRecord]) -> Iterator[Timed]:
    """Take the time of gates that are measured as they are asked for."""
    before = time.perf_counter()
    for gate in gates:
        now = time.perf_counter()
        yield Timed(gate, now - before)
        before = now


def to_markdown(gates: Sequence[GateRecord], title: str) -> str:
    """A heading with the verdict and a table with one line for each gate."""
    failed = sum(gate.state == "failed" for gate in gates)
    verdict = f"{failed} of {len(gates)} gates failed" if failed else "every gate passed"
    width = max(len(gate.name) for gate in gates)
    lines = [f"### {title}: {verdict}", "", f"| {'gate':{width}} | result | measured |"]
    lines.append(f"| {'-' * width} | ------ | -------- |")
    for gate in gates:
        detail = gate.detail.replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {gate.name:{width}} | {_SIGNS[gate.state]} | {detail} |")
    return "\n".join(lines) + "\n"


def to_junit(timed: Sequence[Timed], title: str) -> bytes:
    """One JUnit test case for each gate; of a failure the type says whether a number is too large.

    Args:
        timed: The gates.
        title: What was verified.
    """
    states = [found.gate.state for found in timed]
    suite = ElementTree.Element(
        "testsuite",
        name=f"protohead verify {_visible(title)}",
        tests=str(len(timed)),
        failures=str(states.count("failed")),
        skipped=str(states.count("skipped")),
        errors="0",
        time=f"{sum(found.seconds for found in timed):.3f}",
    )
    for found in timed:
        gate, seconds = _printable(found.gate), f"{found.seconds:.3f}"
        case = ElementTree.SubElement(
            suite, "testcase", classname="protohead", name=gate.name, time=seconds
        )
        if gate.state == "passed":
            ElementTree.SubElement(case, "system-out").text = gate.detail
        elif gate.state == "failed":
            kind = "BrokenPromise" if gate.limit is None else "LimitExceeded"
            ElementTree.SubElement(case, "failure", type=kind, message=gate.detail)
        else:
            ElementTree.SubElement(case, "skipped", message=gate.detail)
    ElementTree.indent(suite)
    content: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def to_json(timed: Sequence[Timed], sha256: str | None) -> str:
    """What was verified, by what, how it ended, and every gate.

    Args:
        timed: The gates.
        sha256: Hash of the manifest, which names every other file by hash; None where there is
            no manifest.
    """
    failed = any(found.gate.state == "failed" for found in timed)
    answer = {
        "format": FORMAT,
        "version": metadata.version("protohead"),
        "artifact": sha256,
        "verdict": "failed" if failed else "passed",
        "gates": [
            {**found.gate.model_dump(mode="json"), "seconds": round(found.seconds, 3)}
            for found in timed
        ],
    }
    return json.dumps(answer, indent=1)


def _printable(gate: GateRecord) -> GateRecord:
    return gate.model_copy(update={"name": _visible(gate.name), "detail": _visible(gate.detail)})


def _visible(text: str) -> str:
    r"""Text that XML can hold: a control character, which it cannot, becomes ``\x1b``."""
    return _FORBIDDEN.sub(lambda found: ascii(found[0])[1:-1], text)

"""The gates of a verification for people (Markdown) and for CI systems (JUnit XML)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from serving.artifact import GateRecord

_FORBIDDEN = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SIGNS = {"passed": "pass", "failed": "**FAIL**", "skipped": "skipped"}


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


def to_junit(gates: Sequence[GateRecord], title: str) -> bytes:
    """One JUnit test case for each gate."""
    states = [gate.state for gate in gates]
    suite = ElementTree.Element(
        "testsuite",
        name=f"protohead verify {_visible(title)}",
        tests=str(len(gates)),
        failures=str(states.count("failed")),
        skipped=str(states.count("skipped")),
        errors="0",
    )
    for gate in map(_printable, gates):
        case = ElementTree.SubElement(suite, "testcase", classname="protohead", name=gate.name)
        if gate.state == "passed":
            ElementTree.SubElement(case, "system-out").text = gate.detail
        elif gate.state == "failed":
            ElementTree.SubElement(case, "failure", message=gate.detail)
        else:
            ElementTree.SubElement(case, "skipped", message=gate.detail)
    ElementTree.indent(suite)
    content: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _printable(gate: GateRecord) -> GateRecord:
    return gate.model_copy(update={"name": _visible(gate.name), "detail": _visible(gate.detail)})


def _visible(text: str) -> str:
    r"""Text that XML can hold: a control character, which it cannot, becomes ``\x1b``."""
    return _FORBIDDEN.sub(lambda found: ascii(found[0])[1:-1], text)

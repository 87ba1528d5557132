"""Which architectures are accepted, and why the others are not: a Markdown table.

    python -m benchmarks.architectures > table.md
    python -m benchmarks.architectures --only ViT --exporter torch.export
    python -m benchmarks.architectures --families [--rounds 10] > table.md

Each is built as its library has it, at the size it is used at, with random weights (nothing is
downloaded), written as an ONNX file by each exporter of its library, and goes through ``inspect``:
torch.export (opset 18) and tracing (opset 17); of Keras tf2onnx (opset 17) and ``Model.export``.
``--families`` takes one architecture of each family and measures what explaining it costs, as
benchmarks/heads.py does. Each row has a process of its own, one after the other, so memory is that
of the largest. Libraries that are not installed are named.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

from benchmarks.heads import BATCHES, Cost, costs
from benchmarks.paper.markdown import table
from benchmarks.zoo.families import FAMILIES
from benchmarks.zoo.write import ARCHITECTURES, KERAS, TORCH, built, exporters, missing, write
from exporter import ExporterError, inspect_model
from exporter.pipelines.inspect import Inspection

_PATIENCE = 900.0
_ALL, _OPEN = "1", "—"


class Row(NamedTuple):
    """What became of an architecture.

    Attributes:
        outcome: A word.
        reason: The head, or why there is none.
        chain: Its steps.
        placed: Share of the evidence that has a place, where random weights say it.
        costs: Explained over plain, a batch each.
    """

    outcome: str
    reason: str
    chain: str = ""
    placed: str = ""
    costs: tuple[str, ...] = ()


def measured(number: int, exporter: str, rounds: int) -> Row:
    """What ``inspect`` says of an architecture, and with ``rounds`` what explaining it costs."""
    architecture = ARCHITECTURES[number]
    try:
        network = built(architecture)
    except Exception as error:  # whatever a library says of what it lacks
        return Row("not built", str(error))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        try:
            write(network, architecture.size, exporter, file)
            del network
            found = inspect_model(str(file))
        except ExporterError as error:
            return Row("refused", str(error).removeprefix(f"{file}: "))
        except Exception as error:  # torch's own exporter raises what its many parts raise
            return Row("not exported", str(error))
        cost = costs(file, BATCHES, rounds) if rounds else []
    return _accepted(found, cost)


def _accepted(found: Inspection, cost: list[Cost]) -> Row:
    grid = "any grid" if found.grid is None else f"{found.grid[0]} x {found.grid[1]}"
    pooled = ("mean", found.normalisation) if found.normalisation else ("mean",)
    chain = found.steps[1:-1] if found.steps else pooled
    return Row(
        "accepted" if all(one.kept for one in cost) else "bits lost",
        f"{found.channels} channels, {grid}, {found.layout}",
        " → ".join((*chain, "linear layer")),
        _OPEN if found.unplaced else _ALL,
        tuple(f"{one.ratio:.2f}" for one in cost),
    )


def apart(number: int, exporter: str, rounds: int = 0) -> Row:
    """The same from a process of its own."""
    lacking = missing(ARCHITECTURES[number])
    if lacking:
        return Row("not installed", ", ".join(lacking))
    command = [sys.executable, "-m", "benchmarks.architectures"]
    command += ["--row", str(number), "--exporter", exporter, "--rounds", str(rounds)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE, check=True
        )
        return Row(*json.loads(done.stdout.splitlines()[-1]))
    except subprocess.TimeoutExpired:
        return Row("failed", f"took longer than {_PATIENCE:.0f} s")
    except subprocess.CalledProcessError as error:
        last = error.stderr.strip().splitlines()[-1:] or [""]
        return Row("failed", f"exit code {error.returncode}: {last[0]}")


def print_outcomes(only: str, exporter: str | None) -> None:
    """Every architecture by every exporter, row by row."""
    print(table(("name", "library", "exporter", "outcome", "head, or reason"), []))
    for number, one in enumerate(ARCHITECTURES):
        if only.lower() not in one.name.lower():
            continue
        for by in exporters(one):
            if exporter in (None, by):
                row = apart(number, by)
                _print(one.name, one.package, by, row.outcome, row.reason)


def print_families(only: str, exporter: str | None, rounds: int) -> None:
    """One architecture of each family, with its chain and its cost."""
    numbers = {(one.name, one.package): n for n, one in enumerate(ARCHITECTURES)}
    batches = [f"batch {batch}" for batch in BATCHES]
    print(table(("family", "library", "exporter", "chain", "placed", *batches), []))
    for one in FAMILIES:
        if only.lower() in one.name.lower() and exporter in (None, one.exporter):
            row = apart(numbers[one.name, one.package], one.exporter, rounds)
            cells = (row.chain, row.placed, *row.costs)
            shown = cells if row.costs else (f"{row.outcome}: {row.reason}", "", *[""] * 2)
            _print(f"{one.family} (`{one.name}`)", one.package, one.exporter, *shown)


def _print(*cells: str) -> None:
    row = [" ".join(cell.split()).replace("|", r"\|") for cell in cells]
    print(f"| {' | '.join(row)} |", flush=True)


def main() -> None:
    """Print the table, row by row."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="architectures with this in their name")
    parser.add_argument("--exporter", choices=(*TORCH, *KERAS), help="this one alone")
    parser.add_argument("--families", action="store_true", help="one of each, with its cost")
    parser.add_argument("--rounds", type=int, default=10, help="of the clock, plain and explained")
    parser.add_argument("--row", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row is not None:
        logging.disable()
        warnings.simplefilter("ignore")
        print(json.dumps(measured(options.row, options.exporter, options.rounds)))
    elif options.families:
        print_families(options.only, options.exporter, options.rounds)
    else:
        print_outcomes(options.only, options.exporter)


if __name__ == "__main__":
    main()

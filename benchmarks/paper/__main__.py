"""Print the tables, and put them and the figures into a folder of documents.

    python -m benchmarks.paper NAME ARTIFACT --data DATA --train TRAIN [--parts PARTS] [--out docs]

ARTIFACT is what `protohead export` wrote. Its classifier, its reference and its method are used,
not its prototypes: these are found again for every k and seed on the images of TRAIN and measured
on those of DATA. With --out, the sections NAME/... of results.md there are replaced and
results-NAME-....svg written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from benchmarks.paper import figure5, figure6, figure7, free, table1, table4
from benchmarks.paper.classes import ClassRun, Plan, stream
from benchmarks.paper.markdown import replace_sections
from exporter.decompose.refinement import require_simplex
from exporter.errors import DecompositionError, ExporterError
from exporter.evaluate.trial.subject import Subject, open_subject
from serving.artifact import load_artifact
from serving.errors import ArtifactError

_DOCUMENT = "results.md"
_ABOUT = "about"
_MEASURED = {figure5.SECTION, figure6.SECTION, free.SECTION}


class Output(Protocol):
    """A table or figure of the paper."""

    def add(self, one: ClassRun) -> None:
        """Take in one class."""

    def finish(self) -> tuple[str, dict[str, bytes]]:
        """Its Markdown, and its figures as SVG by the end of their names."""


OUTPUTS: dict[str, Callable[[Subject, Plan], Output]] = {
    table1.SECTION: table1.Table1,
    table4.SECTION: table4.Table4,
    figure5.SECTION: figure5.Figure5,
    free.SECTION: free.Free,
    figure6.SECTION: figure6.Figure6,
    figure7.SECTION: figure7.Figure7,
}


class About:
    """What the tables are of."""

    def __init__(self, subject: Subject, plan: Plan) -> None:
        self._subject, self._plan = subject, plan
        self._classes = self._images = self._training = 0
        self._grid = (0, 0)

    def add(self, one: ClassRun) -> None:
        """Count one class."""
        self._classes += 1
        self._images += len(one.trial.maps)
        self._training += len(one.training)
        self._grid = one.trial.grid

    def finish(self) -> tuple[str, dict[str, bytes]]:
        """One sentence."""
        manifest, weight = self._subject.artifact.manifest, self._subject.head.weight
        return (
            f"`{manifest.source.file}`: {len(weight)} classes, {weight.shape[1]} channels on a "
            f"{self._grid[0]} × {self._grid[1]} grid. {self._classes} classes are explained, on "
            f"{self._training} training images, and measured on {self._images} held-out images. "
            f"Ours: method {manifest.method.name}, reference {manifest.method.reference}. "
            f"{self._plan.seeds} seeds; ± is the deviation over them."
        ), {}


def run(subject: Subject, plan: Plan, names: list[str]) -> dict[str, tuple[str, dict[str, bytes]]]:
    """Run every class once and return each output's Markdown and figures.

    Args:
        subject: The artifact.
        plan: What is run.
        names: Which outputs.
    """
    outputs: dict[str, Output] = {_ABOUT: About(subject, plan)}
    outputs |= {name: OUTPUTS[name](subject, plan) for name in names}
    found = False
    for one in stream(subject, plan):
        found = True
        for output in outputs.values():
            output.add(one)
    if not found:
        sys.exit(f"{plan.data}: expected images of a class that the artifact decomposes.")
    return {name: output.finish() for name, output in outputs.items()}


def main() -> None:
    """Run, print and write."""
    options = _options()
    names = options.only or list(OUTPUTS)
    if options.out is not None:
        # Before an hour of work: is there a place for what it gives?
        path = options.out / _DOCUMENT
        try:
            document = path.read_text(encoding="utf-8")
            replace_sections(document, options.name, dict.fromkeys([_ABOUT, *names], ""))
        except (OSError, ValueError) as error:
            sys.exit(f"{path}: {error}")
    try:
        subject = open_subject(load_artifact(options.artifact))
        found = run(subject, _plan(options, subject, names), names)
    except (ExporterError, ArtifactError) as error:
        sys.exit(str(error))
    for name, (text, _) in found.items():
        print(f"## {name}\n\n{text}\n")
    if options.out is not None:
        write(options.out, options.name, found)


def write(out: Path, name: str, found: Mapping[str, tuple[str, Mapping[str, bytes]]]) -> None:
    """Replace the sections of a data set in results.md, and its figures beside it.

    Args:
        out: The folder of results.md.
        name: Name of the data set.
        found: Markdown and figures by section.

    Raises:
        ValueError: results.md has no place for one of them.
    """
    sections = {}
    for section, (text, figures) in found.items():
        for old in out.glob(f"results-{name}-{section}*.svg"):
            old.unlink()  # a run may give no figure where the last one did
        files = {f"results-{name}-{section}{end}.svg": svg for end, svg in figures.items()}
        for file, svg in files.items():
            (out / file).write_bytes(svg)
        shown = [f"![{name}, {section}]({file})" for file in files]
        sections[section] = "\n\n".join([*shown, text])
    # Read now: another data set's run may have ended meanwhile.
    path = out / _DOCUMENT
    document = replace_sections(path.read_text(encoding="utf-8"), name, sections)
    path.write_text(document, encoding="utf-8")


def _plan(options: argparse.Namespace, subject: Subject, names: list[str]) -> Plan:
    channels = subject.head.weight.shape[1]
    return Plan(
        data=options.data,
        train=options.train,
        parts=options.parts,
        counts=tuple(sorted(options.k)),
        sweep=tuple(options.sweep) if figure6.SECTION in names else (),
        seeds=options.seeds,
        classes=options.classes,
        paper_classes=options.paper_classes,
        paper_counts=tuple(k for k in options.paper_k if _fits(k, channels)),
        measured=bool(_MEASURED & set(names)),
        jobs=options.jobs,
    )


def _fits(k: int, channels: int) -> bool:
    try:
        require_simplex((k - 1) * channels)
    except DecompositionError as error:
        print(f"k = {k}: {error}", file=sys.stderr)
        return False
    return True


def _count(text: str) -> int:
    """A whole number from 1, as argparse wants it."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {value}")
    return value


def _options() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paper", description=__doc__.splitlines()[0]
    )
    parser.add_argument("name", help="of the data set, in results.md")
    parser.add_argument("artifact", type=Path)
    parser.add_argument(
        "--data", type=Path, required=True, help="held-out images, a folder a class"
    )
    parser.add_argument("--train", type=Path, required=True, help="training images")
    parser.add_argument("--parts", type=Path, help="part annotations, as for protohead evaluate")
    parser.add_argument("--out", type=Path, help="folder with results.md")
    parser.add_argument("-k", type=_count, nargs="+", default=[3, 5, 10])
    parser.add_argument("--sweep", type=_count, nargs="*", default=[1, 2, 3, 4, 5, 6, 8, 10])
    parser.add_argument("--seeds", type=_count, default=3)
    parser.add_argument("--classes", type=_count, help="classes used, spread evenly")
    parser.add_argument("--paper-classes", type=_count, help="classes the paper's solver runs on")
    parser.add_argument("--paper-k", type=_count, nargs="*", default=[3], help="and at which k")
    parser.add_argument("--only", nargs="+", choices=list(OUTPUTS), help="these alone")
    parser.add_argument("--jobs", type=int, default=0, help="threads; 0 takes all cores")
    return parser.parse_args()


if __name__ == "__main__":
    main()

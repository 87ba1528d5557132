"""A difference as one HTML file that needs no script, asks for nothing and holds every crop.

It has the letters, inks and parts of the report. Labels, names, reasons and file names come from
others and are text, never markup: the template escapes everything.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import serving
from exporter.comparing import wording
from exporter.comparing.record import ClassChange, Difference, PartChange, PartRecord
from exporter.report import rendering
from exporter.report.rendering.pictures import Picture, crop
from exporter.report.words import number_of
from exporter.text import as_text
from serving.artifact import Artifact
from serving.artifact.classes import is_named, words
from serving.drawing.lettering import percent
from serving.drawing.palette import Colour, ink_on, prototype_colour

_TEMPLATES = Path(__file__).with_name("templates")
_REPORT = Path(rendering.__file__).with_name("templates") / "report.css"
_FONT = Path(serving.__file__).with_name("page") / "aileron.ttf"
_SWATCHES = 32  # colours repeat from there on
_PICTURED = 100  # classes; of more the others are in the table
_ROWS = 100  # of a table


@dataclass(frozen=True)
class Half:
    """A part in one artifact.

    Attributes:
        number: Its number in the class, from 0.
        called: Its name, or its number.
        named: Whether it is a name.
        muted: Whether an edit muted it.
        crops: Its evidence, best first.
    """

    number: int
    called: str
    named: bool
    muted: bool
    crops: tuple[Picture, ...]


@dataclass(frozen=True)
class Row:
    """A part in both artifacts, or None in the one that lacks it."""

    change: PartChange
    old: Half | None
    new: Half | None


@dataclass(frozen=True)
class Section:
    """A class whose parts changed: those that did, and those that were kept."""

    change: ClassChange
    changed: tuple[Row, ...]
    kept: tuple[Row, ...]


def render(found: Difference, artifacts: tuple[Artifact, Artifact]) -> bytes:
    """Write the page.

    Args:
        found: What it says.
        artifacts: The older and the newer artifact, for their crops.

    Raises:
        ImageError: A crop cannot be decoded.
    """
    with_parts = [c for c in found.classes if any(part.is_change for part in c.parts)]
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page = environment.get_template("diff.html.j2").render(
        found=found,
        old=as_text(found.old.name),
        new=as_text(found.new.name),
        statements=list(wording.statements(found, as_text)),
        sections=[_section(change, artifacts) for change in with_parts[:_PICTURED]],
        left_out=len(with_parts) - _PICTURED,
        facts=[(c, facts) for c in found.classes if (facts := wording.class_facts(c))],
        swatches=[_swatch(number) for number in range(_SWATCHES)],
        rows=_ROWS,
        wording=wording,
        words=words,
        number_of=number_of,
        as_text=as_text,
        percent=percent,
        font=base64.b64encode(_FONT.read_bytes()).decode(),
        style=Markup(  # noqa: S704
            _REPORT.read_text(encoding="utf-8")
            + (_TEMPLATES / "diff.css").read_text(encoding="utf-8")
        ),
    )
    return page.encode()


def _section(change: ClassChange, artifacts: tuple[Artifact, Artifact]) -> Section:
    rows = list(_rows(change, artifacts))
    return Section(
        change=change,
        changed=tuple(row for row in rows if row.change.is_change),
        kept=tuple(row for row in rows if not row.change.is_change),
    )


def _rows(change: ClassChange, artifacts: tuple[Artifact, Artifact]) -> Iterator[Row]:
    old, new = artifacts
    for part in change.parts:
        yield Row(part, _half(old, part.old), _half(new, part.new))


def _half(artifact: Artifact, part: PartRecord | None) -> Half | None:
    if part is None:
        return None
    return Half(
        number=part.number,
        called=as_text(wording.called(part)),
        named=is_named(part.number, part.name),
        muted=part.muted,
        crops=tuple(crop(artifact.path(name)) for name in part.crops),
    )


def _swatch(number: int) -> tuple[str, str]:
    """A part's colour, and the ink on it."""
    colour = prototype_colour(number)
    return _hex(colour), _hex(ink_on(colour))


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)

"""The page: one HTML file that needs no script, asks for nothing and holds every image.

Labels, names, reasons and file names come from others and are text, never markup: the templates
escape everything, and the page's own policy lets only its own script run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isnan
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from exporter.evaluate.tables import number
from exporter.report.contents import Contents
from exporter.report.examples import ClassReport, Example
from exporter.report.rendering import comparison
from exporter.report.rendering.pictures import Picture, crop, ground, photograph, veil
from exporter.report.rules import BY_KIND, RULES, Finding
from exporter.report.verdict import compare, counts, statements, undecided
from exporter.report.words import number_of, per_cent
from serving.artifact import Artifact, Preprocessing
from serving.drawing.lettering import MINUS, decimals_for, percent, signed
from serving.drawing.palette import Colour, ink_on, prototype_colour
from serving.drawing.peaks import peak
from serving.model.preprocess import decode, make_view

_TEMPLATES = Path(__file__).with_name("templates")
_SWATCHES = 32  # colours repeat from there on


@dataclass(frozen=True)
class Veil:
    """A prototype's heatmap on one image.

    Attributes:
        picture: The heatmap.
        contribution: The contribution in words, logit units.
        bar: Its length, per cent of the class's largest.
        against: Whether it counts against the class.
        peak: (x, y) of the peak in pixels of the photograph; None where nothing is positive.
    """

    picture: Picture
    contribution: str
    bar: float
    against: bool
    peak: tuple[int, int] | None


@dataclass(frozen=True)
class Photograph:
    """A held-out image in the page.

    Attributes:
        key: Its id in the page.
        name: Its path below the data folder.
        place: Its rank, in words.
        chance: Probability of its class.
        taken: What the model takes it for, where it is another class; else empty.
        colour: What the network sees.
        pale: What the network sees, pale.
        veils: One for each prototype.
        rest: Bias, common term and the rounding of a quantised head together.
        unplaced: What comes from no place of the picture; empty where that is nothing.
        logit: The logit: what the column adds up to.
    """

    key: str
    name: str
    place: str
    chance: str
    taken: str
    colour: Picture
    pale: Picture
    veils: tuple[Veil, ...]
    rest: str
    unplaced: str
    logit: str


@dataclass(frozen=True)
class Prototype:
    """A prototype of a class in the page.

    Attributes:
        number: Its number in the class, from 0.
        name: Its name, where it has one of its own; else empty.
        muted: Whether an edit muted it.
        share: Its share of the evidence, in words.
        bar: Its share in per cent, 0 where negative.
        facts: Names and values of its other figures.
        crops: Its evidence, best first: the picture and the training image's name and value.
        warned: Titles of the rules that spoke of it.
    """

    number: int
    name: str
    muted: bool
    share: str
    bar: float
    facts: tuple[tuple[str, str], ...]
    crops: tuple[tuple[Picture, str, str], ...]
    warned: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A class shown with pictures."""

    report: ClassReport
    prototypes: tuple[Prototype, ...]
    photographs: tuple[Photograph, ...]


def render(
    contents: Contents, *, progress: Callable[[str, int, int], None] = lambda _s, _d, _t: None
) -> tuple[bytes, int]:
    """Write the page.

    Args:
        contents: What it says.
        progress: Called as classes are drawn, with their images.

    Returns:
        The page, and the bytes that the classes with pictures take in it.

    Raises:
        ImageError: An image cannot be decoded any more.
    """
    environment = _environment()
    block = environment.get_template("class.html.j2")
    sections = []
    texts = []
    total = sum(len(c.examples) for c in contents.shown)
    done = 0
    for report in contents.shown:
        section = _section(contents, report)
        # Only the finished text is kept: pictures of all classes at once would fill the memory.
        texts.append(Markup(block.render(section=section, **_words(contents))))  # noqa: S704
        sections.append((report, tuple((p.number, bool(p.crops)) for p in section.prototypes)))
        done += len(report.examples)
        progress("draw", done, total)
    script = _read("report.js")
    evaluation = contents.evaluation
    page = environment.get_template("report.html.j2").render(
        contents=contents,
        manifest=contents.artifact.manifest,
        statements=statements(
            contents.artifact.manifest, contents.classes, contents.left_out, contents.evaluation
        ),
        counts=counts(contents.classes),
        rules=RULES,
        comparisons=() if evaluation is None else compare(evaluation),
        undecided="" if evaluation is None else undecided(evaluation),
        panels=() if evaluation is None else comparison.panels(evaluation),
        rows=() if evaluation is None else comparison.rows(evaluation),
        evaluation=evaluation,
        swatches=[_swatch(n) for n in range(min(_SWATCHES, contents.artifact.manifest.prototypes))],
        shown={report.record.index: crops for report, crops in sections},
        blocks=texts,
        style=Markup(_read("report.css")),  # noqa: S704
        script=Markup(script),  # noqa: S704
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **_words(contents),
    )
    return page.encode(), sum(len(text.encode()) for text in texts)


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _words(contents: Contents) -> dict[str, object]:
    """The functions that the templates word things with."""
    labels = contents.artifact.manifest.labels
    return {
        "number": number,
        "number_of": number_of,
        "by_kind": BY_KIND,
        "labels": labels,
        "per_cent": per_cent,
        "kinds": _kinds,
        "parts": _parts,
    }


def _kinds(findings: tuple[Finding, ...]) -> list[tuple[str, str, int]]:
    """The rules that spoke of a class: key, title and how often."""
    return [
        (rule.kind, rule.title, count)
        for rule in RULES
        if (count := sum(f.kind == rule.kind for f in findings))
    ]


def _parts(report: ClassReport) -> list[tuple[int, float]]:
    """Number and width in per cent of each prototype's part in the bar of a class."""
    held_out = report.figures.held_out
    if held_out is None:
        return []
    positive = [max(0.0, float(share)) for share in held_out.shares]
    total = sum(positive)
    return [
        (number, round(100 * share / total, 1))
        for number, share in enumerate(positive)
        if total > 0 and share > 0
    ]


def _section(contents: Contents, report: ClassReport) -> Section:
    largest = max((float(abs(e.contributions).max()) for e in report.examples), default=0.0)
    return Section(
        report=report,
        prototypes=tuple(_prototypes(contents.artifact, report)),
        photographs=tuple(
            _photograph(contents, report, example, f"c{report.record.index}-i{n}", largest)
            for n, example in enumerate(report.examples)
        ),
    )


def _photograph(
    contents: Contents, report: ClassReport, example: Example, key: str, largest: float
) -> Photograph:
    manifest = contents.artifact.manifest
    view = _view(example.path, manifest.input.preprocessing)
    colour = photograph(view)
    size = (colour.width, colour.height)
    decimals = decimals_for(max(largest, abs(example.logit)))
    total = 0 if report.figures.held_out is None else report.figures.held_out.images
    return Photograph(
        key=key,
        name=contents.data.image_id(example.path),
        place=_place(example.place, total),
        chance=percent(example.probability),
        taken=""
        if example.recognised or example.best == report.record.index
        else f"{manifest.labels[example.best]} ({percent(example.best_probability)})",
        colour=colour,
        pale=ground(view),
        veils=tuple(
            Veil(
                picture=veil(heatmap, n, view.size),
                contribution=signed(float(value), decimals),
                bar=round(100 * abs(float(value)) / largest, 1) if largest else 0,
                against=bool(value < 0),
                peak=peak(heatmap, size) if heatmap.max() > 0 else None,
            )
            for n, (heatmap, value) in enumerate(
                zip(example.heatmaps, example.contributions, strict=True)
            )
        ),
        rest=signed(example.bias + example.common + example.rounding, decimals),
        unplaced=signed(example.unplaced, decimals) if example.unplaced else "",
        logit=signed(example.logit, decimals),
    )


def _prototypes(artifact: Artifact, report: ClassReport) -> Iterator[Prototype]:
    record, figures = report.record, report.figures
    for n, prototype in enumerate(record.prototypes):
        muted = n not in figures.live
        share = float("nan") if figures.held_out is None else float(figures.held_out.shares[n])
        yield Prototype(
            number=n,
            name="" if prototype.name == f"prototype {n}" else prototype.name,
            muted=muted,
            share="" if muted or isnan(share) else per_cent(share),
            bar=0 if isnan(share) else round(100 * max(0.0, share), 1),
            facts=tuple(_facts(report, n)) if not muted else (),
            crops=tuple(
                (
                    crop(artifact.path(found.file)),
                    found.image,
                    signed(found.value, decimals_for(abs(found.value))),
                )
                for found in prototype.evidence
            ),
            warned=tuple(
                dict.fromkeys(BY_KIND[f.kind].title for f in report.findings if n in f.prototypes)
            ),
        )


def _facts(report: ClassReport, n: int) -> Iterator[tuple[str, str]]:
    figures, record = report.figures, report.record
    if figures.held_out is not None:
        mean = float(figures.held_out.contributions[n])
        yield "mean contribution", signed(mean, decimals_for(abs(mean)))
    if n < len(record.scale):
        yield "alpha", f"{record.scale[n]:.3g}".replace("-", MINUS)
    yield "norm", f"{figures.norms[n]:.2f}"
    if figures.held_out is not None and figures.held_out.off_object is not None:
        off = figures.held_out.off_object
        yield "evidence off the object", _known(off.evidence[n])
        yield "area off the object", per_cent(off.area)
    elif figures.held_out is not None and figures.held_out.off_parts is not None:
        yield "peak near no part", per_cent(figures.held_out.off_parts[n])


def _known(share: float) -> str:
    return "·" if isnan(share) else per_cent(share)


def _place(place: int, total: int) -> str:
    if total == 1:
        return "the only image"
    if place == 1:
        return "most certain"
    return "least certain" if place == total else f"rank {place} of {total}"


def _view(path: Path, preprocessing: Preprocessing) -> Image.Image:
    return make_view(decode(path, preprocessing=preprocessing), preprocessing).image


def _swatch(n: int) -> tuple[str, str]:
    """A prototype's colour, and the ink on it."""
    colour = prototype_colour(n)
    return _hex(colour), _hex(ink_on(colour))


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")

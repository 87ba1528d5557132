"""A class as the page shows it: its prototypes with crops, and the same images under each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan
from pathlib import Path

from PIL import Image

from exporter.report.contents import Contents
from exporter.report.examples import ClassReport, Example
from exporter.report.rendering.pictures import Picture, crop, ground, photograph, veil
from exporter.report.rules import BY_KIND
from exporter.report.words import per_cent
from serving.artifact import Artifact, Preprocessing
from serving.artifact.classes import is_named, words
from serving.drawing.lettering import MINUS, decimals_for, percent, signed
from serving.drawing.palette import prototype_colour
from serving.drawing.peaks import peak
from serving.model.preprocess import decode, make_view


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
        details: Alpha and norm.
        crops: Its evidence, best first: the picture and the training image's name and value.
        warned: Titles of the rules that spoke of it.
    """

    number: int
    name: str
    muted: bool
    share: str
    bar: float
    facts: tuple[tuple[str, str], ...]
    details: tuple[str, str]
    crops: tuple[tuple[Picture, str, str], ...]
    warned: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A class shown with pictures."""

    report: ClassReport
    prototypes: tuple[Prototype, ...]
    photographs: tuple[Photograph, ...]


def section_of(contents: Contents, report: ClassReport) -> Section:
    """Draw a class.

    Raises:
        ImageError: An image cannot be decoded any more.
    """
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
    view = view_of(example.path, manifest.input.preprocessing)
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
        else f"{words(manifest.labels[example.best])} ({percent(example.best_probability)})",
        colour=colour,
        pale=ground(view),
        veils=tuple(
            Veil(
                picture=veil(heatmap, prototype_colour(n), view.size),
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
            name=words(prototype.name) if is_named(n, prototype.name) else "",
            muted=muted,
            share="" if muted or isnan(share) else per_cent(share),
            bar=0 if isnan(share) else round(100 * max(0.0, share), 1),
            facts=tuple(_facts(report, n)) if not muted else (),
            details=_details(report, n),
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
    """What is said beside the share of a part."""
    held_out = report.figures.held_out
    if held_out is None:
        return
    mean = float(held_out.contributions[n])
    yield "mean contribution", signed(mean, decimals_for(abs(mean)))
    if held_out.steady is not None:
        yield "at one keypoint", per_cent(held_out.steady[n])
    if held_out.off_object is not None:
        off = held_out.off_object
        yield "evidence off the object", _known(off.evidence[n])
        yield "area off the object", per_cent(off.area)
    elif held_out.off_parts is not None:
        yield "peak near no keypoint", per_cent(held_out.off_parts[n])


def _details(report: ClassReport, n: int) -> tuple[str, str]:
    """Alpha and norm of a part, as the method has them."""
    scale = report.record.scale
    alpha = f"{scale[n]:.3g}".replace("-", MINUS) if n < len(scale) else "·"
    return alpha, f"{report.figures.norms[n]:.2f}"


def _known(share: float) -> str:
    return "·" if isnan(share) else per_cent(share)


def _place(place: int, total: int) -> str:
    if total == 1:
        return "the only image"
    if place == 1:
        return "most certain"
    return "least certain" if place == total else f"rank {place} of {total}"


def view_of(path: Path, preprocessing: Preprocessing) -> Image.Image:
    """What the network sees of an image."""
    return make_view(decode(path, preprocessing=preprocessing), preprocessing).image

"""A mistake as the page shows it: one picture twice, with what spoke for either class.

Each side has one colour; the discs carry the rank of a part in this picture, as everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import starmap

import numpy as np
from numpy.typing import NDArray

from exporter.report.contents import Contents
from exporter.report.mistakes import Confusion, Side
from exporter.report.rendering.classes import view_of
from exporter.report.rendering.pictures import Picture, crop, ground, photograph, veil
from exporter.report.words import number_of
from serving.artifact import Artifact
from serving.artifact.classes import fixed_name, words
from serving.drawing.lettering import decimals_for, percent, signed
from serving.drawing.palette import prototype_colour
from serving.drawing.peaks import peak

SAID = (0, 1)
"""Colours of the two sides: of the class that was said, and of the right one."""

RADIUS = 1 / 16
"""Of a disc, over the width of the picture."""

_DISCS = 3


@dataclass(frozen=True)
class Part:
    """What one part spoke.

    Attributes:
        rank: Its rank in this picture, from 1.
        name: Its fixed name.
        crop: Its best training crop, where it has one.
        contribution: In words, logit units.
        bar: Its length, per cent of the largest of both sides.
        against: Whether it counts against its class.
        decisive: Whether the image would be recognised without it.
    """

    rank: int
    name: str
    crop: Picture | None
    contribution: str
    bar: float
    against: bool
    decisive: bool


@dataclass(frozen=True)
class Half:
    """One side of a contrast.

    Attributes:
        label: The class.
        index: Its number.
        chance: Its probability.
        veil: The evidence for it, all parts together.
        discs: Rank and place, (x, y) in pixels of the picture, of the strongest parts.
        parts: Its parts, the strongest first.
        whole: Whether the class is not split.
        rest: What else the logit holds.
        logit: The logit.
    """

    label: str
    index: int
    chance: str
    veil: Picture
    discs: tuple[tuple[int, int, int], ...]
    parts: tuple[Part, ...]
    whole: bool
    rest: str
    logit: str


@dataclass(frozen=True)
class Case:
    """A pair of classes with one of its mistakes.

    Attributes:
        title: The pair in words.
        amount: How often each is taken for the other.
        decides: What would have mended it.
        name: The image, below the data folder.
        colour: What the network sees.
        pale: The same, pale.
        halves: The class that was said, and the right one.
    """

    title: str
    amount: str
    decides: str
    name: str
    colour: Picture
    pale: Picture
    halves: tuple[Half, Half]


def case_of(contents: Contents, confusion: Confusion) -> Case:
    """Draw a confusion that has a contrast.

    Raises:
        ImageError: The image cannot be decoded any more.
    """
    contrast = confusion.contrast
    if contrast is None:
        raise ValueError("expected a confusion with a contrast")
    artifact = contents.artifact
    view = view_of(contrast.path, artifact.manifest.input.preprocessing)
    colour = photograph(view)
    said, right = contrast.said, contrast.right
    values = np.concatenate([said.contributions, right.contributions])
    largest = float(np.abs(values).max())

    def half(place: int, side: Side) -> Half:
        return _half(artifact, side, place, colour, largest)

    first, second = starmap(half, enumerate((said, right)))
    return Case(
        title=f"{words(confusion.true.label)} taken for {words(confusion.taken.label)}",
        amount=amount_of(confusion),
        decides=_decides(said, first),
        name=contents.data.image_id(contrast.path),
        colour=colour,
        pale=ground(view),
        halves=(first, second),
    )


def amount_of(confusion: Confusion) -> str:
    """How often, in words."""
    back = f", {confusion.back} the other way" if confusion.back else ""
    return number_of(confusion.count, "image") + back


def _half(artifact: Artifact, side: Side, place: int, colour: Picture, largest: float) -> Half:
    size = (colour.width, colour.height)
    logit = float(side.contributions.sum(dtype=np.float64)) + side.rest
    decimals = decimals_for(max(largest, abs(logit)))
    muted = {n for index, n in artifact.manifest.muted if index == side.record.index}
    order = np.argsort(-side.contributions, kind="stable").tolist()
    ranked = list(enumerate((n for n in order if n not in muted), start=1))
    speaking = [(r, n) for r, n in ranked if side.contributions[n] > 0 < side.heatmaps[n].max()]
    return Half(
        label=words(side.record.label),
        index=side.record.index,
        chance=percent(side.probability),
        veil=veil(side.heatmaps.sum(axis=0), prototype_colour(SAID[place]), size),
        discs=tuple((rank, *_spot(side.heatmaps[n], size)) for rank, n in speaking[:_DISCS]),
        parts=tuple(
            Part(
                rank=rank,
                name=fixed_name(n, side.record.prototypes[n].name),
                crop=_crop(artifact, side, n),
                contribution=signed(float(side.contributions[n]), decimals),
                bar=round(100 * abs(float(side.contributions[n])) / largest, 1) if largest else 0,
                against=bool(side.contributions[n] < 0),
                decisive=n in side.decisive,
            )
            for rank, n in ranked
        ),
        whole=side.record.state == "whole",
        rest=signed(side.rest, decimals),
        logit=signed(logit, decimals),
    )


def _spot(heatmap: NDArray[np.float32], size: tuple[int, int]) -> tuple[int, int]:
    """The peak, moved so far into the picture that a disc on it is whole."""
    margin = round(size[0] * RADIUS) + 2
    x, y = (
        min(max(at, margin), side - margin)
        for at, side in zip(peak(heatmap, size), size, strict=True)
    )
    return x, y


def _crop(artifact: Artifact, side: Side, number: int) -> Picture | None:
    evidence = side.record.prototypes[number].evidence
    return crop(artifact.path(evidence[0].file)) if evidence else None


def _decides(said: Side, half: Half) -> str:
    if said.record.state == "whole":
        return f"{half.label} is not split into parts."
    ranks = [str(part.rank) for part in half.parts if part.decisive]
    if not ranks:
        return f"No single part of {half.label} decides it."
    either = f"part {ranks[0]}" if len(ranks) == 1 else f"any of the parts {', '.join(ranks)}"
    return f"Without {either} of {half.label} it would be right."

"""How far the parts of a class can be trusted, told by its images alone, without annotations.

With a_ni what is seen at the peak of heatmap i in image n beyond what is seen of the class
everywhere (peaks.py), and u_ni = a_ni / |a_ni|:

    likeness_i = mean over n != m of u_ni . u_mi           0 of peaks at random, 1 of one thing
    halves_i   = cos(mean of a_ni over even n, over odd n)
    border_i   = share of n whose peak lies in the outermost cells
    overlap_ij = o_ij of decompose/selection.py            0 apart, 1 at the same place

docs/notebook.md has what the limits were held against. Symbols: n images, k prototypes, p = h * w
positions of an image, d channels.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from exporter.decompose.selection import overlap
from exporter.images.peaks import Peaks
from serving.artifact.trust import (
    PlaceRecord,
    SamePlaceRecord,
    TrainingPartRecord,
    TrustLimits,
)

LIMITS = TrustLimits(
    likeness=0.1,
    halves=0.6,
    border=0.9,
    same_place=0.5,
    steady=0.5,
    off_object=0.5,
    weak=0.25,
)
"""Where doubt begins."""

_DIGITS = 3
Doubles = NDArray[np.float64]


def trust_of(peaks: Peaks, heatmaps: NDArray[np.floating]) -> tuple[TrainingPartRecord, ...]:
    """The figures of each part of a class on its training images.

    Args:
        peaks: Of its heatmaps.
        heatmaps: (n, k, h, w).
    """
    likeness, halves = _likeness(peaks), _halves(peaks)
    return tuple(
        TrainingPartRecord(likeness=like, halves=half, **dict(place))
        for like, half, place in zip(likeness, halves, places(heatmaps), strict=True)
    )


def places(heatmaps: NDArray[np.floating]) -> tuple[PlaceRecord, ...]:
    """Where each part looks.

    Args:
        heatmaps: (n, k, h, w), n >= 1; those of a muted part are zero.
    """
    images, count, h, w = heatmaps.shape
    rows, columns = np.divmod(heatmaps.reshape(images, count, -1).argmax(axis=2), w)
    outermost = (rows % (h - 1 or 1) == 0) | (columns % (w - 1 or 1) == 0)  # (n, k)
    live = np.any(heatmaps, axis=(0, 2, 3)).tolist()
    border = [
        share(found) if has_heat else None
        for found, has_heat in zip(outermost.mean(axis=0).tolist(), live, strict=True)
    ]
    if count == 1 or h * w == 1:
        return tuple(PlaceRecord(border=found) for found in border)
    flat = heatmaps.astype(np.float32).transpose(0, 2, 3, 1).reshape(-1, count)
    shared = overlap(flat, images)
    np.fill_diagonal(shared, -1)
    return tuple(
        PlaceRecord(
            border=found,
            same_place=SamePlaceRecord(other=int(row.argmax()), overlap=share(float(row.max()))),
        )
        for found, row in zip(border, shared, strict=True)
    )


def border_chance(grid: tuple[int, int]) -> float:
    """The share of the cells of a grid (h, w) that are outermost: of the peaks too, by chance."""
    h, w = grid
    return share(1 - max(0, h - 2) * max(0, w - 2) / (h * w))


def share(value: float) -> float:
    """A share as it is written: rounded, 0 to 1."""
    return max(0.0, rounded(value))


def rounded(value: float) -> float:
    """A figure as it is written, -1 to 1: another machine's rounding shall not change it."""
    return min(1.0, max(-1.0, round(value, _DIGITS)))


def _likeness(peaks: Peaks) -> list[float | None]:
    images, count = peaks.cells.shape
    if peaks.everywhere is None or images < 2:
        return [None] * count
    beyond = (peaks.seen - peaks.everywhere).astype(np.float64)
    sizes = np.linalg.norm(beyond, axis=2, keepdims=True)
    units = np.divide(beyond, sizes, out=np.zeros_like(beyond), where=sizes > 0)
    # The sum over pairs is that of all less that of each with itself.
    pairs = (units.sum(axis=0) ** 2).sum(axis=1) - (units**2).sum(axis=(0, 2))
    return [_cosine(float(found)) for found in pairs / (images * (images - 1))]


def _halves(peaks: Peaks) -> list[float | None]:
    images, count = peaks.cells.shape
    if peaks.everywhere is None or images < 4:  # two in each half: one is no mean
        return [None] * count
    first, second = (
        (peaks.seen[half].mean(axis=0) - peaks.everywhere).astype(np.float64)
        for half in (slice(0, None, 2), slice(1, None, 2))
    )
    sizes = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return [
        _cosine(float(found) / float(size)) if size > 0 else None
        for found, size in zip((first * second).sum(axis=1), sizes, strict=True)
    ]


def _cosine(value: float) -> float | None:
    return rounded(value) if math.isfinite(value) else None

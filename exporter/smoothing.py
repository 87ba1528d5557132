"""Smoothing that keeps every sum: what a cell of a heatmap means is wider than the cell.

A pass replaces each cell of an axis by half of itself and a quarter of each neighbour, cells at the
end counting for their missing neighbour too. With S the matrix of it,

    S = 1/4 [[3, 1], [1, 2, 1], ..., [1, 3]],      heatmap = S_h^a (x p~_i) S_w^b              (e)

rows and columns of S add up to 1, so that the mean of a heatmap, and with it contributions and
logits, are what they were; and its entries, of few bits, are exact in float32. The features that
prototypes are found on are smoothed likewise, x' = S_h^a x S_w^b: the head reads the mean of both
alike.

How many passes is a rule in units of the picture, the same for every grid: m passes blur by a
deviation of sqrt(m / 2) cells. docs/notebook.md has the measurements.

Symbols: n images, h×w grid, p = h * w positions, d channels; a and b passes down and across.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

WIDTH = 0.1
"""The deviation of the blur, over the side of the picture."""

Passes = tuple[int, int]
Maps = TypeVar("Maps", bound=NDArray[Any])
NONE: Passes = (0, 0)


def passes_for(grid: tuple[int, int]) -> Passes:
    """The passes down and across that blur a grid (h, w) by :data:`WIDTH` of the picture."""
    down, across = (round(2 * (WIDTH * cells) ** 2) for cells in grid)
    return down, across


@cache
def matrix(cells: int, passes: int) -> NDArray[np.float32]:
    """S to the power of the passes, (cells, cells) float32; symmetric, rows add up to 1."""
    once = np.eye(cells) / 2
    for shift in (-1, 1):
        neighbour = np.clip(np.arange(cells) + shift, 0, cells - 1)
        np.add.at(once, (np.arange(cells), neighbour), 1 / 4)
    found = np.linalg.matrix_power(once, passes).astype(np.float32)
    found.setflags(write=False)
    return found


def smooth_heatmaps(heatmaps: Maps, passes: Passes) -> Maps:
    """Smooth heatmaps, as the explained graph does.

    Args:
        heatmaps: (..., h, w).
        passes: Down and across.

    Returns:
        The same shape and type.
    """
    down, across = passes
    if passes == NONE:
        return heatmaps
    rows, columns = heatmaps.shape[-2:]
    smoothed: Maps = matrix(rows, down) @ heatmaps @ matrix(columns, across)
    return smoothed


def smooth_features(
    features: NDArray[np.float32],
    grid: tuple[int, int],
    passes: Passes,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Smooth feature maps, image by image.

    Args:
        features: (n, p, d) float32.
        grid: (h, w), with p = h * w.
        passes: Down and across.
        out: Where the result goes, which may be the features themselves; None makes a new array.

    Returns:
        (n, p, d) float32.
    """
    (rows, columns), channels = grid, features.shape[2]
    down, across = matrix(rows, passes[0]), matrix(columns, passes[1])
    smoothed = np.empty_like(features) if out is None else out
    for image, target in zip(features, smoothed, strict=True):
        lines = down @ image.reshape(rows, columns * channels)
        target[:] = (across @ lines.reshape(rows, columns, channels)).reshape(target.shape)
    return smoothed

"""Heatmaps upsampled to the picture, and where they peak there: for what is drawn and judged alike.

As EvalProtoPNet defines it (Huang et al., "Evaluation and Improvement of Interpretability for
Self-Explainable Part-Prototype Networks", ICCV 2023): the heatmap is upsampled bicubically to the
size of the input, and the first largest pixel is the peak. ``page/field.js`` does the same in the
browser.

Symbols: h×w grid, height×width of the picture in pixels.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Size = tuple[int, int]
"""(height, width) of the picture, pixels."""

_CUBIC = -0.75  # the kernel of OpenCV's and torch's bicubic interpolation
_BYTES = 1 << 26  # of upsampled heatmaps held at once


def upsample(heatmaps: Floats, size: Size) -> NDArray[np.float32]:
    """Upsample heatmaps bicubically, with half-pixel centres and the border repeated.

    Args:
        heatmaps: (..., h, w).
        size: (height, width) to reach.

    Returns:
        (..., height, width) float32.
    """
    rows = _kernel(heatmaps.shape[-2], size[0])
    columns = _kernel(heatmaps.shape[-1], size[1])
    return np.asarray(rows @ heatmaps.astype(np.float32) @ columns.T)


def peaks(heatmaps: Floats, size: Size) -> NDArray[np.intp]:
    """The first largest pixel of each upsampled heatmap, row by row.

    Args:
        heatmaps: (..., h, w).
        size: (height, width) of the picture.

    Returns:
        (..., 2), x and y.
    """
    flat = heatmaps.reshape(-1, *heatmaps.shape[-2:])
    step = max(1, _BYTES // (4 * size[0] * size[1]))
    found = np.empty((len(flat), 2), dtype=np.intp)
    for start in range(0, len(flat), step):
        chunk = upsample(flat[start : start + step], size)
        first = chunk.reshape(len(chunk), -1).argmax(axis=1)
        found[start : start + step] = np.stack([first % size[1], first // size[1]], axis=1)
    return found.reshape(*heatmaps.shape[:-2], 2)


def peak(heatmap: Floats, size: tuple[int, int]) -> tuple[int, int]:
    """Where one heatmap (h, w) peaks in a picture of (width, height): (x, y), pixels."""
    x, y = peaks(heatmap, size[::-1]).tolist()
    return x, y


@cache
def _kernel(source: int, target: int) -> NDArray[np.float32]:
    """The matrix (target, source) of bicubic interpolation along one axis."""
    centres = (np.arange(target) + 0.5) * source / target - 0.5
    left = np.floor(centres).astype(int)
    matrix = np.zeros((target, source))
    for offset in range(-1, 3):
        weight = _cubic(np.abs(centres - (left + offset)))
        np.add.at(matrix, (np.arange(target), np.clip(left + offset, 0, source - 1)), weight)
    return matrix.astype(np.float32)


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic convolution kernel, distances 0 to 2."""
    a, x = _CUBIC, distance
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.asarray(np.where(x <= 1, near, np.where(x < 2, far, 0.0)))

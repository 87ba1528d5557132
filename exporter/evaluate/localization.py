"""Where a heatmap points: its peak in the picture, the box around it, the parts in the box.

As EvalProtoPNet defines it (Huang et al., "Evaluation and Improvement of Interpretability for
Self-Explainable Part-Prototype Networks", ICCV 2023): the heatmap is upsampled bicubically to the
size of the input, the first largest pixel is the peak, and a part is hit when its visible keypoint
lies in the box of half-size 36 px at 224 around the peak, cut at the border of the image.

Symbols: n images, k prototypes, q parts, h×w grid, height×width of the view in pixels. Positions
are (x, y) in pixels of the view, the resized and cropped image that the network sees.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Size = tuple[int, int]
"""(height, width) of the view, pixels."""

HALF_SIZE = 36 / 224
"""Half the side of a box over the short side of the input."""

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
        heatmaps: (n, k, h, w).
        size: (height, width) of the view.

    Returns:
        (n, k, 2), x and y.
    """
    flat = heatmaps.reshape(-1, *heatmaps.shape[2:])
    step = max(1, _BYTES // (4 * size[0] * size[1]))
    found = np.empty((len(flat), 2), dtype=np.intp)
    for start in range(0, len(flat), step):
        chunk = upsample(flat[start : start + step], size)
        first = chunk.reshape(len(chunk), -1).argmax(axis=1)
        found[start : start + step] = np.stack([first % size[1], first // size[1]], axis=1)
    return found.reshape(*heatmaps.shape[:2], 2)


def boxes(centres: NDArray[np.integer], size: Size) -> NDArray[np.float64]:
    """The box around each peak, cut at the border.

    Args:
        centres: (..., 2), x and y.
        size: (height, width) of the view.

    Returns:
        (..., 4), left, top, right and bottom.
    """
    low, high = np.split(squares(centres, size), 2, axis=-1)
    return np.concatenate([np.maximum(low, 0), np.minimum(high, size[::-1])], axis=-1)


def squares(centres: NDArray[np.integer], size: Size) -> NDArray[np.float64]:
    """The box around each peak, also where it leaves the image; as :func:`boxes` otherwise."""
    half = round(HALF_SIZE * min(size))
    return np.concatenate([centres - half, centres + half], axis=-1).astype(np.float64)


def hits(
    centres: NDArray[np.integer], points: NDArray[np.float64], size: Size
) -> NDArray[np.bool_]:
    """Which parts lie in the box around each peak.

    Args:
        centres: (n, k, 2), peaks.
        points: (n, q, 2), keypoints; NaN where a part is not visible.
        size: (height, width) of the view.

    Returns:
        (n, k, q); never true of a part that is not visible.
    """
    found = boxes(centres, size)[:, :, None, :]  # (n, k, 1, 4)
    position = points[:, None, :, :]  # (n, 1, q, 2)
    inside = (position >= found[..., :2]) & (position <= found[..., 2:])  # NaN compares false
    return np.asarray(inside.all(axis=-1))


def visible(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which parts are visible, (n, q), of keypoints (n, q, 2)."""
    return np.asarray(np.isfinite(points).all(axis=-1))


def overlap(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of boxes (..., 4); 0 where both are empty."""
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    total = _area(first) + _area(second) - shared
    return np.asarray(np.divide(shared, total, out=np.zeros_like(shared), where=total > 0))


def min_max(heatmaps: Floats) -> NDArray[np.float32]:
    """Scale each heatmap (..., h, w) to 0 to 1; a constant one becomes 0."""
    low = heatmaps.min(axis=(-2, -1), keepdims=True)
    span = heatmaps.max(axis=(-2, -1), keepdims=True) - low
    scaled = np.zeros(heatmaps.shape, dtype=np.float32)
    np.divide(heatmaps - low, span, out=scaled, where=span > 0, casting="same_kind")
    return scaled


def _area(box: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((box[..., 2:] - box[..., :2]).prod(axis=-1))


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

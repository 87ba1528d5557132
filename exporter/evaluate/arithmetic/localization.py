"""Where a heatmap points: the box around its peak, and the parts in the box.

As EvalProtoPNet defines it (Huang et al., "Evaluation and Improvement of Interpretability for
Self-Explainable Part-Prototype Networks", ICCV 2023): a part is hit when its visible keypoint lies
in the box of half-size 36 px at 224 around the peak (serving/drawing/peaks.py), cut at the border
of the image.

Symbols: n images, k prototypes, q parts, h×w grid, height×width of the view in pixels. Positions
are (x, y) in pixels of the view, the resized and cropped image that the network sees.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serving.drawing.peaks import Floats, Size

HALF_SIZE = 36 / 224
"""Half the side of a box over the short side of the input."""


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

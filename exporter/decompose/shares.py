"""Who owns which evidence: positions shared between the prototypes, by heat relative to the peak.

People read a heatmap relative to its own peak in the image. So do these, with h_i the heatmap of
prototype i:

    e_i = relu(h_i) / max over the image of relu(h_i),      m_i = e_i^4 / sum_j e_j^4.         (b)

The letters of equations are those of docs/method.md. Symbols: n images, p = h * w positions of an
image, k prototypes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

POWER = 4


def relative_heat(heatmaps: NDArray[np.float32], images: int) -> NDArray[np.float32]:
    """The heat e of each prototype relative to its peak in the image, as in (b).

    Args:
        heatmaps: (n * p, k) float32; negative values count as zero.
        images: n.

    Returns:
        e, (n, p, k) float32, 0 to 1; 0 where a prototype has no heat in the image.
    """
    maps = np.maximum(heatmaps, 0).reshape(images, -1, heatmaps.shape[1])
    return ratio(maps, maps.max(axis=1, keepdims=True), otherwise=0.0)


def peak_shares(heatmaps: NDArray[np.float32], images: int) -> NDArray[np.float32]:
    """Share every position between the prototypes by heat relative to the peak, as in (b).

    Args:
        heatmaps: (n * p, k) float32; negative values count as zero.
        images: n.

    Returns:
        m, (n * p, k) float32, rows sum to 1; equal shares where no prototype is positive.
    """
    relative = relative_heat(heatmaps, images) ** POWER
    equal = 1 / heatmaps.shape[1]
    shares = ratio(relative, relative.sum(axis=2, keepdims=True), otherwise=equal)
    return shares.reshape(heatmaps.shape)


def positive_shares(targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """The share w of each part in the positive evidence.

    Args:
        targets: t, (n * p, k) float32, the evidence of each part, logit units.

    Returns:
        w, (k,) float32, 0 to 1; equal shares where no evidence is positive.
    """
    positive = np.maximum(targets, 0).sum(axis=0)
    return ratio(positive, positive.sum(), otherwise=1 / len(positive))


def ratio(
    part: NDArray[np.float32], whole: NDArray[np.float32], otherwise: float
) -> NDArray[np.float32]:
    """The quotient part / whole, and the given value where the whole is not positive."""
    filled = np.full_like(part, otherwise)
    return np.divide(part, whole, out=filled, where=whole > 0)

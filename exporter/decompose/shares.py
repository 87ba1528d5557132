"""Who owns which evidence: positions shared between the prototypes, by heat relative to the peak.

People read a heatmap relative to its own peak in the image. So do these, with H (N, k) the heat of
k prototypes on n images of p positions each, N = n * p:

    e_i = relu(h_i) / max over the image of relu(h_i),      m_i = e_i^4 / sum_j e_j^4.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

POWER = 4


def relative_heat(heatmaps: Floats, images: int) -> Floats:
    """Returns e, (n, p, k) float32, 0 to 1; 0 where a prototype has no heat in the image.

    Args:
        heatmaps: (N, k) float32; negative values count as zero.
        images: n; N is a multiple of it.
    """
    maps = np.maximum(heatmaps, 0).reshape(images, -1, heatmaps.shape[1])
    return ratio(maps, maps.max(axis=1, keepdims=True), otherwise=0.0)


def peak_shares(heatmaps: Floats, images: int) -> Floats:
    """Shares every position between the prototypes by heat relative to the peak.

    Args:
        heatmaps: (N, k) float32; negative values count as zero.
        images: n; N is a multiple of it.

    Returns:
        m, (N, k) float32, rows sum to 1; equal shares where no prototype is positive.
    """
    relative = relative_heat(heatmaps, images) ** POWER
    equal = 1 / heatmaps.shape[1]
    shares = ratio(relative, relative.sum(axis=2, keepdims=True), otherwise=equal)
    return shares.reshape(heatmaps.shape)


def positive_shares(targets: Floats) -> Floats:
    """Returns each part's share of the positive evidence, (k,) float32; equal if there is none.

    Args:
        targets: t, (N, k) float32.
    """
    positive = np.maximum(targets, 0).sum(axis=0)
    return ratio(positive, positive.sum(), otherwise=1 / len(positive))


def ratio(part: Floats, whole: Floats, otherwise: float) -> Floats:
    """Returns part / whole, and the given value where the whole is zero."""
    filled = np.full_like(part, otherwise)
    return np.divide(part, whole, out=filled, where=whole > 0)

"""The norm of the paper's eq. 6, as this project fixes it: the z-score over an image's positions.

Symbols: n images, p = h * w positions of an image, k prototypes.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Real = TypeVar("Real", np.float32, np.float64)


def z_score(heatmaps: NDArray[Real]) -> NDArray[Real]:
    """Normalise each heatmap to mean 0 and deviation 1; a flat one becomes 0.

    Args:
        heatmaps: (n, p, k).

    Returns:
        An array of the same shape and dtype.
    """
    centred = heatmaps - heatmaps.mean(axis=1, keepdims=True)
    deviation = np.sqrt(np.square(centred).mean(axis=1, keepdims=True))
    # A mean of p values is off by up to p rounding errors; a constant then seems to vary.
    rounding = heatmaps.shape[1] * np.finfo(heatmaps.dtype).eps
    floor = rounding * np.abs(heatmaps).max(axis=1, keepdims=True)
    normal: NDArray[Real] = np.zeros_like(centred)
    np.divide(centred, deviation, out=normal, where=deviation > floor)
    return normal

"""Where the heatmaps of a class peak in its images, and what the network sees there.

Symbols: n images, k prototypes, p = h * w positions of an image, d channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Peaks:
    """The peaks of the heatmaps of one class.

    Attributes:
        cells: (n, k), the position of each peak in its grid, row by row; the first of equal ones.
        grid: (h, w).
        seen: (n, k, d) float32, the features there.
        everywhere: (d,), those of all positions, each weighted by its positive evidence,
            the sum of the heatmaps; None where no position has any.
    """

    cells: NDArray[np.intp]
    grid: tuple[int, int]
    seen: NDArray[np.float32]
    everywhere: NDArray[np.floating] | None


def find_peaks(features: NDArray[np.float32], heatmaps: NDArray[np.floating]) -> Peaks:
    """Find the peaks of the heatmaps of one class.

    Args:
        features: (n, p, d) float32, smoothed as the prototypes were found on them, n >= 1.
        heatmaps: (n, k, h, w), with p = h * w.
    """
    images, count, *grid = heatmaps.shape
    flat = heatmaps.reshape(images, count, -1)
    cells = flat.argmax(axis=2)
    evidence = np.maximum(flat.sum(axis=1), 0)  # (n, p)
    total = float(evidence.sum(dtype=np.float64))
    everywhere = np.tensordot(evidence, features, axes=2) / total if total > 0 else None
    return Peaks(
        cells=cells,
        grid=(grid[0], grid[1]),
        seen=features[np.arange(images)[:, None], cells],
        everywhere=everywhere,
    )

"""Which prototypes of a class show the same thing: what the network sees where they peak, compared.

    a_i = mean over the class's images of x at the peak of heatmap i,  less the mean of x everywhere
    i and j show the same thing where cos(a_i, a_j) >= 0.9

Two places of one thing, say of a breast, are two peaks that a heatmap tells apart and features do
not. docs/notebook.md has what the threshold was held against.

Symbols: n images, k prototypes, p = h * w positions of an image, d channels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ALIKE = 0.9
"""The cosine from which on two prototypes show the same thing."""


def alike(
    features: NDArray[np.float32], heatmaps: NDArray[np.floating]
) -> tuple[tuple[int, ...], ...]:
    """The others that show the same thing as each prototype of a class.

    Args:
        features: (n, p, d) float32, smoothed as the prototypes were found on them.
        heatmaps: (n, k, h, w), with p = h * w.

    Returns:
        For each of the k prototypes the numbers of the others, rising.
    """
    images, count = heatmaps.shape[:2]
    peaks = heatmaps.reshape(images, count, -1).argmax(axis=2)  # (n, k)
    seen = features[np.arange(images)[:, None], peaks].mean(axis=0)  # (k, d)
    things = seen - features.mean(axis=(0, 1))
    sizes = np.linalg.norm(things, axis=1)
    products = things @ things.T
    same = products >= ALIKE * np.outer(sizes, sizes)
    # Without a direction of its own a prototype shows nothing that could be the same.
    same &= np.outer(sizes, sizes) > 0
    np.fill_diagonal(same, False)
    return tuple(tuple(np.flatnonzero(row).tolist()) for row in same)

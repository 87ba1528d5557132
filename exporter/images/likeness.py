"""Which prototypes of a class show the same thing: what the network sees where they peak, compared.

    a_i = mean of x at the peak of heatmap i  -  sum relu(s) x / sum relu(s)

over the class's images and over all their positions, s their evidence, the sum of the heatmaps:
what is seen at the peak beyond what is seen of the class everywhere. i and j show the same thing
where cos(a_i, a_j) >= 0.8. Two places of one thing, say of a breast, are two peaks that heatmaps
tell apart and features do not. docs/notebook.md has what the threshold was held against.

Symbols: n images, k prototypes, p = h * w positions of an image, d channels.
"""

from __future__ import annotations

import numpy as np

from exporter.images.peaks import Peaks

ALIKE = 0.8
"""The cosine from which on two prototypes show the same thing."""


def alike(peaks: Peaks) -> tuple[tuple[int, ...], ...]:
    """The others that show the same thing as each prototype of a class.

    Args:
        peaks: Of the class's heatmaps.

    Returns:
        For each of the k prototypes the numbers of the others, rising; none where no position has
        positive evidence.
    """
    if peaks.everywhere is None:
        return tuple(() for _ in range(peaks.seen.shape[1]))
    things = peaks.seen.mean(axis=0) - peaks.everywhere  # (k, d)
    sizes = np.linalg.norm(things, axis=1)
    # Without a direction of its own a prototype shows nothing that could be the same.
    scale = np.outer(sizes, sizes)
    same = (things @ things.T >= ALIKE * scale) & (scale > 0)
    np.fill_diagonal(same, False)
    return tuple(tuple(int(other) for other in np.flatnonzero(row)) for row in same)

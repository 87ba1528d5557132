"""Selection: more candidates than prototypes, of which those stay that point at one place.

NMF finds the k parts that reconstruct most, and some of these the head cannot point at: their
heatmaps spread over the picture, and peak here in one image and there in the next. Of more
candidates, settled by the turns of regression.py within the budget of cancellation, the k are kept
whose heatmaps are concentrated and lie apart. With h_ni the positive heat of candidate i on
the p positions of image n, and q_ni ~ e_ni^4 where it is (shares.py):

    kappa_i = mean_n |h_ni|_2^2 / |h_ni|_1^2                  1/p where all is alike, 1 in a point
    o_ij    = mean_n sum min(q_ni, q_nj)                      0 apart, 1 at the same place

    maximise   mean_i log kappa_i - rho mean_(i<j) o_ij,     rho = 1                            (d)

greedily, the largest kappa_i first. 1 / kappa is the number of positions that a heatmap fills,
kappa the ratio of norms of Hoyer's sparseness (JMLR 2004). The parts that go leave their evidence
to those that stay: every position is shared anew between these, and the row split by one more fit
within the budget of cancellation. Neither kappa nor o needs annotations. docs/notebook.md has the
measurements.

Symbols: n images, p = h * w positions of an image, g candidates, of which k stay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exporter.decompose.shares import POWER, ratio, relative_heat

CANDIDATES = 3
"""How many there are for each prototype, g / k."""

APART = 1.0
"""rho, what overlap costs."""


def select(heatmaps: NDArray[np.float32], images: int, count: int) -> NDArray[np.intp]:
    """Choose the candidates that point best, by (d).

    Args:
        heatmaps: (n * p, g) float32, of the candidates; negative values count as zero.
        images: n.
        count: k, 2 to g.

    Returns:
        Which candidates stay, (k,), the best first.
    """
    return choose(concentration(heatmaps, images), overlap(heatmaps, images), count)


def concentration(heatmaps: NDArray[np.float32], images: int) -> NDArray[np.float32]:
    """How concentrated the heat of each candidate is.

    Args:
        heatmaps: (n * p, g) float32; negative values count as zero.
        images: n.

    Returns:
        kappa, (g,) float32, 1 / p to 1; an image without heat counts as 1 / p.
    """
    heat = relative_heat(heatmaps, images)
    found = ratio((heat**2).sum(axis=1), heat.sum(axis=1) ** 2, otherwise=1 / heat.shape[1])
    mean: NDArray[np.float32] = found.mean(axis=0)
    return mean


def overlap(heatmaps: NDArray[np.float32], images: int) -> NDArray[np.float32]:
    """How much of their places two candidates share.

    Args:
        heatmaps: (n * p, g) float32; negative values count as zero.
        images: n.

    Returns:
        o, (g, g) float32, 0 to 1; an image where one has no heat counts as 0.
    """
    places = relative_heat(heatmaps, images) ** POWER
    places = ratio(places, places.sum(axis=1, keepdims=True), otherwise=0.0)
    each = np.moveaxis(places, 2, 0)[..., None]  # (g, n, p, 1)
    return np.stack([np.minimum(places, one).sum(axis=1).mean(axis=0) for one in each])


def choose(
    concentrated: NDArray[np.float32], overlapping: NDArray[np.float32], count: int
) -> NDArray[np.intp]:
    """Take one candidate after the other, each the one that adds most to (d).

    Args:
        concentrated: kappa, (g,) float32, positive.
        overlapping: o, (g, g) float32.
        count: k, 2 to g.

    Returns:
        Which candidates stay, (k,), in the order in which they were taken.
    """
    worth = np.log(concentrated.astype(np.float64))
    chosen = np.empty(count, dtype=np.intp)
    for taken in range(count):
        chosen[taken] = best = int(worth.argmax())
        worth -= APART * 2 / (count - 1) * overlapping[best]
        worth[best] = -np.inf
    return chosen

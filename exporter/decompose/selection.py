"""Selection: more candidates than prototypes, of which those stay that point at one place.

NMF finds the k parts that reconstruct most, and some of these the head cannot point at: their
heatmaps spread over the picture, and peak here in one image and there in the next. Of 3k
candidates, settled by the turns of regression.py with the lambda that k parts needed, the k are
kept whose heatmaps are concentrated and lie apart. With h_ni the positive heat of candidate i on
the p positions of image n, and q_ni ~ e_ni^4 where it is (shares.py):

    c_i  = mean_n |h_ni|_2^2 / |h_ni|_1^2                     1/p where all is alike, 1 in a point
    o_ij = mean_n sum min(q_ni, q_nj)                         0 apart, 1 at the same place

    maximise   mean_i log c_i - mean_(i<j) o_ij               greedily, the largest c_i first

c is the inverse of the number of positions that a heatmap fills, the ratio of norms of Hoyer's
sparseness (JMLR 2004). The parts that go leave their evidence to those that stay: every position
is shared anew between these, and the row split by one more fit within the budget of cancellation.
Neither c nor o needs annotations; docs/method.md has the measurements.
"""

import numpy as np
import numpy.typing as npt

from exporter.decompose.regression import SMALLEST, Alternation, Regression
from exporter.decompose.shares import POWER, peak_shares, ratio, relative_heat
from exporter.decompose.solution import Solution

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]

CANDIDATES = 3  # for each prototype


def select(
    turns: Alternation, presence: Floats, count: int, regularization: float
) -> tuple[Indices, Solution[Regression]]:
    """Splits a head row between the candidates that point best (see the module's docstring).

    Args:
        turns: Of the class.
        presence: E, (n * p, K) float32, nonnegative, of the K candidates.
        count: k, 2 to K.
        regularization: lambda, with which the candidates are settled.

    Returns:
        Which candidates stay, (k,), and their prototypes, the best first.
    """
    heatmaps = turns.heatmaps(turns.settle(presence, regularization))
    images = turns.images
    chosen = choose(concentration(heatmaps, images), overlap(heatmaps, images), count)
    # No more turns: they would lead back to where k parts settle.
    first = turns.at(SMALLEST, peak_shares(heatmaps[:, chosen], images), 0)
    return chosen, turns.solution(turns.within_budget(first, 0))


def concentration(heatmaps: Floats, images: int) -> Floats:
    """Returns c, (K,) float32, 1 / p to 1; an image without heat counts as 1 / p.

    Args:
        heatmaps: (N, K) float32; negative values count as zero.
        images: n; N is a multiple of it.
    """
    heat = relative_heat(heatmaps, images)
    found = ratio((heat**2).sum(axis=1), heat.sum(axis=1) ** 2, otherwise=1 / heat.shape[1])
    mean: Floats = found.mean(axis=0)
    return mean


def overlap(heatmaps: Floats, images: int) -> Floats:
    """Returns o, (K, K) float32, 0 to 1; 0 where one has no heat.

    Args:
        heatmaps: (N, K) float32; negative values count as zero.
        images: n; N is a multiple of it.
    """
    places = relative_heat(heatmaps, images) ** POWER
    places = ratio(places, places.sum(axis=1, keepdims=True), otherwise=0.0)
    each = np.moveaxis(places, 2, 0)[..., None]  # (K, n, p, 1)
    return np.stack([np.minimum(places, one).sum(axis=1).mean(axis=0) for one in each])


def choose(concentrated: Floats, overlapping: Floats, count: int) -> Indices:
    """Returns which candidates stay, (k,), in the order in which they were taken.

    Args:
        concentrated: c, (K,) float32, positive.
        overlapping: o, (K, K) float32.
        count: k, 2 to K.
    """
    worth = np.log(concentrated.astype(np.float64))
    chosen = np.empty(count, dtype=np.intp)
    for taken in range(count):
        chosen[taken] = best = int(worth.argmax())
        worth -= 2 / (count - 1) * overlapping[best]
        worth[best] = -np.inf
    return chosen

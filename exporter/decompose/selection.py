"""Selection: more candidates than prototypes, of which those stay that point at one place.

NMF finds the k parts that reconstruct most, and some of these the head cannot point at: their
heatmaps spread over the picture, and peak here in one image and there in the next. Of more
candidates, settled by the turns of regression.py with the lambda that k parts needed, the k are
kept whose heatmaps are concentrated and lie apart. With h_ni the positive heat of candidate i on
the p positions of image n, and q_ni ~ e_ni^4 where it is (shares.py):

    c_i  = mean_n |h_ni|_2^2 / |h_ni|_1^2                     1/p where all is alike, 1 in a point
    o_ij = mean_n sum min(q_ni, q_nj)                         0 apart, 1 at the same place

    maximise   mean_i log c_i - a mean_(i<j) o_ij             greedily, the largest c_i first

c is the inverse of the number of positions that a heatmap fills, the ratio of norms of Hoyer's
sparseness (JMLR 2004). The parts that go leave their evidence to those that stay: every position
is shared anew between these, and the row split by one more fit within the budget of cancellation.
A class that is asked to point (pointing.py) does so twice, from NMF's k parts and from these, and
keeps the prototypes whose o is smaller in the mean. Neither c nor o needs annotations; how many
candidates there are and what overlap costs is for each of the two in TO_FIT and TO_POINT.
docs/method.md has the measurements.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exporter.decompose.regression import Alternation
from exporter.decompose.shares import POWER, ratio, relative_heat

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Rule:
    """How parts are selected.

    Attributes:
        candidates: For each prototype.
        apart: a, what overlap costs.
    """

    candidates: int
    apart: float


TO_FIT = Rule(candidates=3, apart=1)
TO_POINT = Rule(candidates=2, apart=4)


def select(
    turns: Alternation, presence: Floats, count: int, regularization: float, apart: float
) -> tuple[Indices, Floats]:
    """Chooses the candidates that point best (see the module's docstring).

    Args:
        turns: Of the class.
        presence: E, (n * p, K) float32, nonnegative, of the K candidates.
        count: k, 2 to K.
        regularization: lambda, with which the candidates are settled.
        apart: a, what overlap costs.

    Returns:
        Which candidates stay, (k,), the best first, and their positive heat, (n * p, k) float32.
    """
    heatmaps = turns.heatmaps(turns.settle(presence, regularization).prototypes)
    images = turns.images
    chosen = choose(concentration(heatmaps, images), overlap(heatmaps, images), count, apart)
    return chosen, np.maximum(heatmaps[:, chosen], 0)


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


def mean_overlap(heatmaps: Floats, images: int) -> float:
    """Returns the mean of o over the pairs of heatmaps, 0 to 1.

    Args:
        heatmaps: (N, k) float32, k at least 2; negative values count as zero.
        images: n; N is a multiple of it.
    """
    pairs = np.triu_indices(heatmaps.shape[1], 1)
    return float(overlap(heatmaps, images)[pairs].mean())


def choose(concentrated: Floats, overlapping: Floats, count: int, apart: float) -> Indices:
    """Returns which candidates stay, (k,), in the order in which they were taken.

    Args:
        concentrated: c, (K,) float32, positive.
        overlapping: o, (K, K) float32.
        count: k, 2 to K.
        apart: a, what overlap costs.
    """
    worth = np.log(concentrated.astype(np.float64))
    chosen = np.empty(count, dtype=np.intp)
    for taken in range(count):
        chosen[taken] = best = int(worth.argmax())
        worth -= apart * 2 / (count - 1) * overlapping[best]
        worth[best] = -np.inf
    return chosen

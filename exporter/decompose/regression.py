"""Part evidence regression: the head row split by where its evidence lies, until parts agree.

Every position is shared between the prototypes by the shares m, whose rows sum to 1;
t_i = m_i * s is the evidence of part i. Each prototype is the linear functional that best
reproduces its part's evidence,

    p~_i = w_i v + (F'F + lambda tr(F'F)/d I)^-1 F' (t_i - w_i s),     sum_i w_i = 1,           (a)

with w_i the part's share of the positive evidence. The t_i sum to s, so the corrections sum to
zero and the p~_i to v, whatever lambda and the shares are. People read a heatmap h_i = F p~_i
relative to its own peak, and so the next shares are read off the heatmaps themselves (shares.py):

    e_i = relu(h_i) / max over the image of relu(h_i),      m_i = e_i^4 / sum_j e_j^4.         (b)

(a) and (b) take turns, starting with the presence of discovery in the place of the heatmaps, until
the shares stay: an expectation-maximisation without a likelihood, in which the fit, which sees all
images, corrects what NMF says of each. A part is then what the head can point at, not what
reconstructs the features.

lambda is the least, to a fifth and from 1, the mean of the eigenvalues, whose prototypes stay
within a budget of cancellation,

    sum_i |p~_i| <= 2.5 |v|.                                                                    (c)

The sum of norms is 1 for copies of one map and grows as prototypes differ and argue against each
other. With few images for many channels most of that is noise, and the budget keeps it out. The
rule means the same for every network, while a fixed lambda does not: at lambda = 10 the prototypes
of a bird species differ, and those of a drawn bird are nearly copies. It needs no annotations. With
this lambda the best of more candidates are found: selection.py. docs/notebook.md has the
measurements.

What has to settle are the turns of `Alternation.settle`, up to 60 from the presence of discovery:
those of the k parts, from which the search for lambda starts, and those of the candidates, whose
heat the final fit shares the evidence by. The turns at each further lambda, at most 5, need not:
they are steps of a search, of which only the lambda is kept.

Symbols: n images, p = h * w positions of an image, d channels, k prototypes; F (n * p, d)
features, v (d,) the row, s = F v the evidence of each position.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporter.decompose.ridge import Ridge
from exporter.decompose.shares import peak_shares, positive_shares
from exporter.decompose.solution import Ending, Summary

SMALLEST, LARGEST = 1.0, 128.0
HALVINGS = 2  # of the last octave of lambda: to a factor of 2^(1/4)
BUDGET = 2.5
SETTLED = 0.02  # of a position's shares, the part that a turn still moves
FIRST_TURNS = 60  # at the first lambda, from NMF's parts; one class in ten of ImageNet takes more
NEXT_TURNS = 5  # at each further one, from nearly settled parts


def discovery_weights(
    features: NDArray[np.float32], row: NDArray[np.float64]
) -> NDArray[np.float32]:
    """How much each position should count in discovery: sqrt(relu(s) / mean(relu(s)) + 1).

    NMF reconstructs every position, and would spend prototypes on the background.

    Args:
        features: F, (n * p, d) float32.
        row: v, (d,) float64.

    Returns:
        (n * p,) float32, at least 1.
    """
    positive = np.maximum(features @ row.astype(np.float32), 0)
    mean = positive.mean()
    relative = positive / mean if mean > 0 else positive
    weights: NDArray[np.float32] = np.sqrt(relative + 1)
    return weights


def sum_of_norms(prototypes: NDArray[np.float64]) -> float:
    """The sum of the Euclidean norms of prototypes (k, d), the left side of (c)."""
    return float(np.linalg.norm(prototypes, axis=1).sum())


@dataclass(frozen=True)
class Settled:
    """Where the turns ended at one lambda.

    Attributes:
        regularization: The lambda.
        shares: m, (n * p, k) float32.
        prototypes: p~, (k, d) float64, fitted to the shares; they sum to v up to float32 rounding.
        within: Whether they are within the budget (c).
        stayed: Whether the shares stayed before the turns ran out; true where none were asked for.
    """

    regularization: float
    shares: NDArray[np.float32]
    prototypes: NDArray[np.float64]
    within: bool
    stayed: bool


class Alternation:
    """The fit (a) and the reading (b) for one class.

    Args:
        features: (n, p, d) float32, of any sign.
        row: v, (d,) float64.

    Attributes:
        images: n.
        turns: How many were taken so far.
        settled: Whether the shares stayed each time that they had to.
    """

    def __init__(self, features: NDArray[np.float32], row: NDArray[np.float64]) -> None:
        self.images, self.turns, self.settled = len(features), 0, True
        self._flat, self._row = features.reshape(-1, features.shape[2]), row
        self._ridge = Ridge(self._flat)
        self._evidence = self._flat @ row.astype(np.float32)  # s, (n * p,)
        self._budget = BUDGET * float(np.linalg.norm(row))

    def settle(self, presence: NDArray[np.float32], regularization: float) -> Settled:
        """Take turns from the presence of discovery; the shares have to stay.

        Args:
            presence: E, (n * p, k) float32, nonnegative.
            regularization: lambda.

        Returns:
            Where the turns ended.
        """
        found = self.at(regularization, peak_shares(presence, self.images), FIRST_TURNS)
        self.settled = self.settled and found.stayed
        return found

    def at(self, regularization: float, shares: NDArray[np.float32], limit: int) -> Settled:
        """Take turns until the shares stay, or as many as allowed; then fit to the shares.

        Args:
            regularization: lambda.
            shares: m, (n * p, k) float32, to begin with.
            limit: Most turns; 0 keeps the shares.

        Returns:
            Where the turns ended.
        """
        self._ridge.strengthen(regularization)
        moved, last = np.inf, self.turns + limit
        while moved > SETTLED and self.turns < last:
            _, known, rest = self._split(shares)
            heatmaps = known + self._flat @ self._ridge.coefficients(rest).T
            before, shares = shares, peak_shares(heatmaps, self.images)
            moved = float(np.abs(shares - before).sum()) / (2 * len(shares))
            self.turns += 1
        weights, _, rest = self._split(shares)
        prototypes = np.outer(weights, self._row) + self._ridge.coefficients(rest)
        within = sum_of_norms(prototypes) <= self._budget
        stayed = limit == 0 or moved <= SETTLED
        return Settled(regularization, shares, prototypes, within, stayed)

    def within_budget(self, found: Settled, limit: int) -> Settled:
        """Raise lambda until (c) holds, to a factor of 2^(1/4).

        Args:
            found: Where turns ended at the smallest lambda.
            limit: Most turns at each further lambda; 0 keeps the shares.

        Returns:
            Where turns ended at the lambda found; beyond the budget where even the largest lambda
            is.
        """
        # Upwards: heatmaps that a large lambda once made alike would not part again.
        below = found
        while not found.within and found.regularization < LARGEST:
            below, found = found, self.at(2 * found.regularization, found.shares, limit)
        for _ in range(HALVINGS if found.within and found is not below else 0):
            middle = float(np.sqrt(below.regularization * found.regularization))
            between = self.at(middle, below.shares, limit)
            below, found = (below, between) if between.within else (between, found)
        return found

    def heatmaps(self, prototypes: NDArray[np.float64]) -> NDArray[np.float32]:
        """The heatmaps F p~_i of prototypes (k, d): (n * p, k) float32, logit units."""
        return self._flat @ prototypes.T.astype(np.float32)

    def summary(self, found: Settled) -> Summary:
        """How the prototypes of a class were found, over all turns that were taken.

        Args:
            found: Where the last of them ended.

        Returns:
            One iteration is a turn; the objective is sum_i |F p~_i - t_i|^2 / sum_i |t_i|^2 at
            the shares found. Over the budget where (c) does not hold, else at the limit where the
            shares had to stay and did not.
        """
        ending = Ending.of(self.settled) if found.within else Ending.BUDGET
        return Summary(iterations=self.turns, objective=self._objective(found), ending=ending)

    def _objective(self, found: Settled) -> float:
        """The relative error sum_i |F p~_i - t_i|^2 / sum_i |t_i|^2; 0 without evidence."""
        targets = found.shares * self._evidence[:, None]
        difference = self.heatmaps(found.prototypes) - targets
        total = float(np.vdot(targets, targets))
        return float(np.vdot(difference, difference)) / total if total > 0 else 0.0

    def _split(
        self, shares: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """The weights w (k,), the heat w_i s that they give and the rest of t, (n * p, k) each."""
        targets = shares * self._evidence[:, None]
        weights = positive_shares(targets)
        known = np.outer(self._evidence, weights)
        return weights, known, targets - known

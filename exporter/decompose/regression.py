"""Part evidence regression: the head row split by where its evidence lies, until parts agree.

Every position is shared between the prototypes by the shares m, whose rows sum to 1;
t_i = m_i * s is the evidence of part i, and w_i its share of the positive evidence. What w_i s says
of it already, a correction read off the features completes (parts.py):

    h_i = w_i s + F c_i,    c_i = (F'F + lambda tr(F'F)/d I)^-1 F' (t_i - w_i s)               (a)

The t_i sum to s, so the corrections sum to zero and the h_i to s, whatever lambda, the shares and s
are. Behind the mean over a feature map s = F v, and a part is the vector p~_i = w_i v + c_i; the
p~_i sum to v. People read a heatmap relative to its own peak, and so the next shares are read off
the heatmaps themselves (shares.py):

    e_i = relu(h_i) / max over the image of relu(h_i),      m_i = e_i^4 / sum_j e_j^4.         (b)

(a) and (b) take turns, starting with the presence of discovery in the place of the heatmaps, until
the shares stay: an expectation-maximisation without a likelihood, in which the fit, which sees all
images, corrects what NMF says of each. A part is then what the head can point at, not what
reconstructs the features.

lambda is the least, from 1, the mean of the eigenvalues, whose parts stay within a budget of
cancellation,

    sum_i |w_i v + c_i| <= 2.5 |v|.                                                             (c)

The sum of norms is 1 for copies of one map and grows as prototypes differ and argue against each
other. With few images for many channels most of that is noise, and the budget keeps it out. The
rule means the same for every network, while a fixed lambda does not: at lambda = 10 the prototypes
of a bird species differ, and those of a drawn bird are nearly copies. It needs no annotations.
docs/notebook.md has the measurements.

Both happen to more candidates than there will be parts: turns at lambda = 1, up to 60, until the
shares stay; then a few at each double of it, until the candidates are within the budget. Of these
selection.py keeps k, and one more fit, with lambda to a fifth, gives them what the others leave.

Symbols: n images, p = h * w positions of an image, d channels, k parts; F (n * p, d) features,
s (n * p,) the evidence of each position, v (d,) the row: what s is read off the features by, where
the head is linear in them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporter.decompose.parts import Parts
from exporter.decompose.ridge import Ridge
from exporter.decompose.shares import peak_shares, positive_shares
from exporter.decompose.solution import Ending, Summary

SMALLEST, LARGEST = 1.0, 128.0
HALVINGS = 2  # of the last octave of lambda in the last fit: to a factor of 2^(1/4)
BUDGET = 2.5
SETTLED = 0.02  # of a position's shares, the part that a turn still moves
FIRST_TURNS = 60  # at the first lambda, from NMF's parts
NEXT_TURNS = 5  # at each further one, from nearly settled parts


def discovery_weights(evidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much each position should count in discovery: sqrt(relu(s) / mean(relu(s)) + 1).

    NMF reconstructs every position, and would spend prototypes on the background.

    Args:
        evidence: s, (n * p,) float32.

    Returns:
        (n * p,) float32, 1 or more; 1 everywhere where no evidence is positive.
    """
    positive = np.maximum(evidence, 0)
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
        parts: Fitted to the shares.
        within: Whether the parts are within the budget (c).
        stayed: Whether the shares stayed before the turns ran out; true where none were asked for.
    """

    regularization: float
    shares: NDArray[np.float32]
    parts: Parts
    within: bool
    stayed: bool


class Alternation:
    """The fit (a) and the reading (b) for one class.

    Args:
        features: (n, p, d) float32, of any sign.
        evidence: s, (n * p,) float32, logit units.
        row: v, (d,) float64.

    Attributes:
        images: n.
        turns: How many were taken so far.
        settled: Whether the shares stayed each time that they had to.
    """

    def __init__(
        self,
        features: NDArray[np.float32],
        evidence: NDArray[np.float32],
        row: NDArray[np.float64],
    ) -> None:
        self.images, self.turns, self.settled = len(features), 0, True
        self._flat = features.reshape(-1, features.shape[2])
        self._evidence, self._row = evidence, row
        self._ridge = Ridge(self._flat)
        self._budget = BUDGET * float(np.linalg.norm(row))

    def settle(self, presence: NDArray[np.float32]) -> Settled:
        """Take turns from the presence of discovery, then at the double lambda until (c) holds.

        Args:
            presence: E, (n * p, k) float32, nonnegative.

        Returns:
            Where the turns ended; beyond the budget where even the largest lambda is. The shares
            have to stay at the smallest one.
        """
        found = self.at(SMALLEST, peak_shares(presence, self.images), FIRST_TURNS)
        self.settled = self.settled and found.stayed
        # Upwards: heatmaps that a large lambda once made alike would not part again.
        while not found.within and found.regularization < LARGEST:
            found = self.at(2 * found.regularization, found.shares, NEXT_TURNS)
        return found

    def fit(self, shares: NDArray[np.float32]) -> Settled:
        """Fit to the shares as they are, with the least lambda to a factor of 2^(1/4) within (c).

        Args:
            shares: m, (n * p, k) float32, rows sum to 1.

        Returns:
            The fit; beyond the budget where even that with the largest lambda is.
        """
        below = found = self.at(SMALLEST, shares, 0)
        while not found.within and found.regularization < LARGEST:
            below, found = found, self.at(2 * found.regularization, shares, 0)
        for _ in range(HALVINGS if found.within and found is not below else 0):
            middle = float(np.sqrt(below.regularization * found.regularization))
            between = self.at(middle, shares, 0)
            below, found = (below, between) if between.within else (between, found)
        return found

    def at(self, regularization: float, shares: NDArray[np.float32], limit: int) -> Settled:
        """Take turns at one lambda until the shares stay, or as many as allowed; then fit to them.

        Args:
            regularization: lambda.
            shares: m, (n * p, k) float32, to begin with.
            limit: Most turns; 0 keeps the shares.

        Returns:
            Where the turns ended.
        """
        moved, last = np.inf, self.turns + limit
        while moved > SETTLED and self.turns < last:
            heatmaps = self.heatmaps(self._fit(shares, regularization))
            before, shares = shares, peak_shares(heatmaps, self.images)
            moved = float(np.abs(shares - before).sum()) / (2 * len(shares))
            self.turns += 1
        parts = self._fit(shares, regularization)
        within = sum_of_norms(parts.prototypes(self._row)) <= self._budget
        stayed = limit == 0 or moved <= SETTLED
        return Settled(regularization, shares, parts, within, stayed)

    def heatmaps(self, parts: Parts) -> NDArray[np.float32]:
        """The heatmaps of k parts on the images of the class: (n * p, k) float32, logit units."""
        return parts.heatmaps(self._flat, self._evidence)

    def summary(self, found: Settled) -> Summary:
        """How the parts of a class were found, over all turns that were taken.

        Args:
            found: Where the last of them ended.

        Returns:
            One iteration is a turn; the objective is sum_i |h_i - t_i|^2 / sum_i |t_i|^2 at
            the shares found. Over the budget where (c) does not hold, else at the limit where the
            shares had to stay and did not.
        """
        ending = Ending.of(self.settled) if found.within else Ending.BUDGET
        return Summary(iterations=self.turns, objective=self._objective(found), ending=ending)

    def _objective(self, found: Settled) -> float:
        """The relative error sum_i |h_i - t_i|^2 / sum_i |t_i|^2; 0 without evidence."""
        targets = found.shares * self._evidence[:, None]
        difference = self.heatmaps(found.parts) - targets
        total = float(np.vdot(targets, targets))
        return float(np.vdot(difference, difference)) / total if total > 0 else 0.0

    def _fit(self, shares: NDArray[np.float32], regularization: float) -> Parts:
        """The parts of (a) for shares (n * p, k)."""
        targets = shares * self._evidence[:, None]
        weights = positive_shares(targets)
        rest = targets - np.outer(self._evidence, weights)
        return Parts(weights, self._ridge.fit(rest, regularization))

"""Pointing: part evidence regression with a sharper question, for classes that can answer it.

Squared error asks a heatmap to be right everywhere. People look where it peaks, and a heatmap may
fit the evidence of a weak part well and still peak on a strong one beside it. Here a heatmap is
also read as a distribution over the positions of an image, and asked to put its mass on its part.
With c_i the corrections, sum_i c_i = 0, and h_i = F p~_i the heatmaps of p~_i = w_i v + c_i,
minimised is

    (sum_i |h_i - t_i|^2 + lambda tr(F'F)/d sum_i |c_i|^2) / sum_i |t_i|^2
        + 0.05 sum_i sum_n a_ni H(q_ni, softmax(b h_ni / peak_i)),                              (e)

H the cross-entropy over the positions of image n, q_ni ~ m_ni e_ni^4 where the part is, a_ni the
share of the part's positive evidence that image n holds, and peak_i the mean over images, weighted
by a_ni, of the largest t_i. With b = ln(8 p) a heatmap that is zero but for its part leaves a
ninth of the mass off it. (e) is convex for given shares; shares are read off its heatmaps (b) and
it is solved again, until they stay.

The corrections sum to zero, so the p~_i to v, whatever lambda and the shares are. docs/notebook.md
has the measurements.

Symbols: n images, p = h * w positions of an image, d channels, k prototypes; F (n * p, d)
features, v (d,) the row, s = F v the evidence of each position, m the shares and e the relative
heat of (b), t_i = m_i * s the evidence of part i, w_i its share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from exporter.decompose.shares import POWER, peak_shares, positive_shares, ratio, relative_heat
from exporter.decompose.solution import Ending, Solution

WEIGHT = 0.05  # of the cross-entropy, for each prototype
MASS = 8  # exp(b) over the number of positions
SETTLED = 0.02  # of a position's shares, the part that a turn still moves
TURNS = 40
_STEPS = 40  # of L-BFGS in a turn; the next turn goes on from there
_TOLERANCE = 1e-6


def point(
    features: NDArray[np.float32],
    row: NDArray[np.float64],
    presence: NDArray[np.float32],
    regularization: float,
) -> Solution[NDArray[np.float64]]:
    """Split a head row so that every prototype points at its part, by (e) and (b) in turns.

    Args:
        features: (n, p, d) float32, of any sign.
        row: v, (d,) float64.
        presence: E, (n * p, k) float32, nonnegative; where the parts are at first.
        regularization: lambda.

    Returns:
        p~, (k, d) float64; they sum to v up to float32 rounding. One iteration is a turn; the
        objective is (e) at the shares that were last solved for. Settled when these stay.
    """
    problem = Pointing(features, row, regularization)
    shares, parts = problem.read(presence)
    prototypes, value = np.outer(parts.weights, row), 0.0
    turns, moved = 0, np.inf
    while moved > SETTLED and turns < TURNS:
        prototypes, value = problem.solve(parts, prototypes)
        before = shares
        shares, parts = problem.read(problem.heatmaps(prototypes))
        moved = float(np.abs(shares - before).sum()) / (2 * len(shares))
        turns += 1
    ending = Ending.of(moved <= SETTLED)
    return Solution(value=prototypes, iterations=turns, objective=value, ending=ending)


@dataclass(frozen=True)
class Parts:
    """What is asked of the prototypes of a class, read off their heatmaps.

    Attributes:
        weights: w, (k,) float32.
        targets: t, (n * p, k) float32, logit units.
        places: q, (n, p, k) float32, each a distribution over p; zero where a part has no heat.
        images: a, (n, k) float32, a distribution over the images; zero for a part without evidence.
        sharpness: b / peak, (k,) float32; zero for a part without evidence.
    """

    weights: NDArray[np.float32]
    targets: NDArray[np.float32]
    places: NDArray[np.float32]
    images: NDArray[np.float32]
    sharpness: NDArray[np.float32]


class Pointing:
    """The problem (e) for the features of one class.

    Args:
        features: (n, p, d) float32.
        row: v, (d,) float64.
        regularization: lambda.
    """

    def __init__(
        self, features: NDArray[np.float32], row: NDArray[np.float64], regularization: float
    ) -> None:
        self._images, self._positions, channels = features.shape
        self._flat = features.reshape(-1, channels)
        self._row = row
        self._evidence = self._flat @ row.astype(np.float32)  # s, (n * p,)
        self._penalty = regularization * float(np.vdot(features, features)) / channels

    def heatmaps(self, prototypes: NDArray[np.float64]) -> NDArray[np.float32]:
        """The heatmaps F p~_i of prototypes (k, d): (n * p, k) float32, logit units."""
        return self._flat @ prototypes.T.astype(np.float32)

    def read(self, heatmaps: NDArray[np.float32]) -> tuple[NDArray[np.float32], Parts]:
        """Read off heatmaps who owns which evidence, and what that asks for.

        Args:
            heatmaps: (n * p, k) float32, or the presence of discovery in their place.

        Returns:
            The shares m, (n * p, k) float32, and what is asked of the prototypes.
        """
        shares = peak_shares(heatmaps, self._images)
        targets = shares * self._evidence[:, None]
        shape = (self._images, self._positions, heatmaps.shape[1])
        mass = shares.reshape(shape) * relative_heat(heatmaps, self._images) ** POWER
        positive = np.maximum(targets, 0).reshape(shape)
        held = positive.sum(axis=1)
        images = ratio(held, held.sum(axis=0), otherwise=0.0)
        peaks = (images * positive.max(axis=1)).sum(axis=0)
        contrast = np.full_like(peaks, np.log(MASS * self._positions))
        return shares, Parts(
            weights=positive_shares(targets),
            targets=targets,
            places=ratio(mass, mass.sum(axis=1, keepdims=True), otherwise=0.0),
            images=images,
            sharpness=ratio(contrast, peaks, otherwise=0.0),
        )

    def solve(
        self, parts: Parts, prototypes: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], float]:
        """Minimise (e) by L-BFGS from the given prototypes.

        Args:
            parts: What is asked.
            prototypes: (k, d) float64, to begin with.

        Returns:
            The prototypes, (k, d) float64, which sum to v up to float32 rounding, and (e).
        """
        known = np.outer(parts.weights, self._row)

        def objective(free: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            value, gradient = self.value(parts, free.reshape(known.shape))
            return value, gradient.ravel()

        found = minimize(
            objective,
            (prototypes - known).ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _STEPS, "ftol": _TOLERANCE},
        )
        return known + _centred(found.x.reshape(known.shape)), float(found.fun)

    def value(self, parts: Parts, free: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Evaluate (e) at the corrections c_i = free_i - mean of free.

        Args:
            parts: What is asked.
            free: (k, d) float64.

        Returns:
            (e) and its gradient with respect to free, (k, d) float64.
        """
        corrections = _centred(free)
        known = np.outer(self._evidence, parts.weights)
        heatmaps = known + self.heatmaps(corrections)
        size = float(np.vdot(parts.targets, parts.targets)) or 1.0
        difference = heatmaps - parts.targets
        missed = float(np.vdot(difference, difference))
        penalty = self._penalty * float(np.vdot(corrections, corrections))

        scores = (heatmaps * parts.sharpness).reshape(parts.places.shape)
        scores -= scores.max(axis=1, keepdims=True)
        chances = np.exp(scores)
        total = chances.sum(axis=1, keepdims=True)
        chances /= total
        # Of a part without heat in an image, the places are zeros and ask for nothing.
        placed = parts.images * parts.places.sum(axis=1)
        entropy = (parts.places * (np.log(total) - scores)).sum(axis=1)
        off = placed[:, None] * chances - parts.images[:, None] * parts.places
        pull = WEIGHT * parts.sharpness * off.reshape(heatmaps.shape)

        slope = (2 / size * difference + pull).T @ self._flat
        gradient = slope.astype(np.float64) + 2 * self._penalty / size * corrections
        value = (missed + penalty) / size + WEIGHT * float((parts.images * entropy).sum())
        return value, _centred(gradient)


def _centred(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rows less their mean: corrections that sum to zero."""
    means: NDArray[np.float64] = rows.mean(axis=0)
    return rows - means

"""Ridge regression of k targets on the same features, for many strengths of regularisation.

    minimise over C:   |Y - F C'|^2 + lambda tr(F'F)/D |C|^2

F (N, D) features, Y (N, k) targets, C (k, D) coefficients. One factorisation serves all k. The
Gram matrix of either side is built once, for a fit on all rows and for fits on two halves:

    Primal   C' = (F'F + mu I)^-1 F'Y       D x D systems
    Dual     C' = F' (FF' + mu I)^-1 Y      N x N systems, N/2 x N/2 for the halves

All is float32: with lambda >= 1 the condition of every system is at most 1 + D, because no
eigenvalue exceeds the trace, so solutions keep three to four digits.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky

Floats = npt.NDArray[np.float32]

# Counting multiplications for five lambdas, the dual form is cheaper up to N = 1.5 D.
DUAL_ROWS_PER_CHANNEL = 1.5


class Ridge(Protocol):
    """One set of features and targets, to be fitted with any lambda >= 1."""

    def coefficients(self, regularization: float) -> Floats:
        """Returns C fitted on all rows, (k, D) float32."""

    def half_predictions(self, regularization: float) -> tuple[Floats, Floats]:
        """Returns F C' on all rows, (N, k), with C fitted on the first and the second half."""


def ridge(features: Floats, targets: Floats, cut: int) -> Ridge:
    """Chooses the cheaper form.

    Args:
        features: F, (N, D) float32.
        targets: Y, (N, k) float32.
        cut: rows of the first half, 0 < cut < N.
    """
    rows, channels = features.shape
    form = Dual if rows <= DUAL_ROWS_PER_CHANNEL * channels else Primal
    return form(features, targets, cut)


class Primal:
    """The D x D form."""

    def __init__(self, features: Floats, targets: Floats, cut: int) -> None:
        halves = (slice(None, cut), slice(cut, None))
        self._features = features
        self._grams = [features[half].T @ features[half] for half in halves]
        self._moments = [features[half].T @ targets[half] for half in halves]

    def coefficients(self, regularization: float) -> Floats:
        """Returns C fitted on all rows, (k, D) float32."""
        gram = self._grams[0] + self._grams[1]
        moment = self._moments[0] + self._moments[1]
        return _solve(gram, moment, regularization, len(gram)).T

    def half_predictions(self, regularization: float) -> tuple[Floats, Floats]:
        """Returns F C' on all rows, (N, k), with C fitted on the first and the second half."""
        first, second = (
            self._features @ _solve(gram, moment, regularization, len(gram))
            for gram, moment in zip(self._grams, self._moments, strict=True)
        )
        return first, second


class Dual:
    """The N x N form."""

    def __init__(self, features: Floats, targets: Floats, cut: int) -> None:
        self._features, self._targets = features, targets
        self._halves = (slice(None, cut), slice(cut, None))
        self._gram: Floats = features @ features.T

    def coefficients(self, regularization: float) -> Floats:
        """Returns C fitted on all rows, (k, D) float32."""
        channels = self._features.shape[1]
        weights = _solve(self._gram, self._targets, regularization, channels)
        return weights.T @ self._features

    def half_predictions(self, regularization: float) -> tuple[Floats, Floats]:
        """Returns F C' on all rows, (N, k), with C fitted on the first and the second half."""
        first, second = (self._predict(half, regularization) for half in self._halves)
        return first, second

    def _predict(self, half: slice, regularization: float) -> Floats:
        block, channels = self._gram[half, half], self._features.shape[1]
        weights = _solve(block, self._targets[half], regularization, channels)
        columns: Floats = self._gram[:, half]
        return columns @ weights


def _solve(gram: Floats, right: Floats, regularization: float, channels: int) -> Floats:
    """Solves (gram + lambda tr(gram)/D I) X = right by Cholesky; without features X is 0."""
    trace = float(gram.trace())
    if trace == 0:
        return np.zeros_like(right)
    shifted = gram.copy(order="F")
    shifted[np.diag_indices_from(shifted)] += regularization * trace / channels
    # SciPy keeps float32 through both steps; its stubs promise less.
    factor: npt.NDArray[np.floating] = cholesky(
        shifted, lower=True, overwrite_a=True, check_finite=False
    )
    return cho_solve((factor, True), right, check_finite=False).astype(np.float32, copy=False)

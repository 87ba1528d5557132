"""Ridge regression of k targets on the same features, for many targets and strengths.

    minimise over C:   |Y - F C'|^2 + lambda tr(F'F)/D |C|^2

F (N, D) features, Y (N, k) targets, C (k, D) coefficients. The Gram matrix of the smaller side is
built once, and factorised once for each lambda:

    channels   C' = (F'F + mu I)^-1 F'Y       a D x D system
    rows       C' = F' (FF' + mu I)^-1 Y      an N x N system

All is float32: with lambda >= 1 the condition of the system is at most 1 + D, because no
eigenvalue exceeds the trace, so solutions keep three to four digits.
"""

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky

Floats = npt.NDArray[np.float32]


class Ridge:
    """One set of features, to be fitted with any lambda >= 1.

    Args:
        features: F, (N, D) float32.
    """

    def __init__(self, features: Floats) -> None:
        rows, channels = features.shape
        self._features = features
        self._over_rows = rows < channels
        self._gram: Floats = features @ features.T if self._over_rows else features.T @ features
        self._mean_square = float(self._gram.trace()) / channels
        self._factor: npt.NDArray[np.floating] | None = None

    def strengthen(self, regularization: float) -> None:
        """Fits with this lambda from now on; the cost of a Cholesky factorisation."""
        self._factor = None
        if self._mean_square > 0:
            shifted = self._gram.copy().T  # in the order of LAPACK; it is symmetric
            shifted[np.diag_indices_from(shifted)] += regularization * self._mean_square
            # SciPy keeps float32 through both steps; its stubs promise less.
            self._factor = cholesky(shifted, lower=True, overwrite_a=True, check_finite=False)

    def coefficients(self, targets: Floats) -> Floats:
        """Returns C, (k, D) float32, for targets Y (N, k); zeros where the features are zero."""
        if self._factor is None:
            return np.zeros((targets.shape[1], self._features.shape[1]), dtype=np.float32)
        right = targets if self._over_rows else self._features.T @ targets
        solved = cho_solve((self._factor, True), right, check_finite=False)
        solution: Floats = solved.T.astype(np.float32, copy=False)
        return solution @ self._features if self._over_rows else solution


def fit(features: Floats, targets: Floats, regularization: float) -> Floats:
    """Returns C, (k, D) float32, of one regression.

    Args:
        features: F, (N, D) float32.
        targets: Y, (N, k) float32.
        regularization: lambda, 1 or more.
    """
    ridge = Ridge(features)
    ridge.strengthen(regularization)
    return ridge.coefficients(targets)

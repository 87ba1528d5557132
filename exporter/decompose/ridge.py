"""Ridge regression of k targets on the same features, for many targets and strengths.

    minimise over C:   |Y - F C'|^2 + lambda tr(F'F)/d |C|^2

F features, Y (n * p, k) targets, C (k, d) coefficients. The Gram matrix of the smaller side is
built once, and factorised once for each lambda; with mu = lambda tr(F'F)/d

    channels   C' = (F'F + mu I)^-1 F'Y       a d x d system
    rows       C' = F' (FF' + mu I)^-1 Y      a system of n * p rows

All is float32: with lambda >= 1 the condition of the system is at most 1 + d, because no
eigenvalue exceeds the trace, so solutions keep three to four digits.

Symbols: n images, p = h * w positions of an image, d channels, k prototypes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky


class Ridge:
    """One set of features, to be fitted with any lambda >= 1.

    Args:
        features: F, (n * p, d) float32.
    """

    def __init__(self, features: NDArray[np.float32]) -> None:
        rows, channels = features.shape
        self._features = features
        self._over_rows = rows < channels
        gram = features @ features.T if self._over_rows else features.T @ features
        self._gram: NDArray[np.float32] = gram
        self._mean_square = float(self._gram.trace()) / channels
        self._factor: NDArray[np.floating] | None = None

    def strengthen(self, regularization: float) -> None:
        """Fit with another lambda from now on, at the cost of a Cholesky factorisation.

        Args:
            regularization: lambda, 1 or more.
        """
        self._factor = None
        if self._mean_square > 0:
            shifted = self._gram.copy().T  # in the order of LAPACK; it is symmetric
            shifted[np.diag_indices_from(shifted)] += regularization * self._mean_square
            # SciPy keeps float32 through both steps; its stubs promise less.
            self._factor = cholesky(shifted, lower=True, overwrite_a=True, check_finite=False)

    def coefficients(self, targets: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fit with the lambda of the last call of ``strengthen``.

        Args:
            targets: Y, (n * p, k) float32.

        Returns:
            C, (k, d) float32; zeros where the features are zero.
        """
        if self._factor is None:
            return np.zeros((targets.shape[1], self._features.shape[1]), dtype=np.float32)
        right = targets if self._over_rows else self._features.T @ targets
        solved = cho_solve((self._factor, True), right, check_finite=False)
        solution: NDArray[np.float32] = solved.T.astype(np.float32, copy=False)
        return solution @ self._features if self._over_rows else solution

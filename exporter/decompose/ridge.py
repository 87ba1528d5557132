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
from scipy.linalg import cho_factor, cho_solve


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
        self._factors: dict[float, NDArray[np.floating]] = {}

    def fit(self, targets: NDArray[np.float32], regularization: float) -> NDArray[np.float32]:
        """Fit the targets; the first fit with a lambda costs a Cholesky factorisation.

        Args:
            targets: Y, (n * p, k) float32.
            regularization: lambda, 1 or more.

        Returns:
            C, (k, d) float32; zeros where the features are zero.
        """
        if self._mean_square <= 0:
            return np.zeros((targets.shape[1], self._features.shape[1]), dtype=np.float32)
        # Y'F rather than F'Y: BLAS reads the features in order, which is half as fast again.
        right = targets if self._over_rows else (targets.T @ self._features).T
        solved = cho_solve((self._factor(regularization), True), right, check_finite=False)
        solution: NDArray[np.float32] = solved.T.astype(np.float32, copy=False)
        return solution @ self._features if self._over_rows else solution

    def _factor(self, regularization: float) -> NDArray[np.floating]:
        """The Cholesky factor of the system with this lambda; a search comes back to few."""
        if regularization not in self._factors:
            shifted = self._gram.copy().T  # in the order of LAPACK; it is symmetric
            shifted[np.diag_indices_from(shifted)] += regularization * self._mean_square
            # Without zeros in the other half, which cost a third of the factorisation. SciPy keeps
            # float32 through both steps; its stubs promise less.
            self._factors[regularization], _ = cho_factor(
                shifted, lower=True, overwrite_a=True, check_finite=False
            )
        return self._factors[regularization]

"""Scaling (paper, eq. 3): how much of each prototype the head row is made of.

    minimise over alpha:   |v - alpha P|^2,        R = v - alpha P

With the thin QR factorisation P' = Q T the objective is |Q' v - T alpha|^2 plus a constant, a
problem of size k whatever d is; one parametrised problem is compiled for each k and then only
filled in.

Symbols: d channels, k prototypes; v (d,) the row, P (k, d) prototypes of discovery, alpha (k,)
scales of any sign, R (d,) the residual.
"""

from __future__ import annotations

from functools import cache
from threading import Lock

import cvxpy as cp
import numpy as np
from cvxpy.atoms.sum_squares import sum_squares
from numpy.typing import NDArray

from exporter.decompose.solution import Ending, Solution


def scale(
    prototypes: NDArray[np.floating], row: NDArray[np.float64]
) -> Solution[NDArray[np.float64]]:
    """Find the scale of each prototype that brings their sum nearest to the row.

    Args:
        prototypes: P, (k, d), k <= d. A prototype of zeros gets the scale 0.
        row: v, (d,) float64, finite.

    Returns:
        alpha, (k,) float64; the objective is |v - alpha P|^2.
    """
    basis = prototypes.astype(np.float64)
    # Unit rows and a unit target: the solver's tolerances then mean the same for every model.
    norms, size = np.linalg.norm(basis, axis=1), float(np.linalg.norm(row))
    unit = np.divide(basis, norms[:, None], out=np.zeros_like(basis), where=norms[:, None] > 0)
    orthonormal, triangle = np.linalg.qr(unit.T)
    target = orthonormal.T @ (row / size) if size > 0 else np.zeros(len(basis))
    solution = _problem(len(basis)).solve(triangle, target)
    alpha = np.divide(solution.value * size, norms, out=np.zeros(len(basis)), where=norms > 0)
    residual = row - alpha @ basis
    return Solution(
        value=alpha,
        iterations=solution.iterations,
        objective=float(residual @ residual),
        ending=solution.ending,
    )


class _LeastSquares:
    """The problem of one size: minimise |target - triangle @ alpha|^2 over alpha.

    Args:
        size: k.
    """

    def __init__(self, size: int) -> None:
        self._triangle = cp.Parameter((size, size))
        self._target = cp.Parameter(size)
        self._alpha = cp.Variable(size)
        residual = self._target - self._triangle @ self._alpha
        self._problem = cp.Problem(cp.Minimize(sum_squares(residual)))
        self._lock = Lock()  # parameters are state: one solve at a time

    def solve(
        self, triangle: NDArray[np.float64], target: NDArray[np.float64]
    ) -> Solution[NDArray[np.float64]]:
        """Solve the problem for one class.

        Args:
            triangle: T, (k, k).
            target: Q' v, (k,).

        Returns:
            alpha, (k,) float64; the objective is the problem's own. At its limit where the
            solver could not meet its tolerances.
        """
        with self._lock:
            self._triangle.value, self._target.value = triangle, target
            # A warm start would make the last bits depend on the class solved before.
            self._problem.solve(solver=cp.CLARABEL, warm_start=False)  # type: ignore[no-untyped-call]
            return Solution(
                value=np.array(self._alpha.value, dtype=np.float64),
                iterations=self._problem.solver_stats.num_iters or 0,
                objective=float(self._problem.value),
                ending=Ending.of(self._problem.status == cp.OPTIMAL),
            )


@cache
def _problem(size: int) -> _LeastSquares:
    """The compiled problem for k prototypes; compiling costs more than a solve."""
    return _LeastSquares(size)

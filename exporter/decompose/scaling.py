"""Scaling (paper, eq. 3): how much of each prototype the head row is made of.

    minimise over alpha:   |v - alpha P|^2,        R = v - alpha P

v (D,) head row, P (k, D) prototypes, alpha (k,) of any sign, R (D,) residual. With the thin QR
factorisation P' = Q T the objective is |Q' v - T alpha|^2 plus a constant, a problem of size k
whatever D is; one parametrised problem is compiled for each k and then only filled in.
"""

from functools import cache
from threading import Lock

import cvxpy as cp
import numpy as np
import numpy.typing as npt
from cvxpy.atoms.sum_squares import sum_squares

from exporter.decompose.solution import Ending, Solution

Doubles = npt.NDArray[np.float64]


def scale(prototypes: npt.NDArray[np.floating], row: Doubles) -> Solution[Doubles]:
    """Finds the scale of each prototype that brings their sum nearest to the head row.

    Args:
        prototypes: (k, D), k <= D. A prototype of zeros gets the scale 0.
        row: (D,) float64, finite.

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
    """The problem of one size: minimise |target - triangle @ alpha|^2 over alpha."""

    def __init__(self, size: int) -> None:
        self._triangle = cp.Parameter((size, size))
        self._target = cp.Parameter(size)
        self._alpha = cp.Variable(size)
        residual = self._target - self._triangle @ self._alpha
        self._problem = cp.Problem(cp.Minimize(sum_squares(residual)))
        self._lock = Lock()  # parameters are state: one solve at a time

    def solve(self, triangle: Doubles, target: Doubles) -> Solution[Doubles]:
        """Solves for one (k, k) triangle and one (k,) target."""
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
    """Returns the compiled problem for k prototypes; compiling costs more than a solve."""
    return _LeastSquares(size)

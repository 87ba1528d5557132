"""Refinement as in the paper (eq. 6 and 7): the residual R is split between the prototypes.

    p~_i = alpha_i p_i + r_i,      sum_i r_i = R,      so that sum_i p~_i = v

F (n, p, D) features of n images on p positions, P (k, D) prototypes, r (k, D) shares.
The paper minimises

    sum_i |Norm(F p_i) - Norm(F r_i)|^2                                            (6)

over the first k - 1 shares. It fixes neither Norm nor the start: here Norm is the z-score over
the positions of each image, and the start is R / k.
"""

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from exporter.decompose.norm import z_score
from exporter.decompose.solution import Ending, Solution
from exporter.errors import DecompositionError

Doubles = npt.NDArray[np.float64]

TOLERANCE = 1e-6
LIMIT = 100
# Below this share of their size a sum of scales blows the prototypes up twenty times and more, and
# float32 no longer holds the sum of what then cancels.
CANCELLED = 0.05
SIMPLEX_BYTES = 4 * 2**30  # SciPy keeps the simplex and a sorted copy of it


def nelder_mead_split(
    features: npt.NDArray[np.floating], prototypes: npt.NDArray[np.floating], residual: Doubles
) -> Solution[Doubles]:
    """Splits the residual as the paper does: SciPy's Nelder-Mead on eq. 6.

    Args:
        features: (n, p, D).
        prototypes: (k, D).
        residual: R, (D,) float64.

    Returns:
        The shares r, (k, D) float64; the objective is (6), never above that of R / k.

    Raises:
        DecompositionError: the simplex of (k - 1) D + 1 points does not fit into memory.
    """
    count, unknowns = len(prototypes), (len(prototypes) - 1) * len(residual)
    require_simplex(unknowns)
    heatmaps = Heatmaps(features, prototypes)
    start = equal_split(count, residual)
    if count == 1:
        return Solution(
            value=start,
            iterations=0,
            objective=heatmaps.mismatch(start),
            ending=Ending.SETTLED,
        )

    def objective(free: Doubles) -> float:
        return heatmaps.mismatch(_complete(free, residual))

    result = minimize(
        objective,
        start[:-1].ravel(),
        method="Nelder-Mead",
        options={"xatol": TOLERANCE, "fatol": TOLERANCE, "maxiter": LIMIT},
    )
    return Solution(
        value=_complete(result.x, residual),
        iterations=int(result.nit),
        objective=float(result.fun),
        ending=Ending.of(result.success),
    )


def equal_split(count: int, residual: Doubles) -> Doubles:
    """Splits the residual evenly, r_i = R / k: (k, D) float64."""
    return np.tile(residual / count, (count, 1))


def naive_split(alpha: Doubles, residual: Doubles) -> Doubles | None:
    """Splits the residual in proportion to the scales: the paper's ablation.

    Args:
        alpha: (k,) float64.
        residual: R, (D,) float64.

    Returns:
        r_i = alpha_i R / sum(alpha), (k, D) float64; None where the scales cancel.
    """
    total = alpha.sum()
    if abs(total) <= CANCELLED * np.abs(alpha).sum():
        return None
    return np.outer(alpha / total, residual)


class Heatmaps:
    """The objective (6) for fixed features and prototypes.

    Computed in float64: from one vertex of the first simplex to the next it changes by 1e-5.
    """

    def __init__(
        self, features: npt.NDArray[np.floating], prototypes: npt.NDArray[np.floating]
    ) -> None:
        self._features = features.astype(np.float64)
        self._targets = z_score(self._features @ prototypes.T.astype(np.float64))  # (n, p, k)

    def mismatch(self, shares: Doubles) -> float:
        """Returns sum_i |Norm(F p_i) - Norm(F r_i)|^2 for shares r of shape (k, D)."""
        difference = z_score(self._features @ shares.T) - self._targets
        return float(np.vdot(difference, difference))


def _complete(free: Doubles, residual: Doubles) -> Doubles:
    """Appends the k-th share, R minus the k - 1 free ones: (k, D)."""
    shares = free.reshape(-1, len(residual))
    return np.vstack([shares, residual - shares.sum(axis=0)])


def require_simplex(unknowns: int) -> None:
    """Refuses a problem that is too large for Nelder-Mead.

    Args:
        unknowns: (k - 1) D.

    Raises:
        DecompositionError: the simplex of (k - 1) D + 1 points does not fit into memory.
    """
    needed = 2 * 8 * unknowns * (unknowns + 1)
    if needed > SIMPLEX_BYTES:
        raise DecompositionError(
            f"paper: Nelder-Mead on (k - 1) * channels = {unknowns} unknowns needs "
            f"{needed / 2**30:.0f} GiB for its simplex, and {SIMPLEX_BYTES / 2**30:.0f} GiB is "
            f"the limit. Use fewer prototypes, or another method."
        )

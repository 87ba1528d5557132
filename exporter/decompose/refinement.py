"""Refinement as in the paper (eq. 6 and 7): the residual R is split between the prototypes.

    p~_i = alpha_i p_i + r_i,      sum_i r_i = R,      so that sum_i p~_i = v                   (7)

The paper minimises

    sum_i |Norm(F p_i) - Norm(F r_i)|^2                                                         (6)

over the first k - 1 shares. It fixes neither Norm nor the start: here Norm is the z-score over
the positions of each image, and the start one of

    zeros    r_i = 0, the last share holds R: what an optimiser is usually given
    even     r_i = R / k
    naive    r_i = alpha_i R / sum(alpha), the paper's ablation

100 iterations on (k - 1) d unknowns build the simplex and little more, so the start decides;
docs/results.md has each.

Symbols: n images, p = h * w positions of an image, d channels, k prototypes; F (n, p, d) features,
p_i the rows of P (k, d), prototypes of discovery, r_i those of the shares r (k, d).
"""

from __future__ import annotations

from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from exporter.decompose.solution import Ending, Solution
from exporter.errors import DecompositionError

_TOLERANCE = 1e-6
_LIMIT = 100
# Below this share of their size a sum of scales blows the prototypes up twenty times and more, and
# float32 no longer holds the sum of what then cancels.
_CANCELLED = 0.05
SIMPLEX_BYTES = 4 * 2**30  # SciPy keeps the simplex and a sorted copy of it


Start = Literal["zeros", "even", "naive"]
Real = TypeVar("Real", np.float32, np.float64)


def nelder_mead_split(
    features: NDArray[np.floating],
    prototypes: NDArray[np.floating],
    residual: NDArray[np.float64],
    start: NDArray[np.float64],
) -> Solution[NDArray[np.float64]]:
    """Split the residual as the paper does: by SciPy's Nelder-Mead on (6).

    Args:
        features: F, (n, p, d).
        prototypes: P, (k, d).
        residual: R, (d,) float64.
        start: Shares r to begin with, (k, d) float64; they sum to R.

    Returns:
        The shares r, (k, d) float64; the objective is (6), never above that of the start.

    Raises:
        DecompositionError: The simplex of (k - 1) d + 1 points does not fit into memory.
    """
    count, unknowns = len(prototypes), (len(prototypes) - 1) * len(residual)
    require_simplex(unknowns)
    heatmaps = Heatmaps(features, prototypes)
    if count == 1:
        return Solution(
            value=start,
            iterations=0,
            objective=heatmaps.mismatch(start),
            ending=Ending.SETTLED,
        )

    # In units of |R|: SciPy's first steps from zero are absolute.
    size = float(np.linalg.norm(residual)) or 1.0

    def objective(free: NDArray[np.float64]) -> float:
        return heatmaps.mismatch(_complete(size * free, residual))

    result = minimize(
        objective,
        start[:-1].ravel() / size,
        method="Nelder-Mead",
        options={"xatol": _TOLERANCE, "fatol": _TOLERANCE, "maxiter": _LIMIT},
    )
    return Solution(
        value=_complete(size * result.x, residual),
        iterations=int(result.nit),
        objective=float(result.fun),
        ending=Ending.of(result.success),
    )


def first_shares(
    start: Start, alpha: NDArray[np.float64], residual: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The shares r that the solver begins with, (k, d) float64; they sum to R.

    Args:
        start: Which; where the scales cancel the naive split does not exist, and the even one
            stands in its place.
        alpha: (k,) float64.
        residual: R, (d,) float64.
    """
    count = len(alpha)
    if start == "zeros":
        return np.vstack([np.zeros((count - 1, len(residual))), residual])
    naive = naive_split(alpha, residual) if start == "naive" else None
    return equal_split(count, residual) if naive is None else naive


def equal_split(count: int, residual: NDArray[np.float64]) -> NDArray[np.float64]:
    """Split the residual evenly, r_i = R / k: (k, d) float64."""
    return np.tile(residual / count, (count, 1))


def naive_split(
    alpha: NDArray[np.float64], residual: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Split the residual in proportion to the scales: the paper's ablation.

    Args:
        alpha: (k,) float64.
        residual: R, (d,) float64.

    Returns:
        r_i = alpha_i R / sum(alpha), (k, d) float64; None where the scales cancel.
    """
    total = alpha.sum()
    if abs(total) <= _CANCELLED * np.abs(alpha).sum():
        return None
    return np.outer(alpha / total, residual)


class Heatmaps:
    """The objective (6) for fixed features and prototypes.

    Computed in float64: from one vertex of the first simplex to the next it changes by 1e-5.

    Args:
        features: F, (n, p, d).
        prototypes: P, (k, d).
    """

    def __init__(self, features: NDArray[np.floating], prototypes: NDArray[np.floating]) -> None:
        self._features = features.astype(np.float64)
        self._targets = z_score(self._features @ prototypes.T.astype(np.float64))  # (n, p, k)

    def mismatch(self, shares: NDArray[np.float64]) -> float:
        """The objective (6) of shares r, (k, d) float64."""
        difference = z_score(self._features @ shares.T) - self._targets
        return float(np.vdot(difference, difference))


def _complete(free: NDArray[np.float64], residual: NDArray[np.float64]) -> NDArray[np.float64]:
    """Append the k-th share, R minus the k - 1 free ones: (k, d)."""
    shares = free.reshape(-1, len(residual))
    return np.vstack([shares, residual - shares.sum(axis=0)])


def require_simplex(unknowns: int) -> None:
    """Refuse a problem that is too large for Nelder-Mead.

    Args:
        unknowns: (k - 1) d.

    Raises:
        DecompositionError: The simplex of (k - 1) d + 1 points does not fit into memory.
    """
    needed = 2 * 8 * unknowns * (unknowns + 1)
    if needed > SIMPLEX_BYTES:
        raise DecompositionError(
            f"paper: Nelder-Mead on (k - 1) * channels = {unknowns} unknowns needs "
            f"{needed / 2**30:.0f} GiB for its simplex, and {SIMPLEX_BYTES / 2**30:.0f} GiB is "
            f"the limit. Use fewer prototypes, or another method."
        )


def z_score(heatmaps: NDArray[Real]) -> NDArray[Real]:
    """Normalise each heatmap to mean 0 and deviation 1; a flat one becomes 0.

    Args:
        heatmaps: (n, p, k).

    Returns:
        An array of the same shape and dtype.
    """
    centred = heatmaps - heatmaps.mean(axis=1, keepdims=True)
    deviation = np.sqrt(np.square(centred).mean(axis=1, keepdims=True))
    # A mean of p values is off by up to p rounding errors; a constant then seems to vary.
    rounding = heatmaps.shape[1] * np.finfo(heatmaps.dtype).eps
    floor = rounding * np.abs(heatmaps).max(axis=1, keepdims=True)
    normal: NDArray[Real] = np.zeros_like(centred)
    np.divide(centred, deviation, out=normal, where=deviation > floor)
    return normal

"""Discovery (paper, eq. 2), to the letter: multiplicative updates (Lee and Seung 2000).

    E <- E * (F P') / (E P P'),    P <- P * (E' F) / (E' E P)

Neither update raises |F - E P|. Kept as the paper's own method and as the baseline that
`exporter.decompose.nmf` is measured against.
"""

import numpy as np
import numpy.typing as npt

from exporter.decompose.nmf import Factors
from exporter.decompose.solution import Ending, Solution

Floats = npt.NDArray[np.float32]

LIMIT = 200
CHECK_EVERY = 10
TOLERANCE = 1e-4
TINY = np.finfo(np.float32).tiny  # keeps 0 / 0 at 0


def factorize(features: Floats, prototypes: int, seed: int) -> Solution[Factors]:
    """Factorises nonnegative features as the paper does.

    Args:
        features: (N, D) float32, nonnegative, finite, not all zero.
        prototypes: k.
        seed: of the random start |N(0, 1)| * sqrt(mean(F) / k).

    Returns:
        The factors; the objective is |F - E P|^2 / |F|^2, and the trace holds it at the start
        and at every tenth iteration. Converged when ten iterations lowered |F - E P| by less
        than 1e-4 of its first value, within 200.
    """
    presence, rows = _random_start(features, prototypes, seed)
    norm = float(np.linalg.norm(features))
    errors = [_error(features, presence, rows, norm)]
    iterations, converged = 0, False
    while not converged and iterations < LIMIT:
        for _ in range(CHECK_EVERY):
            update(features, presence, rows)
        iterations += CHECK_EVERY
        errors.append(_error(features, presence, rows, norm))
        converged = errors[-2] - errors[-1] < TOLERANCE * errors[0]
    trace = tuple((error / norm) ** 2 for error in errors)
    return Solution(
        value=Factors(presence, rows),
        iterations=iterations,
        objective=trace[-1],
        ending=Ending.of(converged),
        trace=trace,
    )


def update(features: Floats, presence: Floats, prototypes: Floats) -> None:
    """Applies one multiplicative update to each factor, in place.

    Args:
        features: (N, D) float32, nonnegative.
        presence: (N, k) float32, nonnegative; overwritten first.
        prototypes: (k, D) float32, nonnegative; overwritten with the new presence.
    """
    scale = np.maximum(presence @ (prototypes @ prototypes.T), TINY)
    presence *= (features @ prototypes.T) / scale
    scale = np.maximum((presence.T @ presence) @ prototypes, TINY)
    prototypes *= (presence.T @ features) / scale


def _random_start(features: Floats, prototypes: int, seed: int) -> tuple[Floats, Floats]:
    """Draws the paper's starting factors, (N, k) and (k, D)."""
    random = np.random.default_rng(seed)
    scale = np.sqrt(features.mean() / prototypes)
    rows, channels = features.shape
    presence = np.abs(random.standard_normal((rows, prototypes), dtype=np.float32))
    basis = np.abs(random.standard_normal((prototypes, channels), dtype=np.float32))
    return presence * scale, basis * scale


def _error(features: Floats, presence: Floats, prototypes: Floats, norm: float) -> float:
    """Returns |F - E P| without forming E P."""
    cross = float(np.vdot(presence.T @ features, prototypes))
    own = float(np.vdot(presence.T @ presence, prototypes @ prototypes.T))
    return float(np.sqrt(max(0.0, norm**2 - 2 * cross + own)))

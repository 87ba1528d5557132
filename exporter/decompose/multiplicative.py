"""Discovery (paper, eq. 2), to the letter: multiplicative updates (Lee and Seung 2000).

    E <- E * (F P') / (E P P'),    P <- P * (E' F) / (E' E P)

Neither update raises |F - E P|. Kept as the paper's own method and as the baseline that
`exporter.decompose.nmf` is measured against.

Symbols: n images, p = h * w positions of an image, d channels, k prototypes; F features,
E presence, P prototypes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exporter.decompose.nmf import Factors
from exporter.decompose.solution import Ending, Solution

_LIMIT = 200
_CHECK_EVERY = 10
_TOLERANCE = 1e-4
_TINY = np.finfo(np.float32).tiny  # keeps 0 / 0 at 0


def factorize(features: NDArray[np.float32], prototypes: int, seed: int) -> Solution[Factors]:
    """Factorise nonnegative features as the paper does.

    Args:
        features: F, (n * p, d) float32, nonnegative, finite, not all zero.
        prototypes: k.
        seed: Of the random start |N(0, 1)| * sqrt(mean(F) / k).

    Returns:
        The factors; the objective is |F - E P|^2 / |F|^2, and the trace holds it at the start
        and at every tenth iteration. Settled when ten iterations lowered |F - E P| by less than
        1e-4 of its first value, within 200.
    """
    presence, rows = _random_start(features, prototypes, seed)
    norm = float(np.linalg.norm(features))
    errors = [_error(features, presence, rows, norm)]
    iterations, settled = 0, False
    while not settled and iterations < _LIMIT:
        for _ in range(_CHECK_EVERY):
            update(features, presence, rows)
        iterations += _CHECK_EVERY
        errors.append(_error(features, presence, rows, norm))
        settled = errors[-2] - errors[-1] < _TOLERANCE * errors[0]
    trace = tuple((error / norm) ** 2 for error in errors)
    return Solution(
        value=Factors(presence, rows),
        iterations=iterations,
        objective=trace[-1],
        ending=Ending.of(settled),
        trace=trace,
    )


def update(
    features: NDArray[np.float32], presence: NDArray[np.float32], prototypes: NDArray[np.float32]
) -> None:
    """Apply one multiplicative update to each factor, in place.

    Args:
        features: F, (n * p, d) float32, nonnegative.
        presence: E, (n * p, k) float32, nonnegative; overwritten first.
        prototypes: P, (k, d) float32, nonnegative; overwritten with the new presence.
    """
    scale = np.maximum(presence @ (prototypes @ prototypes.T), _TINY)
    presence *= (features @ prototypes.T) / scale
    scale = np.maximum((presence.T @ presence) @ prototypes, _TINY)
    prototypes *= (presence.T @ features) / scale


def _random_start(
    features: NDArray[np.float32], prototypes: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw the paper's starting factors, (n * p, k) and (k, d)."""
    random = np.random.default_rng(seed)
    scale = np.sqrt(features.mean() / prototypes)
    rows, channels = features.shape
    presence = np.abs(random.standard_normal((rows, prototypes), dtype=np.float32))
    basis = np.abs(random.standard_normal((prototypes, channels), dtype=np.float32))
    return presence * scale, basis * scale


def _error(
    features: NDArray[np.float32],
    presence: NDArray[np.float32],
    prototypes: NDArray[np.float32],
    norm: float,
) -> float:
    """The distance |F - E P|, without forming E P."""
    cross = float(np.vdot(presence.T @ features, prototypes))
    own = float(np.vdot(presence.T @ presence, prototypes @ prototypes.T))
    return float(np.sqrt(max(0.0, norm**2 - 2 * cross + own)))

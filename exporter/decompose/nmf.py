"""Discovery (paper, eq. 2), fast: hierarchical ALS on a compressed matrix, then on all of it.

    minimise over E >= 0, P >= 0:   |F - E P|^2

1. A randomized range finder with one power step (Halko, Martinsson, Tropp 2011, alg. 4.3)
   gives F ~ A Z', with A (n * p, l), Z (d, l) orthonormal and l = 2k + 10. The directions Z come
   from every third row where there are many, A takes one pass over F.
2. The leading singular triplets of A Z' are those of a small matrix, so NNDSVD starting
   factors (Boutsidis and Gallopoulos 2008) cost nothing more.
3. Hierarchical ALS (Cichocki and Phan 2009) on A Z', whose products cost l(n p + d)k, not n p d k.
4. The same on F itself, two passes an iteration, until it stops improving.

Each update minimises over one row of E' or P exactly, so 3 never raises |A Z' - E P|^2 and 4
never raises |F - E P|^2. One seed gives one answer; only step 1 draws random numbers, and over
channels, so that the order of the rows hardly matters.

Symbols: n images, p = h * w positions of an image, d channels, k prototypes; F nonnegative
features, E presence, P prototypes, l directions that are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from exporter.decompose.solution import Ending, Solution

_OVERSAMPLING = 10  # columns of the compressed matrix beyond 2 k
_STRIDE = 3  # of many rows every third shows the leading directions well enough
_COMPRESSED_TOLERANCE = 2e-4
_COMPRESSED_LIMIT = 80
_COMPRESSED_SWEEPS = 1
_TOLERANCE = 1e-3
_LIMIT = 200
_ROUNDING = 1e-6  # a smaller fall of the objective is beyond float32
_SWEEPS = 3  # each costs (n p + d)k^2, little beside the pass over F that it makes the most of


@dataclass(frozen=True)
class Factors:
    """A nonnegative factorisation.

    Attributes:
        presence: E, (n * p, k) float32, how much of each prototype a position holds.
        prototypes: P, (k, d) float32.
    """

    presence: NDArray[np.float32]
    prototypes: NDArray[np.float32]

    def only(self, kept: NDArray[np.intp]) -> Factors:
        """Some of the prototypes, in the given order, with their presence."""
        return Factors(self.presence[:, kept], self.prototypes[kept])


class Matrix(Protocol):
    """What hierarchical ALS needs to know of the matrix (n * p, d) that it factorises."""

    @property
    def squared_norm(self) -> float:
        """The sum of the squared entries."""

    def onto(self, prototypes: NDArray[np.float32]) -> NDArray[np.float32]:
        """The product prototypes @ matrix.T, (k, n * p), for prototypes of shape (k, d)."""

    def back(self, presence: NDArray[np.float32]) -> NDArray[np.float32]:
        """The product presence @ matrix, (k, d), for a presence of shape (k, n * p)."""


class Dense:
    """The features themselves as the matrix.

    Args:
        features: F, (n * p, d) float32.
    """

    def __init__(self, features: NDArray[np.float32]) -> None:
        self._features = features
        self.squared_norm = float(np.vdot(features, features))

    def onto(self, prototypes: NDArray[np.float32]) -> NDArray[np.float32]:
        """The product prototypes @ features.T, (k, n * p)."""
        # As features @ prototypes.T this is twice as fast: BLAS reads the features in order.
        return np.ascontiguousarray((self._features @ prototypes.T).T)

    def back(self, presence: NDArray[np.float32]) -> NDArray[np.float32]:
        """The product presence @ features, (k, d)."""
        return presence @ self._features


class LowRank:
    """A matrix given by its singular triplets: left' diag(values) right.

    Attributes:
        scaled_left: (l, n * p) float32, the left singular vectors times the singular values.
        values: (l,) float32, falling.
        right: (l, d) float32, orthonormal rows.
    """

    def __init__(
        self,
        scaled_left: NDArray[np.float32],
        values: NDArray[np.float32],
        right: NDArray[np.float32],
    ) -> None:
        self.scaled_left = scaled_left
        self.values = values
        self.right = right
        self.squared_norm = float(np.vdot(values, values))

    def onto(self, prototypes: NDArray[np.float32]) -> NDArray[np.float32]:
        """The product prototypes @ matrix.T, (k, n * p), for prototypes of shape (k, d)."""
        coordinates: NDArray[np.float32] = prototypes @ self.right.T  # (k, l)
        return coordinates @ self.scaled_left

    def back(self, presence: NDArray[np.float32]) -> NDArray[np.float32]:
        """The product presence @ matrix, (k, d), for a presence of shape (k, n * p)."""
        coordinates: NDArray[np.float32] = presence @ self.scaled_left.T  # (k, l)
        return coordinates @ self.right


def factorize(features: NDArray[np.float32], prototypes: int, seed: int) -> Solution[Factors]:
    """Factorise nonnegative features fast, by the four steps of the module's docstring.

    Args:
        features: F, (n * p, d) float32, nonnegative, finite, not all zero.
        prototypes: k, at most the smaller side of F.
        seed: Of the range finder.

    Returns:
        The factors. One iteration is two passes over the features; the objective is
        |F - E P|^2 / |F|^2, and the trace holds it for each iteration.
    """
    compressed = compress(features, 2 * prototypes + _OVERSAMPLING, seed)
    presence, rows = starting_factors(compressed, prototypes)
    descend(
        compressed, presence, rows, _COMPRESSED_TOLERANCE, _COMPRESSED_LIMIT, _COMPRESSED_SWEEPS
    )
    return descend(Dense(features), presence, rows, _TOLERANCE, _LIMIT, _SWEEPS)


def compress(features: NDArray[np.float32], rank: int, seed: int) -> LowRank:
    """Find the leading singular triplets of the features (step 1 and half of step 2).

    Args:
        features: F, (n * p, d) float32.
        rank: l; cut to the smaller side of F.
        seed: Of the random start.

    Returns:
        The features projected on l directions; nothing is lost where their rank is at most l.
    """
    count, channels = features.shape
    rank = min(rank, count, channels)
    start = np.random.default_rng(seed).standard_normal((channels, rank), dtype=np.float32)
    sample = features[::_STRIDE] if count >= 10 * _STRIDE * rank else features
    basis, _ = qr(((sample @ start).T @ sample).T, mode="economic", check_finite=False)
    directions: NDArray[np.float32] = basis.T.astype(np.float32, copy=False)  # (l, d)
    projected: NDArray[np.float32] = np.ascontiguousarray((features @ directions.T).T)  # (l, n * p)
    squares, rotation = np.linalg.eigh((projected @ projected.T).astype(np.float64))
    rows: NDArray[np.float32] = rotation[:, ::-1].T.astype(np.float32)  # eigh sorts upwards
    values = np.sqrt(np.maximum(squares[::-1], 0)).astype(np.float32)
    return LowRank(rows @ projected, values, rows @ directions)


def starting_factors(
    matrix: LowRank, prototypes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Build NNDSVD starting factors, with small values in place of zeros (NNDSVDa).

    Of each singular pair the positive or the negative half is kept, whichever is larger. A zero
    would be no obstacle to hierarchical ALS, but a whole row of them would.

    Args:
        matrix: Singular triplets of the features.
        prototypes: k, at most l.

    Returns:
        Presence (k, n * p) and prototypes (k, d), float32, positive.
    """
    left, right = matrix.scaled_left[:prototypes], matrix.right[:prototypes]
    positive = _norms(left, right, 1) >= _norms(left, right, -1)
    sign = np.where(positive, 1, -1).astype(np.float32)[:, None]
    presence, rows = np.maximum(sign * left, 0), np.maximum(sign * right, 0)
    size = np.sqrt(matrix.squared_norm / (left.shape[1] * right.shape[1]))  # of one feature
    small = np.float32(0.03 * np.sqrt(size / prototypes))
    # The scale shared by the two factors is split evenly, so that `small` suits both.
    of_presence, of_rows = _row_norms(presence), _row_norms(rows)
    ratio = np.ones_like(of_rows)  # where nothing is left of a pair
    np.divide(of_presence, of_rows, out=ratio, where=of_presence * of_rows > 0)
    balance = np.sqrt(ratio)[:, None]
    return np.maximum(presence / balance, small), np.maximum(rows * balance, small)


def descend(
    matrix: Matrix,
    presence: NDArray[np.float32],
    prototypes: NDArray[np.float32],
    tolerance: float,
    limit: int,
    sweeps: int,
) -> Solution[Factors]:
    """Improve the factors in place by hierarchical ALS until an iteration gains too little.

    Args:
        matrix: What to factorise, (n * p, d).
        presence: (k, n * p) float32, nonnegative; overwritten.
        prototypes: (k, d) float32, nonnegative; overwritten.
        tolerance: Least fall of the objective, relative to it, that is worth another iteration.
        limit: Most iterations.
        sweeps: Rounds over the k rows for each product with the matrix.

    Returns:
        The factors; the objective is |matrix - E P|^2 / |matrix|^2 and never rises. Settled when
        an iteration lowered it by too little.
    """
    trace: list[float] = []
    settled = False
    while not settled and len(trace) < limit:
        sweep(presence, matrix.onto(prototypes), prototypes @ prototypes.T, sweeps)
        product, gram = matrix.back(presence), presence @ presence.T
        sweep(prototypes, product, gram, sweeps)
        explained = 2 * float(np.vdot(product, prototypes)) - float(
            np.vdot(gram, prototypes @ prototypes.T)
        )
        trace.append(max(0.0, 1 - explained / matrix.squared_norm))
        settled = len(trace) > 1 and trace[-2] - trace[-1] <= tolerance * trace[-2] + _ROUNDING
    return Solution(
        value=Factors(presence.T, prototypes),
        iterations=len(trace),
        objective=trace[-1],
        ending=Ending.of(settled),
        trace=tuple(trace),
    )


def sweep(
    rows: NDArray[np.float32],
    product: NDArray[np.float32],
    gram: NDArray[np.float32],
    rounds: int = 1,
) -> None:
    """Set each row to its exact nonnegative minimiser with the others fixed, in place.

    The objective is |M - X rows|^2 with M and the other factor X fixed.

    Args:
        rows: E' of shape (k, n * p) or P of shape (k, d), float32; overwritten.
        product: X' M, of the shape of the rows.
        gram: X' X, (k, k). A row whose diagonal entry is zero has no say and stays.
        rounds: Times to go over all rows.
    """
    for _ in range(rounds):
        for index in np.flatnonzero(gram.diagonal() > 0):
            row = rows[index]
            row += (product[index] - gram[index] @ rows) / gram[index, index]
            np.maximum(row, 0, out=row)


def _norms(left: NDArray[np.float32], right: NDArray[np.float32], sign: int) -> NDArray[np.float32]:
    """The size of each pair's half of the given sign, (k,)."""
    return _row_norms(np.maximum(sign * left, 0)) * _row_norms(np.maximum(sign * right, 0))


def _row_norms(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The Euclidean norm of each row, (k,)."""
    norms: NDArray[np.float32] = np.linalg.norm(rows, axis=1)
    return norms

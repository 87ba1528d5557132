"""Means, correlations and intervals over what the metrics return.

Undefined values are NaN in arrays and None as numbers; a mean is taken over the defined ones.

The interval of a difference is the expanded percentile interval of the paired bootstrap
(Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician, 2015). The
plain percentile interval is too narrow by sqrt((m - 1) / m) and takes the normal's quantile where
the t's is due, which for ten classes leaves out the truth nearly twice as often as it says. So the
quantiles taken of the resampled means are not 2.5 and 97.5 % but

    Phi(-z), Phi(z)    with    z = sqrt(m / (m - 1)) t,    t the 97.5 % quantile of t on m - 1

A t-interval would be as wide, but symmetric, and shares of a few prototypes are not.

Symbols: m classes, s seeds, p positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.floating]

_CONFIDENCE = 0.95
_DRAWS = 10_000


@dataclass(frozen=True)
class Difference:
    """How much larger one of two paired sets of values is.

    Attributes:
        mean: The mean of first - second.
        low: Lower end of the 95 % interval.
        high: Upper end.
        count: How many pairs have both values.
    """

    mean: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Spread:
    """A figure over seeds.

    Attributes:
        mean: The mean of the defined values.
        deviation: The deviation of a sample (over s - 1); None for a single value.
        count: How many values are defined.
    """

    mean: float
    deviation: float | None
    count: int


def paired_difference(
    first: ArrayLike, second: ArrayLike, *, seed: int = 0, draws: int = _DRAWS
) -> Difference | None:
    """The difference of two methods over the same classes, with its 95 % interval.

    Args:
        first: (m,), NaN or None where undefined.
        second: (m,), likewise; a pair with an undefined value is left out.
        seed: Decides what the bootstrap draws.
        draws: How many sets of classes are resampled.

    Returns:
        The difference; None with fewer than two defined pairs, which have no interval.
    """
    values = _numbers(first) - _numbers(second)
    values = values[np.isfinite(values)]
    count = len(values)
    if count < 2:
        return None
    return Difference(float(values.mean()), *_interval(values, seed, draws), count)


def mean_interval(values: ArrayLike, *, seed: int = 0, draws: int = _DRAWS) -> tuple[float, float]:
    """The 95 % interval of a mean over classes, as a figure draws it.

    Args:
        values: (m,), NaN or None where undefined.
        seed: Decides what the bootstrap draws.
        draws: How many sets of classes are resampled.

    Returns:
        Its ends; both the value itself if there is one, both NaN if there is none.
    """
    numbers = _numbers(values)
    numbers = numbers[np.isfinite(numbers)]
    if len(numbers) < 2:
        end = float(numbers[0]) if len(numbers) else float("nan")
        return end, end
    return _interval(numbers, seed, draws)


def over_seeds(values: ArrayLike) -> Spread | None:
    """Mean and deviation of a figure over seeds; None if no value is defined.

    Args:
        values: (s,), NaN or None where undefined.
    """
    numbers = _numbers(values)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return None
    deviation = float(numbers.std(ddof=1)) if len(numbers) > 1 else None
    return Spread(float(numbers.mean()), deviation, len(numbers))


def mean_defined(values: ArrayLike) -> float | None:
    """The mean of the values that are not NaN or None; None if there are none.

    Args:
        values: Any shape.
    """
    numbers = _numbers(values)
    numbers = numbers[np.isfinite(numbers)]
    return float(numbers.mean()) if len(numbers) else None


def flattened(heatmaps: Floats) -> Floats:
    """Heatmaps (n, k, h, w) as (n, k, p), for the correlations."""
    images, prototypes, rows, columns = heatmaps.shape
    return heatmaps.reshape(images, prototypes, rows * columns)


def correlation(first: Floats, second: Floats) -> NDArray[np.float64]:
    """Pearson's correlation along the last axis.

    Args:
        first: (..., p).
        second: (..., p), of a shape that broadcasts with the first.

    Returns:
        (...), -1 to 1; NaN where either is constant up to rounding.
    """
    return np.asarray(np.clip((_z_score(first) * _z_score(second)).mean(axis=-1), -1, 1))


def rank_correlation(first: Floats, second: Floats) -> NDArray[np.float64]:
    """Spearman's correlation along the last axis; ties share their mean rank.

    Args:
        first: (..., p).
        second: (..., p).

    Returns:
        (...), -1 to 1; NaN where either is constant.
    """
    return correlation(stats.rankdata(first, axis=-1), stats.rankdata(second, axis=-1))


def _interval(values: NDArray[np.float64], seed: int, draws: int) -> tuple[float, float]:
    """The expanded percentile interval of the mean of m >= 2 values."""
    count = len(values)
    generator = np.random.default_rng(seed)
    means = values[generator.integers(0, count, (draws, count))].mean(axis=1)
    z = np.sqrt(count / (count - 1)) * stats.t.ppf((1 + _CONFIDENCE) / 2, count - 1)
    low, high = np.quantile(means, stats.norm.cdf([-z, z]))
    return float(low), float(high)


def _z_score(values: Floats) -> NDArray[np.float64]:
    """Mean 0 and deviation 1 along the last axis, p >= 1; NaN where constant up to rounding."""
    doubles = values.astype(np.float64)
    centred = doubles - doubles.mean(axis=-1, keepdims=True)
    deviation = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True))
    # What should be constant varies by the rounding of the products that it came from.
    rounding = values.shape[-1] * np.finfo(values.dtype).eps
    floor = rounding * np.abs(doubles).max(axis=-1, keepdims=True)
    normal = np.full(centred.shape, np.nan)
    np.divide(centred, deviation, out=normal, where=deviation > floor)
    return normal


def _numbers(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64).ravel()

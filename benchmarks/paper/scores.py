"""Figures of every k, method and metric over classes and seeds; means and paired intervals.

A figure is averaged over the seeds of a class first. Means and intervals are over classes, so that
seeds, which share their images, do not pass for more data than there is.

Symbols: m classes, s seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.arithmetic.statistics import (
    Difference,
    Spread,
    mean_interval,
    over_seeds,
    paired_difference,
)

Doubles = NDArray[np.float64]
Key = tuple[int, str, str]
"""k, method, metric."""


class Scores:
    """Figures by k, method and metric.

    Args:
        seeds: s.
    """

    def __init__(self, seeds: int) -> None:
        self._seeds = seeds
        self._classes: list[str] = []
        self._values: dict[Key, dict[str, Doubles]] = {}

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels of the classes in the order they came."""
        return tuple(self._classes)

    def add(
        self, label: str, k: int, seed: int, method: str, figures: Mapping[str, float | None]
    ) -> None:
        """Take the figures of a method on one class; None where a metric is not defined.

        Args:
            label: The class.
            k: Prototypes.
            seed: Number of the seed, from 0.
            method: Its name.
            figures: Its figures by metric.
        """
        if label not in self._classes:
            self._classes.append(label)
        for metric, value in figures.items():
            if value is not None:
                of_class = self._values.setdefault((k, method, metric), {})
                row = of_class.setdefault(label, np.full(self._seeds, np.nan))
                row[seed] = value

    def has(self, k: int, method: str, metric: str) -> bool:
        """Whether there is any figure."""
        return (k, method, metric) in self._values

    def classes_of(self, method: str) -> tuple[str, ...]:
        """The classes that a method has figures of."""
        found = {
            label for (_, name, _), of in self._values.items() if name == method for label in of
        }
        return tuple(label for label in self._classes if label in found)

    def values(
        self, k: int, method: str, metric: str, classes: Sequence[str] | None = None
    ) -> Doubles:
        """(m, s), NaN where undefined."""
        of_class = self._values.get((k, method, metric), {})
        empty = np.full(self._seeds, np.nan)
        labels = self._classes if classes is None else classes
        return np.array([of_class.get(label, empty) for label in labels]).reshape(-1, self._seeds)

    def spread(
        self, k: int, method: str, metric: str, classes: Sequence[str] | None = None
    ) -> Spread | None:
        """The mean over classes of each seed, then its mean and deviation over seeds."""
        return over_seeds(_mean(self.values(k, method, metric, classes), axis=0))

    def interval(self, k: int, method: str, metric: str) -> tuple[float, float]:
        """The 95 % interval over classes of the mean over seeds."""
        return mean_interval(_mean(self.values(k, method, metric), axis=1))

    def difference(
        self,
        k: int,
        first: str,
        second: str,
        metric: str,
        classes: Sequence[str] | None = None,
    ) -> Difference | None:
        """How far a method is above another over the same classes; None without two of them."""
        return paired_difference(
            _mean(self.values(k, first, metric, classes), axis=1),
            _mean(self.values(k, second, metric, classes), axis=1),
        )


def _mean(values: Doubles, axis: int) -> Doubles:
    """The mean of the defined values along an axis, NaN where there are none."""
    known = np.isfinite(values)
    total = values.sum(axis=axis, where=known)
    mean = np.full(total.shape, np.nan)
    np.divide(total, known.sum(axis=axis), out=mean, where=known.any(axis=axis))
    return mean

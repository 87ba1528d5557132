"""From the figures of each class to those of a method: means, deviations, differences to ours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.arithmetic.statistics import paired_difference
from exporter.evaluate.baselines.methods import OURS, RISE
from exporter.evaluate.measure import Measured
from exporter.evaluate.metrics.catalog import METRICS, metric_named
from exporter.evaluate.results import Difference, Figure
from exporter.evaluate.trial.case import Need
from exporter.evaluate.trial.metric import Metric


def figures_over_classes(method: str, found: Sequence[Measured]) -> dict[str, Figure]:
    """The figures of one method by metric; those that no class defines are left out.

    Args:
        method: Its name.
        found: What was measured of each class.

    Raises:
        DatasetError: Something was measured that is no metric of the catalog.
    """
    for name in sorted({name for one in found for name in one.figures.get(method, {})}):
        metric_named(name)
    result = {}
    for metric in METRICS:
        values = _over_classes(method, metric.name, found)
        if np.isnan(values).all():
            continue
        result[metric.name] = Figure(
            mean=float(np.nanmean(values)),
            deviation=_deviation(method, metric.name, found),
            classes=tuple(None if np.isnan(value) else float(value) for value in values),
            ours=_to_ours(method, metric, values, found),
        )
    return result


def _over_classes(method: str, metric: str, found: Sequence[Measured]) -> NDArray[np.float64]:
    values = [one.figures.get(method, {}).get(metric) for one in found]
    return np.array([np.nan if value is None else np.mean(value) for value in values])


def _deviation(method: str, metric: str, found: Sequence[Measured]) -> float | None:
    """The deviation of the mean over classes from draw to draw; None where nothing is drawn."""
    draws = [one.figures.get(method, {}).get(metric) for one in found]
    drawn = [value for value in draws if isinstance(value, tuple)]
    if not drawn or len(drawn[0]) < 2:
        return None
    return float(np.mean(drawn, axis=0).std(ddof=1))


def _to_ours(
    method: str, metric: Metric, values: NDArray[np.float64], found: Sequence[Measured]
) -> Difference | None:
    if method == OURS or (method == RISE and Need.MANY_RUNS not in metric.needs):
        return None  # the one map of RISE is of fewer images than ours
    difference = paired_difference(_over_classes(OURS, metric.name, found), values)
    if difference is None:
        return None
    return Difference(mean=difference.mean, low=difference.low, high=difference.high)

"""Limits on what an evaluation measured, for pipelines that must not go on below them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from exporter.evaluate.baselines.methods import OURS
from exporter.evaluate.metrics.catalog import METRICS, metric_named
from exporter.evaluate.results import Evaluation
from exporter.evaluate.trial.metric import Metric
from exporter.text import did_you_mean


@dataclass(frozen=True)
class Limit:
    """The worst that a metric of the artifact's own prototypes may be, as a mean over classes.

    Attributes:
        metric: The metric.
        value: The least where higher is better, the most where lower is.
    """

    metric: Metric
    value: float

    def broken(self, evaluation: Evaluation) -> str:
        """How an evaluation breaks the limit, in a sentence; empty where it keeps it."""
        name, most = self.metric.name, self.metric.better == "lower"
        figure = evaluation.figures.get(OURS, {}).get(name)
        if figure is None:
            wanted = f"at {'most' if most else 'least'} {self.value:g}"
            needs = " and ".join(need.value for need in self.metric.needs)
            return f"{name} was not measured, expected {wanted}; it needs {needs}."
        if figure.mean > self.value if most else figure.mean < self.value:
            side = "above" if most else "below"
            return f"{name} is {figure.mean:.6g}, {side} the limit {self.value:g}."
        return ""


def parse_limit(text: str) -> Limit:
    """Read METRIC=VALUE.

    Raises:
        ValueError: It has another form, or there is no such metric.
    """
    name, equals, value = text.partition("=")
    try:
        limit = float(value)
    except ValueError:
        limit = math.nan
    if not equals or not math.isfinite(limit):
        raise ValueError(f"expected METRIC=VALUE, such as {METRICS[0].name}=0.5, got {text!r}.")
    names = [metric.name for metric in METRICS]
    if name not in names:
        near = did_you_mean(name, names) or f" There are {', '.join(names)}."
        raise ValueError(f"expected the name of a metric, got {name!r}.{near}")
    return Limit(metric_named(name), limit)

"""An evaluation as the page shows it: a panel for each metric, and a table with the intervals.

The plot is drawn by the page itself, not taken from ``metrics.svg``: its words stay words, which
can be read aloud, found, and fit on a phone and on a dark page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exporter.evaluate.arithmetic.statistics import mean_interval
from exporter.evaluate.baselines.methods import OURS
from exporter.evaluate.metrics.catalog import metric_named
from exporter.evaluate.results import Evaluation, Figure, MetricRecord
from exporter.evaluate.tables import number
from exporter.evaluate.trial.metric import Metric


@dataclass(frozen=True)
class Mark:
    """One method in a panel; positions are per cent of the panel's width.

    Attributes:
        method: Its name.
        ours: Whether it is the artifact's own.
        text: The mean.
        at: Position of the mean.
        low: Position of the lower end of the interval.
        span: Width of the interval.
        interval: The interval in words.
    """

    method: str
    ours: bool
    text: str
    at: float
    low: float
    span: float
    interval: str


@dataclass(frozen=True)
class Panel:
    """One metric.

    Attributes:
        metric: What it means.
        marks: The methods it is defined for, the artifact's own first.
        first: The number at the left end.
        last: The number at the right end.
    """

    metric: Metric
    marks: tuple[Mark, ...]
    first: str
    last: str


@dataclass(frozen=True)
class Cell:
    """A figure of the table.

    Attributes:
        mean: The mean, with its deviation over the draws of the noise.
        difference: Ours minus this method, with its interval; empty for our own.
        verdict: ``better``, ``worse`` or ``open``, of ours; empty where there is no difference.
    """

    mean: str
    difference: str = ""
    verdict: str = ""


@dataclass(frozen=True)
class Row:
    """A row of the table: a metric and its cell of each method, None where undefined."""

    metric: Metric
    cells: tuple[Cell | None, ...]


def panels(evaluation: Evaluation) -> tuple[Panel, ...]:
    """The plot."""
    return tuple(_panel(evaluation, metric) for metric in evaluation.metrics)


def rows(evaluation: Evaluation) -> tuple[Row, ...]:
    """The table."""
    return tuple(
        Row(
            metric_named(metric.name),
            tuple(
                _cell(evaluation.figures[method].get(metric.name), metric)
                for method in evaluation.methods
            ),
        )
        for metric in evaluation.metrics
    )


def _panel(evaluation: Evaluation, metric: MetricRecord) -> Panel:
    found = [
        (method, figure, mean_interval([float("nan") if v is None else v for v in figure.classes]))
        for method in evaluation.methods
        if (figure := evaluation.figures[method].get(metric.name)) is not None
    ]
    low, high = _range([(f.mean, *interval) for _, f, interval in found])
    return Panel(
        metric=metric_named(metric.name),
        marks=tuple(
            Mark(
                method=method,
                ours=method == OURS,
                text=number(figure.mean),
                at=_place(figure.mean, low, high),
                low=_place(ends[0], low, high),
                span=_place(ends[1], low, high) - _place(ends[0], low, high),
                interval=_interval(figure, ends),
            )
            for method, figure, ends in found
        ),
        first=_tick(low),
        last=_tick(high),
    )


def _interval(figure: Figure, ends: tuple[float, float]) -> str:
    if sum(value is not None for value in figure.classes) < 2:
        return "one class, no interval"
    return f"95 % interval {number(ends[0])} to {number(ends[1])}"


def _range(values: Sequence[tuple[float, ...]]) -> tuple[float, float]:
    """Shares are shown from 0 to 1, so that panels compare at a glance; others as they lie."""
    flat = [value for found in values for value in found]
    low, high = min(flat), max(flat)
    if low >= 0 and 0.05 < high <= 1:
        return 0.0, 1.0
    if low == high:
        return low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    margin = 0.06 * (high - low)
    return (0.0 if 0 <= low < high / 3 else low - margin), high + margin


def _place(value: float, low: float, high: float) -> float:
    return round(100 * min(max((value - low) / (high - low), 0), 1), 2)


def _tick(value: float) -> str:
    if value in (0, 1):
        return f"{value:.0f}"
    return number(value) if abs(value) < 0.1 else f"{value:.2f}"


def _cell(figure: Figure | None, metric: MetricRecord) -> Cell | None:
    if figure is None:
        return None
    spread = f" ± {number(figure.deviation)}" if figure.deviation is not None else ""
    mean = number(figure.mean) + spread
    if figure.ours is None:
        return Cell(mean)
    low, high = figure.ours.low, figure.ours.high
    sign = ((low > 0) - (high < 0)) * (1 if metric.better == "higher" else -1)
    text = f"{number(figure.ours.mean)} [{number(low)}, {number(high)}]"
    return Cell(mean, text, {1: "better", -1: "worse", 0: "open"}[sign])

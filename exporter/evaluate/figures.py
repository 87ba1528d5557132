"""An evaluation as pictures: each metric one panel, each method one line with its interval.

SVG without a date and with fixed ids: the same evaluation gives the same bytes. The style is also
that of the figures under `benchmarks/`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from exporter.evaluate.arithmetic.statistics import mean_interval
from exporter.evaluate.baselines.methods import OURS
from exporter.evaluate.results import Evaluation, Figure, MetricRecord
from serving.drawing.palette import INK, LINE, SOFT, Colour, prototype_colour

_COLUMNS = 4
_PANEL = (3.1, 0.95)  # inches: width, and height beside what each method adds
_LINE_HEIGHT = 0.19
STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "svg.fonttype": "path",
    "svg.hashsalt": "protohead",
}
"""For `matplotlib.rc_context`."""


def draw_metrics(evaluation: Evaluation) -> bytes:
    """One panel a metric, as SVG: the mean over classes with its 95 % interval."""
    metrics = evaluation.metrics
    rows = -(-len(metrics) // _COLUMNS)
    height = _PANEL[1] + _LINE_HEIGHT * len(evaluation.methods)
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(_PANEL[0] * _COLUMNS, height * rows), layout="constrained")
        panels = canvas.subplots(rows, _COLUMNS, squeeze=False).ravel()
        for panel, metric in zip(panels, metrics, strict=False):
            _draw_panel(panel, evaluation, metric)
        for panel in panels[len(metrics) :]:
            panel.set_axis_off()
        return to_svg(canvas)


def tidy(panel: Axes) -> None:
    """Give a panel the project's grid and colours, and no frame."""
    panel.tick_params(length=0, colors=shade(SOFT))
    panel.grid(color=shade(LINE), linewidth=0.6)
    panel.set_axisbelow(True)
    for side in panel.spines.values():
        side.set_visible(False)


def to_svg(canvas: Canvas) -> bytes:
    """The bytes of a figure: the same figures give the same bytes."""
    content = io.BytesIO()
    canvas.savefig(content, format="svg", metadata={"Date": None})
    return b"\n".join(line.rstrip() for line in content.getvalue().splitlines()) + b"\n"


def shade(colour: Colour) -> tuple[float, float, float]:
    """A colour as matplotlib takes it."""
    red, green, blue = colour
    return red / 255, green / 255, blue / 255


def _draw_panel(panel: Axes, evaluation: Evaluation, metric: MetricRecord) -> None:
    methods = evaluation.methods
    for height, method in enumerate(reversed(methods)):
        figure = evaluation.figures[method].get(metric.name)
        if figure is None:
            continue
        colour = shade(prototype_colour(1) if method == OURS else SOFT)
        low, high = mean_interval(_values(figure.classes))
        panel.plot([low, high], [height, height], color=colour, linewidth=1.6, alpha=0.6)
        panel.plot([figure.mean], [height], "o", color=colour, markersize=5)
    panel.set_yticks(range(len(methods)), list(reversed(methods)))
    panel.set_ylim(-0.7, len(methods) - 0.3)
    arrow = "higher is better" if metric.better == "higher" else "lower is better"
    panel.set_title(f"{metric.title} · {arrow}", loc="left", fontsize=8, color=shade(INK))
    tidy(panel)
    panel.grid(visible=False, axis="y")
    _keep_unit_range(panel, [evaluation.figures[m].get(metric.name) for m in methods])


def _keep_unit_range(panel: Axes, figures: Sequence[Figure | None]) -> None:
    """Shares are shown from 0 to 1, so that panels can be compared at a glance."""
    values = [figure.mean for figure in figures if figure is not None]
    if all(0 <= value <= 1 for value in values) and max(values, default=0) > 0.05:
        panel.set_xlim(-0.03, 1.03)


def _values(classes: Sequence[float | None]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([np.nan if value is None else value for value in classes], dtype=np.float64)

"""What the figures share: the style of the evaluation's, and one colour for each method."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from benchmarks.paper.methods import TITLES
from exporter.evaluate.baselines.methods import OURS
from exporter.evaluate.figures import STYLE, shade, tidy
from exporter.evaluate.metrics.catalog import metric_named
from serving.drawing.palette import INK, SOFT, prototype_colour

_NUMBERS = {OURS: 1, "nmf": 5, "naive": 7, "even": 4, "paper": 6}
_PANEL = (3.1, 2.4)  # inches


@contextmanager
def style() -> Iterator[None]:
    """Draw in the project's style."""
    with mpl.rc_context(STYLE):
        yield


def panels(count: int, columns: int) -> tuple[Canvas, list[Axes]]:
    """A canvas of equal panels; those left over are empty."""
    columns = min(columns, count)
    rows = -(-count // columns)
    canvas = Canvas(figsize=(_PANEL[0] * columns, _PANEL[1] * rows), layout="constrained")
    found = list(canvas.subplots(rows, columns, squeeze=False).ravel())
    for panel in found[count:]:
        panel.set_axis_off()
    return canvas, found[:count]


def finish(panel: Axes, title: str, along: str = "") -> None:
    """Title, grid and colours of a panel."""
    panel.set_title(title, loc="left", fontsize=8, color=shade(INK))
    panel.set_xlabel(along, color=shade(SOFT))
    tidy(panel)


def metric_title(metric: str) -> str:
    """The name of a metric, and which way is better."""
    record = metric_named(metric)
    return f"{record.title} · {record.better} is better"


def legend(canvas: Canvas, methods: tuple[str, ...]) -> None:
    """Name the methods below the panels."""
    lines = [
        mpl.lines.Line2D([], [], color=method_colour(method), marker="o", markersize=4)
        for method in methods
    ]
    canvas.legend(
        lines,
        [TITLES[method] for method in methods],
        loc="outside lower center",
        ncols=len(methods),
        frameon=False,
    )


def method_colour(method: str) -> tuple[float, float, float]:
    """The same colour in every figure."""
    return shade(prototype_colour(_NUMBERS[method]))

"""An evaluation as Markdown, for people, pull requests and CI summaries."""

from __future__ import annotations

from exporter.evaluate.baselines.methods import OURS
from exporter.evaluate.metrics.catalog import metric_named
from exporter.evaluate.results import Evaluation, Figure

DASH = "·"
"""Where a metric is not defined for a method."""


def to_markdown(evaluation: Evaluation) -> str:
    """The tables: every metric of every method, then the differences with their intervals."""
    parts = [
        f"# Evaluation of {evaluation.source}, k = {evaluation.prototypes}",
        _summary(evaluation),
        _figures(evaluation),
        _differences(evaluation),
        _meanings(evaluation),
        *(f"- {note}" for note in evaluation.notes),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def number(value: float) -> str:
    """A figure as people read it: three decimals, or two digits where it is tiny."""
    if value and abs(value) < 0.0005:
        return f"{value:.1e}"
    return f"{value:.3f}"


def _summary(evaluation: Evaluation) -> str:
    parts = f", {len(evaluation.parts)} annotated parts" if evaluation.parts else ""
    skipped = f", {evaluation.skipped} left out" if evaluation.skipped else ""
    return (
        f"{evaluation.images} images of {len(evaluation.classes)} classes{skipped}{parts}; means "
        f"over classes, ± over {evaluation.seeds} draws of the noise. ↑ higher is better, "
        "↓ lower is better."
    )


def _figures(evaluation: Evaluation) -> str:
    lines = [_row(["metric", *evaluation.methods]), _row(["---"] * (len(evaluation.methods) + 1))]
    for metric in evaluation.metrics:
        cells = [_cell(evaluation.figures[m].get(metric.name)) for m in evaluation.methods]
        lines.append(_row([f"{metric.title} {metric_named(metric.name).arrow}", *cells]))
    return "\n".join(lines)


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return DASH
    spread = f" ± {number(figure.deviation)}" if figure.deviation is not None else ""
    return number(figure.mean) + spread


def _differences(evaluation: Evaluation) -> str:
    """How far ours is above each baseline; in bold where the interval leaves zero out."""
    others = [method for method in evaluation.methods if method != OURS]
    rows = []
    for metric in evaluation.metrics:
        found = [evaluation.figures[method].get(metric.name) for method in others]
        if any(figure is not None and figure.ours is not None for figure in found):
            rows.append(_row([metric.title, *(_difference(figure) for figure in found)]))
    if not rows:
        return ""
    head = [_row(["ours minus", *others]), _row(["---"] * (len(others) + 1))]
    title = (
        "Differences over the same classes with their 95 % interval (paired bootstrap), in bold "
        "where it leaves out zero:"
    )
    return title + "\n\n" + "\n".join(head + rows)


def _difference(figure: Figure | None) -> str:
    if figure is None or figure.ours is None:
        return DASH
    low, high = figure.ours.low, figure.ours.high
    text = f"{number(figure.ours.mean)} [{number(low)}, {number(high)}]"
    return f"**{text}**" if low > 0 or high < 0 else text


def _meanings(evaluation: Evaluation) -> str:
    metrics = [metric_named(metric.name) for metric in evaluation.metrics]
    head = ["metric", "what it says", "what it cannot tell", "source"]
    rows = [[m.title, m.meaning, m.blind, m.source] for m in metrics]
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join(_row([cell.replace("|", "\\|") for cell in row]) for row in cells)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"

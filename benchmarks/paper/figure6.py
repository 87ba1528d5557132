"""Figure 6: what the number of prototypes changes.

The paper's solver is left out: where its simplex fits into memory at all it stays at R/k.
"""

from __future__ import annotations

from benchmarks.paper import draw
from benchmarks.paper.classes import ClassRun, Plan
from benchmarks.paper.markdown import spread, table
from benchmarks.paper.methods import TITLES
from benchmarks.paper.scores import Scores
from exporter.evaluate.baselines.methods import OURS
from exporter.evaluate.figures import to_svg
from exporter.evaluate.metrics.catalog import metric_named
from exporter.evaluate.tables import number
from exporter.evaluate.trial.subject import Subject

SECTION = "figure6"
_METHODS = ("nmf", "naive", "even", OURS)
_WITH_PARTS = ("consistency", "distinct_parts", "stability", "distinctiveness")
_WITHOUT = ("distinctiveness", "correlation", "negative_share", "norm_sum")


class Figure6:
    """The sweep over k.

    Args:
        subject: The artifact.
        plan: What is run.
    """

    def __init__(self, subject: Subject, plan: Plan) -> None:
        del subject
        self._plan = plan
        self._scores = Scores(plan.seeds)
        self._ratios = Scores(plan.seeds)

    def add(self, one: ClassRun) -> None:
        """Take the figures of one class."""
        for split in one.splits:
            for name, figures in split.figures.items():
                self._scores.add(one.trial.label, split.k, split.seed, name, figures)
            ratios = {"whole": split.start.ratio, "less": split.start_less_mean.ratio}
            self._ratios.add(one.trial.label, split.k, split.seed, "initial", ratios)

    def finish(self) -> tuple[str, dict[str, bytes]]:
        """The table, and the figure."""
        counts = self._plan.all_counts
        with_parts = any(self._scores.has(k, OURS, "consistency") for k in counts)
        metrics = _WITH_PARTS if with_parts else _WITHOUT
        head = ["method", "metric", *(f"k = {k}" for k in counts)]
        rows = [
            [TITLES[m], metric_named(metric).title, *(self._cell(k, m, metric) for k in counts)]
            for metric in metrics
            for m in _METHODS
            if any(self._scores.has(k, m, metric) for k in counts)
        ]
        rows += [
            [TITLES["initial"], title, *(self._ratio(k, which) for k in counts)]
            for which, title in (
                ("whole", r"\|R\| / \|v\|"),
                ("less", "the same less the reference"),
            )
        ]
        return table(head, rows), {"": self._draw(metrics)}

    def _cell(self, k: int, method: str, metric: str) -> str:
        value = self._scores.spread(k, method, metric)
        return spread(None) if value is None else number(value.mean)

    def _ratio(self, k: int, which: str) -> str:
        value = self._ratios.spread(k, "initial", which)
        return spread(None) if value is None else number(value.mean)

    def _draw(self, metrics: tuple[str, ...]) -> bytes:
        """One panel a metric, one line a method with its interval over classes."""
        with draw.style():
            canvas, panels = draw.panels(len(metrics), len(metrics))
            for panel, metric in zip(panels, metrics, strict=True):
                for name in _METHODS:
                    counts = [k for k in self._plan.all_counts if self._scores.has(k, name, metric)]
                    if not counts:
                        continue
                    means = [self._mean(k, name, metric) for k in counts]
                    ends = [self._scores.interval(k, name, metric) for k in counts]
                    low, high = zip(*ends, strict=True)
                    colour = draw.method_colour(name)
                    panel.fill_between(counts, low, high, color=colour, alpha=0.12, linewidth=0)
                    panel.plot(counts, means, "o-", color=colour, markersize=3, linewidth=1.2)
                panel.set_xticks(self._plan.all_counts)
                draw.finish(panel, draw.metric_title(metric), "prototypes")
            draw.legend(canvas, _METHODS)
            return to_svg(canvas)

    def _mean(self, k: int, method: str, metric: str) -> float:
        value = self._scores.spread(k, method, metric)
        return float("nan") if value is None else value.mean

"""Figure 5: where the prototypes of each method point, at several k.

Consistency and stability as in the paper, and beside them what tells parts from one part hit k
times: distinct parts and distinctiveness. Where the truth is drawn also part purity and the
deletion of parts.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.paper import draw
from benchmarks.paper.classes import ClassRun, Plan
from benchmarks.paper.markdown import difference, spread, table
from benchmarks.paper.measure import POINTING, ROUNDING
from benchmarks.paper.methods import TITLES
from benchmarks.paper.scores import Scores
from exporter.evaluate.baselines.methods import OURS
from exporter.evaluate.figures import to_svg
from exporter.evaluate.metrics.catalog import metric_named
from exporter.evaluate.tables import DASH
from exporter.evaluate.trial.subject import Subject

SECTION = "figure5"
METHODS = ("nmf", "naive", "even", "paper", OURS)
_METRICS = POINTING
_COLUMNS = 4


class Figure5:
    """Methods side by side.

    Args:
        subject: The artifact.
        plan: What is run.
    """

    metrics: Sequence[str] = _METRICS
    drawn = True

    def __init__(self, subject: Subject, plan: Plan) -> None:
        del subject
        self._plan = plan
        self._scores = Scores(plan.seeds)

    def add(self, one: ClassRun) -> None:
        """Take the figures of one class."""
        for split in one.splits:
            if split.k in self._plan.counts:
                for name, figures in split.figures.items():
                    self._scores.add(one.trial.label, split.k, split.seed, name, figures)

    def finish(self) -> tuple[str, dict[str, bytes]]:
        """The tables, and the figure by the end of its name."""
        scores, plan = self._scores, self._plan
        metrics = [m for m in self.metrics if any(scores.has(k, OURS, m) for k in plan.counts)]
        everywhere = scores.classes_of("paper") == scores.classes
        methods = METHODS if everywhere else tuple(m for m in METHODS if m != "paper")
        parts = [self._compare(methods, metrics, None)]
        some = scores.classes_of("paper")
        if some and not everywhere:
            labels = ", ".join(some)
            parts.append(
                f"The paper's solver ran on {len(some)} of the {len(scores.classes)} classes "
                f"({labels}). On these:\n\n{self._compare(METHODS, metrics, some)}"
            )
        figures = {"": self._draw(methods, metrics)} if self.drawn else {}
        return "\n\n".join(parts), figures

    def _compare(
        self, methods: Sequence[str], metrics: Sequence[str], classes: Sequence[str] | None
    ) -> str:
        """Means of every method, then how far ours is above the others."""
        scores, others = self._scores, [m for m in methods if m != OURS]
        compared = [m for m in metrics if m not in ROUNDING]
        counts = [
            k
            for k in self._plan.counts
            if classes is None or scores.has(k, "paper", "distinctiveness")
        ]
        head = [f"{metric_named(m).title} {metric_named(m).arrow}" for m in metrics]
        means = [
            [str(k), TITLES[name], *(spread(scores.spread(k, name, m, classes)) for m in metrics)]
            for k in counts
            for name in methods
            if any(scores.has(k, name, m) for m in metrics)
        ]
        apart = [
            [
                metric_named(m).title,
                str(k),
                *(difference(scores.difference(k, OURS, name, m, classes)) for name in others),
            ]
            for m in compared
            for k in counts
        ]
        apart = [row for row in apart if any(cell != DASH for cell in row[2:])]
        text = table(["k", "method", *head], means)
        if apart:  # there are two classes at least
            text += (
                f"\n\n{self._verdict(others, compared, counts, classes)}\n\nOurs minus each, over "
                "the same classes, with the 95 % interval (paired bootstrap), in bold where it "
                "leaves out zero:\n\n"
                f"{table(['metric', 'k', *(TITLES[m] for m in others)], apart)}"
            )
        return text

    def _verdict(
        self,
        others: Sequence[str],
        metrics: Sequence[str],
        counts: Sequence[int],
        classes: Sequence[str] | None,
    ) -> str:
        """In how many comparisons ours is better or worse, one line a metric."""
        rows = []
        for metric in metrics:
            sides = {name: self._sides(name, metric, counts, classes) for name in others}
            every = [side for of_counts in sides.values() for side in of_counts.values()]
            worse = [
                f"{TITLES[name]} at k = {', '.join(str(k) for k in found)}"
                for name, of_counts in sides.items()
                if (found := [k for k, side in of_counts.items() if side < 0])
            ]
            if every:
                better = f"{sum(side > 0 for side in every)} of {len(every)}"
                rows.append([metric_named(metric).title, better, "; ".join(worse) or "none"])
        return table(["by intervals that leave out zero", "ours is better in", "worse than"], rows)

    def _sides(
        self, name: str, metric: str, counts: Sequence[int], classes: Sequence[str] | None
    ) -> dict[int, int]:
        """By k: 1 where ours is better than a method, -1 where it is worse, 0 where unsettled."""
        sign = 1 if metric_named(metric).better == "higher" else -1
        found = {k: self._scores.difference(k, OURS, name, metric, classes) for k in counts}
        return {
            k: sign * (int(one.low > 0) - int(one.high < 0))
            for k, one in found.items()
            if one is not None
        }

    def _draw(self, methods: Sequence[str], metrics: Sequence[str]) -> bytes:
        """One panel a metric: each k a group, each method a point with its interval."""
        scores, counts = self._scores, self._plan.counts
        with draw.style():
            canvas, panels = draw.panels(len(metrics), _COLUMNS)
            for panel, metric in zip(panels, metrics, strict=True):
                for place, name in enumerate(methods):
                    known = [g for g, k in enumerate(counts) if scores.has(k, name, metric)]
                    colour = draw.method_colour(name)
                    shift = (place - (len(methods) - 1) / 2) * 0.14
                    for group in known:
                        k, x = counts[group], group + shift
                        value = scores.spread(k, name, metric)
                        if value is not None:
                            low, high = scores.interval(k, name, metric)
                            panel.plot([x, x], [low, high], color=colour, alpha=0.6)
                            panel.plot([x], [value.mean], "o", color=colour, markersize=4)
                panel.set_xticks(range(len(counts)), [f"k = {k}" for k in counts])
                draw.finish(panel, draw.metric_title(metric))
            draw.legend(canvas, tuple(methods))
            return to_svg(canvas)

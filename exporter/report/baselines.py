"""The artifact's prototypes against the baselines of an evaluation, question by question."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.evaluate.baselines.methods import OURS
from exporter.evaluate.results import Evaluation, MetricRecord
from exporter.report.rules import Question
from exporter.report.words import number_of

_SUM = ("completeness", "axioms", "randomisation")
_MATTER = (
    "occlusion_own",
    "occlusion_random",
    "occlusion_others",
    "occlusion_logit",
    "deletion_rank",
    "deletion_share",
    "prototype_deletion",
    "prototype_insertion",
    "pixel_deletion",
    "pixel_insertion",
    "negative_share",
    "norm_sum",
)

BY_CONSTRUCTION = frozenset({"completeness", "axioms"})
"""Metrics that every exact split of a row meets: being good at them is no merit."""


def question_of(name: str) -> Question:
    """The question that a metric is read under; most ask what a part looks at."""
    if name in _SUM:
        return "sum"
    return "matter" if name in _MATTER else "thing"


@dataclass(frozen=True)
class Comparison:
    """The artifact's prototypes against one baseline, over the metrics that both have.

    Attributes:
        method: The baseline.
        better: Titles of the metrics where the interval of the difference says better.
        worse: Titles where it says worse.
        undecided: Titles where it holds zero.
    """

    method: str
    better: tuple[str, ...]
    worse: tuple[str, ...]
    undecided: tuple[str, ...]


def compare(evaluation: Evaluation, question: Question | None = None) -> tuple[Comparison, ...]:
    """Each baseline against the artifact's prototypes, metric by metric.

    What holds by construction is not compared.

    Args:
        evaluation: The figures.
        question: Compare the metrics of this one alone.
    """
    metrics = [
        metric
        for metric in evaluation.metrics
        if metric.name not in BY_CONSTRUCTION and question in {None, question_of(metric.name)}
    ]
    found = []
    for method in evaluation.methods:
        if method == OURS:
            continue
        sides: dict[int, list[str]] = {1: [], 0: [], -1: []}
        for metric in metrics:
            side = _side(evaluation, method, metric)
            if side is not None:
                sides[side].append(metric.title)
        if any(sides.values()):
            better, undecided, worse = (tuple(sides[side]) for side in (1, 0, -1))
            found.append(Comparison(method, better, worse, undecided))
    return tuple(found)


def worse_than(comparisons: Iterable[Comparison]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The metrics in which a baseline is better, each with those baselines."""
    found: dict[str, list[str]] = {}
    for comparison in comparisons:
        for title in comparison.worse:
            found.setdefault(title, []).append(comparison.method)
    return tuple((title, tuple(methods)) for title, methods in found.items())


def undecided(evaluation: Evaluation) -> str:
    """Why nothing can be compared, where :func:`compare` finds nothing."""
    others = sum(method != OURS for method in evaluation.methods)
    if not others:
        return "The evaluation has no baseline to compare with."
    return (
        f"{number_of(others, 'baseline')}, figures alone: the interval of a difference needs two "
        "classes or more, so nothing says better or worse."
    )


def _side(evaluation: Evaluation, method: str, metric: MetricRecord) -> int | None:
    """1 where the artifact's own are better, -1 where worse, 0 where the interval holds zero."""
    figure = evaluation.figures[method].get(metric.name)
    if figure is None or figure.ours is None:
        return None
    sign = (figure.ours.low > 0) - (figure.ours.high < 0)
    return sign if metric.better == "higher" else -sign

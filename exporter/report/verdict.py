"""What stands at the top of the report: whether, and how far, the explanations can be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from exporter.evaluate.baselines.methods import OURS
from exporter.evaluate.results import Evaluation
from exporter.report.examples import ClassReport
from exporter.report.rules import RESIDUAL, RULES, Rule
from exporter.report.words import number_of, per_cent
from serving.artifact import Manifest

State = Literal["good", "look", "plain"]
_NAMED = 5  # classes of a rule that spoke of more


@dataclass(frozen=True)
class Statement:
    """One line of the verdict.

    Attributes:
        title: What it is about.
        text: What was found; labels are as given, without markup.
        state: ``look`` where a person should.
    """

    title: str
    text: str
    state: State


@dataclass(frozen=True)
class Count:
    """How often a rule spoke.

    Attributes:
        rule: The rule.
        labels: The classes it spoke of.
    """

    rule: Rule
    labels: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.labels[:_NAMED]) + (", …" if len(self.labels) > _NAMED else "")
        classes = number_of(len(self.labels), "class", "classes")
        return f"{self.rule.title} ({self.rule.kind}): {classes}: {shown}."


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


def statements(
    manifest: Manifest,
    classes: Sequence[ClassReport],
    left_out: int,
    evaluation: Evaluation | None,
) -> tuple[Statement, ...]:
    """The lines of the verdict.

    Args:
        manifest: The artifact's.
        classes: The classes of the report.
        left_out: Classes with neither prototypes of their own nor held-out images.
        evaluation: The comparison with baselines, if there is one.
    """
    return (
        _headline(classes),
        _model(manifest, classes),
        _exact(classes),
        _baselines(evaluation),
        _split(manifest, classes, left_out),
        _gates(manifest),
        *_edits(manifest),
    )


def counts(classes: Sequence[ClassReport]) -> tuple[Count, ...]:
    """The rules that spoke, in their order, with the classes they spoke of."""
    found = []
    for rule in RULES:
        labels = tuple(
            c.record.label for c in classes if any(f.kind == rule.kind for f in c.findings)
        )
        if labels:
            found.append(Count(rule, labels))
    return tuple(found)


def compare(evaluation: Evaluation) -> tuple[Comparison, ...]:
    """Each baseline against the artifact's prototypes, metric by metric."""
    found = []
    for method in evaluation.methods:
        if method == OURS:
            continue
        sides: dict[int, list[str]] = {1: [], 0: [], -1: []}
        for metric in evaluation.metrics:
            figure = evaluation.figures[method].get(metric.name)
            if figure is not None and figure.ours is not None:
                sign = (figure.ours.low > 0) - (figure.ours.high < 0)
                sides[sign if metric.better == "higher" else -sign].append(metric.title)
        if any(sides.values()):
            better, undecided, worse = (tuple(sides[side]) for side in (1, 0, -1))
            found.append(Comparison(method, better, worse, undecided))
    return tuple(found)


def undecided(evaluation: Evaluation) -> str:
    """Why nothing can be compared, where :func:`compare` finds nothing."""
    others = sum(method != OURS for method in evaluation.methods)
    if not others:
        return "The evaluation has no baseline to compare with."
    return (
        f"{number_of(others, 'baseline')}, figures alone: the interval of a difference needs two "
        "classes or more, so nothing says better or worse."
    )


def _headline(classes: Sequence[ClassReport]) -> Statement:
    warned = [c for c in classes if c.findings]
    kinds = Counter(f.kind for c in classes for f in c.findings)
    if not warned:
        text = f"None of {number_of(len(classes), 'class', 'classes')} has a warning."
        return Statement("Warnings", text, "good")
    text = (
        f"{len(warned)} of {number_of(len(classes), 'class', 'classes')} have warnings, "
        f"{sum(kinds.values())} in all."
    )
    return Statement("Warnings", text, "look")


def _model(manifest: Manifest, classes: Sequence[ClassReport]) -> Statement:
    measured = [c.figures.held_out for c in classes if c.figures.held_out is not None]
    images = sum(h.images for h in measured)
    if not images:
        return Statement("Model", "No held-out image could be measured.", "look")
    share = sum(h.recognised * h.images for h in measured) / images
    trained = [
        c.record
        for c in classes
        if c.figures.held_out is not None and c.record.accuracy is not None and c.record.images
    ]
    own = sum(r.images for r in trained)
    known = ""
    if own and manifest.activation == "softmax":
        before = sum(r.images * (r.accuracy or 0) for r in trained) / own
        whose = "its" if len(measured) == 1 else "their"
        known = f" ({per_cent(before, 1)} of {whose} training images)"
    skipped = sum(h.skipped for h in measured)
    lost = f" {number_of(skipped, 'file')} could not be decoded." if skipped else ""
    text = (
        f"It recognises {per_cent(share, 1)} of {number_of(images, 'held-out image')} of "
        f"{number_of(len(measured), 'class', 'classes')}{known}.{lost}"
    )
    return Statement("Model", text, "good" if share >= 0.5 else "look")


def _exact(classes: Sequence[ClassReport]) -> Statement:
    found = [
        c.figures.held_out.residual
        for c in classes
        if c.figures.held_out is not None and c.figures.held_out.residual is not None
    ]
    if not found:
        return Statement("Exactness", "Not measured: there is no held-out image.", "look")
    worst = max(found)
    text = (
        "On each image contributions and what else is summed give the logit; the largest "
        f"difference is {worst:.0e} of the size of the terms."
    )
    if worst > RESIDUAL:
        text = f"The sum of all terms misses the logit by up to {worst:.0e} of their size."
    return Statement("Exactness", text, "good" if worst <= RESIDUAL else "look")


def _baselines(evaluation: Evaluation | None) -> Statement:
    if evaluation is None:
        return Statement("Baselines", "Not compared: no evaluation was given.", "plain")
    found = compare(evaluation)
    if not found:
        return Statement("Baselines", undecided(evaluation), "look")
    sides = [sum(len(side) for side in by) for by in zip(*map(_sides, found), strict=True)]
    text = (
        f"{number_of(len(found), 'baseline')}, {number_of(len(evaluation.metrics), 'metric')}: "
        f"better in {sides[0]} comparisons, undecided in {sides[1]}, worse in {sides[2]}."
    )
    return Statement("Baselines", text, "good" if sides[0] > sides[2] else "look")


def _sides(comparison: Comparison) -> tuple[tuple[str, ...], ...]:
    return comparison.better, comparison.undecided, comparison.worse


def _split(manifest: Manifest, classes: Sequence[ClassReport], left_out: int) -> Statement:
    whole = sum(c.record.state == "whole" for c in classes)
    ratios = [c.record.residual_ratio for c in classes if c.record.residual_ratio is not None]
    method = f"by the method {manifest.method.name}, k = {manifest.prototypes}"
    text = f"{number_of(len(classes) - whole, 'class', 'classes')} split {method}; {whole} whole."
    if ratios:
        text += f" |R|/|v| from {min(ratios):.2f} to {max(ratios):.2f}."
    if left_out:
        text += (
            f" {number_of(left_out, 'more class', 'more classes')} without prototypes of their own "
            "and without held-out images: not in this report."
        )
    return Statement("Prototypes", text, "plain")


def _gates(manifest: Manifest) -> Statement:
    states = Counter(gate.state for gate in manifest.verification)
    failed = [gate.name for gate in manifest.verification if gate.state == "failed"]
    if failed:
        return Statement("Verification", f"Gates failed: {', '.join(failed)}.", "look")
    if not states["passed"]:
        return Statement("Verification", "No gate was measured when it was made.", "look")
    text = f"{number_of(states['passed'], 'gate')} passed when it was made"
    text += f", {states['skipped']} skipped." if states["skipped"] else "."
    return Statement("Verification", text, "good")


def _edits(manifest: Manifest) -> list[Statement]:
    if not manifest.edits:
        return []
    muted = len(manifest.muted)
    text = (
        f"Edited {'once' if len(manifest.edits) == 1 else f'{len(manifest.edits)} times'}, "
        f"{number_of(muted, 'prototype')} muted."
    )
    return [Statement("Edits", text, "look" if muted else "plain")]

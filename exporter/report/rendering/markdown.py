"""The summary for CI: answers, warnings, mistakes and metrics, as GitHub's Markdown."""

from __future__ import annotations

from exporter.evaluate.baselines.methods import OURS
from exporter.evaluate.tables import DASH, number
from exporter.report.baselines import compare, undecided
from exporter.report.contents import Contents
from exporter.report.words import number_of
from exporter.text import escaped
from serving.artifact.classes import words

_SIGNS = {"good": "✓ ", "look": "⚠ ", "plain": ""}
_LABELS = 5
_PAIRS = 10


def to_markdown(contents: Contents) -> str:
    """The summary."""
    manifest = contents.artifact.manifest
    lines = [f"### Report of {escaped(manifest.source.file)}, k = {manifest.prototypes}", ""]
    for answer in contents.answers:
        figure = f" ({answer.figure} {answer.unit})" if answer.figure else ""
        lines.append(f"- {_SIGNS[answer.state]}**{answer.title}** {escaped(answer.short + figure)}")
        lines.append(f"  {escaped(answer.text)} → {escaped(answer.do)}")
    lines += ["", *(escaped(text) for text in contents.basis)]
    lines += _warnings(contents)
    lines += _mistakes(contents)
    lines += _edits(contents)
    lines += _metrics(contents)
    return "\n".join(lines) + "\n"


def _warnings(contents: Contents) -> list[str]:
    if not contents.counts:
        return []
    lines = ["", "| warning | weight | classes | which |", "| --- | --- | ---: | --- |"]
    for count in contents.counts:
        names = ", ".join(escaped(words(label)) for label in count.labels[:_LABELS])
        more = len(count.labels) - _LABELS
        names += f" and {more} more" if more > 0 else ""
        lines.append(
            f"| {count.rule.title} (`{count.rule.kind}`) | {count.rule.severity} "
            f"| {len(count.labels)} | {names} |"
        )
    return lines


def _mistakes(contents: Contents) -> list[str]:
    if not contents.confusions:
        return []
    lines = ["", "| image of | taken for | images | the other way |", "| --- | --- | ---: | ---: |"]
    for confusion in contents.confusions[:_PAIRS]:
        names = [escaped(words(r.label)) for r in (confusion.true, confusion.taken)]
        lines.append(f"| {' | '.join(names)} | {confusion.count} | {confusion.back} |")
    return lines


def _edits(contents: Contents) -> list[str]:
    lines = []
    for n, edit in enumerate(contents.artifact.manifest.edits, start=1):
        text = f"Edit {n}: {escaped(edit.reason)}"
        if edit.effect is not None:
            text += (
                f" Accuracy {edit.effect.accuracy_before:.2%} before, "
                f"{edit.effect.accuracy_after:.2%} after; {edit.effect.corrected} corrected, "
                f"{edit.effect.broken} broken."
            )
        lines.append(f"- {text}")
    return ["", *lines] if lines else []


def _metrics(contents: Contents) -> list[str]:
    evaluation = contents.evaluation
    if evaluation is None:
        return ["", "Not compared with baselines: no evaluation was given."]
    measured = (
        f"Metrics on {number_of(evaluation.images, 'image')} of "
        f"{number_of(len(evaluation.classes), 'class', 'classes')}"
    )
    lines = ["", f"{measured}. {undecided(evaluation)}"]
    if found := compare(evaluation):
        lines = [
            "",
            f"{measured}; a baseline counts where the 95 % interval of the difference leaves out "
            "zero.",
            "",
            "| against | ours better | undecided | ours worse |",
            "| --- | ---: | ---: | ---: |",
        ]
    lines += [
        f"| {escaped(c.method)} | {len(c.better)} | {len(c.undecided)} | {len(c.worse)} |"
        for c in found
    ]
    names = [escaped(method) for method in evaluation.methods]
    lines += ["", f"| metric | {' | '.join(names)} |", f"| --- |{' ---: |' * len(names)}"]
    for metric in evaluation.metrics:
        arrow = "↑" if metric.better == "higher" else "↓"
        figures = [evaluation.figures[method].get(metric.name) for method in evaluation.methods]
        cells = [DASH if f is None else number(f.mean) for f in figures]
        if evaluation.methods[0] == OURS:
            cells[0] = f"**{cells[0]}**"
        lines.append(f"| {escaped(metric.title)} {arrow} | {' | '.join(cells)} |")
    return lines

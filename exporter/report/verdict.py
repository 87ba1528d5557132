"""What stands at the top of the report: three questions, each with an answer, and what it rests on.

Is it the model's own sum, does each part look at one thing, does taking it away matter? What holds
by construction earns no praise: ``good`` is said of what was measured and could have failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from exporter.evaluate.arithmetic.statistics import mean_interval
from exporter.evaluate.baselines.methods import OURS
from exporter.evaluate.metrics.pointing.consistency import THRESHOLD
from exporter.evaluate.results import Evaluation
from exporter.report.baselines import compare, worse_than
from exporter.report.examples import ClassReport
from exporter.report.measure import HeldOut
from exporter.report.rules import BY_KIND, RESIDUAL, RULES, Finding, Question, Rule
from exporter.report.words import number_of, per_cent, tiny
from serving.artifact import ClassRecord, Manifest

TURNED = 0.05
"""Share of the answers that should turn without their strongest part."""

State = Literal["good", "look", "plain"]
_NAMED = 5  # classes of a rule that spoke of more


@dataclass(frozen=True)
class Answer:
    """The answer to one question.

    Attributes:
        question: Its key.
        title: The question.
        short: The answer in a few words.
        text: What was found, in a sentence.
        figure: The number that stands for it; empty where nothing was measured.
        unit: What the number is of.
        do: What to do now.
        state: ``look`` where a person should, ``good`` where it was measured and stood.
    """

    question: Question
    title: str
    short: str
    text: str
    figure: str
    unit: str
    do: str
    state: State


@dataclass(frozen=True)
class Count:
    """How often a rule spoke.

    Attributes:
        rule: The rule.
        classes: The classes it spoke of.
    """

    rule: Rule
    classes: tuple[ClassRecord, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Their labels, as the manifest has them."""
        return tuple(record.label for record in self.classes)

    def __str__(self) -> str:
        shown = ", ".join(self.labels[:_NAMED]) + (", …" if len(self.labels) > _NAMED else "")
        classes = number_of(len(self.labels), "class", "classes")
        return f"{self.rule.title} ({self.rule.kind}): {classes}: {shown}."


def answers(
    manifest: Manifest, classes: Sequence[ClassReport], evaluation: Evaluation | None
) -> tuple[Answer, ...]:
    """The three questions, answered.

    Args:
        manifest: The artifact's.
        classes: The classes of the report.
        evaluation: The comparison with baselines, if there is one.
    """
    return (
        _own_sum(manifest, classes),
        _one_thing(classes, evaluation),
        _matters(classes, evaluation),
    )


def basis(manifest: Manifest, classes: Sequence[ClassReport], left_out: int) -> tuple[str, ...]:
    """What the answers rest on, in sentences.

    Args:
        manifest: The artifact's.
        classes: The classes of the report.
        left_out: Classes with neither prototypes of their own nor held-out images.
    """
    whole = sum(c.record.state == "whole" for c in classes)
    split = number_of(len(classes) - whole, "class", "classes")
    text = f"{split} split into parts{f'; {whole} kept whole' if whole else ''}."
    if left_out:
        text += (
            f" {number_of(left_out, 'more class', 'more classes')} without parts of their own and "
            "without held-out images: not in this report."
        )
    return (_model(manifest, classes), text, *_edits(manifest))


def counts(classes: Sequence[ClassReport]) -> tuple[Count, ...]:
    """The rules that spoke, the worst first, with the classes they spoke of."""
    found = []
    for rule in RULES:
        records = tuple(c.record for c in classes if any(f.kind == rule.kind for f in c.findings))
        if records:
            found.append(Count(rule, records))
    return tuple(found)


def _own_sum(manifest: Manifest, classes: Sequence[ClassReport]) -> Answer:
    def answer(short: str, text: str, figure: str, unit: str, do: str, state: State) -> Answer:
        title = "Is it the model's own sum?"
        return Answer("sum", title, short, text, figure, unit, do, state)

    measured = list(_measured(classes))
    worst = max((h.residual for h in measured if h.residual is not None), default=0.0)
    failed = [gate.name for gate in manifest.verification if gate.state == "failed"]
    if failed or worst > RESIDUAL:
        text = f"The sum of all terms misses the logit by up to {tiny(worst)} of their size."
        if worst <= RESIDUAL:
            text = f"It adds up on these images, but gates failed: {', '.join(failed)}."
        do = "Run protohead verify on the artifact; until it passes, believe nothing below."
        return answer("No.", text, tiny(worst), "of the terms is missing", do, "look")
    muted = len(manifest.muted)
    do = "Nothing; protohead verify repeats the proof."
    if muted:
        are = "is" if muted == 1 else "are"
        do = f"Mind that {number_of(muted, 'part')} {are} muted: it is the sum of the edited model."
    images = sum(h.images for h in measured)
    if not images:
        text = "A class row is split exactly; no held-out image was there to add one up."
        return answer("Yes, by construction.", text, "", "", do, "plain")
    text = (
        "A class row is split exactly, so the parts and what else is listed give the model's own "
        f"logit: no second model explains the first. The largest gap is {tiny(worst)} of the terms."
    )
    figure, unit = f"{images} of {images}", "held-out images add up"
    return answer("Yes, by construction.", text, figure, unit, do, "plain")


def _one_thing(classes: Sequence[ClassReport], evaluation: Evaluation | None) -> Answer:
    def answer(short: str, text: str, figure: str, unit: str, do: str, state: State) -> Answer:
        title = "Does each part look at one thing?"
        return Answer("thing", title, short, text, figure, unit, do, state)

    judged = [c for c in classes if c.record.state == "decomposed" and c.figures.held_out]
    parts = sum(len(c.figures.live) for c in judged)
    if not parts:
        text, do = "No class that is split has held-out images.", "Give images of one in --data."
        return answer("Not measured.", text, "", "", do, "plain")
    doubted = sum(len(_doubted(c)) for c in judged)
    wandering = sum(len(_doubted(c, but="alike")) for c in judged)
    known = _steady(judged)
    worse = _worse(evaluation, "thing")
    if known.size:
        share = float((known >= THRESHOLD).mean())
        text = (
            f"{per_cent(share)} of the parts point at the same keypoint in {per_cent(THRESHOLD)} "
            "of the images that show it."
        )
    else:
        share = 0.0
        text = (
            "Without keypoints it is only known where heatmaps peak and which are alike, not what "
            "lies there."
        )
    text += worse
    if doubted:
        do = "Look at the parts named under the warnings; name, mute or merge them."
        short, figure = _short(parts, doubted, wandering), f"{doubted} of {parts}"
        return answer(short, text, figure, "parts to look at twice", do, "look")
    if not known.size:
        figure, unit = f"0 of {parts}", "parts with a warning"
        do = "Compare the crops with the heatmaps class by class; --parts tells more."
        return answer("Nothing speaks against it.", text, figure, unit, do, "plain")
    short = "Most do." if share >= THRESHOLD else "Partly."
    do = "Compare the crops with the heatmaps before you name a part."
    state: State = "good" if share >= THRESHOLD and not worse else "plain"
    return answer(short, text, per_cent(share), "of the parts keep to one keypoint", do, state)


def _matters(classes: Sequence[ClassReport], evaluation: Evaluation | None) -> Answer:
    def answer(short: str, text: str, figure: str, unit: str, do: str, state: State) -> Answer:
        title = "Does taking it away matter?"
        return Answer("matter", title, short, text, figure, unit, do, state)

    turned = _turned(classes)
    if turned is None:
        text = "No class with two parts has an image that the model recognises."
        return answer("Not measured.", text, "", "", "Give such images in --data.", "plain")
    strongest, weakest = turned
    in_sum = strongest >= TURNED
    text = (
        f"Without the part that counts most {per_cent(strongest)} of the recognised images are "
        f"recognised no more; without the one that counts least, {per_cent(weakest)}."
    )
    covered = _covered(evaluation)
    if covered is None:
        figure, unit = per_cent(strongest), "of the answers turn without their strongest part"
        do = (
            "Cover the place in the picture too: protohead evaluate does, then pass its "
            "evaluation.json as --evaluation."
        )
        short = "In the sum" if in_sum else "Hardly in the sum"
        return answer(f"{short}; the picture was not covered.", text, figure, unit, do, "plain")
    own, by_chance, clear = covered
    figure, unit = f"{per_cent(own)} : {per_cent(by_chance)}", "lost with its place, with any other"
    text = (
        f"With its place in the picture blurred a part loses {per_cent(own)}, with as many cells "
        f"anywhere {per_cent(by_chance)}. {text}{_worse(evaluation, 'matter')}"
    )
    if not clear:
        do = "Do not tell anybody where the model looks: the place matters no more than any other."
        short = "In the sum, not in the picture." if in_sum else "Hardly."
        return answer(short, text, figure, unit, do, "look")
    if not in_sum:
        do = "Read the contributions, not the answer: it is as sure without any one part."
        short = "In the picture; the answers stay."
        return answer(short, text, figure, unit, do, "plain")
    doubted = any(BY_KIND[f.kind].question == "matter" for c in classes for f in c.findings)
    do = "Switch parts off on the page of protohead serve, and watch the answer."
    if doubted:
        do = "Read the warnings about cancelling and weak parts before you read a part alone."
    praised = not doubted and not _worse(evaluation, "matter")
    short = "Yes, in the sum and in the picture."
    return answer(short, text, figure, unit, do, "good" if praised else "plain")


def _short(parts: int, doubted: int, wandering: int) -> str:
    """The answer in a few words: a part that shares its thing with another looks at one thing."""
    if 2 * wandering >= parts:
        return "Mostly not."
    if 10 * wandering > parts:
        return "Not every one."
    start, sharing = "Nearly all do" if wandering else "Yes", doubted - wandering
    most = "most" if 2 * sharing >= parts else "some"
    return f"{start}, but {most} share it." if sharing else f"{start}."


def _doubted(report: ClassReport, *, but: str = "") -> set[int]:
    """The parts of a class that a warning worth a look says something else of than one thing."""
    found = [f for f in report.findings if _asks_for_a_look(f) and f.kind != but]
    return {number for finding in found for number in finding.prototypes}


def _asks_for_a_look(finding: Finding) -> bool:
    rule = BY_KIND[finding.kind]
    return rule.question == "thing" and rule.severity != "note"


def _steady(judged: Iterable[ClassReport]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """How often each live part points at its keypoint, over all classes where that is known."""
    found = [
        float(held_out.steady[number])
        for c in judged
        if (held_out := c.figures.held_out) is not None and held_out.steady is not None
        for number in c.figures.live
    ]
    return np.array(found, dtype=np.float64)


def _turned(classes: Sequence[ClassReport]) -> tuple[float, float] | None:
    """Over all recognised images, the share lost without the strongest and the weakest part."""
    weights, shares = [], []
    for held_out in _measured(classes):
        if held_out.turned is not None:
            weights.append(held_out.recognised * held_out.images)
            shares.append(held_out.turned)
    if not weights:
        return None
    strongest, weakest = np.average(shares, axis=0, weights=weights).tolist()
    return strongest, weakest


def _covered(evaluation: Evaluation | None) -> tuple[float, float, bool] | None:
    """What a part loses with its own place and with others, and whether that is clearly more."""
    own, by_chance = (
        None if evaluation is None else evaluation.figures.get(OURS, {}).get(name)
        for name in ("occlusion_own", "occlusion_random")
    )
    if own is None or by_chance is None:
        return None
    gaps = [
        float("nan") if a is None or b is None else a - b
        for a, b in zip(own.classes, by_chance.classes, strict=True)
    ]
    low, _ = mean_interval(gaps)
    return own.mean, by_chance.mean, low > 0


def _worse(evaluation: Evaluation | None, question: Question) -> str:
    """In how many metrics of a question a baseline is better, in a sentence; else empty."""
    found = () if evaluation is None else worse_than(compare(evaluation, question))
    if not found:
        return ""
    return f" A baseline is better in {number_of(len(found), 'metric')}, named below."


def _model(manifest: Manifest, classes: Sequence[ClassReport]) -> str:
    measured = list(_measured(classes))
    images = sum(h.images for h in measured)
    if not images:
        return "No held-out image could be measured."
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
    return (
        f"The model recognises {per_cent(share, 1)} of {number_of(images, 'held-out image')} of "
        f"{number_of(len(measured), 'class', 'classes')}{known}.{lost}"
    )


def _edits(manifest: Manifest) -> list[str]:
    if not manifest.edits:
        return []
    times = "once" if len(manifest.edits) == 1 else f"{len(manifest.edits)} times"
    return [f"Edited {times}, {number_of(len(manifest.muted), 'part')} muted."]


def _measured(classes: Iterable[ClassReport]) -> Iterable[HeldOut]:
    return (c.figures.held_out for c in classes if c.figures.held_out is not None)

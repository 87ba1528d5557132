"""What a person should look at twice: rules with fixed thresholds, most without annotations.

A warning is a reason to look, not a verdict. Every rule is listed in :data:`RULES` with the words
that the report prints, thresholds included, and has its own function below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

from exporter.report.measure import ClassFigures, HeldOut
from exporter.report.words import number_of, per_cent
from serving.artifact import ClassRecord
from serving.artifact.edits import EditRecord

COSINE = 0.9
"""From here on two prototypes point the same way: 26 degrees apart or less."""

CORRELATION = 0.8
"""From here on two heatmaps share two thirds of their variance (r squared)."""

NORM_EXCESS = 1.5
"""Times sqrt(k): k equal prototypes at right angles have norms of sqrt(k) times their sum's."""

CANCELLED = 0.5
"""Share of the heat that may be taken away by other prototypes at the same position."""

NEGATIVE = 0.1
"""Share of the contributions that may count against the class."""

BORDER_IMAGES = 0.8
"""Share of images whose peak may lie at the border: a 7 x 7 grid has half of its cells there."""

OFF_IMAGES = 0.5
"""Share of images whose peak may lie off the object, or near no part of it."""

WEAK = 0.25
"""Times 1 / k: a prototype with less than a quarter of an equal share counts little."""

TRAINING_IMAGES = 20
HELD_OUT_IMAGES = 5

RECOGNISED = 0.5
"""Share of a class's held-out images that the model should recognise."""

RESIDUAL = 1e-4
"""Of the summands of a logit; float32 leaves a thousandth of it."""


@dataclass(frozen=True)
class Finding:
    """One warning of one class.

    Attributes:
        kind: Key of the rule.
        text: What was found, in one sentence without markup; labels and names are as given.
        prototypes: Numbers of the prototypes meant; none is the whole class.
    """

    kind: str
    text: str
    prototypes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Rule:
    """A rule as the report explains it.

    Attributes:
        kind: Its key.
        title: A few words.
        when: When it speaks, with its thresholds.
        why: What it may mean.
    """

    kind: str
    title: str
    when: str
    why: str


RULES: tuple[Rule, ...] = (
    Rule(
        "sum",
        "Does not add up",
        f"The sum of all terms misses the logit by more than {RESIDUAL:g} of their size.",
        "The explanation is not that of this model; run protohead verify.",
    ),
    Rule(
        "whole",
        "Kept whole",
        "The class had too few usable training images to be split.",
        "Its one prototype is its whole head row: it shows where, not which parts.",
    ),
    Rule(
        "recognised",
        "Rarely recognised",
        f"The model recognises fewer than {per_cent(RECOGNISED)} of the class's held-out images.",
        "What explains a class that is mostly missed explains little.",
    ),
    Rule(
        "alike",
        "Look alike",
        f"Two prototypes have a cosine of at least {COSINE:g}, heatmaps that correlate by at least "
        f"{CORRELATION:g} on average, or show the same thing on the training images.",
        "They may be one part, named twice, or two places of it.",
    ),
    Rule(
        "cancels",
        "Evidence cancels",
        f"Prototypes take away more than {per_cent(CANCELLED)} of each other's heat, or more than "
        f"{per_cent(NEGATIVE)} of the evidence counts against the class. Without images: the norms "
        f"of the prototypes sum to more than {NORM_EXCESS:g} times sqrt(k) times the norm of their "
        "sum.",
        "Large parts of opposite sign can explain anything; read none of them alone.",
    ),
    Rule(
        "background",
        "On the background",
        "With masks: the peak is more than half a cell off the object in at least "
        f"{per_cent(OFF_IMAGES)} of the images, or the evidence lies off it as much as a blind "
        "heatmap's would. With keypoints: no part is near the peak in at least "
        f"{per_cent(OFF_IMAGES)}. Without either: the peak is at the border in at least "
        f"{per_cent(BORDER_IMAGES)}.",
        "The model may have learnt the surroundings.",
    ),
    Rule(
        "weak",
        "Counts little",
        f"A prototype's share of the evidence is below {WEAK:g} / k.",
        "Its heatmap is relative to its own peak and looks as strong as any other.",
    ),
    Rule(
        "training",
        "Few training images",
        f"The prototypes were found on fewer than {TRAINING_IMAGES} images.",
        "Other images may give other prototypes.",
    ),
    Rule(
        "held-out",
        "Few held-out images",
        f"Fewer than {HELD_OUT_IMAGES} held-out images were measured.",
        "The figures of this class say little.",
    ),
    Rule(
        "edited",
        "Edited",
        "A prototype of the class was muted.",
        "The model decides otherwise than the one that was trained.",
    ),
    Rule(
        "export",
        "Noted at export",
        "The export left a warning in the manifest.",
        "See what it says.",
    ),
)

BY_KIND = {rule.kind: rule for rule in RULES}


def judge(
    record: ClassRecord, figures: ClassFigures, edits: tuple[EditRecord, ...]
) -> tuple[Finding, ...]:
    """The warnings of one class, in the order of :data:`RULES`.

    Args:
        record: The class, from the manifest.
        figures: Its figures.
        edits: The artifact's edits.
    """
    split = record.state == "decomposed"
    found = [
        *(_on(figures, _sum)),
        *([] if split else [_whole(record)]),
        *(_on(figures, _recognised)),
        *(_alike(record, figures) if split else []),
        *(_cancels(figures) if split else []),
        *(_background(record, figures) if split else []),
        *(_weak(record, figures) if split else []),
        *(_training(record) if split else []),
        *_held_out(figures),
        *_edited(record, edits),
        *(Finding("export", _sentence(text)) for text in record.warnings if split),
    ]
    return tuple(found)


def _on(figures: ClassFigures, rule: Callable[[HeldOut], list[Finding]]) -> list[Finding]:
    return [] if figures.held_out is None else rule(figures.held_out)


def _sum(held_out: HeldOut) -> list[Finding]:
    residual = held_out.residual
    if residual is None or residual <= RESIDUAL:
        return []
    text = f"The sum of all terms misses the logit by {residual:.1e} of their size."
    return [Finding("sum", text)]


def _whole(record: ClassRecord) -> Finding:
    because = f" {_sentence(record.warnings[0])}" if record.warnings else ""
    return Finding(
        "whole", f"Not split, made from {number_of(record.images, 'training image')}.{because}"
    )


def _recognised(held_out: HeldOut) -> list[Finding]:
    if held_out.recognised >= RECOGNISED:
        return []
    number = round(held_out.recognised * held_out.images)
    text = f"{number} of its {held_out.images} held-out images are recognised."
    return [Finding("recognised", text)]


def _alike(record: ClassRecord, figures: ClassFigures) -> list[Finding]:
    found = []
    for pair in figures.pairs:
        signs = []
        if pair.cosine is not None and pair.cosine >= COSINE:
            signs.append(f"cosine {pair.cosine:.2f}")
        if pair.correlation is not None and pair.correlation >= CORRELATION:
            signs.append(f"heatmaps correlate by {pair.correlation:.2f}")
        if pair.second in record.prototypes[pair.first].alike:
            signs.append("the same thing on training images")
        if signs:
            first, second = (_name(record, number) for number in (pair.first, pair.second))
            text = f"{first} and {second}: {', '.join(signs)}."
            found.append(Finding("alike", text, (pair.first, pair.second)))
    return found


def _cancels(figures: ClassFigures) -> list[Finding]:
    if figures.held_out is None:
        limit = NORM_EXCESS * sqrt(max(1, len(figures.live)))
        if figures.norm_sum is None or figures.norm_sum <= limit:
            return []
        text = f"The norms sum to {figures.norm_sum:.2f} of the whole; {limit:.2f} is the limit."
        return [Finding("cancels", text)]
    found = []
    cancelled, negative = figures.held_out.cancelled, figures.held_out.negative
    if cancelled is not None and cancelled > CANCELLED:
        text = f"{per_cent(cancelled)} of the heat is taken away by other prototypes."
        found.append(Finding("cancels", text))
    if negative is not None and negative > NEGATIVE:
        found.append(Finding("cancels", f"{per_cent(negative)} of the evidence counts against it."))
    return found


def _background(record: ClassRecord, figures: ClassFigures) -> list[Finding]:
    if figures.held_out is None:
        return []
    found = []
    for number in figures.live:
        text = _ground(figures.held_out, number)
        if text:
            found.append(Finding("background", f"{_name(record, number)}: {text}.", (number,)))
    return found


def _ground(held_out: HeldOut, number: int) -> str:
    """What speaks for the background, with the best knowledge there is; empty if nothing does."""
    if held_out.off_object is not None:
        off = held_out.off_object
        if off.peaks[number] >= OFF_IMAGES:
            return f"the peak is off the object in {per_cent(off.peaks[number])} of the images"
        if off.evidence[number] >= off.area:  # NaN compares false
            return (
                f"{per_cent(off.evidence[number])} of its evidence is off the object, which leaves "
                f"{per_cent(off.area)} of the images free"
            )
        return ""
    if held_out.off_parts is not None:
        missed = held_out.off_parts[number]
        if missed >= OFF_IMAGES:
            return f"no part is near the peak in {per_cent(missed)} of the images"
        return ""
    border = held_out.border[number]
    if border >= BORDER_IMAGES:
        return f"the peak is at the border in {per_cent(border)} of the images"
    return ""


def _weak(record: ClassRecord, figures: ClassFigures) -> list[Finding]:
    if figures.held_out is None or len(figures.live) < 2:
        return []
    limit = WEAK / len(figures.live)
    found = []
    for number in figures.live:
        share = figures.held_out.shares[number]
        if abs(share) < limit:  # NaN compares false
            text = f"{_name(record, number)}: {per_cent(share, 1)} of the evidence."
            found.append(Finding("weak", text, (number,)))
    return found


def _training(record: ClassRecord) -> list[Finding]:
    if record.images >= TRAINING_IMAGES:
        return []
    return [Finding("training", f"{number_of(record.images, 'training image')}.")]


def _held_out(figures: ClassFigures) -> list[Finding]:
    count = 0 if figures.held_out is None else figures.held_out.images
    if count >= HELD_OUT_IMAGES:
        return []
    return [Finding("held-out", f"{number_of(count, 'held-out image')}.")]


def _edited(record: ClassRecord, edits: tuple[EditRecord, ...]) -> list[Finding]:
    return [
        Finding(
            "edited",
            f"{_name(record, key.prototype)} muted by edit {number}: {_sentence(edit.reason)}",
            (key.prototype,),
        )
        for number, edit in enumerate(edits, start=1)
        for key in edit.muted
        if key.class_index == record.index
    ]


def _name(record: ClassRecord, number: int) -> str:
    """A prototype's number as the pages count, from 0, and its name where it has one of its own."""
    name = record.prototypes[number].name
    return f"#{number}" if name == f"prototype {number}" else f"#{number} {name}"


def _sentence(text: str) -> str:
    line = " ".join(text.split())
    return line if line.endswith((".", "!", "?")) else f"{line}."

"""What a person should look at twice: rules with fixed thresholds, most without annotations.

A warning is a reason to look, not a verdict. Every rule is listed in :data:`RULES` with the words
that the report prints, thresholds included; judge.py has the function of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from exporter.report.words import per_cent

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
"""Share of images whose peak may lie off the object, or near no keypoint of it."""

STEADY = 0.5
"""Share of images whose peak should be near one and the same keypoint."""

WEAK = 0.25
"""Times 1 / k: a prototype with less than a quarter of an equal share counts little."""

TRAINING_IMAGES = 20
HELD_OUT_IMAGES = 5

RECOGNISED = 0.5
"""Share of a class's held-out images that the model should recognise."""

RESIDUAL = 1e-4
"""Of the summands of a logit; float32 leaves a thousandth of it."""

Severity = Literal["serious", "look", "note"]
SEVERITIES: tuple[Severity, ...] = ("serious", "look", "note")
"""The worst first: do not read on before it is mended, look at it, and know it."""

Question = Literal["sum", "thing", "matter", "basis"]
"""What a rule or a metric is about: the model's own sum, one thing for each part, whether taking a
part away matters; and what all of that rests on."""


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
        kind: Its stable name.
        severity: How much it weighs.
        question: What it is about.
        title: A few words.
        when: When it speaks, with its thresholds.
        why: What it may mean.
        do: What to do about it.
    """

    kind: str
    severity: Severity
    question: Question
    title: str
    when: str
    why: str
    do: str


RULES: tuple[Rule, ...] = (
    Rule(
        "sum",
        "serious",
        "sum",
        "Does not add up",
        f"The sum of all terms misses the logit by more than {RESIDUAL:g} of their size.",
        "The explanation is not that of this model.",
        "Run protohead verify on the artifact.",
    ),
    Rule(
        "recognised",
        "serious",
        "basis",
        "Rarely recognised",
        f"The model recognises fewer than {per_cent(RECOGNISED)} of the class's held-out images.",
        "What explains a class that is mostly missed explains little.",
        "Check the labels and the preprocessing first, then see the mistakes.",
    ),
    Rule(
        "background",
        "look",
        "thing",
        "On the background",
        "With masks: the peak is more than half a cell off the object in at least "
        f"{per_cent(OFF_IMAGES)} of the images, or the evidence lies off it as much as a blind "
        "heatmap's would.",
        "The model may have learnt the surroundings.",
        "Mute the part with protohead edit and see what the accuracy does.",
    ),
    Rule(
        "keypoints",
        "look",
        "thing",
        "Near no keypoint",
        "With keypoints and without masks: none is near the peak in at least "
        f"{per_cent(OFF_IMAGES)} of the images.",
        "It looks at what nobody marked: the surroundings, or a place between the keypoints.",
        "Look at its heatmaps below.",
    ),
    Rule(
        "scattered",
        "look",
        "thing",
        "Looks at different things",
        "With keypoints: the one that the peak is near most often is near it in fewer than "
        f"{per_cent(STEADY)} of the images.",
        "It may stand for several things, or for one that has no keypoint.",
        "Look at its crops and heatmaps below, and name it only if they agree.",
    ),
    Rule(
        "alike",
        "look",
        "thing",
        "Look alike",
        f"Two parts have prototypes with a cosine of at least {COSINE:g}, heatmaps that correlate "
        f"by at least {CORRELATION:g} on average, or show the same thing on the training images.",
        "They may be one part, named twice, or two places of it.",
        "Read the two as one, or export the class with fewer parts.",
    ),
    Rule(
        "cancels",
        "look",
        "matter",
        "Evidence cancels",
        f"Parts take away more than {per_cent(CANCELLED)} of each other's heat, or more than "
        f"{per_cent(NEGATIVE)} of the evidence counts against the class. Without images: the norms "
        f"of the prototypes sum to more than {NORM_EXCESS:g} times sqrt(k) times the norm of their "
        "sum.",
        "Large parts of opposite sign can explain anything.",
        "Read none of them alone.",
    ),
    Rule(
        "whole",
        "note",
        "thing",
        "Kept whole",
        "The class had too few usable training images to be split.",
        "Its one part is its whole head row: it shows where, not which parts.",
        "Export with more images of it.",
    ),
    Rule(
        "border",
        "note",
        "thing",
        "Peaks at the border",
        f"Without masks and keypoints: the peak is at the border in at least "
        f"{per_cent(BORDER_IMAGES)} of the images.",
        "Where the object is, nobody said: it may reach to the border, or the part looks past it.",
        "Look at its heatmaps below, or give --parts.",
    ),
    Rule(
        "weak",
        "note",
        "matter",
        "Counts little",
        f"A part's share of the evidence is below {WEAK:g} / k.",
        "Its heatmap is relative to its own peak and looks as strong as any other.",
        "Go by its number, not by its colour.",
    ),
    Rule(
        "edited",
        "note",
        "sum",
        "Edited",
        "A part of the class was muted.",
        "The model decides otherwise than the one that was trained.",
        "Read the reason and the effect under Edits.",
    ),
    Rule(
        "training",
        "note",
        "basis",
        "Few training images",
        f"The parts were found on fewer than {TRAINING_IMAGES} images.",
        "Other images may give other parts.",
        "Export with more images of it.",
    ),
    Rule(
        "held-out",
        "note",
        "basis",
        "Few held-out images",
        f"Fewer than {HELD_OUT_IMAGES} held-out images were measured.",
        "The figures of this class say little.",
        "Give more images of it in --data.",
    ),
    Rule(
        "export",
        "note",
        "basis",
        "Noted at export",
        "The export left a warning in the manifest.",
        "See what it says.",
        "Follow it, and export again.",
    ),
)
"""The worst first, and of equal ones those about the first question."""

BY_KIND = {rule.kind: rule for rule in RULES}

"""The warnings of one class: a function for each rule of rules.py."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

from exporter.report.measure import ClassFigures, HeldOut
from exporter.report.rules import (
    BORDER_IMAGES,
    CANCELLED,
    CORRELATION,
    COSINE,
    HELD_OUT_IMAGES,
    NEGATIVE,
    NORM_EXCESS,
    OFF_IMAGES,
    RECOGNISED,
    RESIDUAL,
    RULES,
    STEADY,
    TRAINING_IMAGES,
    WEAK,
    Finding,
)
from exporter.report.words import number_of, per_cent
from serving.artifact import ClassRecord
from serving.artifact.classes import fixed_name
from serving.artifact.edits import EditRecord

_ORDER = {rule.kind: place for place, rule in enumerate(RULES)}


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
        *(_scattered(record, figures) if split else []),
        *(_alike(record, figures) if split else []),
        *(_cancels(figures) if split else []),
        *(_ground(record, figures) if split else []),
        *(_weak(record, figures) if split else []),
        *(_training(record) if split else []),
        *_held_out(figures),
        *_edited(record, edits),
        *(Finding("export", _sentence(text)) for text in record.warnings if split),
    ]
    return tuple(sorted(found, key=lambda finding: _ORDER[finding.kind]))


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


def _ground(record: ClassRecord, figures: ClassFigures) -> list[Finding]:
    """What speaks against the place of a part, by the best knowledge of the object there is."""
    if figures.held_out is None:
        return []
    found = []
    for number in figures.live:
        kind, text = _misplaced(figures.held_out, number)
        if text:
            found.append(Finding(kind, f"{_name(record, number)}: {text}.", (number,)))
    return found


def _misplaced(held_out: HeldOut, number: int) -> tuple[str, str]:
    """The rule that knows most, and what it says; empty if nothing is wrong."""
    if held_out.off_object is not None:
        off = held_out.off_object
        if off.peaks[number] >= OFF_IMAGES:
            share = per_cent(off.peaks[number])
            return "background", f"the peak is off the object in {share} of the images"
        if off.evidence[number] >= off.area:  # NaN compares false
            return "background", (
                f"{per_cent(off.evidence[number])} of its evidence is off the object, which leaves "
                f"{per_cent(off.area)} of the images free"
            )
        return "background", ""
    if held_out.off_parts is not None:
        missed = held_out.off_parts[number]
        text = f"no keypoint is near the peak in {per_cent(missed)} of the images"
        return "keypoints", text if missed >= OFF_IMAGES else ""
    border = held_out.border[number]
    text = f"the peak is at the border in {per_cent(border)} of the images"
    return "border", text if border >= BORDER_IMAGES else ""


def _scattered(record: ClassRecord, figures: ClassFigures) -> list[Finding]:
    if figures.held_out is None or figures.held_out.steady is None:
        return []
    found = []
    for number in figures.live:
        share = figures.held_out.steady[number]
        # What is off the object, or near no keypoint at all, has been said already.
        if share < STEADY and not _misplaced(figures.held_out, number)[1]:
            text = f"the peak is near one and the same keypoint in {per_cent(share)} of the images"
            found.append(Finding("scattered", f"{_name(record, number)}: {text}.", (number,)))
    return found


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
    return fixed_name(number, record.prototypes[number].name)


def _sentence(text: str) -> str:
    line = " ".join(text.split())
    return line if line.endswith((".", "!", "?")) else f"{line}."

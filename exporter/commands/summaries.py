"""Results as the command line words them, for people and for machines."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter.report.words import number_of
from serving.artifact import MODEL, Artifact
from serving.artifact.classes import words
from serving.artifact.edits import EffectRecord
from serving.artifact.trust import read_doubts
from serving.drawing.lettering import percent
from serving.drawing.sentence import ranked, sentence_of
from serving.model.explanation import Explanation

if TYPE_CHECKING:
    from exporter.inspection.forecast import DryRun
    from exporter.pipelines.report import Report

_SHOWN = 5  # changes of an edit
_BY_CHANCE = 1.5  # of the share that guessing gets right, as a few images may have it
_DOUBTFUL = 0.5  # a share of training images recognised that no trained classifier falls below
_FEW = (
    "Few images are recognised: check the preprocessing and the labels. Explanations of wrongly "
    "prepared images are wrong."
)


def dry_run_summary(found: DryRun) -> str:
    """What an export would come to, for people."""
    rows = found.rows()
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:{width}}  {value}" for name, value in rows]
    if found.accuracy < _DOUBTFUL:
        lines.append(_FEW)
    return "\n".join([*lines, "Nothing was written."])


def export_summary(out: Path, artifact: Artifact) -> str:
    """What an export came to, for people."""
    manifest = artifact.manifest
    records = manifest.classes
    whole = sum(record.state == "whole" for record in records)
    images = sum(record.images for record in records)
    correct = sum(record.images * (record.accuracy or 0) for record in records) / images
    ratios = [r.residual_ratio for r in records if r.residual_ratio is not None] or [0.0]
    warned = [r for r in records if r.state == "decomposed" and r.warnings]
    states = Counter(gate.state for gate in manifest.verification)
    placed = [r.placed for r in records if r.placed is not None]
    lines = [
        str(out),
        f"  {number_of(len(records) - whole, 'class', 'classes')} split into "
        f"{manifest.prototypes} parts, {whole} kept whole",
        f"  {images} images, {sum(record.skipped for record in records)} skipped; the model gives "
        f"{correct:.1%} of them their class",
        f"  |R|/|v| from {min(ratios):.2f} to {max(ratios):.2f}",
        f"  {states['passed']} gates passed, {states['skipped']} skipped",
    ]
    repeated = sum(r.distinct < len(r.prototypes) for r in records)
    if placed:
        lines.append(
            f"  {min(placed):.0%} to {max(placed):.0%} of the evidence for a class has a place in "
            "its pictures, the rest comes from no place"
        )
    if repeated:
        lines.append(
            f"  {number_of(repeated, 'class', 'classes')} with parts that show the same thing "
            "in two places; `alike` in the manifest says which"
        )
    if warned:
        first = f"{warned[0].label}: {warned[0].warnings[0]}"
        counted = number_of(len(warned), "class", "classes")
        lines.append(f"  {counted} with warnings in the manifest; the first, {first}")
    lines += _look_twice(artifact)
    if correct < _DOUBTFUL:
        lines.append(f"  {_FEW}")
    if manifest.activation == "softmax" and correct <= _BY_CHANCE / len(records):
        lines.append("  It is no more than by chance: are the weights the trained ones?")
    return "\n".join(lines)


def _look_twice(artifact: Artifact) -> list[str]:
    """How many parts there is something to doubt about, and the first of them."""
    manifest = artifact.manifest
    found = [
        f"{record.label}:{number}: {doubts[0].says}"
        for record, parts in zip(manifest.classes, read_doubts(artifact), strict=True)
        for number, doubts in enumerate(parts)
        if doubts and (record.index, number) not in manifest.muted
    ]
    if not found:
        return []
    return [f"  {number_of(len(found), 'part')} to look at twice; the first, {found[0]}"]


def edit_summary(out: Path, artifact: Artifact) -> str:
    """What the last edit of an artifact does."""
    manifest = artifact.manifest
    edit = manifest.edits[-1]
    lines = [str(out), f"  reason: {edit.reason}"]
    for key in edit.muted:
        record = manifest.classes[key.class_index]
        muted = record.prototypes[key.prototype].name
        lines.append(f"  muted {record.label}:{key.prototype}, {muted!r}")
    for name in edit.renamed:
        label = manifest.classes[name.class_index].label
        lines.append(f"  named {label}:{name.prototype} {name.after!r}, it was {name.before!r}")
    if edit.trust:
        lines += ["  held-out figures put in", *_look_twice(artifact)]
    if edit.effect:
        lines += _effect(edit.effect, manifest.labels)
    else:
        lines.append("  effect not measured: pass --data with class folders to measure it")
    passed = sum(gate.state == "passed" for gate in manifest.verification)
    lines.append(f"  {passed} gates passed")
    lines.append(f"  back to the artifact before: protohead edit {out} --undo --out DIR")
    return "\n".join(lines)


def convert_summary(out: Path, artifact: Artifact) -> str:
    """What was added to an artifact."""
    manifest = artifact.manifest
    added = manifest.graphs[-1]
    given = added.inputs[0]
    shape = " x ".join("b" if size is None else str(size) for size in given.shape)
    passed = sum(gate.state == "passed" for gate in manifest.verification)
    return "\n".join(
        [
            str(out),
            f"  {added.file} takes {given.name!r}, {given.dtype} {shape} ({given.layout}, "
            f"{given.channels})",
            f"  and gives {', '.join(value.name for value in added.outputs)}",
            f"  {passed} gates passed",
        ]
    )


def undo_summary(out: Path, artifact: Artifact) -> str:
    """What came back."""
    edits = len(artifact.manifest.edits)
    left = f"{edits} edits before it are still in" if edits else "it was never edited"
    return f"{out}\n  the artifact before the last edit, byte for byte; {left}"


def quantize_summary(out: Path, artifact: Artifact, before: int) -> str:
    """What a quantisation came to; ``before`` is the size of the parent's graph in bytes."""
    manifest = artifact.manifest
    record = manifest.quantised
    if record is None:
        raise ValueError("expected a quantised artifact")
    found, size = record.agreement, artifact.path(MODEL).stat().st_size
    passed = sum(gate.state == "passed" for gate in manifest.verification)
    kept = "their best class"
    if manifest.activation == "sigmoid":
        kept = "every class on its side of one half"
    lines = [
        str(out),
        f"  {record.to}, the head in float32; {MODEL} {before / 1e6:.2f} MB before, "
        f"{size / 1e6:.2f} MB after",
        f"  {found.top_1:.1%} of {found.images} images of {found.data} keep {kept}",
        f"  {found.peaks.same_cell:.1%} of heatmaps peak in the same cell; in the median "
        f"{found.peaks.median_distance:.1f} pixels apart, at most "
        f"{found.peaks.largest_distance:.1f}",
        f"  contributions differ by {found.contributions.median:.2%} of the summands in the "
        f"median, at most by {found.contributions.largest:.2%}",
    ]
    if found.accuracy_before is not None and found.accuracy_after is not None:
        lines.append(
            f"  accuracy {found.accuracy_before:.2%} before, {found.accuracy_after:.2%} after"
        )
    if record.calibration:
        lines.append(f"  ranges taken from {record.calibration} other images")
    if found.skipped:
        lines.append(f"  {found.skipped} files skipped, they are no images")
    lines.append(f"  {passed} gates passed")
    return "\n".join(lines)


def _effect(effect: EffectRecord, labels: tuple[str, ...]) -> list[str]:
    lines = [
        f"  {effect.images} images of {effect.data}: accuracy {effect.accuracy_before:.2%} before, "
        f"{effect.accuracy_after:.2%} after",
        f"  best class of {len(effect.changes)} images changed: {effect.corrected} corrected, "
        f"{effect.broken} broken",
    ]
    lines += [
        f"    {change.image}: {labels[change.before]} -> {labels[change.after]}"
        for change in effect.changes[:_SHOWN]
    ]
    if len(effect.changes) > _SHOWN:
        lines.append(f"    and {len(effect.changes) - _SHOWN} more in the manifest")
    lines += [
        f"  {labels[found.class_index]}: {found.recognised_before} of its {found.images} images "
        f"recognised before, {found.recognised_after} after; {found.predicted_before} images of "
        f"any class taken for it before, {found.predicted_after} after"
        for found in effect.classes
    ]
    if effect.skipped:
        lines.append(f"  {effect.skipped} files skipped, they are no images")
    return lines


def report_summary(path: Path, report: Report) -> str:
    """What it came to, for people."""
    each = report.class_bytes / max(1, report.shown)
    lines = [
        str(path),
        f"  {number_of(report.classes, 'class', 'classes')}, {report.warned} with warnings",
        *(f"  {answer.title} {answer.short}" for answer in report.answers),
        f"  {len(report.html) / 1e6:.1f} MB, {each / 1e3:.0f} kB a class",
    ]
    if report.shown < report.classes:
        lines.append(
            f"  {report.shown} classes are shown with pictures, those with the most warnings; "
            "--classes chooses others, --max-classes shows more"
        )
    return "\n".join(lines)


def explanation_summary(image: str, explanation: Explanation, count: int) -> str:
    """The answer for an image, for people: one sentence, and the parts of so many classes."""
    lines = [f"{image}: {sentence_of(explanation)}"]
    split = [explained for explained in explanation.classes[:count] if not explained.whole]
    for explained in split:
        if count > 1:
            lines.append(f"  {words(explained.label)}, {percent(explained.probability)}")
        parts = ranked(explained)
        width = max(len(part.fixed_name) for part in parts)
        for_it = sum(max(part.contribution, 0.0) for part in parts)
        for rank, part in enumerate(parts, 1):
            row = f"  {rank:2}  {part.fixed_name:{width}}  {part.contribution:+6.2f}"
            share = f"  {part.contribution / for_it:4.0%}" if part.contribution > 0 else ""
            lines.append(row + share)
        rest = explained.logit - sum(part.contribution for part in parts)
        lines.append(f"      {'':{width}}  {rest:+6.2f}  bias and what no part adds")
        lines.append(f"      {'':{width}}  {explained.logit:+6.2f}  the logit")
    return "\n".join(lines)


def explanation_record(explanation: Explanation) -> dict[str, Any]:
    """An explanation without its heatmaps, for machines."""
    return {
        "sentence": sentence_of(explanation),
        "residual": explanation.residual,
        "classes": [
            {
                "class": explained.class_id,
                "label": explained.label,
                "logit": explained.logit,
                "probability": explained.probability,
                "bias": explained.bias,
                "common": explained.common,
                "unplaced": explained.unplaced,
                "rounding": explained.rounding,
                "placed": explained.placed,
                "contributions": {p.name: p.contribution for p in explained.prototypes},
                "doubts": {
                    p.name: [doubt.says for doubt in p.doubts]
                    for p in explained.prototypes
                    if p.doubts
                },
            }
            for explained in explanation.classes
        ],
    }

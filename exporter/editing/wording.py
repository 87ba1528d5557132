"""An edit as the command line words it, for people."""

from __future__ import annotations

from pathlib import Path

from serving.artifact import Artifact
from serving.edits import EffectRecord

_SHOWN = 5


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
    if edit.effect:
        lines += _effect(edit.effect, manifest.labels)
    else:
        lines.append("  effect not measured: pass --data with class folders to measure it")
    passed = sum(gate.state == "passed" for gate in manifest.verification)
    lines.append(f"  {passed} gates passed")
    lines.append(f"  back to the artifact before: protohead edit {out} --undo --out DIR")
    return "\n".join(lines)


def undo_summary(out: Path, artifact: Artifact) -> str:
    """What came back."""
    edits = len(artifact.manifest.edits)
    left = f"{edits} edits before it are still in" if edits else "it was never edited"
    return f"{out}\n  the artifact before the last edit, byte for byte; {left}"


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

"""Results as the command line words them, for people and for machines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serving.artifact import Artifact, GateRecord
from serving.explanation import Explanation

_DOUBTFUL = 0.5  # a share of training images recognised that no trained classifier falls below


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
    lines = [
        str(out),
        f"  {len(records) - whole} classes decomposed into {manifest.prototypes} prototypes, "
        f"{whole} kept whole",
        f"  {images} images, {sum(record.skipped for record in records)} skipped; the model gives "
        f"{correct:.1%} of them their class",
        f"  |R|/|v| from {min(ratios):.2f} to {max(ratios):.2f}",
        f"  {states['passed']} gates passed, {states['skipped']} skipped",
    ]
    if warned:
        first = f"{warned[0].label}: {warned[0].warnings[0]}"
        lines.append(f"  {len(warned)} classes with warnings in the manifest; the first, {first}")
    if correct < _DOUBTFUL:
        lines.append(
            "  Few images are recognised: check the preprocessing and the labels. Explanations of "
            "wrongly prepared images are wrong."
        )
    return "\n".join(lines)


def explanation_record(explanation: Explanation) -> dict[str, Any]:
    """An explanation without its heatmaps, for machines."""
    return {
        "residual": explanation.residual,
        "classes": [
            {
                "class": explained.class_id,
                "label": explained.label,
                "logit": explained.logit,
                "probability": explained.probability,
                "bias": explained.bias,
                "common": explained.common,
                "contributions": {p.name: p.contribution for p in explained.prototypes},
            }
            for explained in explanation.classes
        ],
    }


def gates_json(gates: Sequence[GateRecord]) -> str:
    """The gates of a verification, for machines."""
    return json.dumps([gate.model_dump(mode="json") for gate in gates], indent=1)

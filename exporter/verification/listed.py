"""Every gate that an artifact is held to, also those that an early failure leaves unmeasured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from exporter.verification.comparison import batch_size
from serving.artifact import (
    MANIFEST,
    MODEL,
    STEERABLE,
    GateRecord,
    GraphRecord,
    Manifest,
    read_manifest,
)
from serving.errors import ArtifactError


def unmeasured(folder: Path, decided: Sequence[GateRecord]) -> list[GateRecord]:
    """The gates that were not come to, as skipped; none where everything was measured.

    Args:
        folder: The artifact, which may be damaged: of one without a manifest it is the gates that
            every artifact has.
        decided: The gates so far.
    """
    failed = ", ".join(gate.name for gate in decided if gate.state == "failed")
    if not failed:
        return []
    try:
        manifest = read_manifest(folder / MANIFEST)
    except ArtifactError:
        manifest = None
    there = {gate.name for gate in decided}
    return [
        GateRecord(name=name, state="skipped", detail=f"not measured, because {failed} failed")
        for name in gate_names(manifest)
        if name not in there
    ]


def gate_names(manifest: Manifest | None) -> list[str]:
    """The gates of an artifact in their order, but for what depends on the images that are given.

    Args:
        manifest: Of the artifact; None where it is not known.
    """
    edited = manifest is not None and bool(manifest.edits)
    rounds = manifest is not None and manifest.head.rounding
    return [
        "integrity",
        *(("edits undo", "edit records") if edited else ()),
        "logits, batch 1",
        f"logits, batch {batch_size(manifest)}",
        "batch independence",
        "neutral mask",
        *(("edited logits", "untouched classes", "muted prototypes") if edited else ()),
        "completeness",
        "completeness, all",
        *(("rounding",) if rounds else ()),
        "heatmap means",
        "top-1 agreement",
        "grid",
        "prototypes sum to head",
        "stored prototypes",
        "golden batch",
        "golden pictures",
        *(name for graph in (manifest.graphs if manifest else ()) for name in _of(graph)),
    ]


def _of(graph: GraphRecord) -> list[str]:
    names = ["description"]
    dense = graph.variant == "dense"
    if graph.file not in (MODEL, STEERABLE):
        names.append("logits" if dense else "pixels")
        names += ["completeness", "contributions", "heatmaps", "operators"] if dense else []
    return [f"{graph.file}: {name}" for name in names]

"""Results -> the files of an artifact.

Same inputs, same bytes: no time, no path, fixed order and fixed names.
Symbols: c classes, k prototypes, d channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from exporter.config import ExportConfig
from exporter.decompose import Decomposition, Summary, smoothing_of
from exporter.head import Head
from exporter.head.rows import Activation, HeadRows
from exporter.images.dataset import ClassImages, Dataset
from exporter.images.evidence import Crop
from exporter.images.features import ClassFeatures
from exporter.images.trust import LIMITS, border_chance
from exporter.smoothing import Passes
from exporter.source.onnx_file import Source
from exporter.surgery import free_prefix
from exporter.writing.atomic import replace_files
from exporter.writing.golden import write_golden
from exporter.writing.graphs import HowExplained, head_record, write_graphs
from exporter.writing.staging import Staging
from serving.artifact import (
    EVIDENCE,
    GOLDEN,
    MANIFEST,
    MODEL,
    PROTOTYPES,
    STEERABLE,
    TRUST,
    ClassRecord,
    ContextRecord,
    DecomposedClass,
    EvidenceRecord,
    GateRecord,
    InputRecord,
    Manifest,
    MethodRecord,
    Preprocessing,
    PrototypeRecord,
    SolveRecord,
    SourceRecord,
    WholeClass,
    dump_manifest,
    manifest_contents,
    sha256_of,
)
from serving.artifact.layout import image_shape
from serving.artifact.trust import TrainingTrust, Trust, dump_trust


@dataclass(frozen=True)
class ArtifactParts:
    """Everything an artifact is made of, besides its classes."""

    source: Source
    head: Head
    preprocessing: Preprocessing
    grid: tuple[int, int]
    rows: HeadRows
    dataset: Dataset
    config: ExportConfig

    @property
    def smoothing(self) -> Passes:
        """Passes over the heatmaps, down and across."""
        return smoothing_of(self.config.method, self.grid)


def write_artifact(staging: Staging, parts: ArtifactParts) -> Manifest:
    """Write every file of the artifact into the staging folder.

    Precondition: every class is finished. Postcondition: the folder loads as an artifact whose
    manifest has no verification yet.

    Args:
        staging: Where the finished classes and the evidence are.
        parts: The rest.

    Returns:
        The manifest.

    Raises:
        SurgeryError: The outputs cannot be added to this graph.
        DatasetError: Not one image can be decoded for the golden batch.
    """
    folder = staging.artifact
    finished = staging.finished()
    classes = [finished[entry.index].record for entry in parts.dataset.classes]
    prototypes = np.stack([finished[entry.index].prototypes for entry in parts.dataset.classes])
    tensors = {
        "prototypes": prototypes,
        "scale": scale_table(classes, prototypes.shape[1]),
        "bias": parts.head.bias.astype(np.float32),
        "reference": parts.rows.reference,
    }
    # Not save_file, which makes a file that only its owner may read.
    (folder / PROTOTYPES).write_bytes(save(tensors))
    seen = TrainingTrust(
        classes=tuple(finished[entry.index].trust for entry in parts.dataset.classes)
    )
    trust = Trust(border_chance=border_chance(parts.grid), limits=LIMITS, training=seen)
    (folder / TRUST).write_bytes(dump_trust(trust))
    draft = _draft(parts, classes)
    how = HowExplained(
        prototypes=prototypes,
        reference=None if parts.rows.name == "none" else parts.rows.reference,
        top=draft.top,
        grid=parts.grid,
        smoothing=parts.smoothing,
    )
    write_graphs(folder, parts.source.model, parts.head, how, draft, tensors)
    pictures = write_golden(folder, parts.source.input, parts.preprocessing, parts.dataset)
    names = sorted([*draft.files, *pictures])
    manifest = draft.model_copy(
        update={"files": {name: sha256_of(folder / name) for name in names}}
    )
    write_manifest(folder, manifest)
    return manifest


def _draft(parts: ArtifactParts, classes: list[ClassRecord]) -> Manifest:
    """The manifest before there are files to hash: the graphs carry some of it."""
    crops = {f for c in classes for p in c.prototypes for e in p.evidence for f in e.files}
    names = sorted([MODEL, STEERABLE, PROTOTYPES, GOLDEN, TRUST, *crops])
    return Manifest(
        source=SourceRecord(file=parts.source.name, sha256=parts.source.sha256),
        input=InputRecord(
            name=parts.source.input.name,
            shape=(parts.source.input.shape[0], *_input_shape(parts.preprocessing)),
            dtype=parts.source.input.dtype,
            preprocessing=parts.preprocessing,
        ),
        prefix=free_prefix(parts.source.model),
        activation=parts.rows.activation,
        prototypes=parts.config.prototypes,
        top=min(parts.config.top, len(classes)),
        head=head_record(parts.head, parts.grid),
        method=MethodRecord(
            name=parts.config.method,
            reference=parts.rows.name,
            seed=parts.config.seed,
            max_images=parts.config.max_images,
            min_images=parts.config.min_images,
            smoothing=parts.smoothing,
            start=(parts.config.start or "zeros") if parts.config.method == "paper" else None,
            holdout=parts.config.holdout,
        ),
        classes=tuple(classes),
        files=dict.fromkeys(names, "0" * 64),
    )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest and its hash into an artifact's folder."""
    contents = manifest_contents(dump_manifest(manifest))
    replace_files({folder / name: content for name, content in contents.items()})


def add_verification(folder: Path, gates: tuple[GateRecord, ...]) -> None:
    """Record in the manifest what verification measured."""
    manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    write_manifest(folder, manifest.model_copy(update={"verification": gates}))


def scale_table(classes: Sequence[ClassRecord], k: int) -> NDArray[np.float32]:
    """(c, k): alpha of each class; a whole class has none, which is written as zeros."""
    table = np.zeros((len(classes), k), dtype=np.float32)
    for row, record in zip(table, classes, strict=True):
        row[: len(record.scale)] = record.scale
    return table


def _input_shape(preprocessing: Preprocessing) -> tuple[int, int, int]:
    channels = len(preprocessing.channels)
    return image_shape(preprocessing.layout, channels, preprocessing.size)


def crop_file(index: int, prototype: int, rank: int) -> str:
    """The name of an evidence crop below the artifact."""
    return f"{EVIDENCE}/{index:05d}/{prototype}-{rank}.jpg"


def context_file(index: int, prototype: int, rank: int) -> str:
    """The name of the whole image around a crop; the first crop of an image names it."""
    return f"{EVIDENCE}/{index:05d}/{prototype}-{rank}-context.jpg"


def evidence_files(index: int, crops: list[list[Crop]]) -> Iterator[tuple[str, bytes]]:
    """Name below the artifact and bytes of each evidence file of a class; a name may come again."""
    for number, found in enumerate(crops):
        for rank, crop in enumerate(found):
            yield crop_file(index, number, rank), crop.jpeg
            if crop.context is not None:
                yield context_file(index, *crop.context.first), crop.context.jpeg


def class_record(
    entry: ClassImages,
    features: ClassFeatures,
    decomposition: Decomposition | None,
    crops: list[list[Crop]],
    likeness: tuple[tuple[int, ...], ...],
    dataset: Dataset,
    warnings: tuple[str, ...],
    activation: Activation,
    placed: float | None,
) -> ClassRecord:
    """The record of one class.

    Args:
        entry: The class.
        features: Its feature maps.
        decomposition: How its head row was split; None where it was kept whole.
        crops: The evidence of each prototype.
        likeness: The numbers of the others that show the same thing as each prototype.
        dataset: The data the images come from.
        warnings: What the user should know of this class.
        activation: What turns the logits into probabilities.
        placed: The share of its evidence that has a place; None where the head adds nothing else.
    """
    prototypes = tuple(
        PrototypeRecord(
            name=f"prototype {number}" if decomposition else "whole",
            alike=others,
            evidence=tuple(
                _evidence(crop, entry.index, (number, rank), dataset)
                for rank, crop in enumerate(found)
            ),
        )
        for number, (found, others) in enumerate(zip(crops, likeness, strict=True))
    )
    count = len(features.paths)
    correct = recognised(features.logits, entry.index, activation) if count else 0
    common = {
        "index": entry.index,
        "label": entry.label,
        "images": count,
        "skipped": len(features.skipped) + entry.others,
        "accuracy": correct / count if count else None,
        "placed": placed,
        "prototypes": prototypes,
    }
    if decomposition is None:
        return WholeClass(warnings=warnings, **common)
    return DecomposedClass(
        residual_ratio=decomposition.residual_ratio,
        scale=tuple(decomposition.scale.tolist()),
        regularization=decomposition.regularization,
        discovery=_solve(decomposition.discovery),
        scaling=_solve(decomposition.scaling),
        refinement=_solve(decomposition.refinement),
        warnings=(*warnings, *decomposition.warnings),
        **common,
    )


def recognised(logits: NDArray[np.float32], index: int, activation: Activation) -> int:
    """Images that the model gives to a class: the best of all, or more likely than not."""
    if activation == "sigmoid":
        return int((logits[:, index] >= 0).sum())
    return int((logits.argmax(axis=1) == index).sum())


def _evidence(crop: Crop, index: int, place: tuple[int, int], dataset: Dataset) -> EvidenceRecord:
    context = crop.context
    return EvidenceRecord(
        file=crop_file(index, *place),
        image=dataset.image_id(crop.path),
        value=crop.value,
        box=crop.box,
        context=context
        and ContextRecord(file=context_file(index, *context.first), box=context.box),
    )


def _solve(summary: Summary) -> SolveRecord:
    """How a step went; the format tells settled from not, the warnings tell how it ended."""
    return SolveRecord(
        iterations=summary.iterations,
        objective=summary.objective,
        converged=summary.converged,
    )

"""Results of the stages -> the records of the manifest."""

from __future__ import annotations

from exporter.dataset import ClassImages, Dataset
from exporter.decompose import Decomposition, Summary
from exporter.evidence import Crop
from exporter.features import ClassFeatures
from serving.artifact import (
    EVIDENCE,
    ClassRecord,
    DecomposedClass,
    EvidenceRecord,
    PrototypeRecord,
    SolveRecord,
    WholeClass,
)


def crop_file(index: int, prototype: int, rank: int) -> str:
    """The name of an evidence crop below the artifact."""
    return f"{EVIDENCE}/{index:05d}/{prototype}-{rank}.jpg"


def class_record(
    entry: ClassImages,
    features: ClassFeatures,
    decomposition: Decomposition | None,
    crops: list[list[Crop]],
    dataset: Dataset,
    warnings: tuple[str, ...],
) -> ClassRecord:
    """The record of one class.

    Args:
        entry: The class.
        features: Its feature maps.
        decomposition: How its head row was split; None where it was kept whole.
        crops: The evidence of each prototype.
        dataset: The data the images come from.
        warnings: What the user should know of this class.
    """
    prototypes = tuple(
        PrototypeRecord(
            name=f"prototype {number}" if decomposition else "whole",
            evidence=tuple(
                _evidence(crop, crop_file(entry.index, number, rank), dataset)
                for rank, crop in enumerate(found)
            ),
        )
        for number, found in enumerate(crops)
    )
    count = len(features.paths)
    correct = int((features.logits.argmax(axis=1) == entry.index).sum()) if count else 0
    common = {
        "index": entry.index,
        "label": entry.label,
        "images": count,
        "skipped": len(features.skipped),
        "accuracy": correct / count if count else None,
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


def _evidence(crop: Crop, file: str, dataset: Dataset) -> EvidenceRecord:
    image = dataset.image_id(crop.path)
    return EvidenceRecord(file=file, image=image, value=crop.value, box=crop.box)


def _solve(summary: Summary) -> SolveRecord:
    """How a step went; the format tells settled from not, the warnings tell how it ended."""
    return SolveRecord(
        iterations=summary.iterations,
        objective=summary.objective,
        converged=summary.converged,
    )

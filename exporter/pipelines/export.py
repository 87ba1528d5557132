"""The stages of an export in order, nothing else.

source -> head -> each class: features, decomposition, evidence -> artifact -> verification

Symbols: c classes, k prototypes, d channels, n images, p = h*w positions.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from exporter.config import ExportConfig
from exporter.decompose import Decomposition, decompose, smoothing_of
from exporter.errors import DecompositionError, OutputError, VerificationError
from exporter.head import Head
from exporter.head.rows import HeadRows, round_exactly, split_reference
from exporter.images.dataset import ClassImages, Dataset
from exporter.images.evidence import Crop, best_crops, with_contexts
from exporter.images.features import ClassFeatures, FeatureReader, sha256_of_images
from exporter.images.likeness import alike
from exporter.images.peaks import find_peaks
from exporter.images.placed import HALF, placed_shares
from exporter.images.trust import trust_of
from exporter.pipelines.inputs import read_inputs
from exporter.progress import Progress, silent
from exporter.source.onnx_file import Source
from exporter.verification.run import verify
from exporter.writing.artifact import (
    ArtifactParts,
    add_verification,
    class_record,
    evidence_files,
    write_artifact,
    write_manifest,
)
from exporter.writing.further import add_graph
from exporter.writing.staging import Saved, Staging
from serving.artifact import Artifact, Preprocessing, load_artifact
from serving.artifact.trust import TrainingPartRecord

VERIFIED_IMAGES = 128
_logger = logging.getLogger(__name__)


def export(config: ExportConfig, *, progress: Progress = silent) -> Artifact:
    """Write the artifact of a trained classifier, or nothing.

    Args:
        config: What to export and how.
        progress: Called as images are done.

    Returns:
        The artifact at ``config.out``, verified.

    Raises:
        SourceError: The model cannot be read, or does not fit the preprocessing.
        HeadError: Its head cannot be decomposed.
        DecompositionError: Too many prototypes for this head or method.
        DatasetError: The image folders do not fit the model.
        SurgeryError: The outputs cannot be added to its graph; known before the work.
        OutputError: ``config.out`` cannot be written; finished classes are kept for ``resume``.
        VerificationError: A promise is not kept, or fewer images are recognised than was asked
            for; nothing appeared at ``config.out``.
    """
    require_apart(config)
    inputs = read_inputs(config)
    config, source, head, dataset = inputs.config, inputs.source, inputs.head, inputs.dataset
    preprocessing = inputs.preprocessing
    rows = split_reference(head, config.reference, multilabel=config.multilabel)
    with Staging(
        config.out,
        inputs.fingerprint,
        resume=config.resume,
        overwrite=config.overwrite,
    ) as staging:
        job = _Job(config, dataset, preprocessing, head, rows, staging, progress)
        with staging.writing():
            with FeatureReader(source, head, preprocessing, config.jobs) as reader:
                _explain_classes(job, reader)
            _require_recognised(job)
            parts = ArtifactParts(source, head, preprocessing, reader.grid, rows, dataset, config)
            manifest = write_artifact(staging, parts)
            if not config.form.is_own:
                manifest = add_graph(Artifact(staging.artifact, manifest), config.form)
                write_manifest(staging.artifact, manifest)
            staging.keep_only(manifest.all_files)
            _verify(job, source)
            staging.publish(manifest.all_files)
        return load_artifact(staging.out)


@dataclass(frozen=True)
class Splitting:
    """What every class of one export is split by."""

    config: ExportConfig
    dataset: Dataset
    preprocessing: Preprocessing
    head: Head
    rows: HeadRows


@dataclass(frozen=True)
class _Job(Splitting):
    """What every stage of one export needs."""

    staging: Staging
    progress: Progress


def _explain_classes(job: _Job, reader: FeatureReader) -> None:
    finished = _still_valid(job)
    done = sum(len(entry.paths) for entry in job.dataset.classes if entry.index in finished)

    def advance(count: int) -> None:
        nonlocal done
        done += count
        job.progress("export", done, job.dataset.image_count)

    advance(0)
    for entry in job.dataset.classes:
        if entry.index not in finished:
            features = reader.read(entry.paths, row=job.rows.rows[entry.index], progress=advance)
            for reason in features.skipped:
                _logger.warning("%s: skipped %s", entry.label, reason)
            # One BLAS thread: the number of cores must not change the result.
            with threadpool_limits(limits=1, user_api="blas"):
                job.staging.save(*explain_class(job, entry, features))


def require_apart(config: ExportConfig) -> None:
    """Refuse an artifact among the class folders: the next export would take it for one."""
    out, data = config.out.resolve(), config.data.resolve()
    if out.is_relative_to(data):
        raise OutputError(
            f"{config.out}: expected a folder outside of the images in {config.data}, where it "
            "would be taken for one of their class folders. Choose another `out`."
        )


def _require_recognised(job: _Job) -> None:
    """Hold the share of training images that the model gives to their class to the one asked for.

    Raises:
        VerificationError: It is below; what was finished is kept.
    """
    least = job.config.min_accuracy
    if least is None:
        return
    records = [saved.record for saved in job.staging.finished().values()]
    images = sum(record.images for record in records)
    right = sum(record.images * (record.accuracy or 0) for record in records)
    if right < least * images or not images:
        raise VerificationError(
            f"the artifact was not put in place: the model gives {right / max(images, 1):.1%} of "
            f"{images} images their class, expected at least {least:.1%} (`min_accuracy`). Check "
            "the preprocessing and the order of the labels; explanations of wrongly prepared "
            "images are wrong."
        )


def _still_valid(job: _Job) -> set[int]:
    """The finished classes whose images are what they were."""
    found = set()
    for index, saved in job.staging.finished().items():
        entry = job.dataset.classes[index]
        if sha256_of_images(entry.paths) == saved.images:
            found.add(index)
        else:
            _logger.warning("%s is made again: its images have changed since", entry.label)
    return found


def explain_class(
    job: Splitting, entry: ClassImages, features: ClassFeatures
) -> tuple[Saved, dict[str, bytes]]:
    """Split the head row of one class, and find what shows its prototypes.

    Args:
        job: What is exported.
        entry: The class.
        features: Of its images; their maps become the smoothed ones.

    Returns:
        What :meth:`Staging.save` takes: the class, and its crops by their file names.
    """
    row = job.rows.rows[entry.index]
    features = features.smoothed(smoothing_of(job.config.method, features.grid))
    for doubt in features.doubts:
        _logger.warning("%s: %s", entry.label, doubt)
    placed, doubts = _placed(job, entry, features)
    split, warnings = _decompose(job.config, features, row)
    prototypes = np.zeros((job.config.prototypes, len(row)), dtype=np.float32)
    if split is None:
        prototypes[0] = row
    else:
        prototypes = round_exactly(split.prototypes, row)
    shown = len(prototypes) if split else 1
    crops: list[list[Crop]] = [[] for _ in range(shown)]
    likeness: tuple[tuple[int, ...], ...] = ((),) * shown
    trust: tuple[TrainingPartRecord, ...] = ()
    if features.paths:
        activations = features.activations(prototypes[:shown])
        crops = best_crops(activations, features.paths, job.preprocessing)
        peaks = find_peaks(features.seen, activations)
        likeness = alike(peaks)
        trust = trust_of(peaks, activations) if split else ()
    if job.config.context:
        crops = with_contexts(crops)
    record = class_record(
        entry,
        features,
        split,
        crops,
        likeness,
        job.dataset,
        (*features.doubts, *doubts, *warnings),
        job.rows.activation,
        placed,
    )
    files = dict(evidence_files(entry.index, crops))
    return Saved(record, prototypes, features.sha256, trust), files


def _placed(
    job: Splitting, entry: ClassImages, features: ClassFeatures
) -> tuple[float | None, tuple[str, ...]]:
    """How much of what decides for a class has a place in its images, and a warning of little."""
    chain = job.head.chain
    if chain is None or chain.whole or not features.paths:
        return None, ()
    own = np.full(len(features.paths), entry.index)
    share = float(placed_shares(features, job.head, job.rows, own).mean())
    if share >= HALF:
        return share, ()
    return share, (f"only {share:.0%} of this class's evidence has a place in the picture",)


def _decompose(
    config: ExportConfig, features: ClassFeatures, row: NDArray[np.float64]
) -> tuple[Decomposition | None, tuple[str, ...]]:
    """The split of a head row, or None and why it stays whole."""
    count = len(features.paths)
    if count < config.min_images:
        return None, (f"kept whole: {count} usable images, {config.min_images} are needed",)
    try:
        split = decompose(
            features.maps,
            row,
            method=config.method,
            prototypes=config.prototypes,
            seed=config.seed,
            start=config.start or "zeros",
            own=features.row,
        )
    except DecompositionError as error:
        return None, (f"kept whole: {error}",)
    return split, ()


def _verify(job: _Job, source: Source) -> None:
    images = _spread([path for entry in job.dataset.classes for path in entry.paths])
    gates = verify(
        job.staging.artifact,
        source=source.original,
        images=images,
        threads=1,  # what is measured goes into the manifest, whatever the number of cores
        progress=partial(job.progress, "verify"),
    )
    failed = [f"{gate.name}: {gate.detail}" for gate in gates if gate.state == "failed"]
    if failed:
        raise VerificationError(
            f"the artifact was not put in place, {len(failed)} of {len(gates)} gates failed: "
            f"{'; '.join(failed)}"
        )
    add_verification(job.staging.artifact, gates)


def _spread(paths: list[Path]) -> list[Path]:
    """At most :data:`VERIFIED_IMAGES` of the images, evenly over the classes."""
    step = max(1, -(-len(paths) // VERIFIED_IMAGES))
    return paths[::step]

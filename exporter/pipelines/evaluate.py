"""The stages of an evaluation in order, nothing else.

artifact + images -> each class: trial (the network), methods, metrics -> means and intervals
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from exporter.decompose import decompose, require_feasible
from exporter.errors import DatasetError, DecompositionError, OutputError
from exporter.evaluate.annotations import Annotations, read_annotations, read_truth
from exporter.evaluate.baselines.methods import (
    BASELINES,
    FROM_TRAINING,
    GRAD_CAM,
    OURS,
    RISE,
    Baseline,
    Method,
    baselines,
    ours,
)
from exporter.evaluate.config import EvaluationConfig
from exporter.evaluate.figures import draw_metrics
from exporter.evaluate.measure import Measured, measure_class
from exporter.evaluate.metrics.catalog import METRICS
from exporter.evaluate.metrics.robustness.randomisation import shuffle_weights
from exporter.evaluate.over_classes import figures_over_classes
from exporter.evaluate.results import Evaluation, MetricRecord
from exporter.evaluate.tables import to_markdown
from exporter.evaluate.trial.run import Conditions, run_trial
from exporter.evaluate.trial.runs import Probe
from exporter.evaluate.trial.subject import Subject, open_subject
from exporter.images.dataset import ClassImages, Dataset, read_dataset
from exporter.images.features import ClassFeatures, FeatureReader
from exporter.images.holdout import Split, sides_of
from exporter.progress import Progress, silent
from exporter.writing.atomic import replace_files, writing
from serving.artifact import MANIFEST, load_artifact, sha256_of

_logger = logging.getLogger(__name__)
Floats = NDArray[np.float32]


def evaluate(config: EvaluationConfig, *, progress: Progress = silent) -> Evaluation:
    """Measure an artifact's explanations on held-out images, beside the baselines.

    Args:
        config: What to measure and how.
        progress: Called as images are done.

    Returns:
        Every figure, by method and metric.

    Raises:
        ArtifactError: The artifact cannot be read.
        DatasetError: The image folders or the annotations do not fit it.
        DecompositionError: A baseline does not fit into memory.
    """
    subject = open_subject(load_artifact(config.artifact))
    names = _baseline_names(config, subject)
    annotations = None if config.parts is None else read_annotations(config.parts)
    truth = None if config.parts is None else read_truth(config.parts)
    held_out, rest = None, None
    if config.holdout:
        held_out, rest = sides_of(subject.artifact.manifest, config.data, config.train)
    data = _dataset(config.data, subject, config, held_out)
    if annotations is not None:
        for note in annotations.notes:
            _logger.warning("%s: %s", annotations.source, note)
        annotations.require_one_image_each(path for e in data.classes for path in e.paths)
    training = None if config.train is None else _dataset(config.train, subject, config, rest)
    shuffled = shuffle_weights(subject.source.model, config.seed)
    with (
        ExitStack() as stack,
        threadpool_limits(limits=1, user_api="blas"),  # the number of cores changes no figure
    ):
        reader = stack.enter_context(subject.reader(config.jobs))
        random_reader = stack.enter_context(subject.reader(config.jobs, shuffled))
        conditions = Conditions(
            subject,
            reader,
            subject.predictor(config.jobs),
            annotations,
            truth,
            config.seeds,
            config.seed,
            config.jobs,
        )
        job = _Job(config, names, conditions, random_reader, training, progress)
        found = list(_measure_classes(job, data))
    if not found:
        raise DatasetError(_nothing(config, _entries(subject, data), annotations))
    return _evaluation(job, data, found)


def write_evaluation(evaluation: Evaluation, out: Path) -> tuple[Path, ...]:
    """Write evaluation.json, evaluation.md and metrics.svg into a folder.

    Raises:
        OutputError: The folder cannot be written.
    """
    contents = {
        "evaluation.json": evaluation.dump(),
        "evaluation.md": to_markdown(evaluation).encode(),
        "metrics.svg": draw_metrics(evaluation),
    }
    files = {out / name: content for name, content in contents.items()}
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        for path in files:
            if path.is_dir():
                raise OutputError(f"{path}: expected a file or nothing, found a folder. Move it.")
        replace_files(files)
    return tuple(files)


@dataclass(frozen=True)
class _Job:
    """What every class of one evaluation needs."""

    config: EvaluationConfig
    baselines: tuple[Baseline, ...]
    conditions: Conditions
    random_reader: FeatureReader
    training: Dataset | None
    progress: Progress


def _dataset(
    root: Path, subject: Subject, config: EvaluationConfig, split: Split | None
) -> Dataset:
    manifest = subject.artifact.manifest
    return read_dataset(
        root,
        class_count=len(manifest.classes),
        labels=manifest.labels,
        max_images=config.max_images,
        seed=config.seed,
        split=split,
    )


def _baseline_names(config: EvaluationConfig, subject: Subject) -> tuple[Baseline, ...]:
    """What is compared; the paper's solver only where it can run, unless it is asked for."""
    names = BASELINES if config.baselines is None else config.baselines
    if "paper" not in names or config.train is None:
        return names
    try:
        require_feasible("paper", subject.k, subject.head.weight.shape[1])
    except DecompositionError:
        if config.baselines is not None:
            raise
        return tuple(name for name in names if name != "paper")
    return names


def _entries(subject: Subject, data: Dataset) -> list[ClassImages]:
    """The classes that can be measured: decomposed, and with images."""
    records = subject.artifact.manifest.classes
    return [e for e in data.classes if e.paths and records[e.index].state == "decomposed"]


def _measure_classes(job: _Job, data: Dataset) -> Iterator[Measured]:
    subject = job.conditions.subject
    entries = _entries(subject, data)
    done, total = 0, sum(len(entry.paths) for entry in entries)
    probe = Probe(
        reader=job.conditions.reader,
        random_reader=job.random_reader,
        network_images=job.config.network_images,
        layout=subject.preprocessing.layout,
        seed=job.config.seed,
    )
    job.progress("evaluate", 0, total)
    for entry in entries:
        trial = run_trial(job.conditions, entry)
        if trial is None:
            _logger.warning("%s: left out, no image can be measured", entry.label)
        else:
            yield measure_class(trial, subject, *_methods(job, entry), probe)
        done += len(entry.paths)
        job.progress("evaluate", done, total)


def _methods(job: _Job, entry: ClassImages) -> tuple[tuple[Method, ...], dict[str, Method]]:
    """The methods of one class, and those that have a seed found again with the next one."""
    subject, config = job.conditions.subject, job.config
    own = ours(subject.prototypes[entry.index], subject.smoothing)
    row = subject.head.weight[entry.index].astype(np.float64)
    features = None
    if job.training is not None:
        paths = job.training.classes[entry.index].paths
        less = row - subject.reference
        features = job.conditions.reader.read(paths, row=less) if paths else None
    if features is not None and features.maps[..., 0].size < subject.k:
        features = None
    mapped = job.conditions.subject.artifact.manifest.head.mapped
    maps = None if features is None else features.maps
    first = (own, *baselines(job.baselines, row, subject.k, config.seed, maps, mapped))
    if features is None:
        return first, {}
    names = tuple(name for name in job.baselines if name in FROM_TRAINING)
    again = baselines(names, row, subject.k, config.seed + 1, maps, mapped)
    found = {method.name: method for method in again}
    repeated = _own_again(job, entry.index, row, features)
    return first, found if repeated is None else {**found, OURS: repeated}


def _own_again(
    job: _Job, index: int, row: NDArray[np.float64], features: ClassFeatures
) -> Method | None:
    """The artifact's own method with the next seed."""
    subject, manifest = job.conditions.subject, job.conditions.subject.artifact.manifest
    try:
        split = decompose(
            features.smoothed(subject.smoothing).maps,
            row - subject.reference,
            method=manifest.method.name,
            prototypes=subject.k,
            seed=manifest.method.seed + 1,
            start=manifest.method.start or "even",
            own=features.row,
        )
    except DecompositionError as error:
        label = manifest.classes[index].label
        _logger.warning("%s: not found again with another seed: %s", label, error)
        return None
    total = split.prototypes.sum(axis=0)
    return Method(OURS, split.prototypes, subject.k, total, subject.smoothing)


def _nothing(
    config: EvaluationConfig, entries: list[ClassImages], annotations: Annotations | None
) -> str:
    """Why no class could be measured."""
    if not entries:
        return (
            f"{config.data}: expected images of a class that the artifact decomposes, found none. "
            "Classes that it keeps whole have no prototypes to measure."
        )
    if annotations is None or any(
        annotations.match(path) for entry in entries for path in entry.paths
    ):
        return f"{config.data}: expected images, found none that can be decoded and measured."
    return (
        f"{config.parts}: expected annotations of the images in {config.data}, found none for any "
        "of them. Images are matched by the last parts of their paths, folder and file name; a "
        "name that several annotations share belongs to none of them."
    )


def _evaluation(job: _Job, data: Dataset, found: list[Measured]) -> Evaluation:
    config, subject = job.config, job.conditions.subject
    annotations = job.conditions.annotations
    order = (OURS, *BASELINES, GRAD_CAM, RISE)
    names = [name for name in order if any(one.figures.get(name) for one in found)]
    figures = {name: figures_over_classes(name, found) for name in names}
    present = {metric for method in figures.values() for metric in method}
    images = sum(one.images for one in found)
    return Evaluation(
        artifact=sha256_of(subject.artifact.path(MANIFEST)),
        source=subject.artifact.manifest.source.file,
        prototypes=subject.k,
        classes=tuple(one.label for one in found),
        images=images,
        skipped=data.image_count - images,
        parts=() if annotations is None else annotations.parts,
        seeds=config.seeds,
        metrics=tuple(MetricRecord.of(metric) for metric in METRICS if metric.name in present),
        methods=tuple(names),
        figures=figures,
        notes=tuple(_notes(job, data, found, present)),
    )


def _notes(job: _Job, data: Dataset, found: list[Measured], present: set[str]) -> Iterator[str]:
    """What could not be measured, and why."""
    config, manifest = job.config, job.conditions.subject.artifact.manifest
    whole = [
        e.label for e in data.classes if e.paths and manifest.classes[e.index].state == "whole"
    ]
    if config.holdout:
        share = manifest.method.holdout
        yield f"The images are those that the export held out, a share of {share:g}."
    if whole:
        yield f"{_count(whole)} that the artifact keeps whole are left out."
    asked = [name for name in job.baselines if name in FROM_TRAINING]
    if config.train is None:
        yield (
            f"Without training images there is no {', '.join(FROM_TRAINING)}, which are found on "
            "them."
        )
    elif config.baselines is None and "paper" not in job.baselines:
        yield "The paper's solver is left out: its simplex does not fit into memory."
    lacking = [one.label for one in found if not one.figures.keys() & set(asked)]
    if config.train is not None and asked and lacking:
        yield (
            f"{_count(lacking)} have no usable training images: the means of "
            f"{', '.join(asked)} are over the other classes, the differences too."
        )
    if job.conditions.subject.head.chain is not None:
        yield (
            "Grad-CAM is left out: only of a head that averages its feature map is its gradient "
            "the head row."
        )
    if job.conditions.truth is not None:
        yield from _missing_truth(present)
    if manifest.activation == "sigmoid":
        yield (
            "The metrics that follow a class's probability are those of a softmax: left out, and "
            "so is RISE, which follows it too."
        )
    else:
        yield (
            f"What runs the network many times (pixel deletion and insertion, RISE) is measured "
            f"on the first {config.network_images} images of each class."
        )
    if manifest.muted:
        yield "The prototypes are measured as they were found, those that an edit muted too."


def _missing_truth(present: set[str]) -> Iterator[str]:
    """What the folder of drawn pictures does not hold."""
    if "part_purity" not in present:
        yield "None of these pictures has masks: the metrics that need them are left out."
    elif "background_independence" not in present:
        yield (
            "There are no pictures before other backdrops (backdrops/): background independence "
            "is left out."
        )


def _count(labels: list[str]) -> str:
    """Like `3 classes ('a', …)`."""
    if len(labels) == 1:
        return f"1 class ({labels[0]!r})"
    return f"{len(labels)} classes ({labels[0]!r}, …)"

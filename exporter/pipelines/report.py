"""The stages of a report in order, nothing else.

artifact + held-out images -> each class: observe, measure, judge -> mistakes -> page and summary
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors.numpy import load_file

from exporter.errors import DatasetError
from exporter.evaluate import Evaluation, read_evaluation
from exporter.evaluate.annotations import (
    Annotations,
    PartTruth,
    read_annotations,
    read_truth,
)
from exporter.images.dataset import ClassImages, Dataset, read_dataset
from exporter.images.holdout import held_out_of
from exporter.progress import Progress, silent
from exporter.report.config import ReportConfig
from exporter.report.contents import Contents
from exporter.report.examples import ClassReport, choose_examples, shown_first
from exporter.report.judge import judge
from exporter.report.measure import measure_class
from exporter.report.mistakes import Mistake, confusions, mistakes_of
from exporter.report.observe import Observed, observe
from exporter.report.rendering.markdown import to_markdown
from exporter.report.rendering.page import render
from exporter.report.rendering.trust import held_out_class, trust_of
from exporter.report.verdict import Answer, Count
from exporter.text import as_text
from exporter.writing.atomic import replace_files, writing
from serving.artifact import MANIFEST, PROTOTYPES, Artifact, sha256_of
from serving.artifact.trust import Trust
from serving.model.predictor import Predictor

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """A finished report.

    Attributes:
        html: The page.
        markdown: The summary.
        answers: The three questions, answered.
        classes: Classes in it.
        shown: Classes shown with pictures.
        warned: Classes with warnings.
        raised: The rules that spoke, the worst first, with the labels of the classes.
        class_bytes: Bytes of the page that the shown classes take together.
        trust: The figures of each part, for the artifact to keep.
    """

    html: bytes
    markdown: str
    answers: tuple[Answer, ...]
    classes: int
    shown: int
    warned: int
    raised: tuple[Count, ...]
    class_bytes: int
    trust: Trust


def make_report(config: ReportConfig, *, progress: Progress = silent) -> Report:
    """Make the report of an artifact.

    Args:
        config: What to report and how.
        progress: Called as images are done.

    Returns:
        The report; the same inputs give the same bytes.

    Raises:
        ArtifactError: The artifact cannot be read or run.
        RequestError: It has no class of a name that was asked for.
        DatasetError: The images, the annotations or the evaluation do not fit it.
    """
    predictor = Predictor(config.artifact)
    artifact = predictor.artifact
    evaluation = _evaluation(config, artifact)
    annotations = None if config.parts is None else read_annotations(config.parts)
    truth = None if config.parts is None else read_truth(config.parts)
    data = _dataset(config, artifact)
    entries = _entries(config, predictor, data)
    if annotations is not None:
        for note in annotations.notes:
            _logger.warning("%s: %s", annotations.source, note)
        annotations.require_one_image_each(path for entry in entries for path in entry.paths)
    mistakes: list[Mistake] = []
    found = list(_reports(predictor, entries, config, annotations, truth, mistakes, progress))
    if annotations is not None:
        _require_annotated(annotations, entries, found, config)
    shown = shown_first(found, config.max_classes)
    contents = Contents(
        artifact=artifact,
        sha256=sha256_of(artifact.path(MANIFEST)),
        data=data,
        classes=tuple(found),
        shown=shown,
        left_out=0 if config.classes else len(data.classes) - len(found),
        confusions=confusions(predictor, mistakes),
        evaluation=evaluation,
        annotations=annotations,
    )
    page, class_bytes = render(contents, progress=progress)
    return Report(
        html=page,
        markdown=to_markdown(contents),
        answers=contents.answers,
        trust=trust_of(artifact, contents.sha256, as_text(data.root.resolve().name), found),
        classes=len(found),
        shown=len(shown),
        warned=sum(bool(c.findings) for c in found),
        raised=contents.counts,
        class_bytes=class_bytes,
    )


def write_page(report: Report, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        OutputError: It cannot be written; what was there before is as it was.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_files({path: report.html})


def _evaluation(config: ReportConfig, artifact: Artifact) -> Evaluation | None:
    if config.evaluation is None:
        return None
    evaluation = read_evaluation(config.evaluation)
    own = sha256_of(artifact.path(MANIFEST))
    if evaluation.artifact != own:
        raise DatasetError(
            f"{config.evaluation}: expected the evaluation of this artifact, whose manifest has "
            f"the sha256 {own[:12]}…, got that of {evaluation.artifact[:12]}…. Evaluate "
            f"{config.artifact} on {config.data}, and give that `evaluation`."
        )
    return evaluation


def _dataset(config: ReportConfig, artifact: Artifact) -> Dataset:
    return read_dataset(
        config.data,
        class_count=len(artifact.manifest.classes),
        labels=artifact.manifest.labels,
        max_images=config.max_images,
        seed=config.seed,
        split=held_out_of(artifact.manifest, config.data) if config.holdout else None,
    )


def _entries(config: ReportConfig, predictor: Predictor, data: Dataset) -> list[ClassImages]:
    """The classes asked for, or all with prototypes of their own or with images."""
    if config.classes:
        asked = {predictor.class_id(key) for key in config.classes}
        return [data.classes[index] for index in sorted(asked)]
    records = predictor.manifest.classes
    return [e for e in data.classes if e.paths or records[e.index].state == "decomposed"]


def _reports(
    predictor: Predictor,
    entries: Sequence[ClassImages],
    config: ReportConfig,
    annotations: Annotations | None,
    truth: PartTruth | None,
    mistakes: list[Mistake],
    progress: Progress,
) -> Iterator[ClassReport]:
    """Report the classes one by one; the mistakes of each are added to those of all."""
    manifest = predictor.manifest
    prototypes = load_file(predictor.artifact.path(PROTOTYPES))["prototypes"]
    total = sum(len(entry.paths) for entry in entries)
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress("measure", done, total)

    for entry in entries:
        record = manifest.classes[entry.index]
        observed: Observed | None = observe(
            predictor, entry, annotations=annotations, truth=truth, progress=advance
        )
        if observed is None:
            _logger.info("%s: no held-out image can be measured", entry.label)
        mistakes += mistakes_of(observed)
        muted = frozenset(number for index, number in manifest.muted if index == entry.index)
        figures = measure_class(
            prototypes[entry.index][: len(record.prototypes)],
            muted,
            observed,
            manifest.input.preprocessing.size,
        )
        yield ClassReport(
            record=record,
            figures=figures,
            findings=judge(record, figures, manifest.edits),
            examples=choose_examples(observed, config.images),
            trust=held_out_class(figures, observed, manifest.input.preprocessing.size),
        )


def _require_annotated(
    annotations: Annotations,
    entries: Sequence[ClassImages],
    found: Sequence[ClassReport],
    config: ReportConfig,
) -> None:
    """Refuse annotations of other images than those of the report, where it has any."""
    paths = [path for entry in entries for path in entry.paths]
    if not paths or any(annotations.match(path) is not None for path in paths):
        return
    whose = f"images of {', '.join(e.label for e in entries)}" if config.classes else "images"
    if all(report.figures.held_out is None for report in found):
        raise DatasetError(
            f"{config.data}: expected {whose} that can be decoded, found none among {len(paths)}."
        )
    raise DatasetError(
        f"{config.parts}: expected annotations of the {whose} in {config.data}, found none for any "
        "of them. Images are matched by the last parts of their paths, folder and file name; a "
        "name that several annotations share belongs to none of them."
    )

"""What an evaluation found: the record that is written as ``evaluation.json``.

The same artifact, images and options give the same bytes: no time, no path.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from exporter.errors import DatasetError
from exporter.evaluate.metrics.catalog import metric_named
from exporter.evaluate.trial.metric import Metric

FORMAT: Literal["protohead-evaluation/1"] = "protohead-evaluation/1"
_AGAIN = "It may be of another version: run `protohead evaluate` again."


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Difference(_Record):
    """How far the artifact's prototypes are above a baseline, over the same classes.

    ``low`` and ``high`` bound the mean of the differences with 95 % confidence.
    """

    mean: float
    low: float
    high: float


class Figure(_Record):
    """One metric of one method.

    ``mean`` is over the classes where the metric is defined; ``deviation`` is over the draws of
    the noise; ``classes`` has one value for each class of the evaluation, None where undefined;
    ``ours`` is the difference of the artifact's own prototypes to this method.
    """

    mean: float
    deviation: float | None = None
    classes: tuple[float | None, ...]
    ours: Difference | None = None


class MetricRecord(_Record):
    """What a metric means."""

    name: str
    title: str
    better: Literal["higher", "lower"]
    meaning: str
    source: str

    @classmethod
    def of(cls, metric: Metric) -> Self:
        """What the record keeps of a metric."""
        return cls(
            name=metric.name,
            title=metric.title,
            better=metric.better,
            meaning=metric.meaning,
            source=metric.source,
        )


class Evaluation(_Record):
    """``evaluation.json``.

    Attributes:
        artifact: sha256 of the artifact's manifest.
        source: File name of the classifier.
        prototypes: How many each class has, k.
        classes: The labels of the classes measured.
        images: How many images were measured.
        skipped: How many images could not be decoded, or lack annotations.
        parts: The names of the annotated parts.
        seeds: How many draws of the noise.
        metrics: Every metric that was measured.
        methods: Every method, the artifact's own first.
        figures: The figures by method, then metric.
        notes: What could not be measured, and why.
    """

    format: Literal["protohead-evaluation/1"] = FORMAT
    artifact: str
    source: str
    prototypes: int
    classes: tuple[str, ...]
    images: int
    skipped: int
    parts: tuple[str, ...]
    seeds: int
    metrics: tuple[MetricRecord, ...]
    methods: tuple[str, ...]
    figures: dict[str, dict[str, Figure]]
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        """Refuse a record whose lists and figures are not of the same things."""
        if not self.classes:
            raise ValueError("expected at least one class, got none")
        metrics = {name for found in self.figures.values() for name in found}
        _require_same("method", self.methods, self.figures)
        _require_same("metric", [metric.name for metric in self.metrics], metrics)
        for method, found in self.figures.items():
            for name, figure in found.items():
                _require_classes(f"{name!r} of {method!r}", figure, len(self.classes))
        return self

    def dump(self) -> bytes:
        """The bytes of ``evaluation.json``."""
        text = json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False)
        return (text + "\n").encode()


def _require_same(what: str, listed: Collection[str], found: Collection[str]) -> None:
    if not listed:
        raise ValueError(f"expected at least one {what}, got none")
    for name in listed:
        if name not in found:
            raise ValueError(f"expected figures of each {what}, got none of {name!r}")
    for name in sorted(found):
        if name not in listed:
            raise ValueError(f"expected figures of listed {what}s alone, got some of {name!r}")


def _require_classes(where: str, figure: Figure, count: int) -> None:
    got = len(figure.classes)
    if got != count:
        raise ValueError(f"{where}: expected {count} in classes, one for each, got {got}")
    if all(value is None for value in figure.classes):
        raise ValueError(f"{where}: expected a value of at least one class, got null for each")


def read_evaluation(path: Path) -> Evaluation:
    """Read ``evaluation.json``.

    Returns:
        The record, of metrics that this version knows.

    Raises:
        DatasetError: It is not the record of an evaluation, or it holds a metric that this version
            does not know or that points the other way here.
    """
    try:
        evaluation = Evaluation.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path}: cannot read the evaluation: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "evaluation"
        what = first["msg"].removeprefix("Value error, ")  # pydantic's, before words of ours
        raise DatasetError(
            f"{path}: {where}: {what}. Expected what `protohead evaluate` writes as "
            "evaluation.json."
        ) from error
    for record in evaluation.metrics:
        _require_known(path, record)
    return evaluation


def _require_known(path: Path, record: MetricRecord) -> None:
    try:
        known = metric_named(record.name)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error} {_AGAIN}") from error
    if known.better != record.better:
        raise DatasetError(
            f"{path}: expected {known.better} to be better for {known.name!r}, as in this version, "
            f"got {record.better}. {_AGAIN}"
        )

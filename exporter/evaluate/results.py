"""What an evaluation found: the record that is written as ``evaluation.json``.

The same artifact, images and options give the same bytes: no time, no path.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from exporter.errors import DatasetError

FORMAT: Literal["protohead-evaluation/1"] = "protohead-evaluation/1"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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


class Evaluation(_Record):
    """``evaluation.json``.

    Attributes:
        artifact: sha256 of the artifact's manifest.
        source: File name of the classifier.
        prototypes: k.
        classes: Labels of the classes measured.
        images: Images measured.
        skipped: Images that could not be decoded, or that lack annotations.
        parts: Names of the annotated parts.
        seeds: Draws of the noise.
        metrics: Every metric that was measured.
        methods: Every method, the artifact's own first.
        figures: By method, then metric.
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

    def dump(self) -> bytes:
        """The bytes of ``evaluation.json``."""
        text = json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False)
        return (text + "\n").encode()


def read_evaluation(path: Path) -> Evaluation:
    """Read ``evaluation.json``.

    Raises:
        DatasetError: Not the record of an evaluation.
    """
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path}: cannot read the evaluation: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "evaluation"
        raise DatasetError(
            f"{path}: {where}: {first['msg']}. Expected what `protohead evaluate` writes as "
            "evaluation.json."
        ) from error

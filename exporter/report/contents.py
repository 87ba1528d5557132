"""What a report is made of, before it has a form."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.dataset import Dataset
from exporter.evaluate import Evaluation
from exporter.evaluate.annotations import Annotations
from exporter.report.examples import ClassReport
from serving.artifact import Artifact


@dataclass(frozen=True)
class Contents:
    """Everything that the page and the summary say.

    Attributes:
        artifact: The artifact.
        sha256: Of its manifest.
        data: The held-out images.
        classes: The classes of the report, in the order of the logits.
        shown: Those shown with pictures.
        left_out: Classes with neither prototypes of their own nor held-out images.
        evaluation: The comparison with baselines, if there is one.
        annotations: Where the parts are, if known.
        masks: Whether masks are known too.
    """

    artifact: Artifact
    sha256: str
    data: Dataset
    classes: tuple[ClassReport, ...]
    shown: tuple[ClassReport, ...]
    left_out: int
    evaluation: Evaluation | None
    annotations: Annotations | None
    masks: bool

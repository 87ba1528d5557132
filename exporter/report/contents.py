"""What a report is made of, before it has a form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from exporter.evaluate import Evaluation
from exporter.evaluate.annotations import Annotations
from exporter.images.dataset import Dataset
from exporter.report.examples import ClassReport
from exporter.report.mistakes import Confusion
from exporter.report.verdict import Answer, Count, answers, basis, counts
from exporter.report.words import number_of
from exporter.text import as_text
from serving.artifact import Artifact


@dataclass(frozen=True)
class Contents:
    """Everything that the page and the summary say.

    Attributes:
        artifact: The artifact.
        sha256: Hash of its manifest.
        data: The held-out images.
        classes: The classes of the report, in the order of the logits.
        shown: Those shown with pictures.
        left_out: Classes with neither prototypes of their own nor held-out images.
        confusions: The pairs of classes that are mistaken for each other, the worst first.
        evaluation: The comparison with baselines, if there is one.
        annotations: Where the parts are, if known.
    """

    artifact: Artifact
    sha256: str
    data: Dataset
    classes: tuple[ClassReport, ...]
    shown: tuple[ClassReport, ...]
    left_out: int
    confusions: tuple[Confusion, ...]
    evaluation: Evaluation | None
    annotations: Annotations | None

    @cached_property
    def answers(self) -> tuple[Answer, ...]:
        """The three questions, answered."""
        return answers(self.artifact.manifest, self.classes, self.evaluation)

    @cached_property
    def basis(self) -> tuple[str, ...]:
        """What the answers rest on, in sentences."""
        return basis(self.artifact.manifest, self.classes, self.left_out)

    @cached_property
    def counts(self) -> tuple[Count, ...]:
        """The rules that spoke, the worst first."""
        return counts(self.classes)

    @property
    def mistaken(self) -> int:
        """Images that the model gives to another class."""
        return sum(c.count + c.back for c in self.confusions)

    @property
    def folder(self) -> str:
        """The name of the folder with the held-out images."""
        return as_text(self.data.root.resolve().name)

    @property
    def whereabouts(self) -> str:
        """How it is known where the objects are, by the images that were judged so."""
        if self.annotations is None:
            return "not known: no keypoints or masks were given"
        measured = [c.figures.held_out for c in self.classes if c.figures.held_out is not None]
        drawn, pointed = sum(h.drawn for h in measured), sum(h.pointed for h in measured)
        known = [f"to the pixel in {drawn}"] if drawn else []
        if pointed:
            known.append(f"by {number_of(len(self.annotations.parts), 'keypoint')} in {pointed}")
        images = number_of(sum(h.images for h in measured), "image")
        return f"known {', '.join(known) or 'in none'} of {images}"

"""The shape of the answers about the model itself: what is served, its classes, its prototypes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from serving.answers.schema import Answer, Doubts, EvidenceLink
from serving.artifact import GateRecord, HeadRecord, InputRecord, MethodRecord


class ProviderState(Answer):
    """Where it runs."""

    asked: Literal["auto", "cpu", "cuda"]
    running: Annotated[list[str], Field(description="As onnxruntime names them, first first.")]
    doubt: Annotated[str | None, Field(description="Where that is not what one would expect.")]


class Limits(Answer):
    """What a request may hold."""

    max_body: int
    max_pixels: int
    max_images: int
    max_classes: int
    formats: list[str]


class EditedPrototype(Answer):
    """A prototype that an edit muted for good."""

    class_: Annotated[int, Field(alias="class", description="Class id.")]
    prototype: Annotated[int, Field(description="Its number in the class, from 0.")]


class EditEffect(Answer):
    """What an edit did to a data set."""

    data: Annotated[str, Field(description="The data set's name.")]
    images: int
    accuracy_before: float
    accuracy_after: float
    corrected: Annotated[int, Field(description="Images whose best class became right.")]
    broken: Annotated[int, Field(description="Images whose best class became wrong.")]


class Edit(Answer):
    """A decision about prototypes that the artifact holds; docs/format.md, Edits."""

    parent: Annotated[str, Field(description="`artifact` of the model that was edited.")]
    reason: str
    muted: list[EditedPrototype]
    effect: Annotated[EditEffect | None, Field(description="Null where it was not measured.")]


class ModelAnswer(Answer):
    """The model that is served."""

    name: str
    sha256: str
    artifact: str
    k: Annotated[int, Field(description="Prototypes of a class.")]
    top: Annotated[int, Field(description="Most classes explained unless they are named.")]
    classes: Annotated[int, Field(description="Number of classes.")]
    grid: tuple[int, int]
    method: MethodRecord
    activation: Literal["softmax", "sigmoid"]
    input: InputRecord
    head: HeadRecord
    provider: ProviderState
    verification: list[GateRecord]
    limits: Limits
    samples: Annotated[int, Field(description="Sample images at `/v1/samples`.")]
    edits: Annotated[list[Edit], Field(description="First one first; none of a plain export.")]


class ClassSummary(Answer):
    """How a class was decomposed."""

    id: int
    label: str
    state: Literal["decomposed", "whole"]
    images: Annotated[int, Field(description="Training images used.")]
    accuracy: Annotated[float | None, Field(description="Of the model on them.")]
    residual_ratio: Annotated[float | None, Field(description="|R| / |v|; docs/method.md.")]
    distinct: Annotated[int, Field(description="How many different things the prototypes show.")]
    doubts: Annotated[
        int, Field(description="How many of its prototypes have a reason to look at them twice.")
    ]


class ClassesAnswer(Answer):
    """All classes, in the order of the logits."""

    classes: list[ClassSummary]


class PrototypeSummary(Answer):
    """What a prototype looks for in general."""

    index: int
    name: str
    scale: float | None
    muted: Annotated[
        str | None, Field(description="Why an edit muted it for good; null where none did.")
    ]
    alike: Annotated[
        list[int],
        Field(description="Others of the class that show the same thing, in another place."),
    ]
    evidence: list[EvidenceLink]
    doubts: Doubts


class PrototypesAnswer(Answer):
    """What the model looks for in a class."""

    id: int
    label: str
    state: Literal["decomposed", "whole"]
    distinct: Annotated[int, Field(description="How many different things the prototypes show.")]
    warnings: list[str]
    prototypes: list[PrototypeSummary]


class Sample(Answer):
    """An image to try."""

    url: str
    width: int
    height: int


class SamplesAnswer(Answer):
    """Images to try: those of the artifact's golden batch, as the network sees them."""

    samples: list[Sample]

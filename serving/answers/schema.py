"""What goes over HTTP: options of requests and the shape of every answer.

Answers are documented by these models but written straight from arrays (answerer.py);
tests hold the two together. Contributions, logits and heatmaps are in logit units.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from serving.artifact import GateRecord, HeadRecord, InputRecord, MethodRecord

Key = StrictInt | StrictStr
"""A class: its id, or its label."""
Heatmaps = Literal["values", "float32", "float16", "png", "none"]
_KEY = "Class: its label, or its id (a number, or digits that are no label)."


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class PredictOptions(_Options):
    """Options of ``/v1/predict``."""

    top: Annotated[int, Field(ge=1, description="Classes to return, best first.")] = 5
    logits: Annotated[bool, Field(description="Return the logits of all classes too.")] = False


class Mute(_Options):
    """One prototype to switch off."""

    class_: Annotated[Key, Field(alias="class", description=_KEY)]
    prototype: Annotated[int, Field(ge=0, description="Its number in the class, from 0.")]


MAX_LISTED = 1000
"""Entries of any list in a request."""

Mutes = Annotated[
    tuple[Mute, ...],
    Field(max_length=MAX_LISTED, description="Prototypes to switch off before answering."),
]


class HeatmapOptions(_Options):
    """How heatmaps are returned."""

    heatmaps: Annotated[
        Heatmaps,
        Field(
            description="`values`: rows of numbers; `float32` and `float16`: the same row by row, "
            "little-endian, in base64; `png`: a data URL, the prototype's colour with "
            "the positive part relative to its peak as opacity; `none`: null."
        ),
    ] = "values"
    upsample: Annotated[
        int | None,
        Field(ge=1, le=1024, description="Longer side of a png; by default the view's own size."),
    ] = None


class ExplainOptions(HeatmapOptions):
    """Options of ``/v1/explain``."""

    top: Annotated[
        int | None,
        Field(ge=1, description="Classes to explain, best first; at most `top` of `/v1/model`."),
    ] = None
    classes: Annotated[
        tuple[Key, ...] | None,
        Field(
            min_length=1,
            max_length=MAX_LISTED,
            description="Explain these instead of the best. " + _KEY,
        ),
    ] = None
    mute: Mutes = ()


class ContrastOptions(HeatmapOptions):
    """Options of ``/v1/contrast``: why class a and not class b."""

    a: Annotated[Key, Field(description=_KEY)]
    b: Annotated[Key, Field(description=_KEY)]
    mute: Mutes = ()


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Problem(_Answer):
    """An error, as RFC 9457 shapes it (``application/problem+json``)."""

    type: Annotated[str, Field(description="`urn:protohead:` and the kind of problem.")]
    title: str
    status: int
    detail: Annotated[str, Field(description="What was expected, what was found, what to do.")]
    instance: Annotated[str, Field(description="The request id, as in the log.")]
    error: Annotated[
        str, Field(description="The detail again, where clients of the protocols look for it.")
    ]


class ClassScore(_Answer):
    """A class with its logit."""

    id: int
    label: str
    logit: float
    probability: float


Before = Annotated[
    list[ClassScore] | None,
    Field(description="With `mute`: these classes, and the best ones, as they were without it."),
]


class Prediction(_Answer):
    """The answer for one image."""

    classes: list[ClassScore]
    logits: Annotated[list[float], Field(description="Only where asked for.")] = []


class PredictAnswer(_Answer):
    """One result for each image, in order."""

    results: list[Prediction]


class ModelName(_Answer):
    """Which model answered."""

    name: str
    sha256: Annotated[str, Field(description="Of the source model.")]
    artifact: Annotated[str, Field(description="sha256 of the artifact's manifest.")]


class View(_Answer):
    """Size of what the network saw, pixels."""

    width: int
    height: int


class EvidenceLink(_Answer):
    """A training crop that activates a prototype."""

    url: str
    image: Annotated[str, Field(description="Id of the training image.")]
    value: Annotated[float, Field(description="Activation at the crop's centre.")]


class ExplainedPrototype(_Answer):
    """What one prototype says of the image."""

    index: int
    name: str
    contribution: float
    share: Annotated[
        float, Field(description="Contribution / sum of the class's positive contributions.")
    ]
    muted: bool
    heatmap: Annotated[
        list[list[float]] | str | None,
        Field(description="Rows from the top, whose mean is the contribution, or as asked for."),
    ]
    evidence: list[EvidenceLink]


class ExplainedClass(ClassScore):
    """Why a class got its logit: contributions + bias + common = logit."""

    bias: float
    common: Annotated[float, Field(description="The same for every class.")]
    whole: Annotated[bool, Field(description="Not decomposed: too few training images.")]
    prototypes: list[ExplainedPrototype]


class Explained(_Answer):
    """The explanation of one image."""

    view: View
    classes: list[ExplainedClass]
    residual: Annotated[
        float, Field(description="Largest |contributions + bias + common - logit| of the classes.")
    ]
    before: Before = None


class ExplainAnswer(_Answer):
    """One result for each image, in order."""

    model: ModelName
    heatmap_grid: Annotated[tuple[int, int], Field(description="Rows and columns.")]
    results: list[Explained]


class Term(_Answer):
    """One summand of a difference of logits."""

    kind: Literal["prototype", "bias", "common"]
    side: Annotated[
        Literal["a", "b"] | None, Field(description="Whose prototype it is; b's count negative.")
    ]
    index: int | None
    name: str
    value: float


class ContrastAnswer(_Answer):
    """Why a and not b: the terms sum to the difference of the logits."""

    model: ModelName
    heatmap_grid: tuple[int, int]
    view: View
    a: ExplainedClass
    b: ExplainedClass
    logit_difference: float
    terms: list[Term]
    residual: Annotated[float, Field(description="|sum of the terms - logit_difference|.")]
    before: Before = None


class ProviderState(_Answer):
    """Where it runs."""

    asked: Literal["auto", "cpu", "cuda"]
    running: Annotated[list[str], Field(description="As onnxruntime names them, first first.")]
    doubt: Annotated[str | None, Field(description="Where that is not what one would expect.")]


class Limits(_Answer):
    """What a request may hold."""

    max_body: int
    max_pixels: int
    max_images: int
    max_classes: int
    formats: list[str]


class EditedPrototype(_Answer):
    """A prototype that an edit muted for good."""

    class_: Annotated[int, Field(alias="class", description="Class id.")]
    prototype: Annotated[int, Field(description="Its number in the class, from 0.")]


class EditEffect(_Answer):
    """What an edit did to a data set."""

    data: Annotated[str, Field(description="The data set's name.")]
    images: int
    accuracy_before: float
    accuracy_after: float
    corrected: Annotated[int, Field(description="Images whose best class became right.")]
    broken: Annotated[int, Field(description="Images whose best class became wrong.")]


class Edit(_Answer):
    """A decision about prototypes that the artifact holds; docs/format.md, Edits."""

    parent: Annotated[str, Field(description="`artifact` of the model that was edited.")]
    reason: str
    muted: list[EditedPrototype]
    effect: Annotated[EditEffect | None, Field(description="Null where it was not measured.")]


class ModelAnswer(_Answer):
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


class ClassSummary(_Answer):
    """How a class was decomposed."""

    id: int
    label: str
    state: Literal["decomposed", "whole"]
    images: Annotated[int, Field(description="Training images used.")]
    accuracy: Annotated[float | None, Field(description="Of the model on them.")]
    residual_ratio: Annotated[float | None, Field(description="|R| / |v|; docs/method.md.")]


class ClassesAnswer(_Answer):
    """All classes, in the order of the logits."""

    classes: list[ClassSummary]


class PrototypeSummary(_Answer):
    """What a prototype looks for in general."""

    index: int
    name: str
    scale: float | None
    muted: Annotated[
        str | None, Field(description="Why an edit muted it for good; null where none did.")
    ]
    evidence: list[EvidenceLink]


class PrototypesAnswer(_Answer):
    """What the model looks for in a class."""

    id: int
    label: str
    state: Literal["decomposed", "whole"]
    warnings: list[str]
    prototypes: list[PrototypeSummary]


class Sample(_Answer):
    """An image to try."""

    url: str
    width: int
    height: int


class SamplesAnswer(_Answer):
    """Images to try: those of the artifact's golden batch, as the network sees them."""

    samples: list[Sample]

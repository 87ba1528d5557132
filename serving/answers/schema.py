"""What goes over HTTP: options of requests and the shape of every answer.

Answers are documented by these models but written straight from arrays (answerer.py);
tests hold the two together. Contributions, logits and heatmaps are in logit units.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, WithJsonSchema
from pydantic.config import JsonDict
from typing_extensions import TypeAliasType

from serving.artifact.trust import Kind

# Types with a name of their own have one in the description too, and in clients made from it.
ClassKey = TypeAliasType(
    "ClassKey",
    Annotated[
        StrictInt | StrictStr,
        # Of oneOf TypeScript's generators make `number | string`, of anyOf a type without members.
        WithJsonSchema({"oneOf": [{"type": "integer"}, {"type": "string"}]}),
    ],
)
"""A class: its id, or its label."""
Heatmaps = TypeAliasType("Heatmaps", Literal["values", "float32", "float16", "png", "none"])
"""The forms of a heatmap that may be asked for."""
# anyOf: of oneOf TypeScript's generators make a reader that loses lists of lists.
Heatmap = TypeAliasType("Heatmap", list[list[float]] | str)
"""Rows of numbers, or a text: base64 or a data URL."""
_KEY = "Class: its label, or its id (a number, or digits that are no label)."

# Numbers of any size are cut to the classes there are, but pydantic reads no endless ones.
_AS_INT32: JsonDict = {"maximum": 2**31 - 1}


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class PredictOptions(_Options):
    """Options of ``/v1/predict``."""

    top: Annotated[
        int, Field(ge=1, json_schema_extra=_AS_INT32, description="Classes to return, best first.")
    ] = 5
    logits: Annotated[bool, Field(description="Return the logits of all classes too.")] = False


class Mute(_Options):
    """One prototype to switch off."""

    class_: Annotated[ClassKey, Field(alias="class", description=_KEY)]
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

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["top", "classes"]}})

    top: Annotated[
        int | None,
        Field(
            ge=1,
            json_schema_extra=_AS_INT32,
            description="Classes to explain, best first; at most `top` of `/v1/model`.",
        ),
    ] = None
    classes: Annotated[
        tuple[ClassKey, ...] | None,
        Field(
            min_length=1,
            max_length=MAX_LISTED,
            description="Explain these instead of the best. " + _KEY,
        ),
    ] = None
    mute: Mutes = ()


class ContrastOptions(HeatmapOptions):
    """Options of ``/v1/contrast``: why class a and not class b."""

    a: Annotated[ClassKey, Field(description=_KEY)]
    b: Annotated[ClassKey, Field(description=_KEY)]
    mute: Mutes = ()


class Answer(BaseModel):
    """What an answer holds."""

    model_config = ConfigDict(frozen=True)


class Problem(Answer):
    """An error, as RFC 9457 shapes it (``application/problem+json``)."""

    type: Annotated[str, Field(description="`urn:protohead:` and the kind of problem.")]
    title: str
    status: int
    detail: Annotated[str, Field(description="What was expected, what was found, what to do.")]
    instance: Annotated[str, Field(description="The request id, as in the log.")]
    error: Annotated[
        str, Field(description="The detail again, where clients of the protocols look for it.")
    ]


class ClassScore(Answer):
    """A class with its logit."""

    id: int
    label: str
    logit: float
    probability: float


Before = Annotated[
    list[ClassScore] | None,
    Field(description="With `mute`: these classes, and the best ones, as they were without it."),
]


class Prediction(Answer):
    """The answer for one image."""

    classes: list[ClassScore]
    logits: Annotated[list[float], Field(description="Only where asked for.")] = []


class PredictAnswer(Answer):
    """One result for each image, in order."""

    results: list[Prediction]


class ModelName(Answer):
    """Which model answered."""

    name: str
    sha256: Annotated[str, Field(description="Of the source model.")]
    artifact: Annotated[str, Field(description="sha256 of the artifact's manifest.")]


class View(Answer):
    """Size of what the network saw, pixels."""

    width: int
    height: int


Fraction = Annotated[float, Field(ge=0, le=1)]


class ContextLink(Answer):
    """The whole training image that a crop is of, made small."""

    url: str
    box: Annotated[
        tuple[Fraction, Fraction, Fraction, Fraction],
        Field(
            description="Where the crop is: left, top, right, bottom as fractions of its width "
            "and height."
        ),
    ]


class EvidenceLink(Answer):
    """A training crop that activates a prototype."""

    url: str
    image: Annotated[str, Field(description="Id of the training image.")]
    value: Annotated[float, Field(description="Activation at the crop's centre.")]
    context: Annotated[
        ContextLink | None,
        Field(description="Null where the export was not asked to keep whole images."),
    ]


class PartDoubt(Answer):
    """A reason to look at a part twice; docs/format.md, Trust."""

    kind: Kind
    says: Annotated[str, Field(description="It, in a sentence.")]


Doubts = Annotated[list[PartDoubt], Field(description="Reasons to look at it twice.")]


class ExplainedPrototype(Answer):
    """What one prototype says of the image."""

    index: int
    name: str
    contribution: float
    share: Annotated[
        float, Field(description="Contribution / sum of the class's positive contributions.")
    ]
    muted: bool
    heatmap: Annotated[
        Heatmap | None,
        Field(description="Rows from the top, whose mean is the contribution, or as asked for."),
    ]
    evidence: list[EvidenceLink]
    doubts: Doubts


class ExplainedClass(ClassScore):
    """Why a class got its logit: contributions + bias + common + unplaced + rounding = logit."""

    bias: float
    common: Annotated[float, Field(description="The same for every class.")]
    unplaced: Annotated[
        float,
        Field(description="What the network adds without looking at a place of the picture."),
    ]
    rounding: Annotated[float, Field(description="What a quantised head adds by rounding.")]
    placed: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="How much of the evidence has a place in the picture: |sum of "
            "contributions| / (|sum of contributions| + |unplaced|); 1 where nothing is unplaced.",
        ),
    ]
    whole: Annotated[bool, Field(description="Not decomposed: too few training images.")]
    prototypes: list[ExplainedPrototype]


class Explained(Answer):
    """The explanation of one image."""

    view: View
    classes: list[ExplainedClass]
    residual: Annotated[
        float,
        Field(
            description="Largest |contributions + bias + common + unplaced + rounding - logit| of "
            "the classes."
        ),
    ]
    before: Before = None


class ExplainAnswer(Answer):
    """One result for each image, in order."""

    model: ModelName
    heatmap_grid: Annotated[tuple[int, int], Field(description="Rows and columns.")]
    results: list[Explained]


class Term(Answer):
    """One summand of a difference of logits."""

    kind: Literal["prototype", "bias", "common", "unplaced", "rounding"]
    side: Annotated[
        Literal["a", "b"] | None, Field(description="Whose prototype it is; b's count negative.")
    ]
    index: int | None
    name: str
    value: float


class ContrastAnswer(Answer):
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

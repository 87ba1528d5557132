"""The options of an export, validated once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from serving.artifact import MODEL, Preprocessing
from serving.artifact.layout import ImageLayout

Method = Literal["evidence", "paper", "naive"]
Reference = Literal["mean", "none"]
Start = Literal["zeros", "even", "naive"]

GraphVariant = Literal["explained", "dense"]
InputType = Literal["float32", "uint8"]

Pixels = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Form:
    """What a graph of an artifact answers, and what it takes.

    Attributes:
        variant: ``explained`` chooses the best classes, ``dense`` gives every class in operators
            that converters know.
        input_type: ``float32`` is the prepared tensor, ``uint8`` the resized and cropped picture.
        input_layout: Of such a picture.
    """

    variant: GraphVariant = "explained"
    input_type: InputType = "float32"
    input_layout: ImageLayout = "NHWC"

    @property
    def file(self) -> str:
        """Its file in an artifact."""
        stem = "model" if self.variant == "explained" else self.variant
        return f"{stem}{'_uint8' if self.input_type == 'uint8' else ''}.onnx"

    @property
    def is_own(self) -> bool:
        """Whether every artifact has it."""
        return self.file == MODEL


@runtime_checkable
class TorchModule(Protocol):
    """A ``torch.nn.Module``, told by what it can do: most exports need no torch."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The output for an input."""

    def state_dict(self) -> Any:
        """Its weights by name."""

    def named_modules(self) -> Any:
        """Its parts by name."""


class ExportConfig(BaseModel):
    """Everything an export depends on, besides the files it reads.

    Attributes:
        model: An ``.onnx`` file, ``package.module:callable``, ``file.py:callable``, ``timm:NAME``,
            ``hf:FOLDER``, or a ``torch.nn.Module``.
        data: Folder with one folder of training images for each class.
        out: The artifact's folder; it appears whole or not at all.
        preprocessing: How images become input tensors, or the name of a preset; ``model`` takes
            what the model says of itself (timm, transformers), or ``preprocess.json`` beside it.
        labels: Every class label in the order of the logits, or some by class index; None takes
            ``labels.json`` beside an ONNX file, the model's own where folders are named by them,
            else the folder names.
        weights: Weights for a torch model.
        input_size: (height, width) in pixels for a torch model that does not say.
        channels: Channels of the images of a torch model that does not say: 1 is greyscale.
        output: The output with the logits, where the model has several: a name, or for a torch
            model an index.
        prototypes: k, prototypes of each class.
        method: How the head rows are split.
        start: Where the solver of the method ``paper`` begins; None is ``zeros``.
        reference: What is subtracted from every head row before it is split; None lets the
            activation decide: ``mean`` for softmax, ``none`` for sigmoid.
        multilabel: The logits are read through a sigmoid; by default a softmax.
        top: Classes explained by ``model.onnx`` for each image.
        max_images: Images used of each class, drawn by seed where there are more.
        min_images: Usable images below which a class keeps its head row whole.
        min_accuracy: Share of the images used that the model has to give to their class, else
            nothing is written; None asks for none. Low shares mean wrong preprocessing or labels.
        context: Keep small whole training images beside the crops; whoever has the artifact sees
            them.
        holdout: Share of the images, more than 0 and less than 1, that are left for measuring:
            ``evaluate`` and ``report`` find them again in the same folder. None leaves none.
        variant: ``dense`` adds ``dense.onnx``, the graph for converters to phones.
        input_type: ``uint8`` lets the further graph take pictures of 8 bits.
        input_layout: Of these pictures.
        seed: Seed of every random choice.
        jobs: Threads for decoding and for the network; changes no byte of the result.
        resume: Continue an interrupted export from its finished classes.
        overwrite: Replace an artifact that stands at ``out``, or the remains of another export.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    model: str | Path | TorchModule
    data: Path
    out: Path
    preprocessing: Preprocessing | str = "model"
    labels: tuple[str, ...] | dict[int, str] | None = None
    weights: Path | None = None
    input_size: tuple[Pixels, Pixels] | None = None
    channels: Literal[1, 3] | None = None
    output: str | None = None
    prototypes: int = Field(default=3, ge=1, le=32)
    method: Method = "evidence"
    start: Start | None = None
    reference: Reference | None = None
    multilabel: bool = False
    top: int = Field(default=5, ge=1, le=1000)
    max_images: int = Field(default=200, ge=1)
    min_images: int = Field(default=5, ge=2)
    min_accuracy: float | None = Field(default=None, ge=0, le=1)
    context: bool = False
    holdout: float | None = Field(default=None, gt=0, lt=1)
    variant: GraphVariant = "explained"
    input_type: InputType = "float32"
    input_layout: ImageLayout = "NHWC"
    seed: int = Field(default=0, ge=0, lt=2**32)
    jobs: int = Field(default=0, ge=0)
    resume: bool = False
    overwrite: bool = False

    @property
    def form(self) -> Form:
        """Of the graph to write beside those of every artifact."""
        return Form(self.variant, self.input_type, self.input_layout)

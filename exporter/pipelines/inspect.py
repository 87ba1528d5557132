"""What ``protohead inspect`` says of a model."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from exporter.config import TorchModule
from exporter.head import find_head
from exporter.head.grid import ONE_CELL, warn_of_one_cell
from exporter.source.onnx_file import load_source
from exporter.surgery import require_room


class Inspection(BaseModel):
    """The parts of a model's head.

    ``shape`` is that of the input, None for any size; ``grid`` is (h, w) of the feature map where
    the graph fixes it; ``normalisation`` says in words what the pooled vector is divided by;
    ``channels`` is d and ``classes`` is c.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    sha256: str
    input: str
    shape: tuple[int | None, ...]
    output: str
    logits: str
    activation: str
    feature: str
    layout: str
    grid: tuple[int, int] | None
    pooling: str
    normalisation: str | None
    linear: str
    channels: int
    classes: int

    def rows(self) -> list[tuple[str, str]]:
        """Name and value of each line that a person reads."""
        shape = " x ".join("any" if size is None else str(size) for size in self.shape)
        grid = f"{self.grid[0]} x {self.grid[1]}" if self.grid else "any size"
        behind = "" if self.activation == "none" else f", then {self.activation}"
        normalised = f", then {self.normalisation}" if self.normalisation else ""
        return [
            ("model", self.model),
            ("input", f"{self.input} ({shape})"),
            ("feature map", f"{self.feature} ({self.layout}, D = {self.channels}, grid {grid})"),
            ("pooling", f"{self.pooling}{normalised}"),
            ("linear head", f"{self.linear} (D = {self.channels}, C = {self.classes})"),
            ("logits", f"{self.logits}{behind}"),
            ("decomposable", f"yes, but {ONE_CELL}" if self.grid == (1, 1) else "yes"),
        ]


def inspect_model(
    model: str | TorchModule,
    *,
    weights: Path | None = None,
    input_size: tuple[int, int] | None = None,
    channels: int | None = None,
    output: str | None = None,
) -> Inspection:
    """Find the head of a model.

    Args:
        model: An ``.onnx`` file, ``package.module:callable``, ``file.py:callable``, ``timm:NAME``,
            ``hf:FOLDER``, or a ``torch.nn.Module``.
        weights: Weights for a torch model.
        input_size: (height, width) in pixels for a torch model that does not say.
        channels: Channels of the images of a torch model that does not say: 1 is greyscale.
        output: The output with the logits, where there are several: a name, or for a torch model
            an index.

    Returns:
        The parts of its head.

    Raises:
        SourceError: The model cannot be read.
        HeadError: It cannot be decomposed; the message names the node in the way.
        SurgeryError: Prototypes cannot be added to its graph.
    """
    source = load_source(
        model, weights=weights, input_size=input_size, channels=channels, output=output
    )
    head = find_head(source.model, output=source.output)
    require_room(source.model, head)
    warn_of_one_cell(head.grid, source.name)
    classes, channels = head.weight.shape
    return Inspection(
        model=source.name,
        sha256=source.sha256,
        input=source.input.name,
        shape=source.input.shape,
        output=head.output,
        logits=head.logits,
        activation=head.activation,
        feature=head.feature,
        layout=head.layout,
        grid=head.grid,
        pooling=head.pooling,
        normalisation=head.normalisation.words if head.normalisation else None,
        linear=head.linear,
        channels=channels,
        classes=classes,
    )

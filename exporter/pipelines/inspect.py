"""What ``protohead inspect`` says of a model."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from exporter.config import TorchModule
from exporter.head import find_head
from exporter.head.grid import ONE_CELL, warn_of_one_cell
from exporter.inspection.cost import CLASSES, PROTOTYPES, explanation_cost
from exporter.inspection.drawing import draw
from exporter.inspection.sample import Placed, measure_placed
from exporter.source.onnx_file import load_source
from exporter.source.presets import (
    OWN,
    chosen,
    fitting_preprocessing,
    require_pixels,
    said_beside,
)
from exporter.surgery import fix_input_size, require_room
from serving.artifact import Preprocessing
from serving.drawing.screen import table


class Inspection(BaseModel):
    """The parts of a model's head.

    ``shape`` is that of the input, None for any size; ``grid`` is (h, w) of the feature map where
    the graph fixes it; ``normalisation`` says in words what the pooled vector is divided by;
    ``channels`` is d, or of a head with a chain the length of what its linear layer reads;
    ``classes`` is c.

    ``steps`` draws the chain of a head that is more than a mean (docs/heads.md), from the places of
    the image to the logits; ``held`` says what its steps hold of each image, and ``unplaced`` what
    adds to logits from no place. All three are empty for other heads. ``placed`` was measured on
    a few images, if any were given. ``cost`` is the multiply-adds of explaining 5 classes by 3
    prototypes over the network's, None where they cannot be counted. ``rounding`` says what a
    quantised head rounds.
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
    steps: tuple[str, ...]
    held: tuple[str, ...]
    unplaced: tuple[str, ...]
    placed: Placed | None
    cost: float | None
    rounding: tuple[str, ...]

    def rows(self) -> list[tuple[str, str]]:
        """Name and value of each line that a person reads."""
        shape = " x ".join("any" if size is None else str(size) for size in self.shape)
        behind = "" if self.activation == "none" else f", then {self.activation}"
        rows = [
            ("model", self.model),
            ("input", f"{self.input} ({shape})"),
            *(self._chain() if self.steps else self._plain()),
            ("logits", f"{self.logits}{behind}"),
        ]
        if self.rounding:
            rows.append(("rounding", "; ".join(self.rounding)))
        if self.placed is not None:
            rows.append(("placed", self.placed.words))
        if self.cost is not None:
            rows.append(("cost", _cost(self.cost)))
        decomposable = f"yes, but {ONE_CELL}" if self.grid == (1, 1) else "yes"
        return [*rows, ("decomposable", decomposable)]

    def _repr_html_(self) -> str:
        """The same lines, for a notebook."""
        return table(dict(self.rows()))

    def _plain(self) -> list[tuple[str, str]]:
        """A mean and a linear layer."""
        grid = f"{self.grid[0]} x {self.grid[1]}" if self.grid else "any size"
        normalised = f", then {self.normalisation}" if self.normalisation else ""
        return [
            ("feature map", f"{self.feature} ({self.layout}, D = {self.channels}, grid {grid})"),
            ("pooling", f"{self.pooling}{normalised}"),
            ("linear head", f"{self.linear} (D = {self.channels}, C = {self.classes})"),
        ]

    def _chain(self) -> list[tuple[str, str]]:
        """The steps of a chain."""
        rows = [("steps", " -> ".join(self.steps))]
        if self.held:
            rows.append(("held", "; ".join(self.held)))
        nowhere = (
            f"{' and '.join(self.unplaced)} come from no place" if self.unplaced else "nothing"
        )
        return [*rows, ("unplaced", nowhere)]


def _cost(share: float) -> str:
    """Multiply-adds in words."""
    about = "less than 1%" if share < 0.01 else f"about {share:.0%}"
    return (
        f"explaining {CLASSES} classes by {PROTOTYPES} prototypes takes {about} of the network's "
        "multiply-adds"
    )


def inspect_model(
    model: str | Path | TorchModule,
    *,
    weights: Path | None = None,
    input_size: tuple[int, int] | None = None,
    channels: int | None = None,
    output: str | None = None,
    data: Path | str | None = None,
    preset: str | None = None,
    preprocess: Preprocessing | Path | str | None = None,
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
        data: A folder of images, or of one folder for each class: a few are run to see how much of
            the evidence has a place.
        preset: How their images become the input tensor, by name; by default as the model says, or
            ``preprocess.json`` beside an ONNX file.
        preprocess: The same as a preprocessing, or as a JSON file with one.

    Returns:
        The parts of its head.

    Raises:
        SourceError: The model cannot be read.
        HeadError: It cannot be decomposed; the message names the node in the way.
        SurgeryError: Prototypes cannot be added to its graph.
        DatasetError: ``data`` holds no image that can be read.
    """
    wanted = said_beside(model, chosen(preset, preprocess)) if data is not None else OWN
    source = load_source(
        model, weights=weights, input_size=input_size, channels=channels, output=output
    )
    prepared = None
    if data is not None:
        prepared = fitting_preprocessing(wanted, source.input.shape, source.own)
        require_pixels(prepared, source.input.dtype)
        fix_input_size(source.model, prepared.size)
    head = find_head(source.model, output=source.output)
    require_room(source.model, head)
    warn_of_one_cell(head.grid, source.name)
    drawing = draw(head)
    placed = None
    if data is not None and prepared is not None:
        placed = measure_placed(source, head, prepared, Path(data))
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
        channels=head.weight.shape[1] if head.chain is None else head.chain.size,
        classes=len(head.weight),
        steps=drawing.steps,
        held=drawing.held,
        unplaced=drawing.unplaced,
        placed=placed,
        cost=explanation_cost(source.model, head),
        rounding=tuple(rounding.words for rounding in head.roundings[::-1]),
    )

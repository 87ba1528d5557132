"""Whether prototypes fit a head, and a graph has room for them, asked before the work."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.errors import SurgeryError
from exporter.graph.write import NodeWriter
from exporter.head import Head
from exporter.surgery.located import has_class_rows
from serving.artifact.layout import position_axes

MOST_BYTES = 2**31 - 1
"""Of one protobuf message, which each graph of an artifact is."""


def require_room(model: ir.Model, head: Head, prototypes: int = 1) -> None:
    """Refuse a classifier that prototypes cannot be added to.

    Args:
        model: The classifier.
        head: Its head; weight (c, d).
        prototypes: k, of each class.

    Raises:
        SurgeryError: The graph is too old or was extended before, or would be too large.
    """
    NodeWriter(model)
    classes, channels = head.weight.shape
    numbers = prototypes * channels
    if head.chain is not None and has_class_rows(head.chain):
        numbers += head.chain.size
    own, table = sum(_sizes(model)), 4 * classes * numbers
    if own + table > MOST_BYTES:
        raise SurgeryError(
            f"expected at most 2 GiB in one graph, the largest ONNX file, got {own / 2**30:.2f} "
            f"GiB of weights and {table / 2**30:.2f} GiB for {classes} x {prototypes} prototypes "
            f"of {channels} channels. Ask for fewer `prototypes`, or export the model with fewer "
            "classes."
        )


def require_fit(
    head: Head,
    shape: tuple[int | None, ...] | None,
    prototypes: NDArray[np.float32],
    grid: tuple[int, int],
) -> None:
    """Refuse prototypes, or a grid, of another head.

    Args:
        head: The head.
        shape: Of its feature map, as far as the graph tells it.
        prototypes: (c, k, d).
        grid: (h, w).

    Raises:
        SurgeryError: They do not fit.
    """
    classes, channels = head.weight.shape
    fits = prototypes.ndim == 3 and (prototypes.shape[0], prototypes.shape[2]) == head.weight.shape
    if not fits or prototypes.dtype != np.float32:
        raise SurgeryError(
            f"expected prototypes ({classes}, k, {channels}) in float32 for the head "
            f"{head.linear!r}, got {prototypes.shape} in {prototypes.dtype}."
        )
    if head.chain is not None:
        shape = None if head.chain.map is None else shape  # attention reads other tokens too
    sizes = [shape[axis] for axis in position_axes(head.layout)] if shape else [None]
    static = [size for size in sizes if size is not None]
    if len(static) == len(sizes) and math.prod(static) != grid[0] * grid[1]:
        raise SurgeryError(
            f"expected a grid of {math.prod(static)} positions for {head.feature!r}, got "
            f"{grid[0]} x {grid[1]}."
        )


def _sizes(model: ir.Model) -> Iterator[int]:
    """Bytes of every weight, wherever the graph holds it."""
    for graph in model.graphs():
        for value in graph.initializers.values():
            yield value.const_value.nbytes if value.const_value is not None else 0
        for node in graph:
            for found in node.attributes.values():
                if found.type == ir.AttributeType.TENSOR:
                    yield found.as_tensor().nbytes

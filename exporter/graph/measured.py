"""Shapes that no inference tells, read off a run of the graph.

ONNX infers nothing behind an operator that it does not know, such as those of a runtime's own
optimised files, nor behind a shape that is computed in a way it does not follow. The runtime knows
what it computes. Two runs tell what is fixed from what belongs to the batch or to the picture:

    one picture of 224 x 224        (1, 64, 7, 7)
    two pictures of 256 x 192       (2, 64, 8, 6)      ->      (?, 64, ?, ?)
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.graph.read import dimensions, image_input, with_shapes
from serving.errors import ArtifactError
from serving.model.runtime import make_session, run

_BATCHES = (1, 2)
_SIDES = ((224, 224), (256, 192))  # where the graph leaves them open
_CHANNELS = 3
_MOST = 2**26  # numbers of a batch; a damaged file may ask for any


def measure_shapes(model: ir.Model) -> bool:
    """Write the shapes that a graph does not tell.

    Args:
        model: A classifier; its values get the shapes, no node changes.

    Returns:
        Whether there was anything to write: not where every shape is told, and not where the
        runtime cannot run the graph.
    """
    found = image_input(model.graph)
    open_size = found is None or None in (dimensions(found[0]) or (None,))[1:]
    unknown = [
        value
        for node in model.graph
        for value in node.outputs
        if value.name and _untold(value, open_size=open_size)
    ]
    if found is None or not unknown:
        return False
    sizes = [_sizes(found[0], found[1], number) for number in range(len(_BATCHES))]
    if max(math.prod(each) for each in sizes) > _MOST:
        return False
    pictures = [np.full(each, 0.5, np.float32) for each in sizes]
    try:
        runs = _run(model, found[0].name or "", unknown, pictures)
    except ArtifactError:  # what does not run is for whoever wants to run it to say
        return False
    for value, (one, two) in zip(unknown, zip(*runs, strict=True), strict=True):
        same = len(one) == len(two)
        value.shape = (
            ir.Shape([a if a == b else None for a, b in zip(one, two, strict=True)])
            if same
            else None
        )
    return True


def declare_outputs(model: ir.Model) -> None:
    """Write the type and the shape of outputs that a file leaves out, as ONNX asks for them.

    Args:
        model: A classifier; the values of its outputs get what can be told, no node changes.
    """
    outputs = model.graph.outputs
    if all(value.shape is not None and value.dtype is not None for value in outputs):
        return
    copy = with_shapes(model)
    if any(value.shape is None for value in copy.graph.outputs):
        measure_shapes(copy)
    for value, told in zip(outputs, copy.graph.outputs, strict=True):
        value.shape = told.shape if value.shape is None else value.shape
        if value.dtype is None and told.dtype is not None:
            value.dtype = told.dtype


def _untold(value: ir.Value, *, open_size: bool) -> bool:
    shape = dimensions(value)
    return shape is None or (not open_size and None in shape[1:])


def _sizes(value: ir.Value, axes: tuple[int, int], number: int) -> list[int]:
    """The shape of a batch of pictures that a graph takes."""
    wanted = {0: _BATCHES[number], **dict(zip(axes, _SIDES[number], strict=True))}
    return [
        wanted.get(axis, _CHANNELS) if size is None else size
        for axis, size in enumerate(dimensions(value) or ())
    ]


def _run(
    model: ir.Model, name: str, values: list[ir.Value], pictures: list[NDArray[np.float32]]
) -> list[list[tuple[int, ...]]]:
    """The shapes of some values for each batch of pictures."""
    message = ir.to_proto(model)
    declared = {output.name for output in message.graph.output}
    for value in values:
        if value.name not in declared:
            message.graph.output.add().name = value.name or ""
    session = make_session(message.SerializeToString(), reorder=False, quiet=True)
    names = [value.name or "" for value in values]
    return [
        [np.shape(array) for array in run(session, names, {name: picture}).values()]
        for picture in pictures
    ]

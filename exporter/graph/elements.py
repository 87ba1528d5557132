"""Which elements of a value others are copies of: followed upwards through nodes that only move.

Elements are numbered through one image in the order of memory, 0 to size - 1, in a graph whose
batch is settled to one (sizes.py), so that a Reshape changes no number:

    y = Gather (x, axis 1, index 0)      elements of y (1, 8) are 0 .. 7 of x (1, 5, 8)
    y = Transpose (x, perm 0 2 1)        elements of row 0 of y (1, 8, 5) are 0, 8, 16 .. of x
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.graph.read import (
    attribute,
    computed,
    constant,
    dimensions,
    image_input,
    operand,
    source,
)
from exporter.graph.sizes import with_one_image

Index = NDArray[np.int64]

_STILL = {"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
_PICKING = {"Expand", "Gather", "Slice", "Split"}
_IMAGES = "protohead.images"
_MOST = 2**25


def of_one_image(graph: ir.Graph) -> ir.Graph:
    """A copy of a graph for one image, which remembers where there were several.

    Args:
        graph: A classifier's graph.

    Returns:
        The copy, sharing its tensors.
    """
    found = image_input(graph)
    images = (dimensions(found[0]) or (None,))[0] if found else None
    copy = with_one_image(graph)
    before = {value.name: value for node in graph for value in node.outputs}
    for node in copy:
        for value in node.outputs:
            old = before.get(value.name)
            shape = None if old is None else dimensions(old)
            value.meta[_IMAGES] = bool(images != 1 and shape and shape[0] == images)
    return copy


def _has_images_first(value: ir.Value) -> bool:
    """Whether the first axis of a value is that of the batch, or holds it."""
    return bool(value.meta.get(_IMAGES, False))


def sizes(value: ir.Value) -> tuple[int, ...] | None:
    """The sizes of a value's axes for one image.

    None if the graph leaves one of them open, or the value is too large to number its elements.
    """
    shape = dimensions(value)
    known = tuple(size for size in shape or () if size is not None)
    if shape is None or len(known) < len(shape) or math.prod(known) > _MOST:
        return None
    return known


def numbered(shape: tuple[int, ...]) -> Index:
    """The number of every element of a value of this shape."""
    return np.arange(int(np.prod(shape, dtype=np.int64))).reshape(shape)


def above_move(value: ir.Value, index: Index) -> tuple[ir.Value, Index] | None:
    """Go above a node that moves or picks elements of one value, by constant numbers.

    Args:
        value: What the node computes.
        index: Numbers of elements of it, any shape.

    Returns:
        The value that the node reads, and the numbers that the elements have there; None if the
        node is another, or its sizes are open.
    """
    node = value.producer()
    if node is None or node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type in _STILL or _is_still(node):
        return source(node), index
    moved = _MOVED.get(node.op_type)
    read = None if moved is None else source(node)
    shape = None if read is None else sizes(read)
    if moved is None or read is None or shape is None:
        return None
    table = moved(node, value, numbered(shape))
    return None if table is None else (read, table.reshape(-1)[index])


def _is_still(node: ir.Node) -> bool:
    """Whether a Cast or a Dropout changes nothing."""
    if node.op_type == "Cast":
        return ir.DataType(attribute(node, "to", 0)) == ir.DataType.FLOAT
    training = operand(node, 2)
    mode = None if training is None else constant(training)
    return node.op_type == "Dropout" and (training is None or (mode is not None and not mode.any()))


def pieces(node: ir.Node) -> list[tuple[ir.Value, Index]] | None:
    """What a Concat joins: each value, and the number that each of its elements gets.

    Returns:
        The values in order with a vector as long as each; None where sizes are open.
    """
    shapes = [None if part is None else sizes(part) for part in node.inputs]
    whole = sizes(node.outputs[0])
    if whole is None or None in shapes:
        return None
    axis = attribute(node, "axis", 0) % len(whole)
    if axis == 0 and _has_images_first(node.outputs[0]):
        return None
    ends = np.cumsum([shape[axis] for shape in shapes if shape])[:-1]
    parts = np.split(numbered(whole), ends, axis=axis)
    return [
        (value, part.reshape(-1))
        for value, part in zip(node.inputs, parts, strict=True)
        if value is not None
    ]


def spread(read: ir.Value, value: ir.Value) -> Index | None:
    """For each element of a value that was computed element by element, the one that was read.

    Returns:
        A vector as long as ``value``; None where sizes are open or do not broadcast.
    """
    own, whole = sizes(read), sizes(value)
    if own is None or whole is None:
        return None
    if _has_images_first(read) and len(own) == len(whole) and own[0] != whole[0]:
        return None  # a constant tells images apart
    try:
        return np.broadcast_to(numbered(own), whole).reshape(-1)
    except ValueError:
        return None


def stored_elements(read: ir.Value, value: ir.Value, index: Index) -> NDArray[np.float64] | None:
    """The numbers that a constant operand has at elements of what is computed with it.

    Args:
        read: The operand.
        value: What is computed element by element.
        index: Numbers of elements of ``value``.

    Returns:
        The numbers, shaped as ``index``; None if the operand is no constant.
    """
    array, table = constant(read), spread(read, value)
    if array is None or table is None:
        return None
    return np.asarray(array, np.float64).reshape(-1)[table[index]]


def _transposed(node: ir.Node, _value: ir.Value, numbers: Index) -> Index:
    perm = attribute(node, "perm", None)
    return numbers.transpose(perm if perm is None else tuple(perm))


def _picked(node: ir.Node, value: ir.Value, numbers: Index) -> Index | None:
    others = [read for read in node.inputs[1:] if read is not None]
    if any(constant(read) is None for read in others):
        return None
    name = source(node).name or ""
    table = np.asarray(computed(value, [node], {name: numbers}))
    # As torch writes as_strided of a batch: every element of every image, at indices of its own.
    strided = node.op_type == "Gather" and numbers.ndim == 1
    if _picks_images(node) and not (strided and np.array_equal(table.reshape(-1), numbers)):
        return None
    return table


def _picks_images(node: ir.Node) -> bool:
    """Whether a node picks some of the images of a batch."""
    read = source(node)
    if not _has_images_first(read) or node.op_type == "Expand":
        return False
    if node.op_type != "Slice":
        return bool(attribute(node, "axis", 0) % len(dimensions(read) or (1,)) == 0)
    axes = attribute(node, "axes", None)
    stored = constant(operand(node, 3)) if axes is None else np.array(axes)
    starts = constant(operand(node, 1)) if "starts" not in node.attributes else None
    if stored is None:
        return starts is not None and starts.size > 0  # from the first axis on
    return bool((np.asarray(stored) % len(dimensions(read) or (1,)) == 0).any())


_MOVED: dict[str, Callable[[ir.Node, ir.Value, Index], Any]] = {
    "Transpose": _transposed,
    **dict.fromkeys(_PICKING, _picked),
}

"""Where values of one pooled vector are joined, added or picked from: one step up, to each of them.

Concat(a, b), Add, Sub, Sum, Mean, Where         each operand has a part of the tail
Slice, Gather, Split, Pad                        rows of the matrix are picked
ReduceMean or ReduceSum of Concat                a stack of heads, averaged or summed
ReduceMean or ReduceSum of (b, d)                one number of a vector, that is taken off it
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.graph.read import (
    alike,
    attribute,
    axes_of,
    computed,
    constant,
    dimensions,
    operand,
    product,
    source,
)
from exporter.head.linear import along_channels, require_finite
from exporter.head.tail import Tail, require_linear

Branches = list[tuple[ir.Value, Tail]]


def step_apart(value: ir.Value, node: ir.Node, tail: Tail) -> Branches | None:
    """Go from what a node computes to every value that it was computed from.

    Args:
        value: The output of the node that is the z of ``tail``.
        node: The node.
        tail: What lies downstream.

    Returns:
        The values above the node, each with the tail as seen from there; None if the node joins no
        values and picks from none, or not in a way that is known to be linear.

    Raises:
        HeadError: A LayerNormalization lies behind it.
    """
    rule = _RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    found = None if rule is None else rule(value, node, tail)
    if found is not None:
        require_linear(node, tail)
    return found


def unstacked(node: ir.Node) -> Sequence[ir.Value]:
    """The values that a node averages or sums after they were stacked; none for any other node."""
    stack = None if node.op_type not in _REDUCED else source(node).producer()
    if stack is None or stack.op_type != "Concat":
        return ()
    axes, rank = axes_of(node), len(dimensions(stack.outputs[0]) or ())
    axis = attribute(stack, "axis", 0)
    if axes is None or not rank or [a % rank for a in axes] != [axis % rank]:
        return ()
    parts = [part for part in stack.inputs if part is not None]
    ones = all((dimensions(part) or (None,) * rank)[axis % rank] == 1 for part in parts)
    return parts if ones and len(parts) == len(stack.inputs) else ()


def is_of_vector(node: ir.Node) -> bool:
    """Whether a node averages or sums all numbers of one vector an image, (b, d) or (b, d, 1, 1).

    In (b, l, 1) they may be positions, so that is left to the pooling.
    """
    if node.op_type not in _REDUCED:
        return False
    axes, shape = axes_of(node), dimensions(source(node)) or ()
    if axes is None or len(shape) not in (2, 4) or _vector(source(node)) is None:
        return False
    return [axis % len(shape) for axis in axes] == [1] and set(shape[2:]) <= {1}


def _vector(value: ir.Value | None) -> int | None:
    """The length of a value (b, d), (b, d, 1, 1) or (b, 1, d); None if it is no such value."""
    shape = None if value is None else dimensions(value)
    if not shape or len(shape) < 2 or sum(size != 1 for size in shape[1:]) > 1:
        return None
    return product(shape[1:])


def _reduce(_value: ir.Value, node: ir.Node, tail: Tail) -> Branches | None:
    if is_of_vector(node):
        length = _vector(source(node)) or 1
        factor = 1 / length if node.op_type == "ReduceMean" else 1.0
        return [(source(node), tail.above_sum(factor, length))]
    parts = unstacked(node)
    share = 1 / len(parts) if parts and node.op_type == "ReduceMean" else 1.0
    return shared([(part, share) for part in parts], tail) if parts else None


def _sum(value: ir.Value, node: ir.Node, tail: Tail) -> Branches | None:
    """A sum of values of one vector an image; constants go into the bias."""
    length, rank = _vector(value), len(dimensions(value) or ())
    parts = [part for part in node.inputs if part is not None]
    varying = [part for part in parts if constant(part) is None]
    if length is None or (len(varying) < 2 and node.op_type in ("Add", "Sub")):
        return None  # with a constant it is a step of linear.py
    if any(_vector(p) not in (1, length) or len(dimensions(p) or ()) != rank for p in varying):
        return None
    branches = list[tuple[ir.Value, float]]()
    for index, part in enumerate(parts):
        share = -1.0 if node.op_type == "Sub" and index else 1.0
        share = share / len(parts) if node.op_type == "Mean" else share
        array = alike(part)
        if array is None:
            branches.append((part, share))
        else:
            shift = share * along_channels(node, array, length, rank)
            tail = tail.above_shift(require_finite(node, shift))
    return [
        # One number for all classes is picked for each.
        (part, own if _vector(part) == length else own.above_pick(np.zeros(length, np.int64), 1))
        for part, own in shared(branches, tail)
    ]


def shared(parts: Sequence[tuple[ir.Value, float | NDArray[np.float64]]], tail: Tail) -> Branches:
    """The tail for every part, times the factor of each; the bias is counted with the first."""
    return [
        (part, (tail.without_bias() if index else tail).above_scale(np.atleast_1d(factor)))
        for index, (part, factor) in enumerate(parts)
    ]


def _where(value: ir.Value, node: ir.Node, tail: Tail) -> Branches | None:
    length, rank = _vector(value), len(dimensions(value) or ())
    chosen = constant(operand(node, 0))
    if length is None or chosen is None:
        return None
    first = along_channels(node, chosen, length, rank) != 0
    branches = list[tuple[ir.Value, NDArray[np.float64]]]()
    for part, own in ((source(node, 1), first), (source(node, 2), ~first)):
        array = constant(part)
        if array is not None:
            fixed = along_channels(node, array, length, rank)
            tail = tail.above_shift(require_finite(node, np.where(own, fixed, 0.0)))
        elif _vector(part) != length:
            return None
        else:
            branches.append((part, own.astype(np.float64)))
    return shared(branches, tail)


def _concat(value: ir.Value, node: ir.Node, tail: Tail) -> Branches | None:
    shape = dimensions(value) or ()
    axis = attribute(node, "axis", 0) % len(shape) if shape else 0
    parts = [part for part in node.inputs if part is not None]
    lengths = [product((dimensions(part) or (None, None))[1:]) for part in parts]
    if axis == 0 or product(shape[1:axis]) != 1 or None in lengths:
        return None
    sizes = [length or 0 for length in lengths]
    starts = np.cumsum([0, *sizes[:-1]])
    places, shift = np.arange(sum(sizes)), np.zeros(sum(sizes))
    branches = list[tuple[ir.Value, int, int]]()
    for part, start, size in zip(parts, starts, sizes, strict=True):
        array = alike(part)
        if array is None:
            branches.append((part, start, size))
        elif array.size == size:
            shift[start : start + size] = array.reshape(-1)
        else:
            return None  # it tells images apart
    if len(branches) < len(parts):
        tail = tail.above_shift(require_finite(node, shift))
    return [
        (part, (tail.without_bias() if index else tail).above_pick(places - start, size))
        for index, (part, start, size) in enumerate(branches)
    ] or None


def _pick(value: ir.Value, node: ir.Node, tail: Tail) -> Branches | None:
    """Which numbers are picked, and which are put in, is seen by running the nodes on two vectors.

    What differs between the two runs is picked, what does not is a constant. Exporters move the
    batch away to pick, and compute places from sizes, so it may take several nodes.
    """
    read = source(node)
    while _vector(read) is None and _moves(read.producer()):
        read = source(read.producer() or node)
    length, nodes, shape = _vector(read), _between(value, read), dimensions(read)
    if length is None or nodes is None or shape is None:
        return None
    images = shape[0] or 2
    numbers = np.arange(images * length, dtype=np.float32).reshape(images, *shape[1:])
    runs = [computed(value, nodes, {read.name or "": each}) for each in (numbers, numbers + 0.5)]
    if any(len(run) != images for run in runs):
        return None  # it picks images
    one, two = (run.reshape(images, -1).astype(np.float64) for run in runs)
    picked = np.where(one == two, -1, one - length * np.arange(images)[:, None])
    inside = (picked < length) & (picked == np.floor(picked)) & (picked >= -1)
    inside &= (one == two) | (two - one == 0.5)  # as it is, and not times a number
    if not inside.all() or (picked != picked[0]).any() or ((one == two) & (one != one[0])).any():
        return None  # of other images, or computed
    fixed = np.where(picked[0] < 0, require_finite(node, one[0]), 0.0)
    return [(read, tail.above_shift(fixed).above_pick(picked[0].astype(np.int64), length))]


def _from_behind(value: ir.Value, node: ir.Node, tail: Tail) -> Branches | None:
    """A Transpose that brings the batch back to the front after something was picked."""
    moved = tuple(attribute(node, "perm", ()))[:1] != (0,)
    above = source(node).producer()
    picks = above is not None and above.op_type in _PICKING
    return _pick(value, node, tail) if moved and picks else None


def _moves(node: ir.Node | None) -> bool:
    return node is not None and node.domain in ("", "ai.onnx") and node.op_type in _MOVING


def _between(value: ir.Value, read: ir.Value) -> list[ir.Node] | None:
    """The nodes that compute a value from another and from constants, in order; None if others."""
    found: set[ir.Node] = set()
    waiting: list[ir.Value] = [value]
    while waiting:
        current = waiting.pop()
        node = current.producer()
        if current is read or node in found or constant(current) is not None:
            continue
        if node is None or not (_moves(node) or node.op_type in _COUNTING):
            return None
        found.add(node)
        waiting.extend(each for each in node.inputs if each is not None)
    return None if value.graph is None else [node for node in value.graph if node in found]


_MOVING = {
    "Expand",
    "Gather",
    "GatherElements",
    "GatherND",
    "Pad",
    "Reshape",
    "ScatterElements",
    "ScatterND",
    "Slice",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
}
_COUNTING = {  # how exporters compute places from sizes
    "Add",
    "Cast",
    "Concat",
    "ConstantOfShape",
    "Div",
    "Equal",
    "Flatten",
    "Identity",
    "Mul",
    "Neg",
    "Range",
    "Shape",
    "Sub",
    "Where",
}
_PICKING = _MOVING - {"Reshape", "Squeeze", "Transpose", "Unsqueeze"}
_REDUCED = {"ReduceMean", "ReduceSum"}
_RULES: dict[str, Callable[[ir.Value, ir.Node, Tail], Branches | None]] = {
    **dict.fromkeys(("Add", "Sub", "Sum", "Mean"), _sum),
    **dict.fromkeys(_PICKING, _pick),
    "Transpose": _from_behind,
    **dict.fromkeys(_REDUCED, _reduce),
    "Concat": _concat,
    "Where": _where,
}

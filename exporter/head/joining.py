"""Where values of one pooled vector are joined, added or picked from: one step up, to each of them.

Concat(a, b), Add, Sub, Sum, Mean, Where         each operand has a part of the tail
Slice, Gather, Split, Pad                        rows of the matrix are picked
ReduceMean or ReduceSum of Concat                a stack of heads, averaged or summed
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.graph.read import (
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


def _vector(value: ir.Value | None) -> int | None:
    """The length of a value (b, d), (b, d, 1, 1) or (b, 1, d); None if it is no such value."""
    shape = None if value is None else dimensions(value)
    if not shape or len(shape) < 2 or sum(size != 1 for size in shape[1:]) > 1:
        return None
    return product(shape[1:])


def _unstack(_value: ir.Value, node: ir.Node, tail: Tail) -> Branches | None:
    parts = unstacked(node)
    share = 1 / len(parts) if parts and node.op_type == "ReduceMean" else 1.0
    return _shared([(part, share) for part in parts], tail) if parts else None


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
        array = constant(part)
        if array is None:
            branches.append((part, share))
        else:
            shift = share * along_channels(node, array, length, rank)
            tail = tail.above_shift(require_finite(node, shift))
    return [
        # One number for all classes is picked for each.
        (part, own if _vector(part) == length else own.above_pick(np.zeros(length, np.int64), 1))
        for part, own in _shared(branches, tail)
    ]


def _shared(parts: Sequence[tuple[ir.Value, float | NDArray[np.float64]]], tail: Tail) -> Branches:
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
    return _shared(branches, tail)


def _concat(value: ir.Value, node: ir.Node, tail: Tail) -> Branches | None:
    shape = dimensions(value) or ()
    axis = attribute(node, "axis", 0) % len(shape) if shape else 0
    parts = [part for part in node.inputs if part is not None]
    lengths = [product((dimensions(part) or (None, None))[1:]) for part in parts]
    if axis == 0 or product(shape[1:axis]) != 1 or None in lengths:
        return None
    sizes = [length or 0 for length in lengths]
    places, start = np.arange(sum(sizes)), 0
    found: Branches = []
    for part, size in zip(parts, sizes, strict=True):
        own = tail.without_bias() if found else tail
        found.append((part, own.above_pick(places - start, size)))
        start += size
    return found


def _pick(value: ir.Value, node: ir.Node, tail: Tail) -> Branches | None:
    """Which numbers are picked is seen where the node is run on the numbers 1, 2, 3, ..."""
    read = source(node)
    length, shape = _vector(read), dimensions(read)
    others = {part: constant(part) for part in node.inputs[1:] if part is not None}
    if length is None or shape is None or any(array is None for array in others.values()):
        return None
    numbers = np.arange(1, 2 * length + 1, dtype=np.int64).reshape(2, *shape[1:])
    filling = operand(node, 2) if node.op_type == "Pad" else None
    given = {read.name or "": numbers}
    if filling is not None:
        given[filling.name or ""] = np.zeros_like(others[filling], np.int64)
    picked = computed(value, [node], given)
    if len(picked) != 2:
        return None  # it picks images
    one, two = (rows.reshape(-1) - 1 for rows in picked)
    if not np.array_equal(np.where(one < 0, one, one + length), two):
        return None
    if filling is not None:
        fixed = require_finite(node, np.float64(others[filling]).reshape(1))
        tail = tail.above_shift(np.where(one < 0, fixed, 0.0))
    return [(read, tail.above_pick(one, length))]


_REDUCED = {"ReduceMean", "ReduceSum"}
_RULES: dict[str, Callable[[ir.Value, ir.Node, Tail], Branches | None]] = {
    **dict.fromkeys(("Add", "Sub", "Sum", "Mean"), _sum),
    **dict.fromkeys(("Gather", "Pad", "Slice", "Split"), _pick),
    **dict.fromkeys(_REDUCED, _unstack),
    "Concat": _concat,
    "Where": _where,
}

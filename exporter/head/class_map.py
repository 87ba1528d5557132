"""A linear layer in front of the pooling: each position has logits, and their mean is the answer.

    mean over positions of (W x + t)  =  W (mean over positions of x) + t

so the rows are those of W, and the feature map is what the layer reads. Such a head is called fully
convolutional, or a class activation map. Between the layer and the pooling may lie what scales or
shifts channels, picks some of them or takes off their mean, and layers of one map may be added or
joined.

Symbols: b images, d channels, h×w grid, l = h·w positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.graph.pooling import CHANNEL_AXIS, Pooling, above_rearrangement, words_of
from exporter.graph.read import (
    attribute,
    axes_of,
    computed,
    constant,
    dimensions,
    operand,
    refusal,
    source,
    stored,
)
from exporter.head.joining import shared
from exporter.head.linear import (
    above_batch_norm,
    matrix_of_einsum,
    operands,
    require_inference,
    require_single,
)
from exporter.head.obstacles import require_kept_when_read
from exporter.head.tail import Tail

Step = tuple[ir.Value, Tail]


def above_class_map(pooling: Pooling, tail: Tail) -> tuple[Pooling, Tail]:
    """Go above the linear layer that lies in front of a pooling, if none lies behind it.

    Args:
        pooling: The pooling.
        tail: What lies behind it.

    Returns:
        The same pooling of the value that the layer reads, and the tail as seen from there.

    Raises:
        HeadError: No linear layer lies on either side, something between is not linear, or it
            reads several maps.
    """
    order = {node: n for n, node in enumerate(pooling.feature.graph or ())}
    found = {(pooling.feature, pooling.layout): tail}
    while waiting := [place for place, part in found.items() if part.linear is None]:
        value, layout = max(waiting, key=lambda place: _order_of(place[0], order))
        part, node = found.pop((value, layout)), value.producer()
        steps = None if node is None else _step(node, part, CHANNEL_AXIS[layout])
        if node is None or steps is None:
            raise refusal(
                pooling.last,
                "computes the output without a linear layer behind it: expected Gemm, MatMul or a "
                "1x1 Conv behind the pooling, or right in front of it with nothing but scale and "
                f"shift between. In front of it lies {words_of(value)}.",
            )
        for above, own in steps:
            place = above_rearrangement(above, layout)
            found[place] = own.plus(found[place], node) if place in found else own
    if len(found) > 1:
        names = ", ".join(repr(value.name) for value, _ in found)
        raise refusal(
            pooling.last,
            f"averages what is computed of {names}: the logits must come from one feature map. A "
            "model that reads one of them would do.",
        )
    (((value, layout), tail),) = found.items()
    require_kept_when_read(value)
    return replace(pooling, feature=value, layout=layout), tail


def _order_of(value: ir.Value, order: dict[ir.Node, int]) -> int:
    node = value.producer()
    return -1 if node is None else order.get(node, -1)


def _step(node: ir.Node, tail: Tail, axis: int) -> list[Step] | None:
    """Above one node whose channels lie along an axis; None if it is not one of those allowed."""
    if node.domain not in ("", "ai.onnx"):
        return None
    apart = _JOINING.get(node.op_type)
    found = None if apart is None else apart(node, tail, axis)
    rule = None if found is not None else _RULES.get(node.op_type)
    step = None if rule is None else rule(node, tail, axis)
    return found if step is None else [step]


def _sum(node: ir.Node, tail: Tail, axis: int) -> list[Step] | None:
    """Maps of the same positions, with the same channels or one for all of them."""
    shape = dimensions(node.outputs[0]) or ()
    parts = [source(node, index) for index in range(len(node.inputs))]
    wanted, sizes = _but(shape, axis), [dimensions(part) or () for part in parts]
    if any(constant(part) is not None for part in parts) or not shape or shape[axis] is None:
        return None
    if any(_but(each, axis) != wanted or each[axis] not in (1, shape[axis]) for each in sizes):
        return None
    signs = [-1.0 if node.op_type == "Sub" and index else 1.0 for index in range(len(parts))]
    every = np.zeros(shape[axis] or 1, np.int64)
    return [
        (part, own if size[axis] == shape[axis] else own.above_pick(every, 1))
        for (part, own), size in zip(
            shared(list(zip(parts, signs, strict=True)), tail), sizes, strict=True
        )
    ]


def _but(shape: tuple[int | None, ...], axis: int) -> tuple[int | None, ...]:
    """The sizes of all axes but one."""
    return (*shape[:axis], *shape[axis + 1 :])


def _concat(node: ir.Node, tail: Tail, axis: int) -> list[Step] | None:
    """Maps that are joined along their channels."""
    parts = [source(node, index) for index in range(len(node.inputs))]
    shapes = [dimensions(part) or () for part in parts]
    joined = len(shapes[0]) > 0 and attribute(node, "axis", 0) % len(shapes[0]) == axis
    sizes = [shape[axis] for shape in shapes if len(shape) > axis]
    if not joined or None in sizes or any(constant(part) is not None for part in parts):
        return None
    known = [size or 0 for size in sizes]
    starts, places = np.cumsum([0, *known[:-1]]), np.arange(sum(known))
    return [
        (part, own.above_pick(places - start, size))
        for (part, own), start, size in zip(
            shared([(part, 1.0) for part in parts], tail), starts, known, strict=True
        )
    ]


def _mean(node: ir.Node, tail: Tail, axis: int) -> list[Step] | None:
    """The mean of all channels of each position."""
    value, axes = source(node), axes_of(node)
    shape = dimensions(value) or ()
    length = shape[axis] if len(shape) > axis else None
    if length is None or axes is None or not attribute(node, "keepdims", 1):
        return None
    if [each % len(shape) for each in axes] != [axis]:
        return None
    return [(value, tail.above_sum(1 / length, length))]


def _same(node: ir.Node, tail: Tail, _axis: int) -> Step:
    if node.op_type == "Dropout":
        require_inference(node)
    elif node.op_type == "Cast":
        require_single(node)
    return source(node), tail


def _conv(node: ir.Node, tail: Tail, axis: int) -> Step | None:
    kernel = stored(node, 1, "its kernel")
    ones = all(size == 1 for size in (*kernel.shape[2:], *attribute(node, "strides", ())))
    if axis != 1 or not ones or any(attribute(node, "pads", ())):
        return None
    if attribute(node, "group", 1) != 1:
        return None
    if operand(node, 2) is not None:
        tail = tail.above_shift(stored(node, 2, "its bias"))
    return source(node), tail.above_matrix(kernel.reshape(kernel.shape[:2]), node)


def _matmul(node: ir.Node, tail: Tail, axis: int) -> Step | None:
    value, matrix, index = operands(node)
    if index != 0 or matrix.ndim != 2 or axis != len(dimensions(value) or ()) - 1:
        return None
    return value, tail.above_matrix(matrix.T, node)


def _einsum(node: ir.Node, tail: Tail, axis: int) -> Step | None:
    value, matrix, own = matrix_of_einsum(node)
    return (value, tail.above_matrix(matrix, node)) if own == axis else None


def _batch_norm(node: ir.Node, tail: Tail, axis: int) -> Step | None:
    return (source(node), above_batch_norm(node, tail)) if axis == 1 else None


def _pick(node: ir.Node, tail: Tail, axis: int) -> Step | None:
    """Channels that are picked, the same at every position."""
    value, picked = source(node), node.outputs[0]
    shape, after = dimensions(value) or (), dimensions(picked) or ()
    length = shape[axis] if len(shape) == len(after) else None
    if length is None or _axes_picked(node, len(shape)) != {axis}:
        return None
    sizes = [length if n == axis else 1 for n in range(len(shape))]
    numbers = np.arange(length, dtype=np.float32).reshape(sizes)
    found = computed(picked, [node], {value.name or "": numbers})
    return value, tail.above_pick(found.reshape(-1).astype(np.int64), length)


def _axes_picked(node: ir.Node, rank: int) -> set[int]:
    """The axes that a Slice or a Gather picks from; none where they are not constant."""
    if node.op_type == "Gather":
        return {attribute(node, "axis", 0) % rank}
    axes = constant(operand(node, 3))
    return set() if axes is None else {int(axis) % rank for axis in axes}


def _elementwise(node: ir.Node, tail: Tail, axis: int) -> Step | None:
    """A constant that is the same at every position, added or multiplied."""
    index = next((n for n in (0, 1) if constant(source(node, n)) is None), 0)
    value, array = source(node, index), constant(source(node, 1 - index))
    vector = None if array is None else _of_channels(array, value, axis)
    if vector is None:
        return None
    if node.op_type == "Mul":
        return value, tail.above_scale(vector)
    if node.op_type == "Div":
        return None if index == 1 else (value, tail.above_scale(1 / vector))
    if node.op_type == "Add":
        return value, tail.above_shift(vector)
    if index == 0:
        return value, tail.above_shift(-vector)
    return value, tail.above_shift(vector).above_scale(-np.ones(1))


def _of_channels(
    array: NDArray[np.generic], value: ir.Value, axis: int
) -> NDArray[np.float64] | None:
    """A constant operand as a vector (d,) or (1,); None if it tells positions or images apart."""
    rank = len(dimensions(value) or ())
    shape = (1,) * (rank - array.ndim) + array.shape
    if len(shape) != rank or any(size != 1 for n, size in enumerate(shape) if n != axis):
        return None
    return array.reshape(-1).astype(np.float64)


_JOINING: dict[str, Callable[[ir.Node, Tail, int], list[Step] | None]] = {
    **dict.fromkeys(("Add", "Sub", "Sum"), _sum),
    "Concat": _concat,
    "ReduceMean": _mean,
}
_RULES: dict[str, Callable[[ir.Node, Tail, int], Step | None]] = {
    **dict.fromkeys(("Cast", "Dropout", "Identity"), _same),
    **dict.fromkeys(("Add", "Div", "Mul", "Sub"), _elementwise),
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "Einsum": _einsum,
    **dict.fromkeys(("Gather", "Slice"), _pick),
    "MatMul": _matmul,
}

"""A linear layer in front of the pooling: each position has logits, and their mean is the answer.

    mean over positions of (W x + t)  =  W (mean over positions of x) + t

so the rows are those of W, and the feature map is what the layer reads. Such a head is called fully
convolutional, or a class activation map. Between the layer and the pooling may lie what scales or
shifts channels.

Symbols: b images, d channels, h×w grid, l = h·w positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.graph.pooling import CHANNEL_AXIS, Pooling, above_rearrangement, words_of
from exporter.graph.read import attribute, constant, dimensions, operand, refusal, source, stored
from exporter.head.linear import (
    above_batch_norm,
    matrix_of_einsum,
    operands,
    require_inference,
    require_single,
)
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
        HeadError: No linear layer lies on either side, or something between is not linear.
    """
    while tail.linear is None:
        node = pooling.feature.producer()
        step = None if node is None else _step(node, tail, CHANNEL_AXIS[pooling.layout])
        if step is None:
            raise refusal(
                pooling.last,
                "computes the output without a linear layer behind it: expected Gemm, MatMul or a "
                "1x1 Conv behind the pooling, or right in front of it with nothing but scale and "
                f"shift between. In front of it lies {words_of(pooling.feature)}.",
            )
        value, tail = step
        value, layout = above_rearrangement(value, pooling.layout)
        pooling = replace(pooling, feature=value, layout=layout)
    return pooling, tail


def _step(node: ir.Node, tail: Tail, axis: int) -> Step | None:
    """Above one node whose channels lie along an axis; None if it is not one of those allowed."""
    rule = _RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    return None if rule is None else rule(node, tail, axis)


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


_RULES: dict[str, Callable[[ir.Node, Tail, int], Step | None]] = {
    **dict.fromkeys(("Cast", "Dropout", "Identity"), _same),
    **dict.fromkeys(("Add", "Div", "Mul", "Sub"), _elementwise),
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "Einsum": _einsum,
    "MatMul": _matmul,
}

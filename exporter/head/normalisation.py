"""Recognise a LayerNormalization of the pooled vector, as one operation or spelled out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from exporter.graph.read import (
    attribute,
    axes_of,
    constant,
    dimensions,
    operand,
    refusal,
    shown,
    source,
    stored,
)
from exporter.head.tail import Tail, vector_length


def above_layer_norm(node: ir.Node, tail: Tail) -> tuple[ir.Value, Tail]:
    """Go above ``LayerNormalization(y, scale, shift)``.

    Raises:
        HeadError: It does not normalise the whole pooled vector before a linear layer.
    """
    value = source(node)
    _require_linear_layer(node, tail)
    _require_whole_vector(node, value, [attribute(node, "axis", -1)])
    if operand(node, 2) is not None:
        tail = tail.above_shift(stored(node, 2, "its shift").reshape(-1))
    tail = tail.above_scale(stored(node, 1, "its scale").reshape(-1))
    return value, tail.above_normalisation(attribute(node, "epsilon", 1e-5))


def above_spelled_out(node: ir.Node, tail: Tail) -> tuple[ir.Value, Tail] | None:
    """Go above ``(y - mean(y)) / sqrt(mean((y - mean(y))²) + epsilon)``.

    Exporters wrote this before opset 17. The scale and the shift that may follow it are ordinary
    linear steps.

    Args:
        node: A Div.
        tail: What lies downstream of it.

    Returns:
        y and the tail above the normalisation, or None if the node is another division.

    Raises:
        HeadError: It does not normalise the whole pooled vector before a linear layer.
    """
    centred, root = source(node, 0).producer(), source(node, 1).producer()
    if centred is None or root is None or (centred.op_type, root.op_type) != ("Sub", "Sqrt"):
        return None
    value = source(centred)
    found = _variance(source(root).producer())
    if found is None or _averaged(source(centred, 1).producer(), node) is not value:
        return None
    square, epsilon = found
    if not _is_square(_averaged(square, node), centred):
        return None
    _require_linear_layer(node, tail)
    return value, tail.above_normalisation(epsilon)


def _require_linear_layer(node: ir.Node, tail: Tail) -> None:
    if tail.linear is None:
        raise refusal(
            node,
            "normalises the logits themselves: expected a linear layer behind it. Only a "
            "LayerNormalization between pooling and linear layer can be decomposed.",
        )


def _variance(shifted: ir.Node | None) -> tuple[ir.Node | None, float] | None:
    """The node that computes v, and epsilon, of ``v + epsilon``."""
    if shifted is None or shifted.op_type != "Add":
        return None
    for index in (0, 1):
        epsilon = constant(source(shifted, 1 - index))
        if epsilon is not None and epsilon.size == 1:
            return source(shifted, index).producer(), float(epsilon.reshape(()))
    return None


def _averaged(mean: ir.Node | None, node: ir.Node) -> ir.Value | None:
    """What a ReduceMean over the whole vector reads, None for any other node."""
    axes = axes_of(mean) if mean is not None and mean.op_type == "ReduceMean" else None
    if mean is None or axes is None:
        return None
    _require_whole_vector(node, source(mean), axes)
    return source(mean)


def _is_square(value: ir.Value | None, centred: ir.Node) -> bool:
    """Whether a value is the square of what ``centred`` computes, perhaps once more."""
    square = None if value is None else value.producer()
    if square is None or square.op_type not in ("Pow", "Mul"):
        return False
    base, factor = source(square, 0), source(square, 1)
    producer, exponent = base.producer(), constant(factor)
    if producer is None or producer.op_type != "Sub":
        return False
    if list(producer.inputs) != list(centred.inputs):
        return False
    if square.op_type == "Mul":
        return factor is base
    return exponent is not None and bool(np.all(exponent == 2))


def _require_whole_vector(node: ir.Node, value: ir.Value, axes: Sequence[int]) -> None:
    length = vector_length(value, node)
    shape = dimensions(value) or ()
    normalised = 1
    first = min(axis % len(shape) for axis in axes)
    for size in shape[max(first, 1) :]:
        normalised *= size or 1
    if first == 0 or normalised != length:
        raise refusal(
            node,
            f"normalises axes {tuple(axes)} of {value.name!r} of shape {shown(shape)}: expected "
            "all channels of the pooled vector.",
        )

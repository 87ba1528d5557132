"""What lies between the logits and the output of a classifier."""

from __future__ import annotations

from typing import Literal

import onnx_ir as ir

from exporter.errors import HeadError
from exporter.graph.read import attribute, dimensions, opset, refusal, shown, source
from exporter.head.linear import RESHAPING
from exporter.head.obstacles import why_no_number
from exporter.head.walk import in_one_line

Activation = Literal["none", "softmax", "sigmoid"]
_ACTIVATIONS: dict[str, Activation] = {
    "LogSoftmax": "softmax",
    "Softmax": "softmax",
    "Sigmoid": "sigmoid",
}


def before_activation(output: ir.Value) -> tuple[ir.Value, Activation]:
    """The logits, and what makes the output of them.

    Raises:
        HeadError: A Softmax is over something else than the classes.
    """
    node = _above_reshaping(output)
    if node is not None and node.op_type == "Log":  # as LogSoftmax is spelled out
        node = _above_reshaping(source(node))
        node = node if node is not None and node.op_type == "Softmax" else None
    if node is None or node.op_type not in _ACTIVATIONS:
        return output, "none"
    logits = source(node)
    shape = dimensions(logits)
    if _ACTIVATIONS[node.op_type] == "softmax" and shape is not None:
        with in_one_line(node):
            _require_over_classes(node, shape)
    return logits, _ACTIVATIONS[node.op_type]


def _above_reshaping(value: ir.Value) -> ir.Node | None:
    """The node that computes what a value is a reshaped copy of."""
    node = value.producer()
    while node is not None and node.op_type in RESHAPING:
        node = source(node).producer()
    return node


def _require_over_classes(node: ir.Node, shape: tuple[int | None, ...]) -> None:
    """Refuse a Softmax over anything but the classes.

    Before opset 13 it is over all axes from its own on, since then over one.
    """
    rank, flat = len(shape), opset(node.graph) < 13
    written = attribute(node, "axis", 1 if flat else -1)
    axis = written % rank
    over = shape[axis:] if flat else (shape[axis],)
    others = shape[1:axis] if flat else shape[1:axis] + shape[axis + 1 :]
    if axis == 0 or (rank > 2 and (any(size != 1 for size in others) or None in over)):
        classes = next((n for n, size in enumerate(shape) if n and size != 1), 1)
        names = "axis 1 or -1" if rank == 2 else f"axis {classes} of {shown(shape)}"
        raise refusal(node, f"has axis {written}: expected the classes, {names}.")


def require_float(value: ir.Value, what: str) -> None:
    """Refuse a value that is not float32; ``what`` it is, for the error."""
    if value.dtype in (None, ir.DataType.FLOAT):
        return
    if not value.dtype.is_floating_point():
        raise why_no_number(value) or HeadError(
            f"{what}, {value.name!r}, is {value.dtype.name.lower()}: expected float32 logits, not "
            "whole numbers. If the model is quantised, export the float model; else export it with "
            "its logits as output."
        )
    raise HeadError(
        f"{what}, {value.name!r}, is {value.dtype.name.lower()}: expected float32, because "
        "contributions cannot add up to a rounded logit. Export the model in float32."
    )

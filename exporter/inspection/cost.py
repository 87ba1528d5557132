"""What an explanation costs, in multiply-adds of one image.

Matrix products and convolutions are counted, and nothing that works number by number:

    Conv                 outputs * channels of a group * kernel
    MatMul, Gemm         outputs * length of the sum
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from exporter.decompose import smoothing_of
from exporter.graph.read import dimensions
from exporter.graph.sizes import settled
from exporter.head import Head
from exporter.surgery import add_prototype_outputs

CLASSES, PROTOTYPES = 5, 3
"""T and k of the explanation that is counted."""

_UNCOUNTED = {
    *("Attention", "ConvInteger", "ConvTranspose", "DeformConv", "Einsum", "GRU", "If", "LSTM"),
    *("Loop", "MatMulInteger", "QLinearConv", "QLinearMatMul", "RNN", "Scan"),
}


def explanation_cost(model: ir.Model, head: Head) -> float | None:
    """Multiply-adds of explaining :data:`CLASSES` by :data:`PROTOTYPES`, over the network's.

    Args:
        model: The classifier.
        head: Its head.

    Returns:
        The share; None where the graph leaves a size open or multiplies in a way that is not
        counted.
    """
    network = multiply_adds(model)
    if not network or head.grid is None:
        return None
    classes, channels = head.weight.shape
    explained = add_prototype_outputs(
        model,
        head,
        np.zeros((classes, PROTOTYPES, channels), np.float32),
        reference=np.zeros(channels, np.float32),
        top=CLASSES,
        grid=head.grid,
        smoothing=smoothing_of("evidence", head.grid),
    )
    whole = multiply_adds(explained)
    return None if whole is None else (whole - network) / network


def multiply_adds(model: ir.Model) -> int | None:
    """Multiply-adds of one image; None where a size is open, or something is not counted."""
    total = 0
    for node in settled(model.graph):
        found = _of(node)
        if found is None:
            return None
        total += found
    return total


def _of(node: ir.Node) -> int | None:
    """Multiply-adds of one node."""
    if node.domain not in ("", "ai.onnx") or node.op_type in _UNCOUNTED:
        return None
    if node.op_type not in ("Conv", "Gemm", "MatMul"):
        return 0
    out, first, second = (_sizes(value) for value in (node.outputs[0], *node.inputs[:2]))
    if out is None or first is None or second is None:
        return None
    if node.op_type == "Conv":
        return math.prod(out) * math.prod(second[1:])
    transposed = node.attributes.get_int("transA", 0)
    return math.prod(out) * first[-2 if transposed else -1]


def _sizes(value: ir.Value | None) -> tuple[int, ...] | None:
    found = None if value is None else dimensions(value)
    if found is None or any(size is None for size in found):
        return None
    return tuple(size for size in found if size is not None)

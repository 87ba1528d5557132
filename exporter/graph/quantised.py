"""Write the end of a graph that computes in 8 bits as what ONNX defines it by.

    QGemm, QLinearMatMul, …  =  DequantizeLinear of what it reads -> the operation in float32
                                -> QuantizeLinear of what it computes

so that one form of a quantised head is left to read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx_ir as ir

from exporter.graph.read import attribute, name_of, operand, source

_READ = "protohead/dequantised/"
_OPERATIONS = {  # what it is in float32, and how many values it reads with a scale and a zero point
    "QGemm": ("Gemm", 2),
    "QLinearAdd": ("Add", 2),
    "QLinearAveragePool": ("AveragePool", 1),
    "QLinearConv": ("Conv", 2),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", 1),
    "QLinearMatMul": ("MatMul", 2),
    "QLinearMul": ("Mul", 2),
    "QLinearReduceMean": ("ReduceMean", 1),
    "QLinearSigmoid": ("Sigmoid", 1),
    "QLinearSoftmax": ("Softmax", 1),
}
_MOVING = {"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
_ROUNDING = {"DequantizeLinear", "QuantizeLinear"}
_POOLING = {"GlobalAveragePool", "AveragePool", "ReduceMean"}


def spelled_out(model: ir.Model) -> ir.Model:
    """The model with the operations in 8 bits between its pooling and its outputs in float32.

    Args:
        model: Any model; it is not changed.

    Returns:
        A copy, to be read: a runtime computes it in other operations, and other bits. Values keep
        their names. The model itself where there are none.
    """
    if not any(_above(model)):
        return model
    copy = model.clone()
    for node in list(_above(copy)):
        _spell_out(copy.graph, node)
    return copy


def in_8_bits(value: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value | None] | None:
    """What the source stores of a value that :func:`spelled_out` wrote, if it is one.

    Returns:
        The value in 8 bits, the scale of its steps and its zero point.
    """
    node = value.producer()
    if node is None or not (value.name or "").startswith(_READ):
        return None
    return source(node), source(node, 1), operand(node, 2)


def _above(model: ir.Model) -> Iterator[ir.Node]:
    """The operations in 8 bits from the outputs up to where positions are averaged."""
    waiting, seen = [value.producer() for value in model.graph.outputs], set[ir.Node]()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        plain = _OPERATIONS.get(node.op_type)
        if plain and not attribute(node, "channels_last", 0):
            yield node
        elif node.op_type not in _MOVING | _ROUNDING | {kind for kind, _ in _OPERATIONS.values()}:
            continue
        if (plain[0] if plain else node.op_type) not in _POOLING:
            waiting.extend(read.producer() for read in node.inputs if read is not None)


def _spell_out(graph: ir.Graph, node: ir.Node) -> None:
    """Put an operation in float32 and its roundings in the place of one in 8 bits."""
    kind, count = _OPERATIONS[node.op_type]
    own = list(node.inputs)
    own += [None] * (3 * count + 3 - len(own))
    reads = [own[3 * n : 3 * n + 3] for n in range(count)]
    rest = own[3 * count :]
    if kind == "Gemm":  # its bias in between
        bias, (scale, zero) = rest[0], rest[1:3]
    else:  # a convolution's at the end
        (scale, zero), bias = rest[:2], rest[2] if kind == "Conv" else None
    nodes: list[ir.Node] = []

    def add(op_type: str, inputs: list[ir.Value | None], what: str, **named: Any) -> ir.Value:
        name = f"{_READ}{node.outputs[0].name}/{what}"
        made = ir.node(op_type, inputs, named, outputs=[ir.Value(name=name)], name=name)
        nodes.append(made)
        return made.outputs[0]

    values: list[ir.Value | None] = []
    for number, (read, step, origin) in enumerate(reads):
        axis = 0 if kind == "Conv" or attribute(node, "transB", 0) else 1
        value = add("DequantizeLinear", [read, step, origin], f"operand{number}", axis=axis)
        value.type, value.shape = ir.TensorType(ir.DataType.FLOAT), None if not read else read.shape
        values.append(value)
    if bias is not None:  # in steps of the product
        step = add("Mul", [reads[0][1], reads[1][1]], "bias_scale")
        values.append(add("DequantizeLinear", [bias, step], "bias", axis=0))
    kept = {
        name: each.value
        for name, each in node.attributes.items()
        if name not in ("channels_last", "opset")
    }
    result = add(kind, values, "result", **kept)
    nodes[-1].name = name_of(node)
    result.shape = node.outputs[0].shape
    if scale is not None:
        result = add("QuantizeLinear", [result, scale, zero], "rounded")
        nodes[-1].name = f"the rounding of {name_of(node)}"
        result.type = node.outputs[0].type
    ir.convenience.replace_nodes_and_values(graph, node, [node], nodes, [node.outputs[0]], [result])

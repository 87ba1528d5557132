"""Write the body of a classifier in float16, with a Cast where it begins and where its head begins.

onnxruntime's own converter rounds to float16 and back between any two nodes that it is told to
leave alone, and the terms of such a head no longer add up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from exporter.errors import SourceError
from exporter.graph.read import name_of, with_shapes, words

_FLOAT, _HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16
_STAYING = {"Resize": (1, 2), "Upsample": (1,)}  # inputs that ONNX wants in float32
_TYPED = {"Cast": "to", "RandomNormal": "dtype", "RandomUniform": "dtype", "EyeLike": "dtype"}


def in_float16(model: ir.Model, body: Sequence[ir.Node]) -> ir.Model:
    """A classifier whose body computes in float16.

    Args:
        model: The classifier; it is not changed.
        body: Those of its nodes that may.

    Returns:
        A copy; its inputs and outputs, and what reads the body, are float32 as before.

    Raises:
        SourceError: A weight is no number of float16, or a node is none of ONNX or has graphs of
            its own.
    """
    inside = [node in set(body) for node in model.graph]
    kinds = _kinds(model)
    half = model.clone()
    own = [node for node, found in zip(half.graph, inside, strict=True) if found]
    _Narrower(half, own, kinds).narrow()
    return half


def _kinds(model: ir.Model) -> dict[str | None, ir.DataType | None]:
    """The types of a graph's values by name, as far as they can be inferred."""
    graph = with_shapes(model).graph
    values = [*graph.inputs, *graph.initializers.values()]
    values += [value for node in graph for value in node.outputs]
    return {value.name: value.dtype for value in values}


class _Narrower:
    """Narrows some nodes of a graph in place."""

    def __init__(
        self,
        model: ir.Model,
        body: Sequence[ir.Node],
        kinds: dict[str | None, ir.DataType | None],
    ) -> None:
        self._graph = model.graph
        self._body = body
        self._inside = set(body)
        self._kinds = kinds
        self._made: dict[ir.Value, ir.Value] = {}

    def narrow(self) -> None:
        for node in self._body:
            _require_plain(node)
            staying = _STAYING.get(node.op_type, ())
            for number, value in enumerate(node.inputs):
                outside = value is not None and value.producer() not in self._inside
                if value is not None and outside and self._is_float(value):
                    if number not in staying:
                        node.replace_input_with(number, self._as_half(value))
                elif value is not None and number in staying and self._is_float(value):
                    raise SourceError(
                        f"{words(node)}: computes its sizes from the image, "
                        "which float16 cannot hold. Quantise `to` int8."
                    )
            _narrow_attributes(node)
        for node in self._body:
            for value in node.outputs:
                if self._is_float(value):
                    self._leave(value)
        unused = [v for v in self._graph.initializers.values() if _is_unused(v)]
        for value in unused:
            del self._graph.initializers[str(value.name)]
        self._graph.sort()

    def _is_float(self, value: ir.Value) -> bool:
        return self._kinds.get(value.name) == _FLOAT

    def _as_half(self, value: ir.Value) -> ir.Value:
        """A value from outside of the body in float16."""
        if value not in self._made:
            stored = value.const_value if value.is_initializer() else None
            name = f"{value.name}_float16"
            if stored is None:
                self._made[value] = self._cast(value, name, _HALF)
            else:
                tensor = _half(stored, str(value.name))
                found = ir.Value(
                    name=name, shape=value.shape, type=ir.TensorType(_HALF), const_value=tensor
                )
                self._graph.register_initializer(found)
                self._made[value] = found
        return self._made[value]

    def _leave(self, value: ir.Value) -> None:
        """Give what reads a value of the body from outside float32, under the name it had."""
        uses = [use for use in value.uses() if use.node not in self._inside]
        leaves = value.is_graph_output()
        value.type = ir.TensorType(_HALF)
        if not uses and not leaves:
            return
        name, value.name = value.name, f"{value.name}_float16"
        wide = self._cast(value, str(name), _FLOAT)
        for use in uses:
            use.node.replace_input_with(use.idx, wide)
        if leaves:
            self._graph.outputs[:] = [wide if v is value else v for v in self._graph.outputs]

    def _cast(self, value: ir.Value, name: str, kind: ir.DataType) -> ir.Value:
        made = ir.Value(name=name, shape=value.shape, type=ir.TensorType(kind))
        node = ir.node("Cast", [value], {"to": int(kind)}, outputs=[made], name=f"{name}/Cast")
        self._graph.append(node)
        return made


def _require_plain(node: ir.Node) -> None:
    graphs = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    if node.domain not in ("", "ai.onnx") or any(
        each.type in graphs for each in node.attributes.values()
    ):
        raise SourceError(
            f"{words(node)}: expected operations of ONNX without graphs of their own in front of "
            "the head, which is what can be written in float16. Quantise `to` int8."
        )


def _narrow_attributes(node: ir.Node) -> None:
    """Let what a node makes of its attributes be float16."""
    typed = _TYPED.get(node.op_type)
    if typed and typed in node.attributes and node.attributes[typed].as_int() == int(_FLOAT):
        node.attributes[typed] = ir.AttrInt64(typed, int(_HALF))
    if node.op_type not in ("Constant", "ConstantOfShape"):
        return
    for name, found in list(node.attributes.items()):
        if found.type == ir.AttributeType.TENSOR and found.as_tensor().dtype == _FLOAT:
            node.attributes[name] = ir.AttrTensor(name, _half(found.as_tensor(), name_of(node)))
        elif name in ("value_float", "value_floats"):
            values = np.array(found.value, np.float32)
            del node.attributes[name]
            tensor = _half(ir.tensor(values), name_of(node))
            node.attributes["value"] = ir.AttrTensor("value", tensor)


def _half(tensor: ir.TensorProtocol, name: str) -> ir.TensorProtocol:
    array = tensor.numpy()
    with np.errstate(over="ignore"):
        found = array.astype(np.float16)
    if np.isinf(found).any() and np.isfinite(array).all():
        raise SourceError(
            f"{name}: holds {np.abs(array).max():.3g}, float16 ends at {np.finfo(np.float16).max}. "
            "Quantise `to` int8."
        )
    return ir.tensor(found, name=f"{name}_float16")


def _is_unused(value: ir.Value) -> bool:
    return not value.uses() and not value.is_graph_output() and not value.is_graph_input()

"""Write nodes beside a classifier's own, in names and operators that stay apart from them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.errors import SurgeryError
from exporter.graph.read import opset

PREFIX = "protohead/"
ADDED_OUTPUTS = "protohead/added_outputs"
ANNOTATED = "protohead/annotated"
EDITS = "protohead/edits"
_NAMES = (
    *("contributions", "common", "class_ids", "heatmaps"),
    *("unplaced", "rounding", "prototype_mask", "classes"),
)
_AHEAD = "protohead_"
MIN_OPSET = 11
MIN_IR = 4


class NodeWriter:
    """Appends nodes and constants named ``protohead/...`` to a graph, in the graph's own opset.

    The opset is never converted: other operator versions may run other kernels and change bits.
    Constants become initializers that are no graph inputs, so no caller can override them. Where
    the graph has a value named as one of the inputs and outputs that are added, all of these get
    the prefix of :func:`free_prefix`.

    Args:
        model: The model to extend in place.
        prefix: What every name begins with; a change of a graph that was extended before has one
            of its own.

    Raises:
        SurgeryError: The model is older than opset 11 or IR 4, or already has such names.
    """

    def __init__(self, model: ir.Model, prefix: str = PREFIX) -> None:
        self.model = model
        self.graph = model.graph
        self._prefix = prefix
        self._opset = opset(model.graph)
        taken = _taken(model)
        self._ahead = _free_prefix(taken)
        _require_version(model, self._opset)
        names = taken | {node.name for graph in _graphs(model) for node in graph}
        clash = sorted(name for name in names if name and name.startswith(prefix))
        if clash:
            raise SurgeryError(
                f"expected a graph without prototypes, found {clash[0]!r}: it was extended before. "
                "Start from the classifier's own file."
            )

    def constant(self, name: str, array: NDArray[np.generic]) -> ir.Value:
        """Store an array in the graph."""
        tensor = ir.tensor(array, name=self._prefix + name)
        value = ir.Value(
            name=tensor.name,
            shape=ir.Shape(array.shape),
            type=ir.TensorType(tensor.dtype),
            const_value=tensor,
        )
        self.graph.register_initializer(value)
        return value

    def node(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        name: str,
        **attributes: float | str | Sequence[int],
    ) -> ir.Value:
        """Append a node.

        Args:
            op_type: A standard operator.
            inputs: What it reads.
            name: Its name behind the prefix; also of the value it computes.
            **attributes: Its attributes.

        Returns:
            The value it computes.
        """
        value = ir.Value(name=self._prefix + name)
        node = ir.node(op_type, inputs, attributes, outputs=[value], name=value.name)
        self.graph.append(node)
        return value

    def top_indices(self, value: ir.Value, count: int, name: str) -> ir.Value:
        """Append a TopK over axis 1: (b, count) int64, largest first, then lowest index first."""
        many = self.constant(f"{name}.k", np.array([count], np.int64))
        outputs = [
            ir.Value(name=f"{self._prefix}{name}.values"),
            ir.Value(name=self._prefix + name),
        ]
        node = ir.node("TopK", [value, many], {"axis": 1}, outputs=outputs, name=outputs[1].name)
        self.graph.append(node)
        return outputs[1]

    def cast(self, value: ir.Value, dtype: ir.DataType, name: str) -> ir.Value:
        """Append a Cast."""
        return self.node("Cast", [value], name, to=int(dtype))

    def total(self, value: ir.Value, axis: int, name: str) -> ir.Value:
        """Append a ReduceSum that drops one axis."""
        return self._reduce("ReduceSum", value, axis, name, keepdims=0, since=13)

    def largest(self, value: ir.Value, axis: int, name: str) -> ir.Value:
        """Append a ReduceMax over one axis, which stays with size 1."""
        return self._reduce("ReduceMax", value, axis, name, keepdims=1, since=18)

    def _reduce(
        self, kind: str, value: ir.Value, axis: int, name: str, *, keepdims: int, since: int
    ) -> ir.Value:
        """Append a reduction; since some opset the axis is an input."""
        if self._opset < since:
            return self.node(kind, [value], name, axes=[axis], keepdims=keepdims)
        stored = self.constant(f"{name}.axes", np.array([axis], np.int64))
        return self.node(kind, [value, stored], name, keepdims=keepdims)

    def reshape(self, value: ir.Value, shape: Sequence[int], name: str) -> ir.Value:
        """Append a Reshape; 0 keeps an axis, -1 takes what is left."""
        target = self.constant(f"{name}.shape", np.array(shape, np.int64))
        return self.node("Reshape", [value, target], name)

    def output(
        self, value: ir.Value, name: str, dtype: ir.DataType, shape: Sequence[int | str | None]
    ) -> None:
        """Make a value that was appended here an output of the graph."""
        value.name = self._ahead + name
        value.type, value.shape = ir.TensorType(dtype), ir.Shape(shape)
        append_output(self.model, value)

    def input(self, name: str, dtype: ir.DataType, shape: Sequence[int | str | None]) -> ir.Value:
        """Add a required input."""
        kind = ir.TensorType(dtype)
        value = ir.Value(name=self._ahead + name, type=kind, shape=ir.Shape(shape))
        self.graph.inputs.append(value)
        return value


def free_prefix(model: ir.Model) -> str:
    """What the names of added inputs and outputs begin with, so that a classifier has none of them.

    Args:
        model: The classifier, before anything is added.

    Returns:
        Nothing, unless a value is named as one of them; then ``protohead_``, as often as it takes.
    """
    return _free_prefix(_taken(model))


def _free_prefix(taken: set[str | None]) -> str:
    prefix = ""
    while any(prefix + name in taken for name in _NAMES):
        prefix += _AHEAD
    return prefix


def _taken(model: ir.Model) -> set[str | None]:
    return {value.name for graph in _graphs(model) for value in _values(graph)}


def expose(model: ir.Model, value: ir.Value, rank: int) -> None:
    """Make a float32 value of a graph an output, unless it is one; note what that changed.

    Args:
        model: The model, changed in place.
        value: A value of its graph; its own name becomes the output's.
        rank: Its rank, for a value whose shape the graph does not tell.
    """
    if value.is_graph_output():
        return
    missing = [field for field in ("type", "shape") if getattr(value, field) is None]
    if missing:  # every output has to tell both
        value.type = value.type or ir.TensorType(ir.DataType.FLOAT)
        value.shape = value.shape or ir.Shape([None] * rank)
        model.metadata_props[ANNOTATED] = json.dumps([value.name, *missing])
    append_output(model, value)


def append_output(model: ir.Model, value: ir.Value) -> None:
    """Append an output, and note its name so that it can be taken away again."""
    model.graph.outputs.append(value)
    added = json.loads(model.metadata_props.get(ADDED_OUTPUTS, "[]"))
    model.metadata_props[ADDED_OUTPUTS] = json.dumps([*added, value.name])


def find_value(model: ir.Model, name: str) -> ir.Value:
    """A value of the main graph by name.

    Raises:
        SurgeryError: There is none: the head was found in another graph.
    """
    for value in _values(model.graph):
        if value.name == name:
            return value
    raise SurgeryError(
        f"expected a value {name!r} in the graph, found none: the head belongs to another model."
    )


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    yield from graph.initializers.values()
    for node in graph:
        yield from node.outputs


def _graphs(model: ir.Model) -> tuple[ir.Graph, ...]:
    return model.graph, *model.graph.subgraphs()


def _require_version(model: ir.Model, version: int) -> None:
    if version < MIN_OPSET:
        raise SurgeryError(
            f"expected opset {MIN_OPSET} or newer, got {version}. Convert the model with "
            "onnx.version_converter.convert_version(model, 17) and check that it still predicts "
            "the same."
        )
    if model.ir_version < MIN_IR:
        raise SurgeryError(
            f"expected IR version {MIN_IR} or newer, got {model.ir_version}, where every weight "
            "is an input that a caller may override. Take the weights out of graph.input and set "
            "ir_version to 8."
        )

"""Raise a classifier of an old opset to one that more can be written in."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import onnx_ir as ir

from exporter.errors import SurgeryError
from exporter.graph.read import opset
from exporter.graph.write import MIN_IR, MIN_OPSET

_SMALL = 1024  # bytes; shapes, axes and scales stay, because converting a node may read them


def raise_opset(model: ir.Model, least: int = MIN_OPSET) -> ir.Model:
    """Convert a classifier to an opset and to IR 4, where it is older.

    1. ONNX's own converter changes what a newer opset writes otherwise, an attribute that became
       an input for instance. Large weights do not pass through it.
    2. Before IR 4 weights were inputs too, which a runtime did not let a caller change. They are
       weights alone.

    Names of values and nodes stay. Whether the bits do is for the caller to find out: a runtime
    may choose other kernels.

    Args:
        model: The classifier; it is not changed.
        least: The opset; by default the oldest that prototype outputs can be written in.

    Returns:
        The converted classifier, sharing its large weights; the model itself if it is new enough.

    Raises:
        SurgeryError: A node cannot be converted.
    """
    version = opset(model.graph)
    if version >= least and model.ir_version >= MIN_IR:
        return model
    bare = model.clone()
    bare.ir_version = max(bare.ir_version, MIN_IR)
    if model.ir_version < MIN_IR:
        _keep_inputs(bare.graph, lambda value: not value.is_initializer())
    if version >= least:
        return bare
    inputs = [value.name for value in bare.graph.inputs]
    weights = _take_weights(bare.graph)
    try:
        converted = onnx.version_converter.convert_version(ir.to_proto(bare), least)
        onnx.checker.check_model(converted)
        raised = ir.from_proto(converted)
    except Exception as error:  # the converter raises its own untyped exceptions
        # The converter puts the place in its own source before what is wrong.
        reason = " ".join(str(error).rpartition(" failed: ")[2].split())
        raise SurgeryError(
            f"opset {version} cannot be converted to opset {least}: {reason}"
        ) from error
    for value in raised.graph.inputs:
        if value.name in weights:
            value.const_value = weights[value.name]
            raised.graph.register_initializer(value)
    _keep_inputs(raised.graph, lambda value: value.name in inputs)
    raised.metadata_props.update(model.metadata_props)
    return raised


def _take_weights(graph: ir.Graph) -> dict[str, ir.TensorProtocol]:
    """Make inputs of the large weights; returns them by name."""
    taken: dict[str, ir.TensorProtocol] = {}
    for name, value in list(graph.initializers.items()):
        tensor = value.const_value
        if tensor is not None and tensor.nbytes >= _SMALL:
            taken[name] = tensor
            del graph.initializers[name]
            value.const_value = None
            if not value.is_graph_input():
                graph.inputs.append(value)
    return taken


def _keep_inputs(graph: ir.Graph, kept: Callable[[ir.Value], bool]) -> None:
    graph.inputs[:] = [value for value in graph.inputs if kept(value)]

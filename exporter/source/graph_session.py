"""A graph in memory, run and digested without another copy of its weights.

Serialising a graph costs its weights once more as a message, once more as bytes and once more
inside the runtime. Here the graph goes without them, and the runtime uses them where they lie.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from serving.model.runtime import Session, make_session

_SMALL = 1024  # bytes; shapes and axes stay in the graph, where shape inference reads them
_FILE = "weights"
_SHARED = {
    ir.DataType.FLOAT,
    ir.DataType.DOUBLE,
    ir.DataType.FLOAT16,
    ir.DataType.INT64,
    ir.DataType.INT32,
    ir.DataType.INT8,
    ir.DataType.UINT8,
}


def split(model: ir.Model) -> tuple[bytes, dict[str, NDArray[Any]]]:
    """The bytes of a graph without its large weights, and those weights by name.

    Args:
        model: A graph with every weight in memory; it is not changed.

    Returns:
        The ONNX message, in which they are external data, and the weights, not copied.
    """
    bare = model.clone()
    weights: dict[str, NDArray[Any]] = {}
    offset = 0
    for name, value in bare.graph.initializers.items():
        tensor = value.const_value
        if tensor is None or tensor.dtype not in _SHARED or tensor.nbytes < _SMALL:
            continue
        weights[name] = np.ascontiguousarray(tensor.numpy())
        value.const_value = ir.ExternalTensor(
            _FILE,
            offset,
            tensor.nbytes,
            tensor.dtype,
            shape=ir.Shape(tensor.shape.numpy()),
            name=name,
        )
        offset += tensor.nbytes
    return ir.to_proto(bare).SerializeToString(deterministic=True), weights


def open_session(model: ir.Model, *, threads: int = 0, reorder: bool = True) -> Session:
    """Open a session of a graph in memory, without its message.

    Args:
        model: A graph with every weight in memory; it must not change while the session lives.
        threads: Threads inside an operator; 0 lets onnxruntime take all cores.
        reorder: As production runs it; else as is, which takes less memory.

    Raises:
        RuntimeSetupError: onnxruntime cannot load it.
    """
    data, weights = split(model)
    return make_session(data, threads=threads, weights=weights, reorder=reorder)


def own_arrays(model: ir.Model) -> None:
    """Turn the tensors of a message into arrays of their own, so that the message can be freed.

    A tensor that is read from a message copies itself each time it is asked for.
    """
    for graph in model.graphs():
        for name, value in graph.initializers.items():
            if isinstance(value.const_value, ir.TensorProtoTensor):
                value.const_value = _array(value.const_value, name)
        for node in graph:
            for name, found in list(node.attributes.items()):
                if found.type == ir.AttributeType.TENSOR:
                    node.attributes[name] = ir.AttrTensor(name, _array(found.as_tensor(), name))


def _array(tensor: ir.TensorProtocol, name: str) -> ir.TensorProtocol:
    if tensor.dtype not in _SHARED:
        return tensor
    return ir.Tensor(np.array(tensor.numpy()), name=tensor.name or name)


def digest(model: ir.Model) -> str:
    """Hex digest of a graph: of its message without large weights, then of their bytes in order."""
    data, weights = split(model)
    found = hashlib.sha256(data)
    for array in weights.values():
        found.update(array.reshape(-1).view(np.uint8).data)
    return found.hexdigest()

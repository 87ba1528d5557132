"""A graph in memory, run and digested without another copy of its weights.

Serialising a graph costs its weights once more as a message, once more as bytes and once more
inside the runtime. Here the graph goes without them, and the runtime uses them where they lie.
A graph of an old opset is held to what it was before it was converted.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.errors import SourceError, SurgeryError
from exporter.graph.read import dimensions, image_input, opset
from exporter.surgery import raise_opset
from exporter.text import as_text
from serving.errors import ArtifactError, InferenceError
from serving.model.runtime import Session, make_session, output_names, run

_SMALL = 1024  # bytes; shapes and axes stay in the graph, where shape inference reads them
_FILE = "weights"
_SIDE = 224  # pixels
_logger = logging.getLogger(__name__)
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


def with_new_opset(model: ir.Model, where: str) -> ir.Model:
    """A file's graph in an opset that outputs can be added in, if that changes no bit.

    Args:
        model: The graph; it is not changed.
        where: What an error calls it.

    Returns:
        The converted graph, which shares its weights; the graph itself where it is new enough.

    Raises:
        SourceError: It is too old, and cannot be converted or answers otherwise then.
    """
    old = f"opset {opset(model.graph)} of IR version {model.ir_version}"
    advice = "Export the model again with opset 17, from where it was trained."
    try:
        raised = raise_opset(model)
        same = raised is model or _same_bits(model, raised)
    except (SurgeryError, ArtifactError) as error:
        reason = " ".join(as_text(str(error)).split())
        raise SourceError(f"{where}: {old} is too old: {reason.rstrip('.')}. {advice}") from error
    new = opset(raised.graph)
    if not same:
        raise SourceError(
            f"{where}: {old} is too old, and converted to opset {new} it answers noise with other "
            f"bits. {advice}"
        )
    if raised is not model:
        _logger.warning(
            "%s: %s is read as opset %d, with the same bits on noise; verification compares with "
            "the file itself",
            where,
            old,
            new,
        )
    return raised


def _same_bits(first: ir.Model, second: ir.Model) -> bool:
    """Whether two graphs of the same names answer seeded noise with the same bits.

    Args:
        first: A classifier. Where it leaves the size of its image open, 224 x 224 are tried; if it
            does not run at that size, nothing can be said here and verification has to.
        second: The other one.

    Raises:
        RuntimeSetupError: onnxruntime cannot load one of them.
        InferenceError: The first does not run at its own size, or the second where the first does.
    """
    sessions = [open_session(model) for model in (first, second)]
    value, axes = image_input(first.graph) or (first.graph.inputs[0], ())
    batch, *shape = dimensions(value) or (None,)
    is_open = any(shape[axis - 1] is None for axis in axes)
    sizes = [size or (_SIDE if axis in axes else 3) for axis, size in enumerate(shape, start=1)]
    names = output_names(sessions[0])
    generator = np.random.default_rng(0)
    for count in [batch] if batch else [1, 3]:
        for scale in (1, 100):  # images within a unit, and in 8-bit pixels
            noise = generator.normal(scale=scale, size=(count, *sizes)).astype(np.float32)
            try:
                expected = run(sessions[0], names, {str(value.name): noise})
            except InferenceError:
                if is_open:
                    return True
                raise
            found = run(sessions[1], names, {str(value.name): noise})
            if any(expected[name].tobytes() != found[name].tobytes() for name in names):
                return False
    return True

"""Every size in a graph that a batch of one image settles, and what is computed from sizes.

Exporters write shapes as computations: Shape, Gather, Concat, then Reshape. ONNX's own inference
loses them where the batch is open, and with them the axes that positions lie on. Here the batch is
one, every node is inferred with the numbers that its inputs hold, and what depends on sizes alone
is computed:

    s = Shape (map)               (b, 6, 4, 3)  ->  s holds [1, 6, 4, 3]
    to = Concat (s[:2], [-1])     to holds [1, 6, -1]
    y = Reshape (map, to)         (?, ?, ?)     ->  (1, 6, 12)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx.numpy_helper import from_array
from onnx.reference import ReferenceEvaluator

from exporter.graph.read import (
    BRANCHING,
    RANDOM,
    attribute,
    constant,
    dimensions,
    image_input,
    opset,
    product,
)

_SHAPED = {"Expand", "Reshape"}
_MOST = 4096  # elements; shapes are small, and weights are not computed with
_NOT_UNDERSTOOD = (
    onnx.checker.ValidationError,
    onnx.defs.SchemaError,
    onnx.shape_inference.InferenceError,
)


def settled(graph: ir.Graph) -> ir.Graph:
    """A copy of a graph for a batch of one image, sharing its tensors.

    Args:
        graph: A classifier's graph; it is not changed.

    Returns:
        The copy; a graph that leaves the size of its image open is copied as it is.
    """
    copy = graph.clone()
    found = image_input(copy)
    sizes = dimensions(found[0]) if found else None
    if found is None or sizes is None or None in sizes[1:]:
        return copy
    found[0].shape = ir.Shape([sizes[0] or 1, *sizes[1:]])
    for node in copy:
        _settle(node, opset(copy))
    return copy


def with_one_image(graph: ir.Graph) -> ir.Graph:
    """The same of a graph that fixes another batch.

    Every shape is inferred anew. What is open in the copy is what the graph stores for its own
    batch in another way than as the first number of a shape.

    Args:
        graph: A classifier's graph; it is not changed.

    Returns:
        The copy.
    """
    copy = graph.clone()
    found = image_input(copy)
    sizes = dimensions(found[0]) if found else None
    images = sizes[0] if sizes else None
    if found is None or sizes is None or images in (None, 1):
        return settled(graph)
    found[0].shape = ir.Shape([1, *sizes[1:]])
    for node in copy:
        for output in node.outputs:
            shape = dimensions(output)
            stored = node.op_type in _SHAPED and _stored_first(node) == images
            kept = stored and shape and shape[0] == images
            output.shape = ir.Shape([1, *shape[1:]]) if kept and shape else None
    return settled(copy)


def _stored_first(node: ir.Node) -> int | None:
    """The first number of the shape that a node is given, if that is a constant."""
    target = constant(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] else None
    return None if target is None or not target.size else int(target.reshape(-1)[0])


def _settle(node: ir.Node, version: int) -> None:
    """Write the shapes and the numbers that follow from what is known of a node's inputs."""
    if node.domain not in ("", "ai.onnx") or not node.outputs or node.op_type in BRANCHING:
        return
    if any(None in (dimensions(output) or (None,)) for output in node.outputs):
        _infer(node, version)
    if node.outputs[0].const_value is None:
        array = _computed(node)
        if array is not None:
            node.outputs[0].const_value = ir.tensor(array)


def _infer(node: ir.Node, version: int) -> None:
    """Write the shapes that ONNX infers; an operator that it does not know leaves them open."""
    reads = {read.name or "": read for read in node.inputs if read is not None}
    types = {name: _type_of(read) for name, read in reads.items() if read.dtype is not None}
    numbers = {name: _small(read) for name, read in reads.items()}
    if len(types) < len(reads):
        return
    try:
        inferred = onnx.shape_inference.infer_node_outputs(
            onnx.defs.get_schema(node.op_type, version),
            ir.serde.serialize_node(node),
            types,
            {name: from_array(array, name) for name, array in numbers.items() if array is not None},
            opset_imports=[onnx.helper.make_opsetid("", version)],
        )
    except _NOT_UNDERSTOOD:
        return
    for output in node.outputs:
        if output.name in inferred:
            _write(output, inferred[output.name].tensor_type)


def _write(output: ir.Value, found: onnx.TypeProto.Tensor) -> None:
    """Add what was inferred to what the graph tells of a value."""
    if found.elem_type and output.dtype is None:
        output.dtype = ir.DataType(found.elem_type)
    if not found.HasField("shape"):
        return
    sizes = [size.dim_value if size.HasField("dim_value") else None for size in found.shape.dim]
    known = dimensions(output) or (None,) * len(sizes)
    if len(known) == len(sizes):
        pairs = zip(sizes, known, strict=True)
        output.shape = ir.Shape([old if new is None else new for new, old in pairs])


def _type_of(value: ir.Value) -> onnx.TypeProto:
    kind = value.dtype or ir.DataType.UNDEFINED
    return onnx.helper.make_tensor_type_proto(int(kind), dimensions(value))


def _small(value: ir.Value) -> NDArray[Any] | None:
    """The numbers that a value always holds, if they are few."""
    tensor = value.const_value
    return None if tensor is None or tensor.size > _MOST else tensor.numpy()


def _computed(node: ir.Node) -> NDArray[Any] | None:
    """The numbers that a node computes from sizes and constants alone, if they are few."""
    output = node.outputs[0]
    sizes = dimensions(output)
    if sizes is None or (product(sizes) or 0) > _MOST or node.op_type in RANDOM:
        return None
    if node.op_type == "Shape":
        return _shape_read(node)
    reads = [read for read in node.inputs if read is not None]
    if any(_small(read) is None for read in reads) or not (reads or node.op_type == "Constant"):
        return None
    return _evaluated(node)


def _evaluated(node: ir.Node) -> NDArray[Any] | None:
    """What a node computes of the tensors it reads; None of an operator that the reference lacks.

    The reference evaluator, because it needs no session for each of the many nodes.
    """
    reads = {
        read.name or "": read.const_value.numpy()
        for read in node.inputs
        if read is not None and read.const_value is not None
    }
    function = onnx.helper.make_function(
        "protohead",
        "constant",
        inputs=list(reads),
        outputs=[node.outputs[0].name or ""],
        nodes=[ir.serde.serialize_node(node)],
        opset_imports=[onnx.helper.make_opsetid("", opset(node.graph))],
    )
    try:
        (result,) = ReferenceEvaluator(function).run(None, reads, attributes={})
    except Exception:  # NumPy's own, and the evaluator's of many kinds
        return None
    return np.asarray(result)


def _shape_read(node: ir.Node) -> NDArray[np.int64] | None:
    sizes = dimensions(node.inputs[0]) if node.inputs[0] is not None else None
    part = (
        () if sizes is None else sizes[attribute(node, "start", 0) : attribute(node, "end", None)]
    )
    return None if sizes is None or None in part else np.array(part, np.int64)

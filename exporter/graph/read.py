"""Read an ONNX graph: shapes, constants and words for its nodes.

Nothing here changes a model. What a graph computes from stored tensors alone (a transposed,
normalised or dequantised weight, a shape that is assembled) is computed once, by the runtime.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import ShapeInferencePass

from exporter.errors import HeadError
from exporter.text import whole_cause
from serving.errors import ArtifactError
from serving.model.runtime import make_session, run

BRANCHING = {"If", "Loop", "Scan"}
RANDOM = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}
_NOT_FOLDED = BRANCHING | RANDOM | {"Dropout"}
_MOST = 2**28  # elements; no head has a larger weight
_COMPUTED = "protohead.constant"


def with_shapes(model: ir.Model) -> ir.Model:
    """A copy of the model, sharing its tensors, with every shape that can be inferred.

    Args:
        model: Any model; it is not changed.

    Returns:
        The copy, where a size that the graph picks from a shape is a constant if it is known. A
        shape that cannot be inferred stays unknown.
    """
    copy = model.clone()
    free_sizes(copy)
    ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(copy)
    for node in copy.graph:
        if node.op_type == "Gather" and source(node).producer() is not None:
            _write_size(node)
    return copy


def _write_size(pick: ir.Node) -> None:
    """Store the sizes that a node picks from the Shape of a value, as torch counts channels."""
    shape, indices = source(pick).producer(), constant(operand(pick, 1))
    if shape is None or shape.op_type != "Shape" or shape.attributes or indices is None:
        return
    sizes = dict(enumerate(dimensions(source(shape)) or ()))
    picked = [sizes.get(int(index) % max(len(sizes), 1)) for index in indices.ravel()]
    if None not in picked:
        array = np.array(picked, np.int64).reshape(indices.shape)
        pick.outputs[0].const_value = ir.tensor(array)


def free_sizes(model: ir.Model) -> None:
    """Make every size that is written as a negative number, as Paddle writes it, a free one."""
    graph = model.graph
    computed = (value for node in graph.all_nodes() for value in node.outputs)
    for value in (*graph.inputs, *graph.outputs, *computed):
        sizes = list(value.shape or ())
        if any(isinstance(size, int) and size < 0 for size in sizes):
            value.shape = ir.Shape(
                None if isinstance(size, int) and size < 0 else size for size in sizes
            )


def dimensions(value: ir.Value) -> tuple[int | None, ...] | None:
    """The sizes of a value's axes, None for a size or a whole shape that is not static.

    Paddle writes a free size as -1.
    """
    if value.shape is None:
        return None
    sizes = (size if isinstance(size, int) else -1 for size in value.shape)
    return tuple(size if size >= 0 else None for size in sizes)


def image_input(graph: ir.Graph) -> tuple[ir.Value, tuple[int, int]] | None:
    """The only 4-d input of a graph, with its height and width axes; None if there is not one.

    The channels are last if only the last axis has the size of a picture's channels.
    """
    values = [value for value in graph.inputs if not value.is_initializer()]
    images = [value for value in values if len(dimensions(value) or ()) == 4]
    if len(images) != 1:
        return None
    shape = dimensions(images[0]) or ()
    channels_last = shape[3] in (1, 3, 4) and shape[1] not in (1, 3, 4)
    return images[0], (1, 2) if channels_last else (2, 3)


def how_to_tell(value: ir.Value) -> str:
    """What to do where neither the graph nor a run of it tells a shape."""
    found = None if value.graph is None else image_input(value.graph)
    if found is None or None in (dimensions(found[0]) or (None,))[1:]:
        return "Export the model with a fixed image size."
    return (
        "The image size is fixed, but ONNX infers no shape for it and onnxruntime cannot run the "
        "model to tell: export it with standard operators of ONNX."
    )


def words(node: ir.Node) -> str:
    """A node as an error message names it: ``Relu ('relu_4')``, or by what it computes."""
    return f"{node.op_type} ({name_of(node)!r})"


def name_of(node: ir.Node) -> str:
    """A node's name, or ``-> output`` where the exporter gave it none."""
    return node.name or f"-> {node.outputs[0].name}"


def refusal(node: ir.Node, reason: str) -> HeadError:
    """The error for a node that is in the way of a decomposition."""
    return HeadError(f"{words(node)} {reason}")


def shown(shape: tuple[int | None, ...] | None) -> str:
    """A shape as an error message shows it: ``(?, 64, 7, 7)``."""
    if shape is None:
        return "unknown"
    return "(" + ", ".join("?" if size is None else str(size) for size in shape) + ")"


def attribute(node: ir.Node, name: str, default: Any) -> Any:
    """The value of a node's attribute, or ONNX's default for it."""
    found = node.attributes.get(name)
    return default if found is None else found.value


def operand(node: ir.Node, index: int) -> ir.Value | None:
    """A node's input, None where it is left out."""
    return node.inputs[index] if index < len(node.inputs) else None


def source(node: ir.Node, index: int = 0) -> ir.Value:
    """A node's input that ONNX requires."""
    value = operand(node, index)
    if value is None:
        raise refusal(node, f"has no input {index}: the model is not valid ONNX.")
    return value


def stored(node: ir.Node, index: int, what: str) -> NDArray[np.float64]:
    """A node's trained constant, for instance its kernel.

    Raises:
        HeadError: The model does not store it.
    """
    value = source(node, index)
    array = constant(value)
    if array is None:
        raise refusal(
            node,
            f"takes {what} from {value.name!r}, which is no constant of the graph: expected "
            "trained float weights stored in the model. Fold or dequantise them first.",
        )
    return array.astype(np.float64)


def constant(value: ir.Value | None) -> NDArray[Any] | None:
    """The array that a value always holds.

    Args:
        value: A value of a graph; None stands for an input left out.

    Returns:
        The array, or None if the value depends on a graph input or on chance, or is larger than any
        weight.

    Raises:
        HeadError: What computes it does not fit what is stored.
    """
    if value is None:
        return None
    if value.const_value is not None:
        return value.const_value.numpy()
    if _COMPUTED not in value.meta:  # notes of this process, which are never saved
        nodes = _constant_nodes(value)
        value.meta[_COMPUTED] = None if nodes is None else computed(value, nodes, {})
    found: NDArray[Any] | None = value.meta[_COMPUTED]
    return found


def alike(value: ir.Value) -> NDArray[Any] | None:
    """What a value holds of every image, where it is computed from constants and sizes alone.

    Exporters repeat a constant as often as there are images: torch.zeros_like, expand.

    Args:
        value: A value whose first axis is the batch, or a constant.

    Returns:
        A constant as it is, else the row of an image; None if it depends on the image.
    """
    held = constant(value)
    if held is not None:
        return held
    sizes: dict[str, NDArray[Any]] = {}
    nodes = _constant_nodes(value, sizes)
    rows = None if nodes is None else computed(value, nodes, sizes)
    return rows[0] if rows is not None and rows.ndim and (rows == rows[:1]).all() else None


def is_stored(value: ir.Value | None) -> bool:
    """Whether a value is computed from stored tensors alone, if at all."""
    return value is None or value.const_value is not None or _constant_nodes(value) is not None


def axes_of(node: ir.Node) -> tuple[int, ...] | None:
    """The axes of a Reduce, Squeeze or Unsqueeze node: an attribute once, an input since.

    Returns:
        The axes as written, negative ones included; None if they are left out or not constant.
    """
    if "axes" in node.attributes:
        return tuple(node.attributes["axes"].as_ints())
    array = constant(operand(node, 1))
    return None if array is None else tuple(int(axis) for axis in array.ravel())


def _constant_nodes(
    value: ir.Value, sizes: dict[str, NDArray[Any]] | None = None
) -> list[ir.Node] | None:
    """The nodes that compute a value from stored tensors alone, in graph order, or None.

    Args:
        value: The value.
        sizes: Where shapes of values may be read too, it gets them, of two images where the batch
            is open.
    """
    found: set[ir.Node] = set()
    waiting: list[ir.Value | None] = [value]
    while waiting:
        current = waiting.pop()
        if current is None or current.const_value is not None:
            continue
        node = current.producer()
        shape = None if sizes is None or node is None else _shape_of_two(node)
        if sizes is not None and shape is not None:
            sizes[current.name or ""] = shape
            continue
        if node is None or not _folded(node):
            return None
        if node not in found:
            found.add(node)
            waiting.extend(node.inputs)
    graph = value.graph
    return None if graph is None else [node for node in graph if node in found]


def _shape_of_two(node: ir.Node) -> NDArray[np.int64] | None:
    """What a Shape holds of two images, or of as many as the graph fixes; None if it is open."""
    shape = dimensions(source(node)) if node.op_type == "Shape" else None
    part = (shape[0] or 2, *shape[1:]) if shape else (None,)
    part = part[attribute(node, "start", 0) : attribute(node, "end", None)]
    return None if None in part else np.array(part, np.int64)


def _folded(node: ir.Node) -> bool:
    """Whether a node computes the same of the same inputs, and nothing too large."""
    if node.domain not in ("", "ai.onnx") or node.op_type in _NOT_FOLDED:
        return False
    return all((product(dimensions(output) or ()) or 0) <= _MOST for output in node.outputs)


def computed(
    value: ir.Value, nodes: list[ir.Node], given: Mapping[str, NDArray[Any]]
) -> NDArray[Any]:
    """Run nodes on the tensors they read, in the runtime that the model is served by.

    Args:
        value: The value that is asked for.
        nodes: The nodes that compute it, in order.
        given: What other values that they read hold, by name; the rest is constant.

    Returns:
        What the value holds.

    Raises:
        HeadError: They do not fit each other.
    """
    version = onnx.helper.make_opsetid("", opset(value.graph))
    name = value.name or ""
    own = {output for node in nodes for output in node.outputs}
    reads = {read for node in nodes for read in node.inputs if read is not None} - own
    tensors = []
    for read in sorted(reads, key=lambda read: read.name or ""):
        array = given.get(read.name or "")
        array = constant(read) if array is None else array
        if array is None:
            raise refusal(nodes[-1], f"reads {read.name!r}, which is no constant of the graph.")
        tensors.append(ir.serde.serialize_tensor(ir.tensor(array)))
        tensors[-1].name = read.name or ""
    graph = onnx.helper.make_graph(
        [ir.serde.serialize_node(node) for node in nodes],
        "constant",
        inputs=[],
        outputs=[onnx.ValueInfoProto(name=name)],
        initializer=tensors,
    )
    version_ir = onnx.helper.find_min_ir_version_for([version], ignore_unknown=True)
    model = onnx.helper.make_model(graph, opset_imports=[version], ir_version=version_ir)
    try:
        session = make_session(model.SerializeToString(), threads=1, quiet=True)
        return np.asarray(run(session, [name], {})[name])
    except (ArtifactError, ValueError) as error:  # of protobuf: more than 2 GiB
        raise refusal(
            nodes[-1],
            f"cannot be computed from what the model stores: {whole_cause(error)}. No runtime can "
            "run that; export the model again.",
        ) from error


def opset(graph: ir.Graph | None) -> int:
    """The version of the standard operators that a graph is written in; 0 if it uses none."""
    versions = {} if graph is None else graph.opset_imports
    return versions.get("", versions.get("ai.onnx", 0))


def product(sizes: Sequence[int | None]) -> int | None:
    """How many elements, None if a size is not static."""
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None

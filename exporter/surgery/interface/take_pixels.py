"""Let a graph take pictures of 8 bits, and prepare them inside as the exporter and the server do.

    tensor = pixels * factor - shift,    factor = scale / std,    shift = mean / std

in float32 and in this order, as ``serving.model.preprocess.to_tensor`` computes it: the same bits.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from exporter.errors import SurgeryError
from exporter.graph.write import PREFIX, NodeWriter, find_value
from serving.artifact import Preprocessing
from serving.artifact.layout import ImageLayout, channel_axis, image_shape
from serving.model.preprocess import normalisation

PIXELS = "pixels"
_PREFIX = PREFIX + "pixels/"
_TENSOR = _PREFIX + "tensor"


def require_tensor(dtype: str) -> None:
    """Refuse a classifier that takes pictures of 8 bits already.

    Raises:
        SurgeryError: It does.
    """
    if dtype != "float32":
        raise SurgeryError(
            f"expected a model that takes a tensor in float32, got one that takes {dtype}, pixels "
            "as they are. Leave `input_type` out."
        )


def take_pixels(
    model: ir.Model, name: str, preprocessing: Preprocessing, layout: ImageLayout
) -> ir.Model:
    """Put an input of 8-bit pixels in the place of the prepared tensor.

    Resizing stays outside: ONNX resamples otherwise than Pillow. Precondition: an explained graph
    whose image input is float32. Postcondition: new names begin with ``protohead/pixels/``, and
    ``take_tensor`` gives back the bytes of the graph.

    Args:
        model: The graph; it is not changed.
        name: Its image input.
        preprocessing: How pictures are prepared.
        layout: Of the pictures, (b, channels, h, w) or (b, h, w, channels); RGB, or grey where the
            network takes grey.

    Returns:
        A copy with the input ``pixels``, uint8, in the place of the other; weights are shared.
    """
    changed = model.clone()
    write = NodeWriter(changed, _PREFIX)
    graph, tensor = changed.graph, find_value(changed, name)
    size, position = len(graph), graph.inputs.index(tensor)
    channels = len(preprocessing.channels)
    shape = image_shape(layout, channels, preprocessing.size)
    batch = tensor.shape[0] if tensor.shape else None
    pixels = ir.Value(
        name=_free_name(changed),
        type=ir.TensorType(ir.DataType.UINT8),
        shape=ir.Shape([batch, *shape]),
    )
    found = _prepare(write, pixels, preprocessing, layout)
    for node, index in list(tensor.uses()):
        node.replace_input_with(index, found)
    graph.inputs[position] = pixels
    found.name, found.type, found.shape = tensor.name, tensor.type, tensor.shape
    found.doc_string = tensor.doc_string
    own = list(graph)[size:]
    graph.remove(own)
    graph.insert_before(graph[0], own)
    return changed


def take_tensor(model: ir.Model) -> bool:
    """Undo ``take_pixels`` exactly.

    Args:
        model: A graph; changed in place.

    Returns:
        Whether it took pixels.
    """
    graph = model.graph
    last = next((node for node in graph if node.name == _TENSOR), None)
    if last is None:
        return False
    found = last.outputs[0]
    own = [node for node in graph if (node.name or "").startswith(_PREFIX)]
    read = {value for node in own for value in node.inputs if value is not None}
    position = next(i for i, value in enumerate(graph.inputs) if value in read)
    tensor = ir.Value(
        name=found.name, type=found.type, shape=found.shape, doc_string=found.doc_string
    )
    for node, index in list(found.uses()):
        node.replace_input_with(index, tensor)
    graph.remove(own, safe=True)
    graph.inputs[position] = tensor
    for name in [name for name in graph.initializers if name.startswith(_PREFIX)]:
        del graph.initializers[name]
    return True


def _prepare(
    write: NodeWriter, pixels: ir.Value, preprocessing: Preprocessing, layout: ImageLayout
) -> ir.Value:
    wanted = preprocessing.layout
    value = pixels
    if layout != wanted:
        perm = (0, 3, 1, 2) if wanted == "NCHW" else (0, 2, 3, 1)
        value = write.node("Transpose", [value], "turned", perm=perm)
    value = write.cast(value, ir.DataType.FLOAT, "float")
    axis = channel_axis(wanted)
    if preprocessing.channels == "BGR":
        value = _reverse(write, value, axis)
    factor, shift = normalisation(preprocessing)
    spread = [1, 1, 1, 1]
    spread[axis] = len(factor)
    value = write.node("Mul", [value, write.constant("factor", factor.reshape(spread))], "scaled")
    return write.node("Sub", [value, write.constant("shift", shift.reshape(spread))], "tensor")


def _reverse(write: NodeWriter, value: ir.Value, axis: int) -> ir.Value:
    """RGB to BGR by slices: dense graphs have no Gather."""

    def bound(name: str, number: int) -> ir.Value:
        return write.constant(name, np.array([number], np.int64))

    ends, along = [bound(f"channel.{number}", number) for number in range(4)], bound("axis", axis)
    parts = [
        write.node("Slice", [value, ends[number], ends[number + 1], along], f"channel{number}")
        for number in (2, 1, 0)
    ]
    return write.node("Concat", parts, "reversed", axis=axis)


def _free_name(model: ir.Model) -> str:
    taken = {value.name for node in model.graph for value in node.outputs}
    taken |= {value.name for value in (*model.graph.inputs, *model.graph.initializers.values())}
    name = PIXELS
    while name in taken:
        name = f"protohead_{name}"
    return name

"""Fix the image size of a classifier whose input leaves it open."""

from __future__ import annotations

import onnx_ir as ir

from exporter.errors import SurgeryError
from exporter.graph.read import dimensions, image_input, shown


def fix_input_size(model: ir.Model, size: tuple[int, int]) -> bool:
    """Write the height and width of the images into the input's shape.

    Only the declared shape changes, no node; the batch axis stays as it is. Postcondition: the
    height and the width of the input are static, so that the grid of the feature map is known.

    Args:
        model: A classifier with one image input, (b, channels, h, w) or (b, h, w, channels) with
            up to 4 channels; changed in place.
        size: Height and width in pixels, as the preprocessing makes them.

    Returns:
        Whether the input had left one of them open.

    Raises:
        SurgeryError: There is no single image input, or it has another fixed size.
    """
    found = image_input(model.graph)
    if found is None:
        raise SurgeryError(
            "expected one image input of 4 axes, got "
            + ", ".join(f"{v.name!r} {shown(dimensions(v))}" for v in model.graph.inputs)
            + ". Export the model so that it takes a batch of images and nothing else."
        )
    value, axes = found
    shape = dimensions(value) or ()
    if any(shape[axis] not in (None, wanted) for axis, wanted in zip(axes, size, strict=True)):
        raise SurgeryError(
            f"input {value.name!r} has the fixed shape {shown(shape)}, but the preprocessing makes "
            f"images of {size[0]} x {size[1]}. Change its resize or crop, or export the model for "
            "that size."
        )
    sizes = dict(zip(axes, size, strict=True))
    value.shape = ir.Shape(sizes.get(i, old) for i, old in enumerate(value.shape or ()))
    return any(shape[axis] is None for axis in axes)

"""What each input and output of a graph means: its doc string, and its record in the manifest.

Symbols: b images, c classes, t explained classes, k prototypes, h×w grid.
"""

from __future__ import annotations

import json

import onnx_ir as ir

from exporter.graph.read import dimensions
from exporter.graph.write import PREFIX
from serving.artifact import GraphRecord, Manifest, Preprocessing, TensorRecord, Variant
from serving.artifact.layout import ImageLayout

DOCUMENTED = PREFIX + "documented"

_SUM = "sum over k + bias + common (+ unplaced + rounding where there are such) = logit"
_CHOSEN = {
    "contributions": f"(b, t, k), logit units: what each prototype of a class adds; {_SUM}",
    "heatmaps": "(b, t, k, h, w), logit units: where each contribution comes from; its mean over "
    "h, w is the contribution; row by row, cell (0, 0) lies on the picture's top left",
    "class_ids": "(b, t), class numbers: the explained classes, best first",
    "unplaced": "(b, t), logit units: what of each explained class's logit comes from no place",
    "rounding": "(b, t), logit units: what a quantised head adds to each class by rounding",
}
_ALL = {
    "contributions": f"(b, c * k), logit units: prototype i of class j is number j * k + i; {_SUM}",
    "heatmaps": "(b, c * k, h, w), logit units: where each contribution comes from; its mean over "
    "h, w is the contribution; row by row, cell (0, 0) lies on the picture's top left",
    "unplaced": "(b, c), logit units: what of each class's logit comes from no place",
    "rounding": "(b, c), logit units: what a quantised head adds to each class by rounding",
}
_COMMON = "(b, 1), logit units: the same share of every logit; it moves no probability"
_STEERING = {
    "prototype_mask": "(c, k): 1 leaves a prototype alone, 0 mutes it",
    "classes": "(b, t), class numbers: the classes to explain; -1 is the next best not asked for",
}


def document(model: ir.Model, variant: Variant, manifest: Manifest) -> None:
    """Write doc strings of the inputs and outputs; one that the source has is kept.

    Args:
        model: A graph of the artifact; changed in place. ``undocument`` takes them out again.
        variant: Which of its graphs.
        manifest: Of the artifact; its files may still be open.
    """
    own = []
    for value in (*model.graph.inputs, *model.graph.outputs):
        if not value.doc_string and not value.is_initializer():
            value.doc_string = _meaning(value, variant, manifest)
            own.append(value.name)
    model.metadata_props[DOCUMENTED] = json.dumps(own)


def undocument(model: ir.Model) -> None:
    """Take out the doc strings that ``document`` wrote, of what is still there."""
    names = set(json.loads(model.metadata_props.pop(DOCUMENTED, "[]")))
    for value in (*model.graph.inputs, *model.graph.outputs):
        if value.name in names:
            value.doc_string = None


def describe(model: ir.Model, file: str, variant: Variant, manifest: Manifest) -> GraphRecord:
    """The record of a graph in the manifest.

    Args:
        model: The graph.
        file: Its file in the artifact.
        variant: Which it is.
        manifest: Of the artifact.
    """
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    return GraphRecord(
        file=file,
        variant=variant,
        inputs=tuple(_record(value, variant, manifest) for value in inputs),
        outputs=tuple(_record(value, variant, manifest) for value in model.graph.outputs),
    )


def _record(value: ir.Value, variant: Variant, manifest: Manifest) -> TensorRecord:
    picture = value.is_graph_input() and _own_name(value, manifest) not in _STEERING
    preprocessing = manifest.input.preprocessing
    layout, channels = preprocessing.layout, preprocessing.channels
    if picture and _takes_pixels(value, manifest):
        layout = pixel_layout(value, preprocessing)
        channels = "L" if channels == "L" else "RGB"
    return TensorRecord(
        name=value.name or "",
        dtype="float32" if value.dtype is None else value.dtype.numpy().name,
        shape=dimensions(value) or (),
        layout=layout if picture else None,
        channels=channels if picture else None,
        meaning=value.doc_string or _meaning(value, variant, manifest),
    )


def pixel_layout(value: ir.Value, preprocessing: Preprocessing) -> ImageLayout:
    """The layout of an input of pixels, whose pictures have 1 or 3 channels."""
    shape = dimensions(value) or ()
    channels, (height, width) = len(preprocessing.channels), preprocessing.size
    return "NHWC" if shape[1:] == (height, width, channels) else "NCHW"


def _meaning(value: ir.Value, variant: Variant, manifest: Manifest) -> str:
    name = _own_name(value, manifest)
    if value.is_graph_input():
        return _STEERING.get(name) or _picture(value, manifest)
    if value.name == manifest.head.logits:
        shape = ", ".join(str(size) for size in manifest.logits_shape)
        return f"(b, {shape}), logits: {manifest.activation} makes probabilities of them"
    if name == "common":
        return _COMMON
    known = _ALL if variant == "dense" else _CHOSEN
    return known.get(name) or "an output of the source model, as it was"


def _picture(value: ir.Value, manifest: Manifest) -> str:
    preprocessing = manifest.input.preprocessing
    height, width = preprocessing.size
    if _takes_pixels(value, manifest):
        layout = pixel_layout(value, preprocessing)
        channels = "L" if preprocessing.channels == "L" else "RGB"
        return (
            f"{layout}, {channels}, pixels of 0 to 255: pictures resized and cropped to {height} x "
            f"{width}; what is done to the pixels then is in the graph"
        )
    return (
        f"{preprocessing.layout}, {preprocessing.channels}: pictures resized and cropped to "
        f"{height} x {width}, then (pixel * {preprocessing.scale:.9g} - mean) / std with mean "
        f"{_listed(preprocessing.mean)} and std {_listed(preprocessing.std)}"
    )


def _takes_pixels(value: ir.Value, manifest: Manifest) -> bool:
    return value.name != manifest.input.name


def _own_name(value: ir.Value, manifest: Manifest) -> str:
    return (value.name or "").removeprefix(manifest.prefix)


def _listed(numbers: tuple[float, ...]) -> str:
    return ", ".join(f"{number:.9g}" for number in numbers)

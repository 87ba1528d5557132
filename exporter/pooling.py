"""Recognise the average over all positions, and the grid that the positions lie on.

Symbols: b images, d channels, h×w grid, l = h·w positions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import onnx_ir as ir

from exporter.errors import HeadError
from exporter.graph import attribute, axes_of, dimensions, name_of, refusal, shown, source

Layout = Literal["NCHW", "NHWC", "NLC", "NCL"]
Grid = tuple[int, int]

_LAYOUTS: dict[tuple[int, frozenset[int]], Layout] = {
    (4, frozenset({2, 3})): "NCHW",
    (4, frozenset({1, 2})): "NHWC",
    (3, frozenset({1})): "NLC",
    (3, frozenset({2})): "NCL",
}
_CHANNEL_AXIS = {"NCHW": 1, "NHWC": 3, "NLC": 2, "NCL": 1}
_TRANSPOSED: dict[tuple[Layout, tuple[int, ...]], Layout] = {
    ("NCHW", (0, 3, 1, 2)): "NHWC",
    ("NHWC", (0, 2, 3, 1)): "NCHW",
    ("NCL", (0, 2, 1)): "NLC",
    ("NLC", (0, 2, 1)): "NCL",
}
_POOLS = frozenset({"GlobalAveragePool", "AveragePool", "ReduceMean"})
# Operations that keep the positions in row-major order, so that a grid can be read above them.
_KEEPS_ORDER = frozenset(
    {"Flatten", "Identity", "LayerNormalization", "Reshape", "Squeeze", "Unsqueeze"}
)
_CHANNELS_MOVE = frozenset({(0, 2, 1), (0, 2, 3, 1), (0, 3, 1, 2)})


@dataclass(frozen=True)
class Pooling:
    """The mean of a feature map over all its positions.

    Attributes:
        feature: The value that is averaged.
        node: Name of the node that reads it.
        layout: Where the channels are: (b, d, h, w), (b, h, w, d), (b, l, d) or (b, d, l).
        channels: d if it is static.
    """

    feature: ir.Value
    node: str
    layout: Layout
    channels: int | None


@dataclass(frozen=True)
class _Mean:
    """One averaging node: the axes it averages, and whether they stay with size 1."""

    node: ir.Node
    axes: frozenset[int]
    keepdims: bool


def is_pooling(node: ir.Node) -> bool:
    """Whether a node averages over axes of its input."""
    return node.domain in ("", "ai.onnx") and node.op_type in _POOLS


def read_pooling(node: ir.Node) -> Pooling:
    """Read an average pooling, spread over one node or several in a row.

    Args:
        node: The last of the nodes that average.

    Returns:
        The pooling, from the value that the first of them reads.

    Raises:
        HeadError: It does not average over exactly the positions of a feature map.
    """
    means = [_read_mean(node)]
    while (above := source(means[0].node).producer()) is not None and is_pooling(above):
        means.insert(0, _read_mean(above))
    feature = source(means[0].node)
    shape = _known(feature, means[0].node)
    axes = _together(means, len(shape))
    layout = _LAYOUTS.get((len(shape), axes))
    if layout is None:
        raise refusal(
            node,
            f"averages axes {sorted(axes)} of {feature.name!r} of shape {shown(shape)}: expected "
            "all positions of a feature map (b, d, h, w), (b, h, w, d), (b, l, d) or (b, d, l).",
        )
    channels = shape[_CHANNEL_AXIS[layout]]
    return _above_transpose(Pooling(feature, name_of(means[0].node), layout, channels))


def _above_transpose(pooling: Pooling) -> Pooling:
    """Take the feature map from above a Transpose that only moves the channels.

    A runtime pulls such a Transpose through the mean if nothing else reads it; reading the
    features behind it would prevent that, and change bits.
    """
    node = pooling.feature.producer()
    if node is None or node.op_type != "Transpose":
        return pooling
    layout = _TRANSPOSED.get((pooling.layout, tuple(attribute(node, "perm", ()))))
    if layout is None:
        return pooling
    return replace(pooling, feature=source(node), node=name_of(node), layout=layout)


def _known(value: ir.Value, node: ir.Node) -> tuple[int | None, ...]:
    shape = dimensions(value)
    if shape is None:
        raise refusal(
            node,
            f"averages {value.name!r}, whose rank is not known. Run onnx.shape_inference on the "
            "model, or export it with a fixed image size.",
        )
    return shape


def _read_mean(node: ir.Node) -> _Mean:
    shape = _known(source(node), node)
    spatial = frozenset(range(2, len(shape)))
    if node.op_type == "GlobalAveragePool":
        return _Mean(node, spatial, keepdims=True)
    if node.op_type == "AveragePool":
        _require_full_size(node, shape)
        return _Mean(node, spatial, keepdims=True)
    axes = axes_of(node)
    if not axes:
        raise refusal(
            node,
            "averages over every axis, or over axes that are not constant: expected the "
            "positions of a feature map.",
        )
    kept = bool(attribute(node, "keepdims", 1))
    return _Mean(node, frozenset(axis % len(shape) for axis in axes), kept)


def _require_full_size(node: ir.Node, shape: tuple[int | None, ...]) -> None:
    """An AveragePool is a mean over the map if one window without padding covers all of it.

    A window larger than the map (ceil_mode, transformers' EfficientNet) averages what it covers
    in onnxruntime and torch.
    """
    kernel = tuple(attribute(node, "kernel_shape", ()))
    padded = any(attribute(node, "pads", ())) or attribute(node, "auto_pad", "NOTSET") not in (
        "NOTSET",
        "VALID",
    )
    sizes = shape[2:]
    if None in sizes:
        raise refusal(
            node,
            f"has a window of {kernel} on a map of shape {shown(shape)}: whether it covers the "
            "map is not known. Export the model with a fixed image size.",
        )
    covers = all(window >= (size or 0) for window, size in zip(kernel, sizes, strict=True))
    if padded or not covers:
        raise refusal(
            node,
            f"has a window of {kernel} on a map of shape {shown(shape)}: expected one window, "
            "without padding, over the whole map. GlobalAveragePool would do.",
        )


def _together(means: list[_Mean], rank: int) -> frozenset[int]:
    """The axes of the first node's input that all nodes in a row average."""
    remaining, averaged = list(range(rank)), set[int]()
    for mean in means:
        averaged |= {remaining[axis] for axis in mean.axes}
        if not mean.keepdims:
            remaining = [a for i, a in enumerate(remaining) if i not in mean.axes]
    return frozenset(averaged)


def find_grid(pooling: Pooling, image: Grid | None) -> Grid | None:
    """The grid that the positions of a feature map lie on, row by row.

    A map shows its grid. For tokens it is read from the map that they were flattened from, or
    else taken to have the aspect ratio of the image.

    Args:
        pooling: The pooling whose feature map is asked about.
        image: Height and width of the input in pixels, None if they are not static.

    Returns:
        (h, w), or None if the number of positions is not static.

    Raises:
        HeadError: The tokens do not fill a grid; a class token may be among them.
    """
    shape = dimensions(pooling.feature) or ()
    channel = _CHANNEL_AXIS[pooling.layout]
    sizes = [size for axis, size in enumerate(shape) if axis not in (0, channel)]
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        return None
    positions = math.prod(known)
    if len(known) == 2 and not _is_unfolded(pooling.feature):
        return known[0], known[1]
    grid = _grid_above(pooling, positions) or _grid_like(image or (1, 1), positions)
    if grid is None:
        raise HeadError(
            f"{pooling.node!r} averages {positions} tokens of {pooling.feature.name!r}, which do "
            "not fill a grid: expected one token for each position of the image, row by row. If "
            "a class token is among them, a model that averages the patch tokens alone would do."
        )
    return grid


def _is_unfolded(feature: ir.Value) -> bool:
    """Whether a 4-d map is tokens with an axis of size 1 added, as a 1-d pooling is exported."""
    node = feature.producer()
    if node is None or node.op_type not in ("Reshape", "Unsqueeze"):
        return False
    return len(dimensions(source(node)) or ()) == 3


def _grid_above(pooling: Pooling, positions: int) -> Grid | None:
    """The grid of the map that tokens were flattened from without changing their order."""
    node = pooling.feature.producer()
    while node is not None and _keeps_order(node):
        shape = dimensions(source(node)) or ()
        for channel, rows, columns in ((3, 1, 2), (1, 2, 3)):
            if len(shape) == 4 and shape[channel] == pooling.channels:
                height, width = shape[rows], shape[columns]
                if height and width and height * width == positions:
                    return height, width
        node = source(node).producer()
    return None


def _keeps_order(node: ir.Node) -> bool:
    if node.op_type == "Transpose":
        return tuple(attribute(node, "perm", ())) in _CHANNELS_MOVE
    return node.op_type in _KEEPS_ORDER


def _grid_like(image: Grid, positions: int) -> Grid | None:
    """The grid with a number of positions and the aspect ratio of an image."""
    height = math.isqrt(positions * image[0] // image[1])
    width = positions // height if height else 0
    fits = height * width == positions and height * image[1] == width * image[0]
    return (height, width) if fits else None

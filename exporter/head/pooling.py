"""Recognise the average over all positions of a feature map.

Symbols: b images, d channels, h×w grid, l = h·w positions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from exporter.graph.read import attribute, axes_of, dimensions, name_of, refusal, shown, source
from exporter.head.tail import how_to_tell

Layout = Literal["NCHW", "NHWC", "NLC"]
# "NCL" is what a map becomes when it is flattened, or tokens when they are transposed, to be
# averaged; the feature map itself lies above that.
_Order = Literal["NCHW", "NHWC", "NLC", "NCL"]

_AVERAGED: dict[tuple[int, frozenset[int]], _Order] = {  # by rank and averaged axes
    (4, frozenset({2, 3})): "NCHW",
    (4, frozenset({1, 2})): "NHWC",
    (3, frozenset({1})): "NLC",
    (3, frozenset({2})): "NCL",
}
_TRANSPOSED: dict[tuple[_Order, tuple[int, ...]], _Order] = {
    ("NCHW", (0, 3, 1, 2)): "NHWC",
    ("NHWC", (0, 2, 3, 1)): "NCHW",
    ("NCL", (0, 2, 1)): "NLC",
}
_REFOLDED: dict[tuple[_Order, int], _Order] = {("NCL", 4): "NCHW", ("NCHW", 3): "NCL"}
_CHANNEL_AXIS = {"NCHW": 1, "NHWC": 3, "NLC": 2, "NCL": 1}
_POOLS = {"GlobalAveragePool", "AveragePool", "ReduceMean"}
_REFOLDING = {"Flatten", "Reshape", "Squeeze", "Unsqueeze"}


@dataclass(frozen=True)
class Pooling:
    """The mean of a feature map over all its positions.

    Attributes:
        feature: The value that is averaged.
        node: Name of the node that averages.
        layout: Where the channels are: (b, d, h, w), (b, h, w, d) or (b, l, d).
        channels: d if it is static.
        positions: Sizes of the other axes, (h, w) or (l,), None where they are not static.
    """

    feature: ir.Value
    node: str
    layout: Layout
    channels: int | None
    positions: tuple[int | None, ...]


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
        The pooling of the value that the first of them reads, or of the same map before it was
        transposed or flattened for the pooling.

    Raises:
        HeadError: It does not average over exactly the positions of a feature map.
    """
    means = _in_a_row(node)
    first = means[0].node
    value = source(first)
    shape = _known(value, first)
    axes = _together(means, len(shape))
    found = _AVERAGED.get((len(shape), axes))
    if found is not None:
        value, found = _above_rearrangement(value, found)
        shape = _known(value, first)
    if found is None or found == "NCL":
        raise refusal(
            node,
            f"averages axes {sorted(axes)} of {source(first).name!r} of shape "
            f"{shown(dimensions(source(first)))}: expected all positions of a feature map "
            "(b, d, h, w) or (b, h, w, d), or of tokens (b, l, d).",
        )
    channel = _CHANNEL_AXIS[found]
    positions = tuple(size for axis, size in enumerate(shape) if axis not in (0, channel))
    return Pooling(value, name_of(first), found, shape[channel], positions)


def _above_rearrangement(value: ir.Value, layout: _Order) -> tuple[ir.Value, _Order]:
    """The feature map before it was transposed or flattened just to be averaged.

    A runtime pulls a Transpose through the mean if nothing else reads it. Reading the features
    behind it would prevent that, and change bits.
    """
    while (node := value.producer()) is not None:
        if node.op_type == "Transpose":
            above = _TRANSPOSED.get((layout, tuple(attribute(node, "perm", ()))))
        elif node.op_type in _REFOLDING and _keeps_channels(node, layout):
            above = _REFOLDED.get((layout, len(dimensions(source(node)) or ())))
        else:
            above = None
        if above is None:
            break
        value, layout = source(node), above
    return value, layout


def _keeps_channels(node: ir.Node, layout: _Order) -> bool:
    """Whether a node folds only the positions of a value with the channels in axis 1."""
    before, after = dimensions(source(node)), dimensions(node.outputs[0])
    if before is None or after is None or _CHANNEL_AXIS[layout] != 1:
        return False
    return len(before) > 2 and before[1] is not None and before[1] == after[1]


def _known(value: ir.Value, node: ir.Node) -> tuple[int | None, ...]:
    shape = dimensions(value)
    if shape is None:
        raise refusal(
            node,
            f"averages {value.name!r}, whose rank is not known. {how_to_tell(value)}",
        )
    return shape


def _in_a_row(node: ir.Node) -> list[_Mean]:
    """The averaging nodes that end in ``node``, the first one first."""
    means = [_read_mean(node)]
    while (above := source(means[0].node).producer()) is not None and is_pooling(above):
        if above.op_type == "AveragePool" and _uncovered(above) is not None:
            break  # it only makes the map smaller
        means.insert(0, _read_mean(above))
    return means


def _read_mean(node: ir.Node) -> _Mean:
    rank = len(_known(source(node), node))
    if node.op_type != "ReduceMean":
        reason = _uncovered(node) if node.op_type == "AveragePool" else None
        if reason is not None:
            raise refusal(node, reason)
        return _Mean(node, frozenset(range(2, rank)), keepdims=True)
    axes = axes_of(node)
    if not axes or not rank:
        raise refusal(
            node,
            "averages over every axis, or over axes that are not constant: expected the "
            "positions of a feature map.",
        )
    kept = bool(attribute(node, "keepdims", 1))
    return _Mean(node, frozenset(axis % rank for axis in axes), kept)


def _uncovered(node: ir.Node) -> str | None:
    """Why an AveragePool is no mean over the whole map, None if it is one.

    One window without padding has to cover the map. A window larger than the map, as in
    transformers' EfficientNet, averages what it covers in onnxruntime and torch.
    """
    shape = _known(source(node), node)
    kernel = tuple(attribute(node, "kernel_shape", ()))
    covers = all(
        window >= (size or math.inf) for window, size in zip(kernel, shape[2:], strict=True)
    )
    padding = attribute(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID")
    if covers and not padding and not any(attribute(node, "pads", ())):
        return None
    return (
        f"has a window of {kernel} on a map of shape {shown(shape)}: expected one window, without "
        "padding, over the whole map. GlobalAveragePool would do."
    )


def _together(means: list[_Mean], rank: int) -> frozenset[int]:
    """The axes of the first node's input that all nodes in a row average."""
    remaining, averaged = list(range(rank)), set[int]()
    for mean in means:
        averaged |= {remaining[axis] for axis in mean.axes}
        if not mean.keepdims:
            remaining = [axis for i, axis in enumerate(remaining) if i not in mean.axes]
    return frozenset(averaged)

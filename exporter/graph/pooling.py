"""Recognise the average, or the sum, over all positions of a feature map.

A sum over a known number of positions is as many times their mean.

Symbols: b images, d channels, h×w grid, l = h·w positions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.errors import HeadError
from exporter.graph.products import spelled_out, summed
from exporter.graph.read import (
    attribute,
    axes_of,
    dimensions,
    how_to_tell,
    name_of,
    product,
    refusal,
    shown,
    source,
    words,
)

Layout = Literal["NCHW", "NHWC", "NLC"]
# "NCL" is what a map becomes when it is flattened, or tokens when they are transposed, to be
# averaged; the feature map itself lies above that.
Order = Literal["NCHW", "NHWC", "NLC", "NCL"]

_AVERAGED: dict[tuple[int, frozenset[int]], Order] = {  # by rank and averaged axes
    (4, frozenset({2, 3})): "NCHW",
    (4, frozenset({1, 2})): "NHWC",
    (3, frozenset({1})): "NLC",
    (3, frozenset({2})): "NCL",
}
_TRANSPOSED: dict[tuple[Order, tuple[int, ...]], Order] = {
    ("NCHW", (0, 3, 1, 2)): "NHWC",
    ("NHWC", (0, 2, 3, 1)): "NCHW",
    ("NCL", (0, 2, 1)): "NLC",
}
_REFOLDED: dict[tuple[Order, int], Order] = {("NCL", 4): "NCHW", ("NCHW", 3): "NCL"}
CHANNEL_AXIS = {"NCHW": 1, "NHWC": 3, "NLC": 2, "NCL": 1}
_POOLS = {"GlobalAveragePool", "AveragePool", "ReduceMean", "ReduceSum"}
_REFOLDING = {"Flatten", "Reshape", "Squeeze", "Unsqueeze"}


@dataclass(frozen=True)
class Pooling:
    """The mean of a feature map over all its positions, times a number.

    Attributes:
        feature: The value that is averaged.
        node: Name of the node that averages, the first of several in a row.
        last: The last of them.
        layout: Where the channels are: (b, d, h, w), (b, h, w, d) or (b, l, d); (b, d, l) on the
            way to one of these.
        scale: What the mean is multiplied by: 1, or the number of positions of a sum.
        matrix: (m, d) that it is multiplied by in the same node, if any.
    """

    feature: ir.Value
    node: str
    last: ir.Node
    layout: Order
    scale: float
    matrix: NDArray[np.float64] | None


@dataclass(frozen=True)
class _Mean:
    """One averaging node: the axes it averages, whether they stay with size 1, and the factor."""

    node: ir.Node
    axes: frozenset[int]
    keepdims: bool
    scale: float = 1.0
    matrix: NDArray[np.float64] | None = None


def is_pooling(node: ir.Node) -> bool:
    """Whether a node averages or sums over axes of its input."""
    if node.domain not in ("", "ai.onnx"):
        return False
    if node.op_type in _POOLS:
        return spelled_out(node) is None
    return summed(node) is not None


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
    value = _image(first)
    shape = _known(value, first)
    axes = _together(means, len(shape))
    found = _AVERAGED.get((len(shape), axes))
    if found is None:
        raise _not_all(node, value, axes)
    value, layout = above_rearrangement(value, found)
    scale = math.prod(mean.scale for mean in means)
    return Pooling(value, name_of(first), node, layout, scale, means[-1].matrix)


def axes_pooled(node: ir.Node, rank: int) -> Order | None:
    """The layout of a value of some rank of which a node pools all positions; None if not all."""
    if node.op_type in ("GlobalMaxPool", "MaxPool"):
        return _AVERAGED.get((rank, frozenset(range(2, rank))))
    axes = axes_of(node)
    return None if axes is None else _AVERAGED.get((rank, frozenset(a % rank for a in axes)))


def map_layout(pooling: Pooling) -> Layout:
    """The layout of a feature map that heatmaps can be read from.

    Raises:
        HeadError: It is (b, d, l), which no map was flattened to.
    """
    if pooling.layout == "NCL":
        raise _not_all(pooling.last, pooling.feature, frozenset({2}))
    return pooling.layout


def words_of(value: ir.Value) -> str:
    """The node that computes a value as an error names it, or the value itself."""
    node = value.producer()
    return repr(value.name) if node is None else words(node)


def _not_all(node: ir.Node, value: ir.Value, axes: frozenset[int]) -> HeadError:
    return refusal(
        node,
        f"averages axes {sorted(axes)} of {value.name!r} of shape {shown(dimensions(value))}: "
        "expected all positions of a feature map (b, d, h, w) or (b, h, w, d), or of tokens "
        "(b, l, d).",
    )


def above_rearrangement(value: ir.Value, layout: Order) -> tuple[ir.Value, Order]:
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


def _keeps_channels(node: ir.Node, layout: Order) -> bool:
    """Whether a node folds only the positions of a value with the channels in axis 1."""
    before, after = dimensions(source(node)), dimensions(node.outputs[0])
    if before is None or after is None or CHANNEL_AXIS[layout] != 1:
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
    while (above := _image(means[0].node).producer()) is not None and is_pooling(above):
        if above.op_type == "AveragePool" and _uncovered(above) is not None:
            break  # it only makes the map smaller
        means.insert(0, _read_mean(above))
    return means


def _read_mean(node: ir.Node) -> _Mean:
    shape = _known(_image(node), node)
    if node.op_type == "AveragePool":
        return _Mean(node, frozenset(range(2, len(shape))), True, _window(node))
    if node.op_type == "GlobalAveragePool":
        return _Mean(node, frozenset(range(2, len(shape))), True)
    product = summed(node)
    if product is not None:
        axes = product.axes
        scale = product.weight * _count(node, shape, axes)
        return _Mean(node, axes, product.keepdims, scale, product.matrix)
    found = axes_of(node)
    if not found or not shape:
        raise refusal(
            node,
            "averages over every axis, or over axes that are not constant: expected the "
            "positions of a feature map.",
        )
    axes = frozenset(axis % len(shape) for axis in found)
    scale = _count(node, shape, axes) if node.op_type == "ReduceSum" else 1.0
    return _Mean(node, axes, bool(attribute(node, "keepdims", 1)), scale)


def _count(node: ir.Node, shape: tuple[int | None, ...], axes: frozenset[int]) -> float:
    """How many numbers a node sums.

    Raises:
        HeadError: The graph leaves it open.
    """
    count = product([shape[axis] for axis in axes])
    if count is None:
        raise refusal(
            node,
            f"sums over axes {sorted(axes)} of shape {shown(shape)}, whose sizes are open: "
            "expected a known number of positions, of which the sum is so many times the mean. "
            "Export the model with a fixed image size, or with a mean.",
        )
    return float(count)


def _image(node: ir.Node) -> ir.Value:
    product = summed(node)
    return source(node, 0 if product is None else product.image)


def _window(node: ir.Node) -> float:
    """What an AveragePool that covers the whole map multiplies its mean by.

    One window has to cover the map. A window larger than the map, as in transformers'
    EfficientNet, averages what it covers in onnxruntime and torch; padding counts if asked for.

    Raises:
        HeadError: The window does not cover the map, or there are several.
    """
    reason = _uncovered(node)
    if reason is not None:
        raise refusal(node, reason)
    if not any(attribute(node, "pads", ())) or not attribute(node, "count_include_pad", 0):
        return 1.0
    sizes = [size or 0 for size in _known(source(node), node)[2:]]
    return float(math.prod(sizes) / math.prod(attribute(node, "kernel_shape", ())))


def _uncovered(node: ir.Node) -> str | None:
    """Why an AveragePool is no mean over the whole map, None if it is one."""
    shape = _known(source(node), node)
    kernel = tuple(attribute(node, "kernel_shape", ()))
    sizes = shape[2:]
    pads = tuple(attribute(node, "pads", ())) or (0,) * (2 * len(sizes))
    automatic = attribute(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID")
    dilated = any(step != 1 for step in attribute(node, "dilations", ()))
    if any(pads) and not automatic:
        strides = attribute(node, "strides", ()) or (1,) * len(sizes)
        covers = all(
            size is not None
            and ahead + size <= window <= ahead + size + behind
            and (ahead + size + behind - window < stride)
            for window, size, ahead, behind, stride in zip(
                kernel, sizes, pads[: len(sizes)], pads[len(sizes) :], strides, strict=True
            )
        )
    else:
        covers = all(
            window >= (size or math.inf) for window, size in zip(kernel, sizes, strict=True)
        )
    if covers and not automatic and not dilated:
        return None
    return (
        f"has a window of {kernel} on a map of shape {shown(shape)}: expected one window over the "
        "whole map, without padding beyond it. GlobalAveragePool would do."
    )


def _together(means: list[_Mean], rank: int) -> frozenset[int]:
    """The axes of the first node's input that all nodes in a row average."""
    remaining, averaged = list(range(rank)), set[int]()
    for mean in means:
        averaged |= {remaining[axis] for axis in mean.axes}
        if not mean.keepdims:
            remaining = [axis for i, axis in enumerate(remaining) if i not in mean.axes]
    return frozenset(averaged)

"""Find the head of a classifier in its ONNX graph: feature map, pooling and linear layer.

What can be decomposed, from the image to the output:

    feature map -> mean over all positions [-> normalisation] -> linear [-> Softmax or Sigmoid]
    feature map -> 1x1 linear -> mean over all positions [-> Softmax or Sigmoid]

The graph is read upstream from an output (walk.py). Everything between the pooling and the logits
is folded into one matrix and one bias; whatever is not linear there is refused by name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.chain.step import Chain
from exporter.errors import HeadError
from exporter.graph.forms import Normalisation
from exporter.graph.measured import measure_shapes
from exporter.graph.pooling import CHANNEL_AXIS, Layout, Pooling, map_layout, read_pooling
from exporter.graph.quantised import in_8_bits, spelled_out
from exporter.graph.read import dimensions, refusal, shown, with_shapes
from exporter.head.activation import Activation, before_activation, require_float
from exporter.head.class_map import above_class_map
from exporter.head.grid import Grid, find_grid
from exporter.head.located import UntracedError, find_chain
from exporter.head.obstacles import why_quantised
from exporter.head.tail import Rounding, Tail
from exporter.head.walk import End, in_one_line, walk_up

__all__ = ["Head", "Normalisation", "find_head"]

_ADVICE = {
    False: (
        "The weights are damaged, or their training diverged: export a model whose weights are "
        "finite."
    ),
    True: "Where a class is masked by it, mask it by -1e9: no sum of contributions is infinite.",
}


@dataclass(frozen=True)
class Head:
    """Where the head of a classifier is, and the linear map it applies to the pooled features.

    logits = weight @ mean(feature map) + bias, with ``normalisation`` divided by one number of the
    pooled vector before the bias is added (docs/method.md, "Exactness").

    Attributes:
        output: The graph output that was traced.
        logits: Name of the logits (b, c); the output itself unless an activation lies behind it.
        logits_shape: Shape of one image's logits: (c,), or with axes of size 1, (c, 1, 1).
        feature: Name of the value that is averaged; the one to read features from, because a
            runtime that fuses operations keeps it.
        pooling: Name of the node that averages, the first of several in a row.
        linear: Name of the linear layer nearest to the logits.
        layout: (b, d, h, w), (b, h, w, d), or tokens (b, l, d).
        activation: What turns the logits into the output; softmax also where that are the
            logarithms of the probabilities.
        normalisation: The number of the image that the pooled vector is divided by, if any.
        weight: Effective rows (c, d), float64.
        bias: Effective bias (c,), float64, logit units.
        grid: (h, w) of the feature map, positions row by row; None where the graph leaves the
            number of positions open, because the image size is.
        stored: Names of the scale and of the zero point ("" for none) by which ``feature`` is
            read, where the graph has it in 8 bits only.
        roundings: Where a quantised head rounds the pooled vector and the logits.
        chain: How the vector that the linear layer reads is computed, where that is more than a
            mean and a normalisation. ``weight`` then reads located features (docs/heads.md): (c, d)
            with d the channels of the chain's map, whose weights are 0, and the H of that vector.
    """

    output: str
    logits: str
    logits_shape: tuple[int, ...]
    feature: str
    pooling: str
    linear: str
    layout: Layout
    activation: Activation
    normalisation: Normalisation | None
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    grid: Grid | None
    chain: Chain | None = None
    stored: tuple[str, str] | None = None
    roundings: tuple[Rounding, ...] = ()


def find_head(model: ir.Model, *, output: str | None = None) -> Head:
    """Find the head of a classifier.

    Args:
        model: The classifier's graph; it is not changed.
        output: The graph output to trace, logits or probabilities. None takes the only one that
            has a head.

    Returns:
        The head.

    Raises:
        HeadError: No output has a head that can be decomposed, or several have different ones;
            the message names the node in the way.
    """
    copy = with_shapes(spelled_out(model))
    try:
        head = _find(copy, output)
        if head.chain is None or not measure_shapes(copy):
            return head  # a chain where shapes are open may be a plain head
    except HeadError:
        if not measure_shapes(copy):
            raise
    return _find(copy, output)


def _find(model: ir.Model, output: str | None) -> Head:
    """The head of a graph whose shapes are written."""
    outputs = {value.name: value for value in model.graph.outputs}
    if output is not None:
        if output not in outputs:
            raise HeadError(
                f"expected an output of the graph, got {output!r}: it has "
                f"{', '.join(repr(name) for name in outputs)}."
            )
        return _trace(outputs[output])
    heads, reasons = [], {}
    for name, value in outputs.items():
        try:
            heads.append(_trace(value))
        except HeadError as error:
            reasons[name] = error
    return _only(heads, reasons)


def _only(heads: list[Head], reasons: dict[str | None, HeadError]) -> Head:
    """The one head among several outputs; logits and their probabilities are one head."""
    if len({head.logits for head in heads}) == 1:
        return min(heads, key=lambda head: head.activation != "none")
    if heads:
        names = ", ".join(repr(head.output) for head in heads)
        raise HeadError(
            f"the outputs {names} have a head each: expected one. Choose one by `output`."
        )
    if len(reasons) == 1:
        raise next(iter(reasons.values()))
    lines = "".join(f"\n  {name!r}: {reason}" for name, reason in reasons.items())
    raise HeadError(f"none of the {len(reasons)} outputs has a head to decompose:{lines}")


def _trace(output: ir.Value) -> Head:
    """Walk from an output up to its pooling, or to where a chain of steps begins."""
    logits, activation = before_activation(output)
    require_float(logits, "the logits")
    try:
        head = _pooled(output, logits, activation)
    except HeadError as plain:
        try:
            return _located(output, logits, activation)
        except UntracedError as untraced:
            if not untraced.advice:
                raise plain from None
            raise HeadError(f"{plain} {untraced.advice}") from plain
    if head.grid != (1, 1):
        return head
    try:  # a layer that reads a whole map makes a map of one position, which says nothing of where
        chained = _located(output, logits, activation)
    except HeadError:
        return head
    return head if chained.grid == (1, 1) else chained


def _located(output: ir.Value, logits: ir.Value, activation: Activation) -> Head:
    """The head of a chain of steps and a linear layer."""
    shape = _logits_shape(logits)
    found = find_chain(logits)
    classes = len(found.weight)
    chain = found.chain
    places = [link for link in chain.links if link.located and link.spot.key in chain.linear]
    own = found.chain.map
    head = Head(
        output=output.name or "",
        logits=logits.name or "",
        logits_shape=(classes,) if shape is None else shape,
        feature=own.value if own else places[-1].spot.value,
        pooling=places[-1].node,
        linear=found.linear,
        layout=own.layout if own else "NLC",
        activation=activation,
        normalisation=None,
        weight=found.weight,
        bias=np.broadcast_to(found.bias, (classes,)).copy(),
        grid=found.chain.grid,
        chain=found.chain,
    )
    try:
        _require_finite(head.weight, head.bias, head.linear)
    except HeadError as error:  # as the linear walk says it
        raise UntracedError(str(error)) from error
    return head


def _pooled(output: ir.Value, logits: ir.Value, activation: Activation) -> Head:
    """The head of one pooled feature map and a linear tail."""
    shape = _logits_shape(logits)
    ends = walk_up(logits)
    poolings, tails = zip(*(_read_end(end) for end in ends), strict=True)
    pooling, tail = poolings[0], tails[0]
    for end, other, part in zip(ends[1:], poolings[1:], tails[1:], strict=True):
        if (other.feature, other.layout) != (pooling.feature, pooling.layout):
            raise refusal(
                end.node,
                f"averages {other.feature.name!r}, and {pooling.node!r} averages "
                f"{pooling.feature.name!r}: the logits must come from one pooled feature map. A "
                "model that reads one of them would do.",
            )
        tail = tail.plus(part, end.node)
    return _head(output, logits, activation, pooling, tail, shape)


def _read_end(end: End) -> tuple[Pooling, Tail]:
    """The pooling at the end of a branch, and what lies behind the mean of its feature map."""
    with in_one_line(end.node):
        pooling = read_pooling(end.node)
        tail = end.tail
        if pooling.matrix is not None:
            tail = tail.above_matrix(pooling.matrix, end.node)
        if pooling.scale != 1:
            tail = tail.above_scale(np.array([pooling.scale]))
        return above_class_map(pooling, tail)


def _logits_shape(logits: ir.Value) -> tuple[int, ...] | None:
    """The shape of one image's logits where it is another than (c,).

    Raises:
        HeadError: They are not one number a class.
    """
    shape = dimensions(logits)
    if shape is None or len(shape) == 2:
        return None
    sizes = [size for size in shape[1:] if size is not None]
    if not shape or len(sizes) < len(shape) - 1 or sum(size != 1 for size in sizes) > 1:
        raise HeadError(
            f"the logits, {logits.name!r}, have the shape {shown(shape)}: expected (batch, "
            "classes), perhaps with axes of size 1. Export a model that answers with one number a "
            "class."
        )
    return tuple(sizes)


def _head(
    output: ir.Value,
    logits: ir.Value,
    activation: Activation,
    pooling: Pooling,
    tail: Tail,
    shape: tuple[int, ...] | None,
) -> Head:
    require_float(pooling.feature, "the feature map")
    kept = in_8_bits(pooling.feature)
    classes, channels = tail.weight.shape
    _require_rounded_ends(tail, pooling.last)
    _require_finite(tail.weight, tail.bias, tail.linear)
    with in_one_line(pooling.last):
        layout, sizes = map_layout(pooling), dimensions(pooling.feature)
        if sizes is not None and sizes[CHANNEL_AXIS[layout]] not in (None, channels):
            raise refusal(
                pooling.last,
                f"averages {pooling.feature.name!r} of shape {shown(sizes)}, but the linear layer "
                f"{tail.linear!r} maps {channels} channels to {classes} classes.",
            )
        grid = find_grid(pooling)
    return Head(
        output=output.name or "",
        logits=logits.name or "",
        logits_shape=(classes,) if shape is None else shape,
        feature=(kept[0] if kept else pooling.feature).name or "",
        pooling=pooling.node,
        linear=tail.linear or "",
        layout=layout,
        activation=activation,
        normalisation=tail.normalisation,
        weight=tail.weight,
        bias=np.broadcast_to(tail.bias, (classes,)).copy(),
        grid=grid,
        stored=(kept[1].name or "", kept[2].name or "" if kept[2] else "") if kept else None,
        roundings=tail.roundings,
    )


def _require_rounded_ends(tail: Tail, node: ir.Node) -> None:
    """Refuse a rounding of anything but the pooled vector and the logits."""
    for rounding in tail.roundings:
        if not rounding.of_logits and not np.array_equal(rounding.weight, tail.weight):
            raise why_quantised(
                node,
                f"is followed by {rounding.node!r}, which rounds neither the mean of the features "
                "nor the logits: the head is quantised.",
            )


def _require_finite(
    weight: NDArray[np.float64], bias: NDArray[np.float64], linear: str | None
) -> None:
    """Refuse a head whose numbers are none, or overflow when they are multiplied."""
    largest = float(np.finfo(np.float32).max)
    for what, values in (("rows", weight), ("bias", bias)):
        # Norms are sums of squares, in float32 too.
        limit = largest if what == "bias" else math.sqrt(largest)
        bad = ~(np.abs(values) <= limit)
        if bad.any():
            index = np.argwhere(bad)[0]
            raise HeadError(
                f"the {what} of {linear!r} hold {values[tuple(index)]:.3g} for class "
                f"{index[0] if len(values) > 1 else 'any'}: expected finite numbers of at most "
                f"{limit:.2g}. {_ADVICE[bool(np.isneginf(values[tuple(index)]))]}"
            )

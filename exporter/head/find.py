"""Find the head of a classifier in its ONNX graph: feature map, pooling and linear layer.

What can be decomposed, from the image to the output:

    feature map -> mean over all positions [-> normalisation] -> linear [-> Softmax or Sigmoid]

The graph is read upstream from an output. Everything between the pooling and the logits is folded
into one matrix and one bias; whatever is not linear there is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.errors import HeadError
from exporter.graph.forms import Normalisation
from exporter.graph.measured import measure_shapes
from exporter.graph.read import attribute, dimensions, refusal, shown, source, with_shapes
from exporter.head.grid import Grid, find_grid
from exporter.head.linear import RESHAPING, step_up
from exporter.head.obstacles import why_no_number, why_not
from exporter.head.pooling import Layout, is_pooling, read_pooling
from exporter.head.tail import IDENTITY, Tail
from exporter.text import whole_cause

__all__ = ["Head", "Normalisation", "find_head"]

Activation = Literal["none", "softmax", "sigmoid"]
_ACTIVATIONS: dict[str, Activation] = {"Softmax": "softmax", "Sigmoid": "sigmoid"}


@dataclass(frozen=True)
class Head:
    """Where the head of a classifier is, and the linear map it applies to the pooled features.

    logits = weight @ mean(feature map) + bias, with ``normalisation`` divided by one number of the
    pooled vector before the bias is added (docs/method.md, "Exactness").

    Attributes:
        output: The graph output that was traced.
        logits: Name of the logits (b, c); the output itself unless an activation lies behind it.
        feature: Name of the value that is averaged; the one to read features from, because a
            runtime that fuses operations keeps it.
        pooling: Name of the node that averages, the first of several in a row.
        linear: Name of the linear layer nearest to the logits.
        layout: (b, d, h, w), (b, h, w, d), or tokens (b, l, d).
        activation: What turns the logits into the output.
        normalisation: The number of the image that the pooled vector is divided by, if any.
        weight: Effective rows (c, d), float64.
        bias: Effective bias (c,), float64, logit units.
        grid: (h, w) of the feature map, positions row by row; None where the graph leaves the
            number of positions open, because the image size is.
    """

    output: str
    logits: str
    feature: str
    pooling: str
    linear: str
    layout: Layout
    activation: Activation
    normalisation: Normalisation | None
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    grid: Grid | None


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
    copy = with_shapes(model)
    try:
        return _find(copy, output)
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
    """Walk from an output up to its pooling."""
    logits, activation = _before_activation(output)
    _require_float(logits, "the logits")
    shape = dimensions(logits)
    if shape is not None and len(shape) != 2:
        raise HeadError(
            f"the logits, {logits.name!r}, have the shape {shown(shape)}: expected (batch, "
            "classes). Flatten them in the model."
        )
    value, tail = logits, IDENTITY
    while (node := value.producer()) is not None and not is_pooling(node):
        with _in_one_line(node):
            step = step_up(node, tail)
        if step is None:
            raise why_not(node, tail)
        value, tail = step
    if node is None:
        raise HeadError(
            f"output {output.name!r} reaches {value.name!r} without a pooling on the way: expected "
            "a mean over all positions of a feature map before the linear layer."
        )
    if tail.linear is None:
        raise refusal(
            node,
            "computes the output without a linear layer behind it: expected Gemm, MatMul or a "
            "1x1 Conv behind the pooling.",
        )
    return _head(output, logits, activation, node, tail)


@contextmanager
def _in_one_line(node: ir.Node) -> Iterator[None]:
    """Read a node; where its shapes and weights contradict each other, say so."""
    try:
        with np.errstate(all="ignore"):  # what is not finite is refused at the end
            yield
    except (ArithmeticError, IndexError, TypeError, ValueError) as error:
        raise refusal(
            node,
            f"does not fit what is around it: {whole_cause(error)}. No runtime can run that; "
            "export the model again.",
        ) from error


def _head(
    output: ir.Value, logits: ir.Value, activation: Activation, node: ir.Node, tail: Tail
) -> Head:
    with _in_one_line(node):
        pooling = read_pooling(node)
    _require_float(pooling.feature, "the feature map")
    classes, channels = tail.weight.shape
    _require_finite(tail)
    if pooling.channels not in (None, channels):
        raise refusal(
            node,
            f"averages {pooling.feature.name!r} of shape {shown(dimensions(pooling.feature))}, but "
            f"the linear layer {tail.linear!r} maps {channels} channels to {classes} classes.",
        )
    with _in_one_line(node):
        grid = find_grid(pooling)
    return Head(
        output=output.name or "",
        logits=logits.name or "",
        feature=pooling.feature.name or "",
        pooling=pooling.node,
        linear=tail.linear or "",
        layout=pooling.layout,
        activation=activation,
        normalisation=tail.normalisation,
        weight=tail.weight,
        bias=np.broadcast_to(tail.bias, (classes,)).copy(),
        grid=grid,
    )


def _require_finite(tail: Tail) -> None:
    """Refuse a head whose numbers are none, or overflow when they are multiplied."""
    largest = float(np.finfo(np.float32).max)
    for what, values in (("rows", tail.weight), ("bias", tail.bias)):
        # Norms are sums of squares, in float32 too.
        limit = largest if what == "bias" else math.sqrt(largest)
        bad = ~(np.abs(values) <= limit)
        if bad.any():
            index = np.argwhere(bad)[0]
            raise HeadError(
                f"the {what} of {tail.linear!r} hold {values[tuple(index)]:.3g} for class "
                f"{index[0] if len(values) > 1 else 'any'}: expected finite numbers of at most "
                f"{limit:.2g}. The weights are damaged, or their training diverged: export a "
                "model whose weights are finite."
            )


def _before_activation(output: ir.Value) -> tuple[ir.Value, Activation]:
    """The logits, and what makes the output of them."""
    node = output.producer()
    while node is not None and node.op_type in RESHAPING:
        node = source(node).producer()
    if node is None or node.op_type not in _ACTIVATIONS:
        return output, "none"
    logits = source(node)
    shape = dimensions(logits)
    axis = attribute(node, "axis", -1)
    if node.op_type == "Softmax" and shape is not None and axis not in (1, -1, len(shape) - 1):
        raise refusal(node, f"has axis {axis}: expected the classes, axis 1 or -1.")
    return logits, _ACTIVATIONS[node.op_type]


def _require_float(value: ir.Value, what: str) -> None:
    if value.dtype in (None, ir.DataType.FLOAT):
        return
    if not value.dtype.is_floating_point():
        raise why_no_number(value) or HeadError(
            f"{what}, {value.name!r}, is {value.dtype.name.lower()}: expected float32 logits, not "
            "whole numbers. If the model is quantised, export the float model; else export it with "
            "its logits as output."
        )
    raise HeadError(
        f"{what}, {value.name!r}, is {value.dtype.name.lower()}: expected float32, because "
        "contributions cannot add up to a rounded logit. Export the model in float32."
    )

"""Walk from the logits up to where feature maps are pooled, along every branch at once.

Each value on the way has a tail: the part of the logits that is computed from it. A node that joins
values gives each its own part, and where branches meet again the parts are added. Values are taken
from the end of the graph, so all that reads a value has been seen before it:

    l = a + b,  a = A z,  b = B z        {l: 1}  ->  {a: 1, b: 1}  ->  {z: A + B}
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from exporter.errors import HeadError
from exporter.graph.pooling import is_pooling
from exporter.graph.read import refusal
from exporter.head.joining import is_of_vector, step_apart, unstacked
from exporter.head.linear import step_up
from exporter.head.normalisation import is_normalisation
from exporter.head.obstacles import why_not
from exporter.head.tail import IDENTITY, Tail
from exporter.text import whole_cause


class End(NamedTuple):
    """Where a branch ends: what a node computes, and what lies behind it."""

    value: ir.Value
    node: ir.Node
    tail: Tail


def walk_up(logits: ir.Value, *, linear: bool = False) -> list[End]:
    """Follow the logits up to where they are pooled.

    Args:
        logits: The logits.
        linear: Stop at whatever is not linear instead, normalisations included.

    Returns:
        An end for each node that pools, or stops, in their order; the tails are to be added.

    Raises:
        HeadError: A node on the way is not linear, or no pooling lies there; with ``linear``, no
            linear layer lies on the way.
    """
    nodes = {} if logits.graph is None else {node: n for n, node in enumerate(logits.graph)}
    waiting, ends = {logits: IDENTITY}, list[End]()
    while waiting:
        value = max(waiting, key=lambda value: _place(value, nodes))
        tail, node = waiting.pop(value), value.producer()
        if node is None:
            raise HeadError(
                f"{logits.name!r} reaches {value.name!r} without a pooling on the way: expected a "
                "mean over all positions of a feature map before the linear layer."
            )
        if is_pooling(node) and not unstacked(node) and not is_of_vector(node):
            ends.append(End(value, node, tail))
            continue
        with in_one_line(node):
            try:
                steps = _step(value, node, tail)
                if linear and any(part.normalisation is not None for _, part in steps):
                    raise refusal(node, "normalises.")
            except HeadError:
                if not linear or tail.linear is None:
                    raise
                ends.append(End(value, node, tail))
                continue
            for above, part in steps:
                waiting[above] = part.plus(waiting[above], node) if above in waiting else part
    return ends[::-1]


def _step(value: ir.Value, node: ir.Node, tail: Tail) -> list[tuple[ir.Value, Tail]]:
    """From what a node computes to what it was computed from."""
    step, refused = None, None
    if is_normalisation(node):
        try:
            step = step_up(node, tail)
        except HeadError as error:  # values that make up no normalisation may still be joined
            refused = error
    apart = None if step is not None else step_apart(value, node, tail)
    if apart is not None:
        return apart
    if refused is not None:
        raise refused
    step = step or step_up(node, tail)
    if step is None:
        raise why_not(node, tail)
    return [step]


def _place(value: ir.Value, nodes: dict[ir.Node, int]) -> int:
    node = value.producer()
    return -1 if node is None else nodes.get(node, -1)


@contextmanager
def in_one_line(node: ir.Node) -> Iterator[None]:
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

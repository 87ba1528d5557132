"""A head whose linear layer reads more than one mean: the chain above it, and its rows.

Symbols: c classes, d channels of the chain's map, H the length of what the linear layer reads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.chain.step import Chain, Layout, Spot
from exporter.chain.trace import Tracer
from exporter.errors import HeadError
from exporter.graph.pooling import Pooling
from exporter.graph.read import image_input, name_of, refusal
from exporter.graph.sizes import settled
from exporter.head.grid import Grid, find_grid
from exporter.head.tail import vector_length
from exporter.head.walk import in_one_line, walk_up


class Located(NamedTuple):
    """A chain and the linear layer behind it.

    Attributes:
        chain: The chain.
        weight: (c, d + H), 0 for the channels of the map.
        bias: (c,) or (1,).
        linear: Name of the linear layer.
    """

    chain: Chain
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    linear: str


def find_chain(logits: ir.Value) -> Located:
    """Find the chain above the linear layer that computes logits.

    Raises:
        HeadError: No linear layer computes them, or a node above it is none of the steps.
    """
    graph = logits.graph
    if graph is None or image_input(graph) is None:
        raise HeadError("expected one image as input.")
    try:
        ends = walk_up(logits, linear=True)
    except HeadError:
        return _picked(graph, logits)
    parts, spots, bias = [], [], np.zeros(1)
    for end in ends:
        if end.tail.linear is None:
            raise refusal(end.node, "computes the output without a linear layer behind it.")
        length = vector_length(end.value, end.node)
        spots.append(Spot(end.value.name or "", np.arange(length)))
        parts.append(end.tail.weight)
        bias = bias + end.tail.bias
    with in_one_line(ends[0].node):  # what contradicts itself is refused there
        chain = Tracer(settled(graph), _grid_of).trace(tuple(spots))
    rows = np.concatenate(parts, axis=1)
    weight = np.concatenate([np.zeros((len(rows), chain.mapped)), rows], axis=1)
    return Located(chain, weight, bias, ends[0].tail.linear or "")


def _picked(graph: ir.Graph, logits: ir.Value) -> Located:
    """The chain of logits that are picked out of what a linear layer computes of every token."""
    tracer = Tracer(settled(graph), _grid_of)
    with in_one_line(next(iter(graph))):
        spot, weight, bias, linear = tracer.layer_of(logits.name or "")
        chain = tracer.trace((spot,))
    weight = np.concatenate([np.zeros((len(weight), chain.mapped)), weight], axis=1)
    return Located(chain, weight, bias, linear)


def _grid_of(value: ir.Value, layout: Layout) -> Grid | None:
    """The grid of a map, as its own pooling would have it read."""
    node = value.producer()
    if node is None:
        return None
    return find_grid(Pooling(value, name_of(node), node, layout, 1.0, None))

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
from exporter.graph.elements import of_one_image
from exporter.graph.pooling import Pooling
from exporter.graph.read import dimensions, image_input, name_of
from exporter.head.grid import Grid, find_grid
from exporter.head.obstacles import require_kept_when_read, why_not
from exporter.head.tail import vector_length
from exporter.head.walk import End, in_one_line, walk_up

_ADVICE = (
    "The batch is fixed to {} images: more is understood of a model that is exported with a free "
    "batch (a dynamic axis)."
)


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


class UntracedError(HeadError):
    """There is no chain, and what is in the way is what a linear head has as well.

    Args:
        message: Why there is none.
        advice: What may help.
    """

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


def find_chain(logits: ir.Value) -> Located:
    """Find the chain above the linear layer that computes logits.

    Raises:
        UntracedError: No linear layer computes them, or a node right above it is none of the steps.
        HeadError: A node further up is none of the steps.
    """
    graph = logits.graph
    found = None if graph is None else image_input(graph)
    if graph is None or found is None:
        raise UntracedError("expected one image as input.")
    tracer = Tracer(of_one_image(graph), _grid_of)
    try:
        try:
            ends = walk_up(logits, linear=True)
        except HeadError:
            return _picked(tracer, logits)
        return _behind(tracer, ends)
    except UntracedError:
        raise
    except HeadError as error:
        batch = (dimensions(found[0]) or (None,))[0]
        advice = _ADVICE.format(batch) if batch not in (None, 1) else ""
        if tracer.further:
            raise HeadError(f"{error} {advice}".rstrip()) from error
        raise UntracedError(str(error), advice) from error


def _behind(tracer: Tracer, ends: list[End]) -> Located:
    """The chain of the vectors that a linear tail ends at."""
    if any(end.tail.linear is None for end in ends):
        raise HeadError("expected a linear layer behind the pooling.")
    for end in ends:
        if end.tail.roundings:
            raise why_not(end.node, end.tail)
    lengths = [vector_length(end.value, end.node) for end in ends]
    for end, length in zip(ends, lengths, strict=True):
        if end.tail.weight.shape[1] != length:
            raise HeadError(f"{end.tail.linear!r} does not fit {end.value.name!r}.")
    spots = (
        Spot(end.value.name or "", np.arange(length))
        for end, length in zip(ends, lengths, strict=True)
    )
    with in_one_line(ends[0].node):  # what contradicts itself is refused there
        chain = tracer.trace(tuple(spots))
    rows = np.concatenate([end.tail.weight for end in ends], axis=1)
    bias = sum((end.tail.bias for end in ends), np.zeros(1))
    return Located(chain, _behind_map(chain, rows), bias, ends[0].tail.linear or "")


def _picked(tracer: Tracer, logits: ir.Value) -> Located:
    """The chain of logits that are picked out of what a linear layer computes of every token."""
    node = logits.producer()
    if node is None:
        raise HeadError(f"{logits.name!r} is computed by no node.")
    with in_one_line(node):
        try:
            spot, rows, bias, linear = tracer.layer_of(logits.name or "")
        except HeadError as error:
            raise UntracedError(str(error)) from error
        chain = tracer.trace((spot,))
    return Located(chain, _behind_map(chain, rows), bias, linear)


def _behind_map(chain: Chain, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows (c, H) of located features, which begin with the channels of the map: (c, d + H)."""
    return np.concatenate([np.zeros((len(rows), chain.mapped)), rows], axis=1)


def _grid_of(value: ir.Value, layout: Layout) -> Grid | None:
    """The grid of a map, as its own pooling would have it read."""
    node = value.producer()
    if node is None:
        return None
    require_kept_when_read(value)
    return find_grid(Pooling(value, name_of(node), node, layout, 1.0, None))

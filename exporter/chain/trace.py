"""Read a chain off a graph: from the vector that the last linear layer reads up to the image."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from graphlib import TopologicalSorter

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.chain.affine import Linear, Scale, read_linear, read_scale
from exporter.chain.attention import read_attention
from exporter.chain.gate import read_activation, read_product
from exporter.chain.norm import read_norm
from exporter.chain.pool import Pool, read_flattened, read_pool
from exporter.chain.rows import Matrix
from exporter.chain.step import Chain, FeatureMap, Link, Spot
from exporter.chain.sums import (
    Join,
    Repeat,
    RowMean,
    Start,
    Sum,
    read_join,
    read_move,
    read_row_mean,
    read_start,
    read_sum,
)
from exporter.chain.tokens import Grid, GridOf, places_of
from exporter.errors import HeadError
from exporter.graph.elements import Index, numbered, sizes
from exporter.graph.read import constant, refusal

_RULES = (
    read_move,
    read_flattened,
    read_row_mean,
    read_pool,
    read_linear,
    read_scale,
    read_norm,
    read_activation,
    read_sum,
    read_join,
    read_product,
)
_MOST = 20_000  # links
_OF_A_LINEAR_HEAD = (Join, Linear, Repeat, RowMean, Scale, Start, Sum)


class Tracer:
    """Follows vectors up.

    Args:
        graph: A graph whose sizes one image settles (graph/sizes.py).
        grid_of: Reads the grid of a map: value and layout.

    Attributes:
        further: Whether a step was met that a linear head has not.
    """

    def __init__(self, graph: ir.Graph, grid_of: GridOf) -> None:
        self._values = {value.name: value for value in graph.inputs}
        self._values |= {value.name: value for value in graph.initializers.values()}
        self._values |= {out.name: out for node in graph for out in node.outputs}
        self._grid_of = grid_of
        self._grids: set[Grid] = set()
        self.further = False

    def trace(self, ends: tuple[Spot, ...]) -> Chain:
        """Follow the vectors that make up h.

        Raises:
            HeadError: A node on the way is none of the steps; the message names it.
        """
        links: dict[tuple[str, bytes], Link] = {}
        waiting = list(ends)
        while waiting:
            spot = waiting.pop()
            if spot.key not in links:
                links[spot.key] = self._link(spot)
                waiting += [*links[spot.key].reads, *links[spot.key].held]
                if len(links) > _MOST:
                    raise HeadError(f"the head has more than {_MOST} steps: too many to explain.")
        self._move_shifts(ends, links)
        linear = _linear(ends, links)
        for key in linear:
            step = links[key].step
            if isinstance(step, RowMean) and not step.linear:
                raise HeadError(
                    f"{links[key].node!r} computes a norm of features that the head reads as one: "
                    "expected features to be divided by it. A model without it would do."
                )
        order = TopologicalSorter(
            {key: [spot.key for spot in (*link.reads, *link.held)] for key, link in links.items()}
        )
        ordered = tuple(links[key] for key in order.static_order())
        return self._chain(ends, ordered, linear)

    def layer_of(self, name: str) -> tuple[Spot, NDArray[np.float64], NDArray[np.float64], str]:
        """The linear layer that logits are picked from.

        Args:
            name: Of the logits.

        Returns:
            The vector that it reads, its rows (c, n) and bias (c,), and its name.

        Raises:
            HeadError: Something else computes them.
        """
        value = self._values[name]
        spot = Spot(name, numbered(sizes(value) or ()).reshape(-1))
        bias, further = np.zeros(spot.size), self.further
        while True:
            link = self._link(spot)
            if link.step.shift is not None:
                bias += link.step.shift
            shifted = isinstance(link.step, Scale) and link.step.factor is None
            if len(link.reads) != 1 or not (shifted or isinstance(link.step, Join)):
                break
            spot = link.reads[0]
        self.further = further
        if not isinstance(link.step, Linear):
            raise HeadError(f"{link.node!r} computes the logits: expected a linear layer.")
        rows = self._rows(link.step.matrix)
        return link.reads[0], rows.astype(np.float64), bias, link.node

    def _rows(self, matrix: Matrix) -> NDArray[np.float32]:
        """The matrix (m, n) itself."""
        if matrix.array is not None:
            return matrix.array
        stored = np.asarray(constant(self._values[matrix.value or ""]))
        rows = stored.T if matrix.outputs_last else stored
        return rows[slice(*(matrix.outputs or (None,)))]

    def _move_shifts(self, ends: tuple[Spot, ...], links: dict[tuple[str, bytes], Link]) -> None:
        """Count a shift right in front of a linear layer as the layer's: W (a y + t) = W a y + W t.

        Nothing that has no place is then pushed through the layer, whose weights would be read for
        it once more.
        """
        readers = Counter(spot.key for link in links.values() for spot in (*link.reads, *link.held))
        readers.update(spot.key for spot in ends)
        for key, link in links.items():
            above = links[link.reads[0].key] if isinstance(link.step, Linear) else link
            layer, scale = link.step, above.step
            if not isinstance(layer, Linear) or not isinstance(scale, Scale):
                continue
            if scale.shift is None or readers[above.spot.key] > 1:
                continue
            shift = self._rows(layer.matrix) @ scale.shift.astype(np.float64)
            if layer.shift is not None:
                shift = shift + layer.shift
            links[key] = replace(link, step=replace(layer, shift=shift.astype(np.float32)))
            links[above.spot.key] = replace(above, step=replace(scale, shift=None))

    def _link(self, spot: Spot) -> Link:
        value = self._values[spot.value]
        if value.dtype not in (None, ir.DataType.FLOAT):
            raise _not_understood(value, spot.at)
        start = read_start(value, spot.at)
        if start is not None:
            return start
        if value.producer() is None:
            raise HeadError(f"{value.name!r} is reached without a pooling on the way.")
        found = read_attention(value, spot.at, self._tokens)
        for rule in _RULES:
            found = found or rule(value, spot.at)
        if found is None:
            raise _not_understood(value, spot.at)
        linear = isinstance(found.step, _OF_A_LINEAR_HEAD)
        averaged = isinstance(found.step, Pool) and found.step.kind == "mean"
        self.further = self.further or not (linear or averaged)
        return found

    def _tokens(self, value: ir.Value, index: Index) -> tuple[Index, Index]:
        self.further = True
        patches, others, grid = places_of(value, index, self._grid_of)
        self._grids.add(grid)
        return patches, others

    def _chain(
        self, ends: tuple[Spot, ...], links: tuple[Link, ...], linear: frozenset[tuple[str, bytes]]
    ) -> Chain:
        places = [link for link in links if link.located and link.spot.key in linear]
        maps = {link.step.map for link in places if isinstance(link.step, Pool)}
        attended = any(not isinstance(link.step, Pool) for link in places)
        for found in maps:
            grid = self._grid_of(self._values[found.value], found.layout)
            if grid is None:
                raise HeadError(f"the grid of {found.value!r} is open: export with a fixed size.")
            self._grids.add(grid)
        if len(self._grids) != 1 or (len(maps) > 1 and not attended):
            names = ", ".join(sorted(repr(found.value) for found in maps)) or "no map"
            raise HeadError(
                f"the head reads {names} on {len(self._grids)} grids: expected the positions of "
                "one feature map."
            )
        (grid,) = self._grids
        only: FeatureMap | None = None if attended else next(iter(maps))
        return Chain(ends, links, linear, grid, only)


def _linear(
    ends: tuple[Spot, ...], links: dict[tuple[str, bytes], Link]
) -> frozenset[tuple[str, bytes]]:
    """The links that h is linear in, by their keys."""
    found, waiting = set[tuple[str, bytes]](), [spot.key for spot in ends]
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting += [spot.key for spot in links[key].reads]
    return frozenset(found)


def _not_understood(value: ir.Value, index: Index) -> HeadError:
    node = value.producer()
    if node is None:
        return HeadError(f"{value.name!r} is no vector of a map.")
    shape = sizes(value)
    if shape is not None and len(shape) == 4 and 1 < len(np.unique(index)) < numbered(shape).size:
        what = "one place of a map, which knows nothing of the others but what a convolution saw"
        return refusal(
            node,
            f"computes {value.name!r}, of which the head reads {what}. A model that averages all "
            "places, or attends to them, would do.",
        )
    return refusal(
        node,
        f"computes {value.name!r}, which the head reads: expected one of the steps that are known "
        "(linear, activation, normalisation, mean, maximum, attention). A model with one of these "
        "in its place would do.",
    )

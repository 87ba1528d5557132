"""Which tokens of an attention layer are places of the image, and which place each of them is.

Tokens are followed up through everything that treats them one by one, along the residual stream,
to where they begin: a class token at a constant, patches at a convolution that cuts the image, or
at tokens whose grid the graph tells in another way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from exporter.chain.affine import layer_rows
from exporter.chain.step import Layout
from exporter.errors import HeadError
from exporter.graph.elements import Index, above_move, pieces, sizes, spread
from exporter.graph.read import constant, refusal, source

Grid = tuple[int, int]
GridOf = Callable[[ir.Value, Layout], Grid | None]
"""The grid of a map of some layout, row by row; None where it is open."""

_ROWWISE = {"LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization", "Softmax"}
_ELEMENTWISE = {
    *("Add", "Div", "Mul", "Sub", "Pow", "Where"),
    *("Relu", "Gelu", "Erf", "Sigmoid", "Tanh", "Sqrt", "Swish", "HardSwish", "Clip", "LeakyRelu"),
}


@dataclass(frozen=True)
class Origin:
    """Where some tokens begin.

    Attributes:
        tokens: Their numbers.
        value: The value.
        index: Their elements there, (tokens, n).
    """

    tokens: Index
    value: ir.Value
    index: Index


def places_of(value: ir.Value, index: Index, grid_of: GridOf) -> tuple[Index, Index, Grid]:
    """Tell the tokens that are places from those that are none.

    Args:
        value: A value that holds tokens.
        index: The elements (t, m) of each.
        grid_of: Reads the grid of tokens.

    Returns:
        For each place, row by row, the number of its token; the numbers of the others, which begin
        somewhere else than most; the grid.

    Raises:
        HeadError: The tokens do not come from the places of one map.
    """
    found = sorted(origins(value, index), key=lambda origin: len(origin.tokens))
    patches, node = found[-1], value.producer()
    if node is None or constant(patches.value) is not None:
        raise HeadError(f"{value.name!r} holds no patches of the image.")
    grid, place = _laid_out(patches, grid_of, node)
    ordered = np.empty(len(place), np.int64)
    ordered[place] = patches.tokens
    others = [np.zeros(0, np.int64), *(origin.tokens for origin in found[:-1])]
    return ordered, np.sort(np.concatenate(others)), grid


def origins(value: ir.Value, index: Index) -> list[Origin]:
    """Follow tokens up to where they begin."""
    waiting, found = [Origin(np.arange(len(index)), value, index)], list[Origin]()
    order = {node: number for number, node in enumerate(value.graph or ())}
    while waiting:
        at = waiting.pop()
        above = [] if constant(at.value) is not None else _above(at, order)
        if above:
            waiting += above
        else:
            found.append(at)
    return _merged(found)


def _merged(found: list[Origin]) -> list[Origin]:
    """Tokens that begin at one value, together."""
    by_value: dict[ir.Value, list[Origin]] = {}
    for origin in found:
        by_value.setdefault(origin.value, []).append(origin)
    return [
        Origin(
            np.concatenate([part.tokens for part in parts]),
            value,
            np.concatenate([part.index for part in parts]),
        )
        if len({part.index.shape[1] for part in parts}) == 1
        else parts[0]
        for value, parts in by_value.items()
    ]


def _above(at: Origin, order: dict[ir.Node, int]) -> list[Origin]:
    """One node further up; nothing where the tokens begin."""
    node = at.value.producer()
    if node is None:
        return []
    moved = above_move(at.value, at.index)
    if moved is not None:
        return [Origin(at.tokens, *moved)]
    if node.op_type == "Concat":
        return _apart(at, node)
    if node.op_type in _ROWWISE:
        return [Origin(at.tokens, source(node), at.index)]
    layer = layer_rows(node, at.value, at.index)
    if layer is not None:
        return [Origin(at.tokens, *layer)]
    if node.op_type in _ELEMENTWISE:
        read = _stream(node, order)
        table = None if read is None else spread(read, at.value)
        if read is not None and table is not None:
            return [Origin(at.tokens, read, table[at.index])]
    return []


def _stream(node: ir.Node, order: dict[ir.Node, int]) -> ir.Value | None:
    """The operand that the tokens come down by: the one that was computed first.

    A residual stream is older than what a block adds to it.
    """
    whole = sizes(node.outputs[0])
    reads = [
        read
        for read in node.inputs
        if read is not None and constant(read) is None and sizes(read) == whole
    ]
    if not reads:
        return None
    return min(reads, key=lambda read: _age(read, order))


def _age(value: ir.Value, order: dict[ir.Node, int]) -> int:
    node = value.producer()
    return -1 if node is None else order.get(node, -1)


def _apart(at: Origin, node: ir.Node) -> list[Origin]:
    """The tokens of a Concat, at what each of them was joined from."""
    found = []
    for part, numbers in pieces(node) or ():
        own = np.full(int(max(numbers.max(initial=0), at.index.max())) + 1, -1)
        own[numbers] = np.arange(len(numbers))
        inside = (own[at.index] >= 0).all(axis=1)
        if inside.any():
            found.append(Origin(at.tokens[inside], part, own[at.index[inside]]))
    return found if sum(len(origin.tokens) for origin in found) == len(at.tokens) else []


def _laid_out(patches: Origin, grid_of: GridOf, node: ir.Node) -> tuple[Grid, Index]:
    """The grid of tokens, and for each the number of its place, row by row."""
    shape = sizes(patches.value)
    if shape is not None and len(shape) == 4:
        place = patches.index % (shape[2] * shape[3])
        grid = grid_of(patches.value, "NCHW") or (0, 0)
    elif shape is not None and len(shape) == 3:
        place, found = patches.index // shape[2], grid_of(patches.value, "NLC")
        grid = found or (0, 0)
    else:
        raise refusal(node, f"reads tokens of {patches.value.name!r}, whose grid is not known.")
    first = place[:, 0]
    if (place != first[:, None]).any() or not np.array_equal(
        np.sort(first), np.arange(grid[0] * grid[1])
    ):
        raise refusal(
            node,
            f"reads {len(patches.tokens)} tokens of {patches.value.name!r}: expected one for each "
            f"place of its grid, {grid[0]} x {grid[1]}.",
        )
    return grid, first

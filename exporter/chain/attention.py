"""One token of an attention layer: its weights held, it is a sum over tokens.

    z = sum over tokens j and heads a of  alpha_aj V_aj

The tokens that are places of the image deliver; those that are none (a class token, registers) are
read, and followed further up.

Symbols: a heads, q and t tokens that ask and that are asked, e channels of a head, m = a * e.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx_ir as ir

from exporter.chain.gate import activation_above
from exporter.chain.rows import Floats, RowWriter
from exporter.chain.step import Known, Link, Plain, Spot
from exporter.graph.elements import Index, sizes
from exporter.graph.read import attribute, constant, name_of, operand, source


@dataclass(frozen=True)
class Scores:
    """What weights are computed from where no value of the graph holds them: softmax(scale q k).

    Attributes:
        query: Name of the queries (b, a, q, e).
        key: Name of the keys (b, a, t, e).
        scale: What the product is multiplied by.
        mask: What is added for the token that asks, (1 or a, 1, t); None for nothing.
    """

    query: str
    key: str
    scale: float
    mask: Floats | None = field(default=None, hash=False)


@dataclass(frozen=True)
class Attention(Plain):
    """z = sum of alpha V.

    Attributes:
        output: Name of the value that holds z, (b, a, q, e).
        weights: Name of the weights (b, a, q, t), or what they are computed from.
        values: Name of V, (b, a, t, e).
        heads: a.
        asking: q.
        asked: t.
        width: e.
        token: Number of the token that asks.
        patches: For each place, row by row, the number of its token.
        others: Numbers of the tokens that are no places.
    """

    output: str
    weights: str | Scores
    values: str
    heads: int
    asking: int
    asked: int
    width: int
    token: int
    patches: Index
    others: Index
    words: str = "attention"
    holds: str = "its weights"

    def value(self, write: RowWriter, _known: Known) -> ir.Value:
        """The vector z itself, as the graph has it."""
        shape = [-1, self.heads, self.asking, self.width]
        row = self._asking(write, write.reshape(write.tap(self.output), shape))
        return write.reshape(row, [0, 1, self.heads * self.width])

    def push(
        self, write: RowWriter, streams: Sequence[ir.Value | None], _known: Known
    ) -> ir.Value | None:
        """What the tokens that are no places carry on."""
        total = None
        for token, stream in zip(self.others, streams, strict=True):
            if stream is not None:
                total = write.add(total, self._times(write, stream, int(token)))
        return total

    def pull(self, write: RowWriter, rows: ir.Value, _known: Known) -> list[ir.Value]:
        """Rows, to the tokens that are no places."""
        return [self._times(write, rows, int(token)) for token in self.others]

    def deliver(self, write: RowWriter) -> ir.Value:
        """P times what each place gives, (b, p, m)."""
        given = write.reshape(
            write.transpose(self._given(write), 0, 2, 1, 3),
            [0, self.asked, self.heads * self.width],
        )
        return write.scale(write.pick(given, 1, self.patches, self.asked), len(self.patches))

    def heat(self, write: RowWriter, rows: ir.Value) -> ir.Value:
        """P times what rows see of each place, (b, r, p)."""
        split = write.reshape(rows, [0, -1, self.heads, self.width])
        split = write.transpose(split, 0, 2, 1, 3)  # (b, a, r, e)
        columns = write.transpose(self._values(write), 0, 1, 3, 2)
        seen = write.mul(write.matmul(split, columns), self._weights(write))
        heat = write.pick(write.total(seen, 1), 2, self.patches, self.asked)
        return write.scale(heat, len(self.patches))

    def _given(self, write: RowWriter) -> ir.Value:
        """Alpha V, (b, a, t, e)."""
        weights = write.transpose(self._weights(write), 0, 1, 3, 2)
        return write.mul(self._values(write), weights)

    def _values(self, write: RowWriter) -> ir.Value:
        shape = [-1, self.heads, self.asked, self.width]
        return write.reshape(write.tap(self.values), shape)

    def _times(self, write: RowWriter, rows: ir.Value, token: int) -> ir.Value:
        """Rows (b, r, m) times the weight of one token in each head."""
        weight = write.slice(self._weights(write), 3, token, token + 1)  # (b, a, 1, 1)
        weight = write.transpose(weight, 0, 2, 1, 3)  # (b, 1, a, 1)
        split = write.reshape(rows, [0, -1, self.heads, self.width])
        return write.reshape(write.mul(split, weight), [0, -1, self.heads * self.width])

    def _weights(self, write: RowWriter) -> ir.Value:
        """Alpha (b, a, 1, t)."""
        return write.once((id(self), "weights"), lambda: self._written(write))

    def _written(self, write: RowWriter) -> ir.Value:
        if isinstance(self.weights, str):
            shape = [-1, self.heads, self.asking, self.asked]
            return self._asking(write, write.reshape(write.tap(self.weights), shape))
        found = self.weights
        query = write.reshape(write.tap(found.query), [-1, self.heads, self.asking, self.width])
        key = write.reshape(write.tap(found.key), [-1, self.heads, self.asked, self.width])
        query = write.scale(self._asking(write, query), found.scale)
        scores = write.matmul(query, write.transpose(key, 0, 1, 3, 2))
        if found.mask is not None:
            scores = write.node("Add", [scores, write.floats(found.mask)])
        return write.node("Softmax", [scores], axis=-1)

    def _asking(self, write: RowWriter, value: ir.Value) -> ir.Value:
        """The part of the token that asks, of (b, a, q, ...)."""
        return write.pick(value, 2, np.array([self.token]), self.asking)


Tokens = Callable[[ir.Value, Index], tuple[Index, Index]]
"""Which tokens are places, row by row, and which are none, of values and their elements (t, m)."""


def read_attention(value: ir.Value, index: Index, tokens: Tokens) -> Link | None:
    """Read one token of what attention computes.

    Raises:
        HeadError: Its tokens cannot be told apart.
    """
    node = value.producer()
    found = None if node is None else _parts(node)
    whole = sizes(value)
    if node is None or found is None or whole is None or len(whole) < 3:
        return None
    weights, values = found
    asking, width = whole[-2:]
    heads = int(np.prod(whole[:-2]))
    rows = index // width % asking
    one = np.arange(heads)[:, None] * asking * width + rows[0] * width + np.arange(width)
    if (rows != rows[0]).any() or not np.array_equal(index, one.reshape(-1)):
        return None
    shape = sizes(values)
    if shape is None or int(np.prod(shape)) % (heads * width):
        return None
    asked = int(np.prod(shape)) // (heads * width)
    of_token = (
        np.arange(asked)[:, None, None] * width
        + np.arange(heads)[:, None] * asked * width
        + np.arange(width)
    ).reshape(asked, -1)  # (t, m)
    if isinstance(weights, Scores) and operand(node, 3) is not None:
        mask = _mask_row(source(node, 3), int(rows[0]), asked)
        if mask is None:
            return None
        weights = replace(weights, mask=mask)
    patches, others = tokens(values, of_token)
    step = Attention(
        output=value.name or "",
        weights=weights,
        values=values.name or "",
        heads=heads,
        asking=asking,
        asked=asked,
        width=width,
        token=int(rows[0]),
        patches=patches,
        others=others,
    )
    reads = tuple(Spot(values.name or "", of_token[other]) for other in others)
    return Link(Spot(value.name or "", index), name_of(node), step, reads, located=True)


def _parts(node: ir.Node) -> tuple[str | Scores, ir.Value] | None:
    """The weights and the values of attention, as a product or as one operator."""
    if node.op_type == "MatMul":
        first, second = source(node, 0), source(node, 1)
        if constant(first) is not None or constant(second) is not None:
            return None
        return (first.name or "", second) if activation_above(first) == "Softmax" else None
    if node.op_type != "Attention" or node.domain not in ("", "ai.onnx"):
        return None
    if any(operand(node, number) is not None for number in range(4, len(node.inputs))):
        return None
    query, key, values = (source(node, number) for number in range(3))
    shape = sizes(query)
    if shape is None or len(shape) != 4 or attribute(node, "softcap", 0.0):
        return None
    if attribute(node, "is_causal", 0) or sizes(key) is None:
        return None
    scale = float(attribute(node, "scale", 0.0)) or float(shape[-1]) ** -0.5
    return Scores(query.name or "", key.name or "", scale), values


def _mask_row(value: ir.Value, token: int, asked: int) -> Floats | None:
    """What a stored mask adds for one token that asks; None if it is none of (1 or a, q, t)."""
    array = constant(value)
    if array is None or array.ndim < 2 or array.shape[-1] != asked:
        return None
    if array.ndim > 3 and any(size != 1 for size in array.shape[:-3]):
        return None
    rows = array.reshape(-1, *array.shape[-2:])
    row = rows[:, [token if rows.shape[1] > 1 else 0]]
    if row.dtype == np.bool_:
        return np.where(row, 0, -np.inf).astype(np.float32)
    return row.astype(np.float32)

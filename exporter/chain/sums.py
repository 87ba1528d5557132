"""Where vectors are added or joined, means over one vector, and vectors that no image changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from exporter.chain.rows import Floats, RowWriter
from exporter.chain.step import Known, Link, Plain, Spot
from exporter.graph.elements import Index, above_move, numbered, pieces, sizes, spread
from exporter.graph.read import axes_of, constant, name_of, source

_MEANS = {"ReduceMean", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare"}


@dataclass(frozen=True)
class Sum(Plain):
    """z = y_1 + y_2, or y_1 - y_2; a vector of length 1 is added to every number.

    Attributes:
        signs: 1 or -1 for each.
        sizes: The length of each.
    """

    signs: tuple[int, ...]
    sizes: tuple[int, ...]
    words: str = "sum"

    def value(self, write: RowWriter, known: Known) -> ir.Value:
        """The sum."""
        total = self._sum(write, [known.read(number) for number in range(len(self.signs))])
        if total is None:
            raise ValueError("expected something to add")
        return total

    def push(
        self, write: RowWriter, streams: Sequence[ir.Value | None], _known: Known
    ) -> ir.Value | None:
        """The sum of the streams."""
        return self._sum(write, streams)

    def pull(self, write: RowWriter, rows: ir.Value, _known: Known) -> list[ir.Value]:
        """The rows, to each."""
        whole = max(self.sizes)
        found = []
        for sign, size in zip(self.signs, self.sizes, strict=True):
            part = write.scale(rows, sign)
            if size < whole:
                part = write.scale(write.mean(part, whole), whole)
            found.append(part)
        return found

    def _sum(self, write: RowWriter, streams: Sequence[ir.Value | None]) -> ir.Value | None:
        whole = max(self.sizes)
        first, second = streams
        if first is None and second is not None and self.sizes[1] < whole:
            second = write.mul(second, write.floats(np.ones(whole)))
        if second is None and first is not None and self.sizes[0] < whole:
            first = write.mul(first, write.floats(np.ones(whole)))
        if second is not None and self.signs[1] < 0:
            return write.scale(second, -1) if first is None else write.sub(first, second)
        return write.add(first, second)


@dataclass(frozen=True)
class Join(Plain):
    """z = (y_1, y_2, ...), or any order of their numbers.

    Attributes:
        places: Where the numbers of each go in z.
        size: m.
    """

    places: tuple[Index, ...]
    size: int
    words: str = "joined"

    def value(self, write: RowWriter, known: Known) -> ir.Value:
        """The parts, joined."""
        return self._joined(write, [known.read(number) for number in range(len(self.places))])

    def push(
        self, write: RowWriter, streams: Sequence[ir.Value | None], _known: Known
    ) -> ir.Value | None:
        """The streams, joined; of another length each where one is zero."""
        there = [stream for stream in streams if stream is not None]
        if not there:
            return None
        if len(there) == len(streams):
            return self._joined(write, there)
        total = None
        for stream, place in zip(streams, self.places, strict=True):
            if stream is not None:
                total = write.add(total, write.scatter(stream, place, self.size))
        return total

    def pull(self, write: RowWriter, rows: ir.Value, _known: Known) -> list[ir.Value]:
        """The part of the rows that each gave."""
        return [write.pick(rows, 2, place, self.size) for place in self.places]

    def _joined(self, write: RowWriter, values: Sequence[ir.Value]) -> ir.Value:
        order = np.argsort(np.concatenate(self.places), kind="stable")
        return write.pick(write.join(values), 2, order, self.size)


@dataclass(frozen=True)
class RowMean(Plain):
    """z = factor * sum of y, one number; or a norm of y, which may only be held.

    Attributes:
        kind: The operator.
        size: n.
    """

    kind: str
    size: int

    @property
    def words(self) -> str:
        """The operator."""
        return self.kind

    @property
    def linear(self) -> bool:
        """Whether it is no norm."""
        return self.kind in ("ReduceMean", "ReduceSum")

    @property
    def _factor(self) -> float:
        return 1.0 if self.kind == "ReduceMean" else float(self.size)

    def value(self, write: RowWriter, known: Known) -> ir.Value:
        """One number, (b, 1, 1)."""
        y = known.read()
        if self.linear:
            return self._sum(write, y)
        if self.kind == "ReduceL1":
            return write.scale(write.mean(write.node("Abs", [y]), self.size), self.size)
        squares = write.scale(write.mean(write.mul(y, y), self.size), self.size)
        return write.node("Sqrt", [squares]) if self.kind == "ReduceL2" else squares

    def push(
        self, write: RowWriter, streams: Sequence[ir.Value | None], _known: Known
    ) -> ir.Value | None:
        """The same of the stream."""
        return None if streams[0] is None else self._sum(write, streams[0])

    def pull(self, write: RowWriter, rows: ir.Value, _known: Known) -> list[ir.Value]:
        """The row's number, to every element."""
        each = np.full((1, self.size), self._factor / self.size)
        return [write.matmul(rows, write.floats(each))]

    def _sum(self, write: RowWriter, value: ir.Value) -> ir.Value:
        return write.scale(write.mean(value, self.size), self._factor)


@dataclass(frozen=True)
class Repeat(Plain):
    """z = (y, y, ...), one number m times."""

    size: int
    words: str = "moved"

    def value(self, write: RowWriter, known: Known) -> ir.Value:
        """The number, m times."""
        return self._repeated(write, known.read())

    def push(
        self, write: RowWriter, streams: Sequence[ir.Value | None], _known: Known
    ) -> ir.Value | None:
        """The same of the stream."""
        return None if streams[0] is None else self._repeated(write, streams[0])

    def pull(self, write: RowWriter, rows: ir.Value, _known: Known) -> list[ir.Value]:
        """The sum of each row."""
        return [write.scale(write.mean(rows, self.size), self.size)]

    def _repeated(self, write: RowWriter, value: ir.Value) -> ir.Value:
        return write.mul(value, write.floats(np.ones(self.size)))


@dataclass(frozen=True)
class Start(Plain):
    """z = t, whatever the image: a class token, a probe."""

    shift: Floats | None
    words: str = "constant"

    def value(self, write: RowWriter, _known: Known) -> ir.Value:
        """t, (b, 1, m)."""
        return write.for_each_image(np.asarray(self.shift))

    def push(
        self, _write: RowWriter, _streams: Sequence[ir.Value | None], _known: Known
    ) -> ir.Value | None:
        """Nothing."""
        return None

    def pull(self, _write: RowWriter, _rows: ir.Value, _known: Known) -> list[ir.Value]:
        """Nothing."""
        return []


def read_start(value: ir.Value, index: Index) -> Link | None:
    """A vector that no image changes."""
    array = constant(value)
    if array is None:
        return None
    found = np.asarray(array, np.float32).reshape(-1)[index]
    return Link(Spot(value.name or "", index), "", Start(found))


def read_move(value: ir.Value, index: Index) -> Link | None:
    """The same numbers in another value."""
    moved = above_move(value, index)
    node = value.producer()
    if moved is None or node is None:
        return None
    if len(index) > 1 and (moved[1] == moved[1][0]).all():
        one = Spot(moved[0].name or "", moved[1][:1])
        return Link(Spot(value.name or "", index), name_of(node), Repeat(len(index)), (one,))
    step = Join((np.arange(len(index)),), len(index), words="moved")
    return Link(
        Spot(value.name or "", index), name_of(node), step, (Spot(moved[0].name or "", moved[1]),)
    )


def read_sum(value: ir.Value, index: Index) -> Link | None:
    """Two values of the image added or subtracted."""
    node = value.producer()
    if node is None or node.op_type not in ("Add", "Sub") or len(node.inputs) != 2:
        return None
    reads = []
    for number in (0, 1):
        table = spread(source(node, number), value)
        if table is None:
            return None
        found = table[index]
        if len(index) > 1 and (found == found[0]).all():
            found = found[:1]  # one number for the whole vector
        reads.append(Spot(source(node, number).name or "", found))
    step = Sum((1, 1 if node.op_type == "Add" else -1), tuple(spot.size for spot in reads))
    return Link(Spot(value.name or "", index), name_of(node), step, tuple(reads))


def read_join(value: ir.Value, index: Index) -> Link | None:
    """Elements of several values."""
    node = value.producer()
    found = pieces(node) if node is not None and node.op_type == "Concat" else None
    if node is None or found is None:
        return None
    places, reads = [], []
    for part, numbers in found:
        own = np.full(int(numbers.max(initial=0)) + 1, -1)
        own[numbers] = np.arange(len(numbers))
        inside = np.flatnonzero(np.isin(index, numbers))
        if inside.size:
            places.append(inside)
            reads.append(Spot(part.name or "", own[index[inside]]))
    return Link(
        Spot(value.name or "", index), name_of(node), Join(tuple(places), len(index)), tuple(reads)
    )


def read_row_mean(value: ir.Value, index: Index) -> Link | None:
    """A mean, a sum or a norm over the numbers of one vector: one number."""
    node = value.producer()
    if node is None or node.op_type not in _MEANS or (index != index[0]).any():
        return None
    if len(index) > 1:
        one = Spot(value.name or "", index[:1])
        return Link(Spot(value.name or "", index), name_of(node), Repeat(len(index)), (one,))
    read, axes = source(node), axes_of(node)
    shape = sizes(read)
    if shape is None or axes is None:
        return None
    over = tuple(axis % len(shape) for axis in axes)
    kept = [axis for axis in range(len(shape)) if axis not in over]
    table = (
        numbered(shape).transpose(*kept, *over).reshape(-1, int(np.prod([shape[a] for a in over])))
    )
    numbers = np.sort(table[index[0]])
    step = RowMean(node.op_type, len(numbers))
    return Link(
        Spot(value.name or "", index), name_of(node), step, (Spot(read.name or "", numbers),)
    )

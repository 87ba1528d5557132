"""Activations and products of two values of the image, with a number held.

    z = f(a) = g a + f(0),     g = (f(a) - f(0)) / a held, f'(0) where a is 0
    z = y * c,                 c held: a gate, a deviation

Source: Gradient x Input for ReLU networks (Ancona et al., 2018, eq. 2), and the identity and
uniform rules of AttnLRP (Achtibat et al., 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.chain.rows import Floats, RowWriter
from exporter.chain.step import Known, Link, Spot
from exporter.graph.elements import Index, spread, stored_elements
from exporter.graph.read import computed, constant, name_of, source

_STEP = 1e-3  # of the difference quotient for the slope at 0
_NEAR = 1e-12
_ACTIVATIONS = {
    *("Celu", "Clip", "Elu", "Erf", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish"),
    *("PRelu", "Relu", "Selu", "Sigmoid", "Softplus", "Softsign", "Swish", "Tanh"),
    "ThresholdedRelu",
}
_UNARY = {*_ACTIVATIONS, "Abs", "Exp", "Log", "Pow", "Reciprocal", "Sqrt", "Max", "Min"}
GATING = {*_ACTIVATIONS, "Softmax"}
_THROUGH = {
    *("Add", "Cast", "Clip", "Div", "Identity", "IsNaN", "Mul", "Reshape", "Sub", "Transpose"),
    "Where",
}
_FAR = 8


@dataclass(frozen=True)
class Activation:
    """z = f(a).

    Attributes:
        kind: The operator of f.
        attributes: Its attributes.
        others: Its other inputs, one number each or one for each element; None for one left out.
        at_zero: f(0).
        slope: f'(0).
        size: m.
    """

    kind: str
    attributes: dict[str, float | int | str] = field(hash=False)
    others: tuple[NDArray[np.float32] | None, ...] = field(hash=False)
    at_zero: float
    slope: float
    size: int

    @property
    def knows_reads(self) -> bool:
        """A gate is f(a) / a."""
        return self.kind != "Relu"

    @property
    def knows_own(self) -> bool:
        """The gate of a ReLU is told by its result."""
        return self.kind == "Relu"

    @property
    def words(self) -> str:
        """The operator."""
        return self.kind

    @property
    def holds(self) -> str:
        """The gate."""
        return "its gate f(a) / a"

    @property
    def shift(self) -> Floats | None:
        """f(0)."""
        return np.full(self.size, self.at_zero, np.float32) if self.at_zero else None

    def value(self, write: RowWriter, known: Known) -> ir.Value:
        """f(a)."""
        others = [None if number is None else write.floats(number) for number in self.others]
        return write.node(self.kind, [known.read(), *others], **self.attributes)

    def push(
        self, write: RowWriter, streams: Sequence[ir.Value | None], known: Known
    ) -> ir.Value | None:
        """The stream times the gate."""
        return None if streams[0] is None else write.mul(streams[0], self._gate(write, known))

    def pull(self, write: RowWriter, rows: ir.Value, known: Known) -> list[ir.Value]:
        """The rows times the gate."""
        return [write.mul(rows, self._gate(write, known))]

    def _gate(self, write: RowWriter, known: Known) -> ir.Value:
        return write.once((id(self), "gate"), lambda: self._written(write, known))

    def _written(self, write: RowWriter, known: Known) -> ir.Value:
        if self.kind == "Relu":
            passed = write.node("Greater", [known.own(), write.floats(np.array(0))])
            return write.node("Cast", [passed], to=int(ir.DataType.FLOAT))
        a = known.read()
        near = write.node("Less", [write.node("Abs", [a]), write.floats(np.array(_NEAR))])
        divisor = write.node("Where", [near, write.floats(np.array(1)), a])
        z = self.value(write, known)
        if self.at_zero:
            z = write.sub(z, write.floats(np.array(self.at_zero)))
        slope = write.floats(np.array(self.slope))
        return write.node("Where", [near, slope, write.div(z, divisor)])


@dataclass(frozen=True)
class Product:
    """z = y * c or y / c, c of the image and held.

    Attributes:
        divided: Whether y is divided by c.
    """

    divided: bool
    kind: str
    shift: NDArray[np.float32] | None = None
    knows_reads: bool = False
    knows_own: bool = False

    @property
    def words(self) -> str:
        """What c is."""
        return "division by a number of the image" if self.divided else f"gate ({self.kind})"

    @property
    def holds(self) -> str:
        """What c is."""
        return "the number" if self.divided else "the gate"

    def value(self, write: RowWriter, known: Known) -> ir.Value:
        """The product or the quotient."""
        return self._times(write, known.read(), known)

    def push(
        self, write: RowWriter, streams: Sequence[ir.Value | None], known: Known
    ) -> ir.Value | None:
        """The same of the stream."""
        return None if streams[0] is None else self._times(write, streams[0], known)

    def pull(self, write: RowWriter, rows: ir.Value, known: Known) -> list[ir.Value]:
        """The same of the rows."""
        return [self._times(write, rows, known)]

    def _times(self, write: RowWriter, value: ir.Value, known: Known) -> ir.Value:
        return (write.div if self.divided else write.mul)(value, known.held())


def read_activation(value: ir.Value, index: Index) -> Link | None:
    """Read a function of each element on its own."""
    node = value.producer()
    if node is None or node.op_type not in _UNARY:
        return None
    read, given = source(node), node.inputs[1:]
    others = [None if other is None else stored_elements(other, value, index) for other in given]
    table = spread(read, value)
    if table is None or any(
        a is not None and b is None for a, b in zip(given, others, strict=True)
    ):
        return None
    attributes = {name: found.value for name, found in node.attributes.items()}
    around = (0.0, 1.0) if node.op_type == "PRelu" else _around_zero(node, value, read)
    single = tuple(None if found is None else _shortest(found) for found in others)
    step = Activation(node.op_type, attributes, single, *around, len(index))
    whole = node.op_type == "Relu" and np.array_equal(index, np.arange(len(table)))
    reads = (Spot(read.name or "", table[index]),)
    return Link(Spot(value.name or "", index), name_of(node), step, reads, tapped=whole)


def read_product(value: ir.Value, index: Index) -> Link | None:
    """Read a product or a quotient of two values of the image."""
    node = value.producer()
    if node is None or node.op_type not in ("Mul", "Div"):
        return None
    held = 1 if node.op_type == "Div" else _which_is_held(node)
    if held is None:
        return None
    read, other = source(node, 1 - held), source(node, held)
    tables = [spread(each, value) for each in (read, other)]
    if tables[0] is None or tables[1] is None:
        return None
    factor = tables[1][index]
    if (factor == factor[0]).all():
        factor = factor[:1]  # one number for the whole vector
    above = activation_above(other)
    step = Product(divided=node.op_type == "Div", kind=above or "")
    return Link(
        Spot(value.name or "", index),
        name_of(node),
        step,
        (Spot(read.name or "", tables[0][index]),),
        (Spot(other.name or "", factor),),
    )


def _shortest(numbers: NDArray[np.float64]) -> NDArray[np.float32]:
    """Numbers of the elements; one, without an axis, where all are the same, as Clip wants it."""
    same = (numbers == numbers[0]).all()
    return np.asarray(numbers[0] if same else numbers, np.float32)


def _which_is_held(node: ir.Node) -> int | None:
    """Which factor gates the other: one over a number, nearer behind an activation, computed of it.

    None where neither is: a product of two features has no evidence of its own.
    """
    first, second = source(node, 0), source(node, 1)
    inverse = _is_inverse(first), _is_inverse(second)
    if inverse[0] != inverse[1]:
        return int(inverse[1])
    distances = _distance(first), _distance(second)
    if distances[0] != distances[1]:
        return int(distances[1] < distances[0])
    if _computed_of(second, first):
        return 1
    return 0 if _computed_of(first, second) else None


def _is_inverse(value: ir.Value) -> bool:
    """Whether a value is one over a number, times stored ones: a norm as TensorFlow writes it."""
    for _ in range(_FAR):
        node = value.producer()
        if node is None or node.op_type not in ("Mul", "Reciprocal"):
            return False
        if node.op_type == "Reciprocal":
            return True
        reads = [source(node, number) for number in (0, 1)]
        open_ones = [read for read in reads if constant(read) is None]
        if len(open_ones) != 1:
            return False
        value = open_ones[0]
    return False


def _computed_of(value: ir.Value, other: ir.Value) -> bool:
    """Whether a value is a power of another, or is the other."""
    for _ in range(_FAR):
        node = value.producer()
        if value is other:
            return True
        if node is None or node.op_type not in ("Mul", "Pow"):
            return False
        value = source(node)
    return False


def activation_above(value: ir.Value) -> str | None:
    """The activation that a value is computed by, a few operations up."""
    return _search(value)[1]


def _distance(value: ir.Value) -> int:
    return _search(value)[0]


def _search(value: ir.Value) -> tuple[int, str | None]:
    level = [value]
    for distance in range(_FAR):
        nodes = [node for node in (each.producer() for each in level) if node is not None]
        for node in nodes:
            if node.op_type in GATING:
                return distance, node.op_type
        level = [
            read
            for node in nodes
            if node.op_type in _THROUGH
            for read in node.inputs
            if read is not None and constant(read) is None
        ]
    return _FAR, None


def _around_zero(node: ir.Node, value: ir.Value, read: ir.Value) -> tuple[float, float]:
    """f(0) and f'(0), as the runtime computes them."""
    points = np.array([0, -_STEP, _STEP], np.float32)
    with np.errstate(all="ignore"):
        found = np.asarray(computed(value, [node], {read.name or "": points}), np.float64)
    zero = found[0] if np.isfinite(found[0]) else 0.0
    slope = (found[2] - found[1]) / (2 * _STEP)
    return float(zero), float(slope) if np.isfinite(slope) else 0.0

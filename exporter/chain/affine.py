"""Linear layers, and what scales or shifts a vector by stored numbers.

    z = W y + t,        L = W

Gemm, MatMul, Conv and Einsum with a stored matrix; Add, Sub, Mul and Div with stored numbers;
BatchNormalization by its stored statistics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.chain.rows import Floats, Matrix, RowWriter
from exporter.chain.step import Known, Link, Plain, Spot
from exporter.graph.elements import Index, sizes, spread, stored_elements
from exporter.graph.read import attribute, constant, name_of, operand, refusal, source


@dataclass(frozen=True)
class Linear(Plain):
    """z = W y + t.

    Attributes:
        matrix: W (m, n).
        shift: t (m,).
    """

    matrix: Matrix
    shift: Floats | None = None
    words: str = "linear layer"

    def value(self, write: RowWriter, known: Known) -> ir.Value:
        """The layer's result."""
        product = write.forward(known.read(), self.matrix)
        return product if self.shift is None else _added(write, product, self.shift)

    def push(
        self, write: RowWriter, streams: Sequence[ir.Value | None], _known: Known
    ) -> ir.Value | None:
        """The stream times W."""
        return None if streams[0] is None else write.forward(streams[0], self.matrix)

    def pull(self, write: RowWriter, rows: ir.Value, _known: Known) -> list[ir.Value]:
        """The rows times the transpose of W."""
        return [write.backward(rows, self.matrix)]


@dataclass(frozen=True)
class Scale(Plain):
    """z = a y + t, number by number.

    Attributes:
        factor: a (m,); None for 1.
        shift: t (m,).
    """

    factor: Floats | None
    shift: Floats | None = None
    words: str = "scale and shift"

    def value(self, write: RowWriter, known: Known) -> ir.Value:
        """The scaled and shifted vector."""
        scaled = self._scaled(write, known.read())
        return scaled if self.shift is None else _added(write, scaled, self.shift)

    def push(
        self, write: RowWriter, streams: Sequence[ir.Value | None], _known: Known
    ) -> ir.Value | None:
        """The scaled stream."""
        return None if streams[0] is None else self._scaled(write, streams[0])

    def pull(self, write: RowWriter, rows: ir.Value, _known: Known) -> list[ir.Value]:
        """The scaled rows."""
        return [self._scaled(write, rows)]

    def _scaled(self, write: RowWriter, value: ir.Value) -> ir.Value:
        return value if self.factor is None else write.mul(value, write.floats(self.factor))


def read_linear(value: ir.Value, index: Index) -> Link | None:
    """Read a linear layer whose outputs are elements of one row of what it computes."""
    node = value.producer()
    rule = None if node is None else _LAYERS.get(node.op_type)
    return None if node is None or rule is None else rule(node, value, index)


def layer_rows(node: ir.Node, value: ir.Value, index: Index) -> tuple[ir.Value, Index] | None:
    """Go above a layer that treats rows one by one, for elements (rows, m) of what it computes.

    Returns:
        What it reads, and all elements (rows, n) of those rows; None if it is another layer, or a
        row is not whole.
    """
    read, shape, whole = _operands(node), None, sizes(value)
    if read is None or whole is None or (shape := sizes(read[0])) is None:
        return None
    lead = index // whole[-1]
    if (lead != lead[:, :1]).any():
        return None
    return read[0], lead[:, :1] * shape[-1] + np.arange(shape[-1])


def _operands(node: ir.Node) -> tuple[ir.Value, ir.Value, bool] | None:
    """The image's operand of a product, the stored one, and whether that has its outputs last."""
    if node.op_type == "Gemm" and not attribute(node, "transA", 0):
        found = source(node), source(node, 1), not attribute(node, "transB", 0)
    elif node.op_type == "MatMul":
        found = source(node), source(node, 1), True
    else:
        return None
    array = constant(found[1])
    if array is None or array.ndim != 2 or constant(found[0]) is not None:
        return None
    return None if _is_dequantised(found[1]) else found


def _is_dequantised(value: ir.Value) -> bool:
    """Whether a weight is dequantised: onnxruntime may compute its product in 8 bits."""
    for _ in range(_NEAR):
        node = value.producer()
        if node is None or not node.inputs or node.inputs[0] is None:
            return False
        if node.op_type == "DequantizeLinear":
            return True
        value = node.inputs[0]
    return False


def _product(node: ir.Node, value: ir.Value, index: Index) -> Link | None:
    found, above = _operands(node), layer_rows(node, value, index[None])
    whole = sizes(value)
    if found is None or above is None or whole is None:
        return None
    read, stored, outputs_last = found
    columns = index % whole[-1]
    alpha = float(attribute(node, "alpha", 1.0)) if node.op_type == "Gemm" else 1.0
    matrix = _matrix(stored, columns, whole[-1], outputs_last=outputs_last, factor=alpha)
    shift = None
    if node.op_type == "Gemm" and operand(node, 2) is not None:
        shift = stored_elements(source(node, 2), value, index)
        if shift is None:
            return None
        shift = shift * float(attribute(node, "beta", 1.0))
    step = Linear(matrix, _single(shift))
    reads = (_spot(read, above[1][0]),)
    return Link(_spot(value, index), name_of(node), step, reads, tapped=_is_kept(value, index))


def _convolution(node: ir.Node, value: ir.Value, index: Index) -> Link | None:
    """A convolution with one window: a linear layer over all it reads."""
    read, kernel = source(node), constant(source(node, 1))
    shape, whole = sizes(read), sizes(value)
    if kernel is None or shape is None or whole is None or attribute(node, "group", 1) != 1:
        return None
    one = all(size == 1 for size in whole[2:]) and kernel.shape[1:] == shape[1:]
    if not one or any(attribute(node, "pads", ())):
        return None
    rows = kernel.reshape(len(kernel), -1)[index]
    matrix = Matrix(rows.shape, array=np.asarray(rows, np.float32))
    shift = None
    if operand(node, 2) is not None:
        bias = constant(source(node, 2))
        shift = None if bias is None else bias[index]
    step = Linear(matrix, _single(shift))
    reads = (_spot(read, np.arange(rows.shape[1])),)
    return Link(_spot(value, index), name_of(node), step, reads, tapped=_is_kept(value, index))


def _is_kept(value: ir.Value, index: Index) -> bool:
    """Whether a vector is all that a layer computes, and runtimes keep it.

    onnxruntime fuses what alone reads a layer with it, but for a few operators. A MatMul becomes
    part of what adds its bias.
    """
    node, whole = value.producer(), sizes(value)
    if node is None or node.op_type == "MatMul" or whole is None:
        return False
    if not np.array_equal(index, np.arange(math.prod(whole))):
        return False
    readers = {use.node for use in value.uses() if use.node.op_type != "Shape"}
    return len(readers) > 1 or all(reader.op_type in _UNFUSED for reader in readers)


def _matrix(
    stored: ir.Value, columns: Index, total: int, *, outputs_last: bool, factor: float
) -> Matrix:
    """The matrix whose outputs are these columns: as the graph holds it wherever that can be."""
    array = np.asarray(constant(stored))
    first, count = int(columns[0]), len(columns)
    row = np.array_equal(columns, np.arange(first, first + count))
    if factor == 1 and row and array.dtype == np.float32:
        shape = (array.shape[0], count) if outputs_last else (count, array.shape[1])
        part = None if count == total else (first, first + count)
        return Matrix(shape, outputs_last, stored.name, part)
    picked = array[:, columns].T if outputs_last else array[columns]
    picked = np.asarray(picked * factor, np.float32)
    return Matrix(picked.shape, array=picked)


def read_scale(value: ir.Value, index: Index) -> Link | None:
    """Read an operation with stored numbers, one for each element."""
    node = value.producer()
    rule = None if node is None else _ELEMENTWISE.get(node.op_type)
    return None if node is None or rule is None else rule(node, value, index)


def _with_stored(node: ir.Node, value: ir.Value, index: Index) -> Link | None:
    for number in (0, 1):
        read, other = source(node, number), source(node, 1 - number)
        array = None if constant(read) is not None else stored_elements(other, value, index)
        table = None if array is None else spread(read, value)
        if array is None or table is None:
            continue
        factor, shift = _of(node.op_type, array, image_first=number == 0)
        if factor is None and shift is None:
            return None
        step = Scale(_single(factor), _single(shift))
        return Link(
            Spot(value.name or "", index), name_of(node), step, (_spot(read, table[index]),)
        )
    return None


def _of(
    kind: str, array: NDArray[np.float64], *, image_first: bool
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Factor and shift of an operation with a stored array."""
    if kind == "Add":
        return None, array
    if kind == "Sub":
        return (None, -array) if image_first else (-np.ones_like(array), array)
    if kind == "Mul":
        return array, None
    return (1 / array, None) if image_first else (None, None)


def _negated(node: ir.Node, value: ir.Value, index: Index) -> Link:
    step = Scale(-np.ones(len(index), np.float32))
    return Link(Spot(value.name or "", index), name_of(node), step, (_spot(source(node), index),))


def _batch_norm(node: ir.Node, value: ir.Value, index: Index) -> Link | None:
    arrays = [constant(source(node, number)) for number in range(1, 5)]
    shape = sizes(value)
    if shape is None or any(array is None for array in arrays):
        return None
    if attribute(node, "training_mode", 0):
        raise refusal(node, "runs in training mode. Export the model in evaluation mode.")
    gamma, beta, mean, variance = (np.asarray(array, np.float64) for array in arrays)
    factor = gamma / np.sqrt(variance + attribute(node, "epsilon", 1e-5))
    channel = np.unravel_index(index, shape)[1]
    shift = (beta - factor * mean)[channel]
    step = Scale(_single(factor[channel]), _single(shift), words="BatchNorm")
    return Link(Spot(value.name or "", index), name_of(node), step, (_spot(source(node), index),))


def _added(write: RowWriter, value: ir.Value, shift: Floats) -> ir.Value:
    return write.node("Add", [value, write.floats(shift)])


def _single(array: NDArray[np.generic] | None) -> Floats | None:
    return None if array is None else np.asarray(array, np.float32)


def _spot(value: ir.Value, index: Index) -> Spot:
    return Spot(value.name or "", index)


_NEAR = 4
_UNFUSED = {"Gelu", "HardSwish", "LayerNormalization", "Mish", "Swish"}
_Rule = Callable[[ir.Node, ir.Value, Index], Link | None]
_LAYERS: dict[str, _Rule] = {"Conv": _convolution, "Gemm": _product, "MatMul": _product}
_ELEMENTWISE: dict[str, _Rule] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _with_stored),
    "Neg": _negated,
    "BatchNormalization": _batch_norm,
}

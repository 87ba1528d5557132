"""Write nodes that compute with rows: tensors (b, r, m), r vectors of length m for each image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.graph.read import image_input
from exporter.graph.write import NodeWriter, find_value

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Matrix:
    """A matrix (m, n) of a linear layer, as the graph stores it.

    Attributes:
        shape: (m, n), or (n, m) with ``outputs_last``, as MatMul reads it.
        outputs_last: Whether the inputs come first.
        value: Name of the value of the graph that holds it; None where it is an array.
        outputs: First and end of the outputs that are meant where the value has more.
        array: The matrix itself where no value holds it, float32.
    """

    shape: tuple[int, int]
    outputs_last: bool = False
    value: str | None = None
    outputs: tuple[int, int] | None = None
    array: Floats | None = None


class RowWriter:
    """Appends nodes on rows to a graph; names are numbered.

    Args:
        write: Writer on the graph.
    """

    def __init__(self, write: NodeWriter) -> None:
        self._write = write
        self._count = 0
        self._matrices: dict[tuple[str, tuple[int, int] | None], ir.Value] = {}
        self._constants: dict[bytes, ir.Value] = {}
        self._once: dict[tuple[int, str], ir.Value] = {}

    def once(self, key: tuple[int, str], make: Callable[[], ir.Value]) -> ir.Value:
        """What was made under a key before, or is made now."""
        if key not in self._once:
            self._once[key] = make()
        return self._once[key]

    def node(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        **attributes: float | str | Sequence[int],
    ) -> ir.Value:
        """Append a node."""
        self._count += 1
        return self._write.node(op_type, inputs, f"chain/{self._count}", **attributes)

    def tap(self, name: str) -> ir.Value:
        """A value of the classifier."""
        return find_value(self._write.model, name)

    def constant(self, array: NDArray[np.generic]) -> ir.Value:
        """Store an array, once."""
        key = bytes(f"{array.dtype} {array.shape}", "ascii") + array.tobytes()
        if key not in self._constants:
            name = f"chain/constant/{len(self._constants)}"
            self._constants[key] = self._write.constant(name, array)
        return self._constants[key]

    def floats(self, array: NDArray[np.generic]) -> ir.Value:
        """Store numbers as float32."""
        return self.constant(np.asarray(array, np.float32))

    def ints(self, numbers: Sequence[int]) -> ir.Value:
        """Store whole numbers."""
        return self.constant(np.asarray(numbers, np.int64))

    def for_each_image(self, array: NDArray[np.generic]) -> ir.Value:
        """The same vector (m,) for every image of the batch, (b, 1, m)."""
        found = image_input(self._write.graph)
        if found is None:
            raise ValueError("expected a graph of one image")
        shape = self.once((0, "shape"), lambda: self.node("Shape", [found[0]]))
        batch = self.once((0, "batch"), lambda: self.slice(shape, 0, 0, 1))
        target = self.once((0, "lead"), lambda: self.join([batch, self.ints([1, 1])], axis=0))
        return self.node("Expand", [self.floats(array), target])

    # Elementwise, with the broadcasting of ONNX

    def add(self, first: ir.Value | None, second: ir.Value | None) -> ir.Value | None:
        """The sum of two streams, of which None is zero."""
        if first is None or second is None:
            return second if first is None else first
        return self.node("Add", [first, second])

    def mul(self, first: ir.Value, second: ir.Value) -> ir.Value:
        """First * second."""
        return self.node("Mul", [first, second])

    def sub(self, first: ir.Value, second: ir.Value) -> ir.Value:
        """First - second."""
        return self.node("Sub", [first, second])

    def div(self, first: ir.Value, second: ir.Value) -> ir.Value:
        """First / second."""
        return self.node("Div", [first, second])

    def scale(self, value: ir.Value, factor: float) -> ir.Value:
        """The value times one number."""
        return value if factor == 1 else self.mul(value, self.floats(np.array(factor)))

    # Shapes

    def reshape(self, value: ir.Value, shape: Sequence[int]) -> ir.Value:
        """Reshape; 0 keeps an axis, -1 takes what is left."""
        return self.node("Reshape", [value, self.ints(shape)])

    def transpose(self, value: ir.Value, *perm: int) -> ir.Value:
        """Transpose."""
        return self.node("Transpose", [value], perm=perm)

    def slice(self, value: ir.Value, axis: int, start: int, stop: int) -> ir.Value:
        """The part of an axis from start to before stop."""
        bounds = [self.ints([number]) for number in (start, stop, axis)]
        return self.node("Slice", [value, *bounds])

    def pick(self, value: ir.Value, axis: int, index: NDArray[np.int64], length: int) -> ir.Value:
        """Numbers of an axis, in any order; ``length`` is how many it has."""
        if np.array_equal(index, np.arange(length)):
            return value
        start = int(index[0])
        if np.array_equal(index, np.arange(start, start + len(index))):
            return self.slice(value, axis, start, start + len(index))
        return self.node("Gather", [value, self.constant(index)], axis=axis)

    def scatter(self, value: ir.Value, index: NDArray[np.int64], length: int) -> ir.Value:
        """Rows (b, r, m) at some numbers of a longer vector, zero elsewhere: (b, r, length)."""
        if np.array_equal(index, np.arange(length)):
            return value
        order = np.argsort(index)
        if np.array_equal(index[order], np.arange(length)):  # as a map flattened channels last
            return self.node("Gather", [value, self.constant(order)], axis=2)
        onto = np.zeros((len(index), length), np.float32)
        onto[np.arange(len(index)), index] = 1
        return self.node("MatMul", [value, self.floats(onto)])

    def join(self, values: Sequence[ir.Value], axis: int = 2) -> ir.Value:
        """Values one after another along an axis."""
        return values[0] if len(values) == 1 else self.node("Concat", list(values), axis=axis)

    # Sums

    def total(self, value: ir.Value, axis: int) -> ir.Value:
        """The sum over an axis, which goes."""
        self._count += 1
        return self._write.total(value, axis, f"chain/{self._count}")

    def mean(self, value: ir.Value, length: int) -> ir.Value:
        """The mean of each row (b, r, m), as (b, r, 1).

        A product, because a ReduceMean may add up in another order for another batch.
        """
        return self.node("MatMul", [value, self.floats(np.full((length, 1), 1 / length))])

    def largest(self, value: ir.Value, axis: int) -> ir.Value:
        """The largest over an axis, which stays with size 1."""
        self._count += 1
        return self._write.largest(value, axis, f"chain/{self._count}")

    def matmul(self, first: ir.Value, second: ir.Value) -> ir.Value:
        """First @ second."""
        return self.node("MatMul", [first, second])

    def forward(self, rows: ir.Value, matrix: Matrix) -> ir.Value:
        """The product W u of each row u: (b, r, n) -> (b, r, m)."""
        return self._times(rows, matrix, transposed=not matrix.outputs_last)

    def backward(self, rows: ir.Value, matrix: Matrix) -> ir.Value:
        """The product Wᵀ r of each row r: (b, r, m) -> (b, r, n)."""
        return self._times(rows, matrix, transposed=matrix.outputs_last)

    def _times(self, rows: ir.Value, matrix: Matrix, *, transposed: bool) -> ir.Value:
        """Rows times the stored matrix, or times its transpose.

        A Gemm reads the matrix as it is stored; a Transpose of it would be computed once and kept,
        as large as the matrix again.
        """
        stored = self._stored(matrix)
        if not transposed:
            return self.matmul(rows, stored)
        result, read = matrix.shape
        lead = self.slice(self.node("Shape", [rows]), 0, 0, 2)
        product = self.node("Gemm", [self.reshape(rows, [-1, read]), stored], transB=1)
        return self.node("Reshape", [product, self.join([lead, self.ints([result])], axis=0)])

    def _stored(self, matrix: Matrix) -> ir.Value:
        if matrix.array is not None:
            return self.floats(matrix.array)
        key = matrix.value or "", matrix.outputs
        if key not in self._matrices:
            value = self.tap(key[0])
            if key[1] is not None:
                value = self.slice(value, 1 if matrix.outputs_last else 0, *key[1])
            self._matrices[key] = value
        return self._matrices[key]

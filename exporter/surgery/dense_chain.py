"""What dense explanations read of a chain of steps, in operators of fixed shapes.

The same as located.py, for every class: rows of classes and prototypes are constants, so no shape
has to be asked for and nothing is chosen by an index.

Symbols: b images, c classes, k prototypes, d channels of the chain's map, H numbers that the linear
layer reads together, l places.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.chain.rows import Matrix, RowWriter
from exporter.chain.write import ChainWriter
from exporter.errors import SurgeryError
from exporter.graph.read import image_input
from exporter.graph.write import NodeWriter
from exporter.head import Head
from exporter.surgery.located import require_shares

Rows = NDArray[np.float32]


class DenseChain(NamedTuple):
    """Values that a dense graph of a chain is written from.

    Attributes:
        pooled: The mean of what each place gives, (b, 1, d + H).
        everything: The same, and what comes from no place.
        maps: Heatmaps of every prototype, (b, c * k, l).
        unplaced: What of each class comes from no place (b, 1, c); None where that is nothing.
    """

    pooled: ir.Value
    everything: ir.Value
    maps: ir.Value
    unplaced: ir.Value | None


class FixedRows(RowWriter):
    """Writes rows without asking for shapes: a matrix is stored again where it is read turned."""

    def for_each_image(self, array: NDArray[np.generic]) -> ir.Value:
        """The same vector (m,) for every image, (b, 1, m): added to a zero of each image."""
        zero = self.once((0, "zero"), self._zero)
        return self.node("Add", [zero, self.floats(np.asarray(array)[None, None])])

    def _zero(self) -> ir.Value:
        found = image_input(self.graph)
        if found is None:
            raise ValueError("expected a graph of one image")
        mean = self.node("GlobalAveragePool", [found[0]])
        first = self.node("Reshape", [mean, self.ints([-1, 1, _second(found[0])])])
        return self.mul(self.slice(first, 2, 0, 1), self.floats(np.zeros(1)))

    def pick(self, value: ir.Value, axis: int, index: NDArray[np.int64], length: int) -> ir.Value:
        """Numbers of an axis, by a slice or a product with ones and zeros."""
        start = int(index[0])
        if np.array_equal(index, np.arange(start, start + len(index))):
            return super().pick(value, axis, index, length)
        if axis != 2:
            raise SurgeryError(
                "expected places that follow each other, for a dense graph, got others: picking "
                "them takes an index. Use model.onnx."
            )
        chosen = np.zeros((length, len(index)), np.float32)
        chosen[index, np.arange(len(index))] = 1
        return self.matmul(value, self.floats(chosen))

    def scatter(self, value: ir.Value, index: NDArray[np.int64], length: int) -> ir.Value:
        """Rows at numbers of a longer vector; those of a map flattened channels last are turned."""
        order, own = np.argsort(index), np.arange(length)
        whole = len(index) == length and np.array_equal(index[order], own)
        if not whole or np.array_equal(order, own):
            return super().scatter(value, index, length)
        across = int(order[1])
        if (
            across < 1
            or length % across
            or not np.array_equal(order, own.reshape(-1, across).T.ravel())
        ):
            raise SurgeryError(
                "expected the numbers of a flattened map in their order, or channels last, for a "
                "dense graph, got another: putting them in order takes an index. Use model.onnx."
            )
        grid = self.reshape(value, [0, 0, length // across, across])
        return self.reshape(self.transpose(grid, 0, 1, 3, 2), [0, 0, length])

    def _times(self, rows: ir.Value, matrix: Matrix, *, transposed: bool) -> ir.Value:
        if not transposed:
            return self.matmul(rows, self._stored(matrix))
        return self.matmul(rows, self.floats(np.ascontiguousarray(self._array(matrix).T)))

    def _array(self, matrix: Matrix) -> NDArray[np.generic]:
        if matrix.array is not None:
            return matrix.array
        tensor = self.tap(matrix.value or "").const_value
        if tensor is None:
            raise SurgeryError(
                f"expected the matrix {matrix.value!r} to be stored in the graph, for a dense "
                "graph, found one that is computed. Use model.onnx."
            )
        found: NDArray[np.generic] = tensor.numpy()
        if matrix.outputs is not None:
            own = slice(*matrix.outputs)
            found = found[:, own] if matrix.outputs_last else found[own]
        return found


def write_dense_chain(
    write: NodeWriter, head: Head, prototypes: Rows, reference: Rows | None, table: ir.Value
) -> DenseChain:
    """Write what dense explanations read of a chain.

    Args:
        write: Writer on the graph.
        head: A head with a chain.
        prototypes: (c, k, d + H); behind the channels of the chain's map multiples of the class's
            row, less the reference.
        reference: (d + H,), None for none.
        table: The prototypes as the graph stores them, (c * k, d + H).

    Raises:
        SurgeryError: The prototypes are no such multiples, or a step takes an index.
    """
    chain, weight = head.chain, head.weight
    if chain is None:
        raise ValueError("expected a head with a chain")
    on_rows = FixedRows(write)
    chained = ChainWriter(on_rows, chain)
    count, k, size = prototypes.shape
    nowhere = chained.unplaced()
    pooled = everything = chained.pooled(nowhere)
    if nowhere is not None:
        everything = chained.pooled(None)
    rows = weight if reference is None else weight - reference
    behind = rows[:, chain.mapped :].astype(np.float32)
    every = on_rows.reshape(table, [1, count * k, size])
    if chain.map is None:
        maps = chained.heat(every)
    else:
        require_shares(prototypes[:, :, chain.mapped :], behind)
        maps = chained.heat_of_parts(every, on_rows.floats(behind[None]), k)
    unplaced = None
    if nowhere is not None:
        columns = on_rows.floats(np.ascontiguousarray(behind.T))
        unplaced = on_rows.matmul(nowhere, columns)
    return DenseChain(pooled, everything, maps, unplaced)


def _second(value: ir.Value) -> int:
    size = value.shape[1] if value.shape else None
    if not isinstance(size, int):
        raise SurgeryError(f"expected an image input of fixed sizes, got {value.shape}.")
    return size

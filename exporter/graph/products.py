"""Products with a constant that are sums over axes of what they read.

bchw->bc                  a sum
bchw,hw->bc               a sum with weights, which all have to be the same
bchw,kc->bk               a sum, and a product with a matrix
(b, d, l) @ (l,)          a sum with weights; so are (b, d, l) @ (l, 1) and (1, l) @ (b, l, d)
sum of (b, 1, d) * (c, d) a product with a matrix, spelled out
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.graph.read import alike, attribute, axes_of, constant, dimensions, source
from exporter.graph.repeated import Repeated, repeated


class Summed(NamedTuple):
    """A sum over axes, times a number.

    Attributes:
        image: Which operand depends on the image.
        axes: The axes of it that are summed.
        weight: What every number there is multiplied by.
        keepdims: Whether the axes stay with size 1.
        matrix: (m, d) that the sum is multiplied by, if any.
    """

    image: int
    axes: frozenset[int]
    weight: float = 1.0
    keepdims: bool = False
    matrix: NDArray[np.float64] | None = None


def summed(node: ir.Node) -> Summed | None:
    """Read a product as a sum over axes; None for any other node."""
    rule = _RULES.get(node.op_type)
    return None if rule is None else rule(node)


def _einsum(node: ir.Node) -> Summed | None:
    equation = str(attribute(node, "equation", "")).replace(" ", "")
    terms, arrow, result = equation.partition("->")
    arrays = [constant(source(node, index)) for index in range(len(node.inputs))]
    images = [index for index, array in enumerate(arrays) if array is None]
    if not arrow or "." in equation or len(images) != 1 or len(arrays) > 2:
        return None
    (image,), matrix, weight = images, None, 1.0
    term = terms.split(",")[image]
    gone = [letter for letter in term if letter not in result]
    if len(arrays) == 2:
        own = terms.split(",")[1 - image]
        weights = np.asarray(arrays[1 - image], np.float64)
        new = [letter for letter in own if letter not in term and letter in result]
        if len(own) == 2 and len(new) == 1 and gone:
            shared = own.replace(new[0], "")
            matrix = weights if own[0] == new[0] else weights.T
            result = result.replace(new[0], shared)
            gone = [letter for letter in gone if letter != shared]
        elif set(own) <= set(gone) and np.ptp(weights) == 0:
            weight = float(weights.flat[0])
        else:
            return None
    if not gone or result != "".join(letter for letter in term if letter in result):
        return None
    axes = frozenset(term.index(letter) for letter in gone)
    return Summed(image, axes, weight, matrix=matrix)


def _matmul(node: ir.Node) -> Summed | None:
    arrays = [constant(source(node, index)) for index in (0, 1)]
    for image, array in enumerate(reversed(arrays)):  # the constant beside each operand
        shape = dimensions(source(node, image)) or ()
        if array is None or arrays[image] is not None or len(shape) < 3:
            continue
        gone, kept = (-1, -2) if image == 0 else (-2, -1)
        if shape[kept] == 1 or array.size != shape[gone] or np.ptp(array) != 0:
            continue  # (b, 1, d) holds one vector an image, and (d, 1) is a linear layer
        if array.ndim == 1 or array.shape[gone] == 1:
            axes = frozenset({gone % len(shape)})
            return Summed(image, axes, float(array.flat[0]), keepdims=array.ndim > 1)
    return None


class SpelledOut(NamedTuple):
    """The sums of products of a vector with the rows of a matrix.

    Attributes:
        base: The vector.
        matrix: (c, d).
        row: What is computed of the vector before, where it is repeated once a class.
    """

    base: ir.Value
    matrix: NDArray[np.float64]
    row: Repeated | None = None


def spelled_out(node: ir.Node) -> SpelledOut | None:
    """Read a product of a vector and a matrix that is spelled out; None for any other node."""
    multiplied = source(node).producer() if node.op_type == "ReduceSum" else None
    if multiplied is None or multiplied.op_type != "Mul":
        return None
    shape, axes = dimensions(source(node)) or (), axes_of(node) or ()
    if len(axes) != 1 or len(shape) < 2 or axes[0] % len(shape) == 0:
        return None
    axis = axes[0] % len(shape)
    for index in (0, 1):
        value, other = source(multiplied, index), source(multiplied, 1 - index)
        array = None if alike(value) is not None else alike(other)
        found = None if array is None else _rows(value, array, axis)
        if found is not None:
            return found
    return None


def _rows(value: ir.Value, array: NDArray[Any], axis: int) -> SpelledOut | None:
    shape = dimensions(value) or ()
    array = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
    if len(array) != 1 or len(shape) != array.ndim or shape[axis] != array.shape[axis]:
        return None
    matrix = np.moveaxis(array, axis, -1).reshape(-1, array.shape[axis])
    others = [n for n, size in enumerate(shape) if n not in (0, axis) and size != 1]
    if not others:
        return SpelledOut(value, matrix)
    same = repeated(value, others[0]) if len(others) == 1 and axis == len(shape) - 1 else None
    if same is None or shape[others[0]] != len(matrix):
        return None
    return SpelledOut(same.base, matrix, same)


_RULES = {"Einsum": _einsum, "MatMul": _matmul}

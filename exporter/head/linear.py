"""One step up a linear tail: from what a node computes to what it was computed from.

A handler for each operation that can lie between the pooling and the logits. Everything else,
and every form of these operations that is not linear in the image, is in the way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.graph.read import attribute, constant, dimensions, operand, refusal, source, stored
from exporter.head.normalisation import above_normalisation, above_product, is_normalisation
from exporter.head.obstacles import require_float_product, why_combined, why_not
from exporter.head.tail import Tail, require_linear, vector_length

_MOVING = {"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
Step = Callable[[ir.Node, Tail], tuple[ir.Value, Tail]]


def step_up(node: ir.Node, tail: Tail) -> tuple[ir.Value, Tail] | None:
    """Go from a node's output to the input it was computed from.

    Args:
        node: The node whose output is the z of ``tail``.
        tail: What lies downstream of the node.

    Returns:
        The value above the node and the tail as seen from there; None if the operation is not
        one of those that can be linear.

    Raises:
        HeadError: The operation could be linear, but this node is not.
    """
    if node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type in RESHAPING:
        return RESHAPING[node.op_type](node, tail)
    if is_normalisation(node):
        require_linear(node, tail)
        return above_normalisation(node, tail, step_up)
    if node.op_type in _COMPUTING:
        require_linear(node, tail)
        return _COMPUTING[node.op_type](node, tail)
    return None


def _reshape(node: ir.Node, tail: Tail) -> tuple[ir.Value, Tail]:
    value = source(node)
    vector_length(value, node)
    return value, tail


def _transpose(node: ir.Node, tail: Tail) -> tuple[ir.Value, Tail]:
    if tuple(attribute(node, "perm", ()))[:1] != (0,):
        raise refusal(node, "moves the batch axis: expected the batch to stay first.")
    return _reshape(node, tail)


def _dropout(node: ir.Node, tail: Tail) -> tuple[ir.Value, Tail]:
    require_inference(node)
    return _reshape(node, tail)


def require_inference(node: ir.Node) -> None:
    """Refuse a Dropout that drops anything."""
    training = operand(node, 2)
    if training is not None:
        mode = constant(training)
        if mode is None or bool(mode.any()):
            raise refusal(
                node,
                "runs in training mode, so the logits are random. Export the model in "
                "evaluation mode (model.eval() in torch).",
            )


def _cast(node: ir.Node, tail: Tail) -> tuple[ir.Value, Tail]:
    require_single(node)
    return _reshape(node, tail)


def require_single(node: ir.Node) -> None:
    """Refuse a Cast that rounds."""
    target = ir.DataType(attribute(node, "to", 0))
    if target not in (ir.DataType.FLOAT, ir.DataType.DOUBLE):
        raise refusal(
            node,
            f"casts to {target.name}: expected float32 from the pooling to the logits, because "
            "contributions cannot add up to a rounded logit. Export the model in float32.",
        )


def _dequantise(node: ir.Node, tail: Tail) -> tuple[ir.Value, Tail]:
    """The same numbers, if they were rounded by the same steps."""
    above = _moved_from(source(node)).producer()
    if above is None or above.op_type != "QuantizeLinear" or _scale(above) != _scale(node):
        raise why_not(node, tail)
    return _reshape(node, tail)


def _quantise(node: ir.Node, tail: Tail) -> tuple[ir.Value, Tail]:
    scale, zero = _scale(node)
    kind = attribute(node, "output_dtype", 0) if operand(node, 2) is None else source(node, 2).dtype
    kind = ir.DataType(kind or ir.DataType.UINT8)
    if not kind.is_integer() or len(scale) != 1:
        raise why_not(node, tail)
    above = _moved_from(source(node)).producer()
    if above is None or above.op_type != "DequantizeLinear" or _scale(above) != (scale, zero):
        low, high = (scale[0] * (float(end) - zero[0]) for end in (kind.min, kind.max))
        tail = tail.above_rounding(node, scale[0], low, high)
    return _reshape(node, tail)


def _scale(node: ir.Node) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The step of a rounding to 8 bits, or one for each channel, and which number is zero."""
    scale = tuple(stored(node, 1, "its scale").ravel().tolist())
    if operand(node, 2) is None:
        return scale, (0.0,) * len(scale)
    return scale, tuple(stored(node, 2, "its zero point").ravel().tolist())


def _moved_from(value: ir.Value) -> ir.Value:
    """The value that another is a reshaped copy of."""
    while (node := value.producer()) is not None and node.op_type in _MOVING:
        value = source(node)
    return value


def _gemm(node: ir.Node, tail: Tail) -> tuple[ir.Value, Tail]:
    """Y = alpha * A' @ B' + beta * C, the image in A'."""
    require_float_product(node)
    value = source(node)
    if attribute(node, "transA", 0):
        value = _before_swap(value, node)
    matrix = stored(node, 1, "its matrix")
    if not attribute(node, "transB", 0):
        matrix = matrix.T
    if operand(node, 2) is not None:
        shift = along_channels(node, stored(node, 2, "its bias"), len(matrix), rank=2)
        tail = tail.above_shift(attribute(node, "beta", 1.0) * shift)
    return value, tail.above_matrix(attribute(node, "alpha", 1.0) * matrix, node)


def _before_swap(value: ir.Value, node: ir.Node) -> ir.Value:
    """The (b, d) value whose transpose a Gemm with transA reads."""
    swap = value.producer()
    if swap is None or swap.op_type != "Transpose":
        raise refusal(
            node,
            f"transposes {value.name!r}, whose batch axis is not first: expected (batch, d).",
        )
    return source(swap)


def _matmul(node: ir.Node, tail: Tail) -> tuple[ir.Value, Tail]:
    require_float_product(node)
    value, matrix, index = operands(node)
    if index != 0 or matrix.ndim != 2:
        raise refusal(
            node,
            f"has a constant of shape {matrix.shape} as operand {1 - index}: expected "
            "pooled (b, d) @ weight (d, c).",
        )
    if dimensions(value) is not None:
        vector_length(value, node)
    return value, tail.above_matrix(matrix.T, node)


def _conv(node: ir.Node, tail: Tail) -> tuple[ir.Value, Tail]:
    """A 1x1 convolution of the pooled (b, d, 1, 1) map is a linear layer."""
    value = source(node)
    length = vector_length(value, node)
    kernel, group = stored(node, 1, "its kernel"), attribute(node, "group", 1)
    if group != 1 or kernel.size != len(kernel) * length:
        raise refusal(
            node,
            f"has group {group} and a kernel of shape {kernel.shape}: expected a 1x1 "
            "convolution of the pooled map.",
        )
    if operand(node, 2) is not None:
        tail = tail.above_shift(stored(node, 2, "its bias"))
    return value, tail.above_matrix(kernel.reshape(len(kernel), length), node)


def _einsum(node: ir.Node, tail: Tail) -> tuple[ir.Value, Tail]:
    value, matrix, _ = matrix_of_einsum(node)
    vector_length(value, node)
    return value, tail.above_matrix(matrix, node)


def matrix_of_einsum(node: ir.Node) -> tuple[ir.Value, NDArray[Any], int]:
    """Read an Einsum that is a product with a matrix along one axis.

    Returns:
        The value that it reads, the matrix (m, d), and the axis of d.

    Raises:
        HeadError: It is another.
    """
    value, matrix, index = operands(node)
    equation = str(attribute(node, "equation", "")).replace(" ", "")
    terms, _, result = equation.partition("->")
    term, own = terms.split(",")[index], terms.split(",")[1 - index]
    summed = [letter for letter in own if letter in term and letter not in result]
    kept = [letter for letter in own if letter not in term and letter in result]
    if len(own) != 2 or len(summed) != 1 or len(kept) != 1 or "." in equation:
        reason = "a product with one matrix along one axis"
    elif result != term.replace(summed[0], kept[0]):
        reason = f"{term},{own}->{term.replace(summed[0], kept[0])}, whose other axes stay"
    else:
        if own[0] == summed[0]:
            matrix = matrix.T
        return value, matrix, term.index(summed[0])
    raise refusal(node, f"computes {equation}: expected {reason}. Write it as MatMul or Gemm.")


def _batch_norm(node: ir.Node, tail: Tail) -> tuple[ir.Value, Tail]:
    return source(node), above_batch_norm(node, tail)


def above_batch_norm(node: ir.Node, tail: Tail) -> Tail:
    """The tail above a BatchNormalization by stored statistics."""
    if attribute(node, "training_mode", 0):
        raise refusal(node, "runs in training mode. Export the model in evaluation mode.")
    names = ("its scale", "its shift", "its mean", "its variance")
    gamma, beta, mean, variance = (stored(node, i, name) for i, name in enumerate(names, 1))
    scale = gamma / np.sqrt(variance + attribute(node, "epsilon", 1e-5))
    return tail.above_shift(beta - scale * mean).above_scale(scale)


def _add(node: ir.Node, tail: Tail) -> tuple[ir.Value, Tail]:
    value, shift, _ = _elementwise(node)
    return value, tail.above_shift(require_finite(node, shift))


def _subtract(node: ir.Node, tail: Tail) -> tuple[ir.Value, Tail]:
    value, shift, index = _elementwise(node)
    require_finite(node, shift)
    if index == 0:
        return value, tail.above_shift(-shift)
    return value, tail.above_shift(shift).above_scale(-np.ones(1))


def _negate(node: ir.Node, tail: Tail) -> tuple[ir.Value, Tail]:
    return source(node), tail.above_scale(-np.ones(1))


def _multiply(node: ir.Node, tail: Tail) -> tuple[ir.Value, Tail]:
    value, scale, _ = _elementwise(node)
    return value, tail.above_scale(scale)


def _divide(node: ir.Node, tail: Tail) -> tuple[ir.Value, Tail]:
    value, divisor, index = _elementwise(node)
    if index == 1:
        raise refusal(node, "divides by a value that depends on the image: not linear.")
    return value, tail.above_scale(1 / divisor)


def operands(node: ir.Node) -> tuple[ir.Value, NDArray[Any], int]:
    """The operand that depends on the image, the constant one, and which of the two is which."""
    values = (source(node, 0), source(node, 1))
    constants = [constant(value) for value in values]
    for index in (0, 1):
        other = constants[1 - index]
        if constants[index] is None and other is not None:
            return values[index], other, index
    raise why_combined(node, *values)


def _elementwise(node: ir.Node) -> tuple[ir.Value, NDArray[np.float64], int]:
    value, array, index = operands(node)
    length, rank = vector_length(value, node), len(dimensions(value) or ())
    return value, along_channels(node, array, length, rank), index


def along_channels(
    node: ir.Node, array: NDArray[Any], length: int, rank: int
) -> NDArray[np.float64]:
    """A constant operand as one vector for all images, (length,) or (1,)."""
    over_batch = array.ndim >= rank and array.shape[0] != 1
    if over_batch or array.size not in (1, length):
        raise refusal(
            node,
            f"has a constant of shape {array.shape}: expected one value, or {length} for the "
            "channels of every image.",
        )
    return array.reshape(-1).astype(np.float64)


def require_finite(node: ir.Node, shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Refuse a mask of infinities, to which no contributions can add up.

    Raises:
        HeadError: A number of the shift is not finite.
    """
    bad = np.flatnonzero(~np.isfinite(shift))
    if bad.size:
        raise refusal(
            node,
            f"adds {shift[bad[0]]:g} at place {bad[0]}: expected finite numbers, because no "
            "contributions add up to an infinite logit. Mask a class by -1e9.",
        )
    return shift


RESHAPING: dict[str, Step] = {
    "Identity": _reshape,
    "Flatten": _reshape,
    "Reshape": _reshape,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
    "Transpose": _transpose,
    "Dropout": _dropout,
    "Cast": _cast,
}

_COMPUTING: dict[str, Step] = {
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Conv": _conv,
    "BatchNormalization": _batch_norm,
    "Add": _add,
    "Sub": _subtract,
    "Mul": _multiply,
    "Div": _divide,
    "Einsum": _einsum,
    "Neg": _negate,
    "ReduceSum": above_product,
    "DequantizeLinear": _dequantise,
    "QuantizeLinear": _quantise,
}

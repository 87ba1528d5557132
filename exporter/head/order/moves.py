"""One node upwards: from the positions in what it computes to the positions in what it reads.

Every rule is exact: element for element, the digits of an operand say the position that the digits
of the output said, and each position is computed from its own element there. A node that mixes
positions, reorders them or is not listed has no rule, and the way ends. What only changes the
sizes of two spatial axes (a convolution, a pooling, a stride) is in ``resampled``: behind it other
positions lie on the same two axes, and which axis is which is all that can still be asked.

Symbols: b images, d channels, h×w grid, l = h·w tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import onnx_ir as ir

from exporter.graph.read import attribute, axes_of, constant, dimensions, operand
from exporter.head.order.positions import Digit, Positions, Shape

Step = tuple[ir.Value, Positions]
"""A value that a node reads, and where the positions lie in it."""

_MAPS = {
    "AveragePool",
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "LpPool",
    "MaxPool",
    "SpaceToDepth",
}
_RESIZED = {"Pad", "Resize", "Slice", "Upsample"}


def above(node: ir.Node, value: ir.Value, positions: Positions) -> list[Step]:
    """Follow positions from what a node computes to what it reads.

    Args:
        node: The node.
        value: One of its outputs.
        positions: Where the positions lie in that output.

    Returns:
        The operands that hold each position at a place of its own, and where; none if there is no
        exact rule for the node.
    """
    shape = dimensions(value)
    rule = _RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if rule is None or shape is None:
        return []
    steps = rule(_Output(node, value, shape), positions)
    return [step for step in steps if step[1].fit(dimensions(step[0]) or ())]


def resampled(node: ir.Node) -> tuple[ir.Value, bool] | None:
    """What a node reads that has the same axes in the same direction, but other sizes along them.

    Args:
        node: The node.

    Returns:
        The operand, and whether the node takes axis 2 for the rows and axis 3 for the columns;
        None for any other node.
    """
    read = operand(node, 0)
    if node.domain not in ("", "ai.onnx") or read is None:
        return None
    if node.op_type in _MAPS:
        return (read, True) if len(dimensions(read) or ()) == 4 else None
    backwards = node.op_type == "Slice" and any((step or -1) < 0 for _, _, step in _cuts(node))
    return (read, False) if node.op_type in _RESIZED and not backwards else None


class _Output(NamedTuple):
    """What a rule starts from: a node, the output that is asked about, and its shape."""

    node: ir.Node
    value: ir.Value
    shape: Shape

    def read(self, index: int = 0) -> tuple[ir.Value, Shape] | None:
        """An operand and its shape, None where it is left out or its rank is not known."""
        value = operand(self.node, index)
        shape = None if value is None else dimensions(value)
        return None if value is None or shape is None else (value, shape)


_Rule = Callable[[_Output, Positions], Iterator[Step]]


def _step(read: ir.Value, positions: Positions | None) -> Iterator[Step]:
    if positions is not None:
        yield read, positions


def _elementwise(output: _Output, positions: Positions) -> Iterator[Step]:
    for index in range(len(output.node.inputs)):
        yield from _broadcast(output, positions, index)


def _first(output: _Output, positions: Positions) -> Iterator[Step]:
    """What rescales a position or tells it of others, in its own place: norms, Attention."""
    yield from _broadcast(output, positions, 0)


def _broadcast(output: _Output, positions: Positions, index: int) -> Iterator[Step]:
    found = output.read(index)
    if found is not None:
        yield from _step(found[0], positions.along(_aligned(found[1], output.shape)))


def _aligned(shape: Shape, target: Shape) -> list[int | None]:
    """For each axis of a result that of an operand, None where it is broadcast."""
    shift = len(target) - len(shape)
    return [
        axis - shift if axis >= shift and shape[axis - shift] == size else None
        for axis, size in enumerate(target)
    ]


def _matmul(output: _Output, positions: Positions) -> Iterator[Step]:
    """Row i of a product is computed from row i on the left, column j from column j."""
    for index in (0, 1):
        found = output.read(index)
        if found is None or len(found[1]) < 2 or len(output.shape) < 2:
            continue
        read, shape = found
        own = [len(shape) - 2, None] if index == 0 else [None, len(shape) - 1]
        axes = [*_aligned(shape[:-2], output.shape[:-2]), *own]
        yield from _step(read, positions.along(axes))


def _gemm(output: _Output, positions: Positions) -> Iterator[Step]:
    found = output.read()
    if found is not None:
        rows = 1 if attribute(output.node, "transA", 0) else 0
        yield from _step(found[0], positions.along([rows, None]))


def _einsum(output: _Output, positions: Positions) -> Iterator[Step]:
    equation = str(attribute(output.node, "equation", "")).replace(" ", "")
    terms, _, result = equation.partition("->")
    if len(result) != len(output.shape) or "." in equation:
        return
    for index, term in enumerate(terms.split(",")):
        found = output.read(index)
        axes = [term.index(letter) if letter in term else None for letter in result]
        if found is not None:
            yield from _step(found[0], positions.along(axes))


def _pointwise(output: _Output, positions: Positions) -> Iterator[Step]:
    """A convolution that sees one position at a time; axis 1 holds what it makes of it."""
    found, kernel = output.read(), output.read(1)
    if found is None or kernel is None or any(size != 1 for size in kernel[1][2:]):
        return
    node, ones = output.node, {1}
    strides, pads = attribute(node, "strides", ()), attribute(node, "pads", ())
    if set(strides) <= ones and not any(pads):
        axes = [axis if axis != 1 else None for axis in range(len(output.shape))]
        yield from _step(found[0], positions.along(axes))


def _transpose(output: _Output, positions: Positions) -> Iterator[Step]:
    found = output.read()
    if found is not None:
        backwards = tuple(range(len(output.shape)))[::-1]
        perm = tuple(attribute(output.node, "perm", backwards))
        yield from _step(found[0], positions.along(perm))


def _reshape(output: _Output, positions: Positions) -> Iterator[Step]:
    found = output.read()
    if found is not None:
        yield from _step(found[0], positions.reshaped(output.shape, found[1]))


def _reduce(output: _Output, positions: Positions) -> Iterator[Step]:
    """A mean, maximum or sum over axes that hold no position."""
    found, axes = output.read(), axes_of(output.node)
    if found is None or axes is None:
        return
    read, shape = found
    gone = {axis % len(shape) for axis in axes}
    if attribute(output.node, "keepdims", 1):
        kept = [None if axis in gone else axis for axis in range(len(shape))]
    else:
        kept = [axis for axis in range(len(shape)) if axis not in gone]
    yield from _step(read, positions.along(kept))


def _slice(output: _Output, positions: Positions) -> Iterator[Step]:
    found = output.read()
    if found is None:
        return
    moved: Positions | None = positions
    for axis, start, step in _cuts(output.node):
        if moved is not None:
            first = start if step == 1 else None
            moved = _window(moved, axis, found[1][axis], output.shape[axis], first)
    yield from _step(found[0], moved)


def _cuts(node: ir.Node) -> list[tuple[int, int | None, int | None]]:
    """Axis, start and step of what a Slice cuts; where not constant, every axis and None."""
    shape = dimensions(node.inputs[0]) or () if node.inputs[0] is not None else ()
    starts = _numbers(node, "starts", 1)
    axes, steps = _numbers(node, "axes", 3), _numbers(node, "steps", 4)
    if axes is None and (operand(node, 3) is not None or starts is None):
        return [(axis, None, None) for axis in range(len(shape))]
    axes = list(range(len(starts or ()))) if axes is None else axes
    if steps is None and operand(node, 4) is None:
        steps = [1] * len(axes)
    return [
        (axis % len(shape), starts[n] if starts else None, steps[n] if steps else None)
        for n, axis in enumerate(axes)
    ]


def _numbers(node: ir.Node, name: str, index: int) -> list[int] | None:
    """Constant whole numbers: an attribute once, an input since."""
    if name in node.attributes:
        return list(node.attributes[name].as_ints())
    array = constant(operand(node, index))
    return None if array is None else [int(number) for number in array.ravel()]


def _window(
    positions: Positions, axis: int, before: int | None, after: int | None, start: int | None
) -> Positions | None:
    """Above a node that keeps neighbours along one axis.

    Args:
        positions: In what it computes.
        axis: The axis.
        before: Its size in what the node reads.
        after: Its size in what it computes.
        start: Where the neighbours start, from the end if negative; None if they are none.
    """
    if not positions.lie_on(axis):
        return positions
    if before is None or after is None or start is None:
        return None
    if before == after:
        return positions
    if positions.digits != (Digit(axis, 1, after),):
        return None
    first = max(start + before, 0) if start < 0 else min(start, before)
    return Positions((Digit(axis, 1, before),), positions.start + first, positions.count)


def _split(output: _Output, positions: Positions) -> Iterator[Step]:
    found = output.read()
    if found is None:
        return
    axis = attribute(output.node, "axis", 0) % len(output.shape)
    sizes = [(dimensions(part) or found[1])[axis] for part in output.node.outputs]
    earlier = sizes[: next(n for n, part in enumerate(output.node.outputs) if part is output.value)]
    start = None if None in earlier else sum(size or 0 for size in earlier)
    moved = _window(positions, axis, found[1][axis], output.shape[axis], start)
    yield from _step(found[0], moved)


def _concat(output: _Output, positions: Positions) -> Iterator[Step]:
    """Joined along the positions, the part that holds them all; along another axis, each."""
    axis = attribute(output.node, "axis", 0) % len(output.shape)
    offset: int | None = 0
    for index in range(len(output.node.inputs)):
        found = output.read(index)
        if found is None or offset is None:
            return
        read, shape = found
        if not positions.lie_on(axis):
            yield read, positions
        elif positions.digits == (Digit(axis, 1, output.shape[axis] or 0),):
            size, first = shape[axis], positions.start - offset
            if size is not None and 0 <= first <= size - positions.count:
                yield read, Positions((Digit(axis, 1, size),), first, positions.count)
            offset = None if size is None else offset + size


def _gather(output: _Output, positions: Positions) -> Iterator[Step]:
    """What is taken along one axis; the axes of the indices come in its place."""
    found, indices = output.read(), output.read(1)
    if found is None or indices is None:
        return
    read, shape = found
    axis, width = attribute(output.node, "axis", 0) % len(shape), len(indices[1])
    taken = [axis] if width == 1 else [None] * width
    moved = positions.along([*range(axis), *taken, *range(axis + 1, len(shape))])
    if moved is not None and moved.lie_on(axis):
        numbers = _numbers(output.node, "", 1) or [0, 0]
        in_a_row = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        start = numbers[0] if in_a_row else None
        moved = _window(moved, axis, shape[axis], output.shape[axis], start)
    yield from _step(read, moved)


def _pad(output: _Output, positions: Positions) -> Iterator[Step]:
    """Padding by nothing, as attention in windows has it where they fit."""
    found = output.read()
    if found is not None:
        shape, target = found[1], output.shape
        same = all(shape[digit.axis] == target[digit.axis] for digit in positions.digits)
        yield from _step(found[0], positions if same else None)


_ELEMENTWISE = (
    "Abs Add Ceil Celu Div Elu Erf Exp Floor Gelu HardSigmoid "
    "HardSwish Identity LeakyRelu Log Max Mean Min Mish Mod Mul Neg PRelu Pow Reciprocal Relu "
    "Round Selu Shrink Sigmoid Sign Softplus Softsign Sqrt Sub Sum Swish Tanh ThresholdedRelu Where"
)
_IN_PLACE = (
    "Attention BatchNormalization Cast CastLike Clip DequantizeLinear Dropout Expand "
    "GroupNormalization Hardmax InstanceNormalization LRN LayerNormalization LogSoftmax "
    "LpNormalization MeanVarianceNormalization QuantizeLinear RMSNormalization RotaryEmbedding "
    "Softmax"
)
_RULES: dict[str, _Rule] = {
    **dict.fromkeys(_ELEMENTWISE.split(), _elementwise),
    **dict.fromkeys(_IN_PLACE.split(), _first),
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), _reshape),
    **dict.fromkeys(
        ("ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"), _reduce
    ),
    "Concat": _concat,
    "Conv": _pointwise,
    "Einsum": _einsum,
    "Gather": _gather,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Pad": _pad,
    "Slice": _slice,
    "Split": _split,
    "Transpose": _transpose,
}

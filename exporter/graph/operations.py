"""What each operation makes of forms (forms.py): the algebra of a graph between two values.

An operation that is not here, or whose result is no form, raises NoForm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.graph.forms import Form, NoForm, at_least, fixed, normalised, power, variable
from exporter.graph.read import (
    attribute,
    axes_of,
    constant,
    dimensions,
    operand,
    refusal,
    shown,
    source,
    stored,
)

_TINY = float(np.finfo(np.float32).tiny)  # LpNormalization makes 0 of a vector of zeros


def is_read(node: ir.Node) -> bool:
    """Whether a node computes something of one vector an image, and not of a map."""
    if node.op_type not in OPERATIONS:
        return False
    try:
        return all(vector_size(value) for value in reads(node))
    except NoForm:
        return False


def reads(node: ir.Node) -> set[ir.Value]:
    """What a node reads of the image; a shape or axes say nothing of it."""
    inputs = node.inputs if node.op_type in _ELEMENTWISE else node.inputs[:1]
    return {value for value in inputs if value is not None and constant(value) is None}


def computed(node: ir.Node, base: ir.Value, nodes: Iterable[ir.Node], length: int) -> Form:
    """What a node computes of a vector.

    Args:
        node: The last of the nodes.
        base: The vector (d,) of each image.
        nodes: What leads from it to the output of ``node``, in order.
        length: d.

    Raises:
        NoForm: It is no form.
    """
    forms = {base: variable(length)}
    for between in nodes:
        if between.domain not in ("", "ai.onnx"):
            raise NoForm
        forms[between.outputs[0]] = OPERATIONS[between.op_type](between, _Inputs(between, forms))
        vector_size(between.outputs[0])
    return forms[node.outputs[0]]


def vector_size(value: ir.Value) -> int:
    """The length of one vector an image, 1 for one number."""
    shape = dimensions(value)
    sizes = [size for size in (shape or ())[1:] if size != 1]
    if shape is None or len(sizes) > 1 or None in sizes:
        raise NoForm
    return (sizes[0] if sizes else 1) or 0


class _Inputs:
    """The forms of what a node reads."""

    def __init__(self, node: ir.Node, forms: dict[ir.Value, Form]) -> None:
        self._node, self._forms = node, forms
        self._d = next(iter(forms.values())).length

    def __getitem__(self, index: int) -> Form:
        value = source(self._node, index)
        if value in self._forms:
            return self._forms[value]
        array = constant(value)
        if array is None:
            raise NoForm
        rank = len(dimensions(self._node.outputs[0]) or ())
        over_batch = array.ndim >= rank and array.ndim and array.shape[0] != 1
        if array.size not in (1, vector_size(self._node.outputs[0])) or (
            over_batch and array.size != 1
        ):
            raise NoForm
        return fixed(array, self._d)

    def trained(self, form: Form, scale: int, shift: int) -> Form:
        """A form times the scale and plus the shift that a node may read."""
        if operand(self._node, scale) is not None:
            array = stored(self._node, scale, "its scale")
            form = form * fixed(self._fitting(array), self._d)
        if operand(self._node, shift) is not None:
            array = stored(self._node, shift, "its shift")
            form = form + fixed(self._fitting(array), self._d)
        return form

    def _fitting(self, array: NDArray[Any]) -> NDArray[Any]:
        if array.size not in (1, self._d):
            raise refusal(
                self._node,
                f"has a constant of shape {array.shape}: expected one value, or {self._d} for the "
                "channels.",
            )
        return array


def _number(node: ir.Node, index: int) -> float | None:
    """One constant that a node may read, None where it is left out."""
    value = operand(node, index)
    if value is None:
        return None
    array = constant(value)
    if array is None or array.size != 1:
        raise NoForm
    return float(array.reshape(-1)[0])


def _same(node: ir.Node, read: _Inputs) -> Form:
    moved = node.op_type == "Transpose" and tuple(attribute(node, "perm", ()))[:1] != (0,)
    kind = attribute(node, "to", ir.DataType.FLOAT) if node.op_type == "Cast" else None
    if moved or kind not in (None, ir.DataType.FLOAT, ir.DataType.DOUBLE):
        raise NoForm
    return read[0]


def _elementwise(compute: Callable[[Form, Form], Form]) -> Operation:
    def operation(node: ir.Node, read: _Inputs) -> Form:
        # (b,) against (b, d) runs along d, not along the images.
        ranks = {
            len(dimensions(value) or ())
            for value in node.inputs
            if value is not None and constant(value) is None
        }
        if len(ranks) > 1 and min(ranks) < 2:
            raise NoForm
        form = read[0]
        for index in range(1, len(node.inputs)):
            form = compute(form, read[index])
        return form

    return operation


def _pow(node: ir.Node, read: _Inputs) -> Form:
    exponent = _number(node, 1)
    if exponent is None:
        raise NoForm
    return power(read[0], exponent)


def _larger(one: Form, other: Form) -> Form:
    for form, least in ((one, other.constant()), (other, one.constant())):
        if least is not None and np.ptp(least) == 0:
            return at_least(form, float(least[0]))
    raise NoForm


def _smaller(one: Form, other: Form) -> Form:
    for form, most in ((one, other.constant()), (other, one.constant())):
        if most is not None and np.ptp(most) == 0 and most[0] > 0:
            return power(at_least(power(form, -1), 1 / float(most[0])), -1)
    raise NoForm


def _clip(node: ir.Node, read: _Inputs) -> Form:
    least = attribute(node, "min", None) if "min" in node.attributes else _number(node, 1)
    most = attribute(node, "max", None) if "max" in node.attributes else _number(node, 2)
    if most is not None and most < float(np.finfo(np.float32).max):
        raise NoForm
    return read[0] if least is None else at_least(read[0], least)


def _reduced(node: ir.Node, read: _Inputs) -> Form:
    """The mean or the sum over the whole vector, of the vector or of its squares."""
    value, form = source(node), read[0]
    if not _is_whole(value, axes_of(node) or ()):
        raise NoForm
    if node.op_type in ("ReduceSumSquare", "ReduceL2"):
        form = form * form
    form = form.mean()
    if node.op_type != "ReduceMean":
        form = form.times(vector_size(value))
    return power(form, 0.5) if node.op_type == "ReduceL2" else form


def _is_whole(value: ir.Value, axes: Iterable[int]) -> bool:
    """Whether axes hold all numbers of each image's vector, and not the images."""
    sizes = dimensions(value) or ()
    reduced = {axis % len(sizes) for axis in axes} if sizes else set()
    held = math.prod(sizes[axis] or 0 for axis in reduced)
    return bool(reduced) and 0 not in reduced and held == vector_size(value)


def _require_whole(node: ir.Node, axes: tuple[int, ...], written: tuple[int, ...]) -> None:
    """Refuse a normalisation of less, or more, than the vector of each image."""
    value = source(node)
    if not _is_whole(value, axes):
        raise refusal(
            node,
            f"normalises axes {written} of {value.name!r} of shape {shown(dimensions(value))}: "
            "expected all channels of the pooled vector.",
        )


def _from_axis(node: ir.Node) -> None:
    axis, rank = attribute(node, "axis", -1), len(dimensions(source(node)) or ())
    _require_whole(node, tuple(range(axis % max(rank, 1), rank)), (axis,))


def _layer_norm(node: ir.Node, read: _Inputs) -> Form:
    _from_axis(node)
    return _centred(node, read)


def _rms_norm(node: ir.Node, read: _Inputs) -> Form:
    _from_axis(node)
    epsilon = attribute(node, "epsilon", 1e-5)
    form = normalised(read[0], "mean", centred=False, epsilon=epsilon)
    return read.trained(form, 1, len(node.inputs))


def _instance_norm(node: ir.Node, read: _Inputs) -> Form:
    axes = tuple(range(2, len(dimensions(source(node)) or ())))
    _require_whole(node, axes, axes)
    return _centred(node, read)


def _group_norm(node: ir.Node, read: _Inputs) -> Form:
    groups = attribute(node, "num_groups", 1)
    if groups != 1:
        raise refusal(
            node,
            f"normalises {groups} groups of channels, each by a number of its own: expected one "
            "group, all channels of the pooled vector.",
        )
    axes = tuple(range(1, len(dimensions(source(node)) or ())))
    _require_whole(node, axes, axes)
    return _centred(node, read)


def _centred(node: ir.Node, read: _Inputs) -> Form:
    epsilon = attribute(node, "epsilon", 1e-5)
    return read.trained(normalised(read[0], "mean", centred=True, epsilon=epsilon), 1, 2)


def _lp_norm(node: ir.Node, read: _Inputs) -> Form:
    axes = (attribute(node, "axis", -1),)
    _require_whole(node, axes, axes)
    if attribute(node, "p", 2) != 2:
        raise NoForm
    return normalised(read[0], "sum", centred=False, epsilon=0, floor=_TINY)


Operation = Callable[[ir.Node, _Inputs], Form]

NORMALISING: dict[str, Operation] = {
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "LpNormalization": _lp_norm,
    "RMSNormalization": _rms_norm,
    "SimplifiedLayerNormalization": _rms_norm,
}
_ELEMENTWISE: dict[str, Operation] = {
    "Add": _elementwise(lambda a, b: a + b),
    "Sum": _elementwise(lambda a, b: a + b),
    "Sub": _elementwise(lambda a, b: a - b),
    "Mul": _elementwise(lambda a, b: a * b),
    "Div": _elementwise(lambda a, b: a * power(b, -1)),
    "Max": _elementwise(_larger),
    "Min": _elementwise(_smaller),
}
_REDUCED = ("ReduceMean", "ReduceSum", "ReduceSumSquare", "ReduceL2")
RESHAPING = ("Cast", "Dropout", "Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose")
OPERATIONS: dict[str, Operation] = {
    **dict.fromkeys((*RESHAPING, "Unsqueeze"), _same),
    **dict.fromkeys(_REDUCED, _reduced),
    **_ELEMENTWISE,
    **NORMALISING,
    "Neg": lambda _, read: -read[0],
    "Reciprocal": lambda _, read: power(read[0], -1),
    "Sqrt": lambda _, read: power(read[0], 0.5),
    "Pow": _pow,
    "Clip": _clip,
}

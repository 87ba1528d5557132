"""Go above a normalisation of the pooled vector, as one operation or spelled out.

Whatever nodes spell it, what they compute of the vector they share is written as a form
(exporter/graph/forms.py); it can be gone above where that form is linear but for one number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from exporter.errors import HeadError
from exporter.graph.forms import Factor, NoForm, linear, over_number, power
from exporter.graph.operations import (
    NORMALISING,
    RESHAPING,
    computed,
    is_read,
    reads,
    vector_size,
)
from exporter.graph.products import spelled_out
from exporter.graph.read import constant, refusal, source
from exporter.head.obstacles import why_combined
from exporter.head.tail import Tail, vector_length

_JOINING = {"Add", "Sub", "Mul", "Div"}
_LAYERS = {"Conv", "Gemm", "MatMul"}
Step = Callable[[ir.Node, Tail], tuple[ir.Value, Tail] | None]


def is_normalisation(node: ir.Node) -> bool:
    """Whether a node normalises by itself, or joins values that both depend on the image."""
    if node.op_type in _JOINING:
        return all(constant(source(node, index)) is None for index in (0, 1))
    return node.op_type in NORMALISING


def above_normalisation(node: ir.Node, tail: Tail, step: Step) -> tuple[ir.Value, Tail]:
    """Go above a node that normalises a vector, or that joins what was computed of one.

    Args:
        node: A node that :func:`is_normalisation`.
        tail: What lies downstream of it.
        step: One step up a linear tail, as in linear.py.

    Returns:
        The vector and the tail above it.

    Raises:
        HeadError: What it computes is not linear but for one positive number of the whole pooled
            vector, or no linear layer lies behind it.
    """
    divided = _above_number(node, tail, step)
    if divided is not None:
        return divided
    base, nodes = _shared(node)
    length = vector_length(base, node)
    try:
        found = linear(computed(node, base, nodes, length))
        if vector_size(node.outputs[0]) not in (1, length):
            raise NoForm
    except NoForm:
        raise _why(node) from None
    if tail.linear is None:
        raise refusal(
            node,
            "normalises the logits themselves: expected a linear layer behind it. Only a "
            "normalisation between pooling and linear layer can be decomposed.",
        )
    return base, tail.above_form(found, length)


def above_product(node: ir.Node, tail: Tail) -> tuple[ir.Value, Tail]:
    """Go above a product of a vector and a matrix that is spelled out, and what normalises it.

    Raises:
        HeadError: It is another sum.
    """
    found = spelled_out(node)
    if found is None:
        raise refusal(node, "sums: expected products of one pooled vector with stored weights.")
    tail = tail.above_matrix(found.matrix, node)
    if found.row is None:
        return found.base, tail
    length = vector_length(found.base, node)
    try:
        return found.base, tail.above_form(linear(found.row.form(length)), length)
    except NoForm:
        raise _why(node) from None


def _above_number(node: ir.Node, tail: Tail, step: Step) -> tuple[ir.Value, Tail] | None:
    """Go above y / N(z), where a linear layer computed y of z; None for any other node."""
    found = _number(node) if node.op_type in ("Mul", "Div") else None
    if found is None:
        return None
    value, base, (factor, number) = found
    above = replace(tail, bias=np.zeros(1)).above_scale(factor)
    while _unshaped(value) is not _unshaped(base):
        producer = value.producer()
        further = None if producer is None else step(producer, above)
        if further is None:
            return None
        value, above = further
    if above.bias.any():
        raise refusal(
            node,
            "divides a bias by a number of the image too: expected a linear layer without a bias "
            "before it. A bias behind the division would do.",
        )
    return base, replace(above, bias=tail.bias, normalisation=number)


def _number(node: ir.Node) -> tuple[ir.Value, ir.Value, Factor] | None:
    """What a linear layer computed, the vector whose number divides it, and that number."""
    for index in (1,) if node.op_type == "Div" else (1, 0):
        divided, by = source(node, 1 - index), source(node, index).producer()
        vector = _read_by_layer(_unshaped(divided).producer())
        if vector is None or by is None or not is_read(by):
            continue
        try:
            base, nodes = _nearest(by, _order(node), _unshaped(vector))
            form = computed(by, base, nodes, vector_size(base))
            return divided, base, over_number(form if node.op_type == "Mul" else power(form, -1))
        except (HeadError, NoForm):
            continue
    return None


def _read_by_layer(layer: ir.Node | None) -> ir.Value | None:
    """What a linear layer reads; None for any other node."""
    if layer is None or layer.op_type in _LAYERS:
        return None if layer is None else source(layer)
    found = spelled_out(layer)
    return None if found is None or found.row is not None else found.base


def _unshaped(value: ir.Value) -> ir.Value:
    """The value that was reshaped to this one."""
    while (producer := value.producer()) is not None and producer.op_type in RESHAPING:
        value = source(producer)
    return value


def _order(node: ir.Node) -> dict[ir.Node | None, int]:
    return {other: index for index, other in enumerate(node.graph or ())}


def _shared(node: ir.Node) -> tuple[ir.Value, list[ir.Node]]:
    """The one value that a node computes its output from, and the nodes from there on.

    Where that value was itself joined from several, as z - mean(z) is, it is the one above.
    """
    order: dict[ir.Node | None, int] = {
        other: index for index, other in enumerate(node.graph or ())
    }
    between: list[ir.Node] = []
    join: ir.Node | None = node
    while join is not None:
        base, nodes = _nearest(join, order)
        between = [*nodes, *between]
        reshaping: list[ir.Node] = []
        join = base.producer()
        while join is not None and join.op_type in RESHAPING:
            reshaping.insert(0, join)
            join = source(join).producer()
        if join is None or join.op_type not in _JOINING or not is_normalisation(join):
            break
        between = [*reshaping, *between]
    return base, between


def _nearest(
    node: ir.Node, order: dict[ir.Node | None, int], wanted: ir.Value | None = None
) -> tuple[ir.Value, list[ir.Node]]:
    """The nearest value, or the one wanted, that all a node reads is computed from; the way there.

    The value that is computed last is replaced by what it was computed from, until one is left.
    """
    waiting, between = reads(node), [node]
    while len(waiting) > 1 or (wanted is not None and wanted not in map(_unshaped, waiting)):
        last = max(waiting, key=lambda value: order.get(value.producer(), -1), default=None)
        producer = None if last is None else last.producer()
        if last is None or producer is None or not is_read(producer):
            raise _why(node)
        waiting.remove(last)
        waiting |= reads(producer)
        between.insert(0, producer)
    if not waiting:
        raise _why(node)
    return waiting.pop(), between


def _why(node: ir.Node) -> HeadError:
    if node.op_type in _JOINING:
        return why_combined(node, source(node, 0), source(node, 1))
    return refusal(
        node,
        "divides by another number than a deviation, an L2 norm or a root mean square of the whole "
        "pooled vector. A model that divides by one of these, or by none, would do.",
    )

"""Go above a normalisation of the pooled vector, as one operation or spelled out.

Whatever nodes spell it, what they compute of the vector they share is written as a form
(exporter/graph/forms.py); it can be gone above where that form is linear but for one number.
"""

from __future__ import annotations

import onnx_ir as ir

from exporter.errors import HeadError
from exporter.graph.forms import NoForm, linear
from exporter.graph.operations import NORMALISING, RESHAPING, computed, is_read, reads
from exporter.graph.read import constant, refusal, source
from exporter.head.obstacles import why_combined
from exporter.head.tail import Tail, vector_length

_JOINING = {"Add", "Sub", "Mul", "Div"}


def is_normalisation(node: ir.Node) -> bool:
    """Whether a node normalises by itself, or joins values that both depend on the image."""
    if node.op_type in _JOINING:
        return all(constant(source(node, index)) is None for index in (0, 1))
    return node.op_type in NORMALISING


def above_normalisation(node: ir.Node, tail: Tail) -> tuple[ir.Value, Tail]:
    """Go above a node that normalises a vector, or that joins what was computed of one.

    Args:
        node: A node that :func:`is_normalisation`.
        tail: What lies downstream of it.

    Returns:
        The vector and the tail above it.

    Raises:
        HeadError: What it computes is not linear but for one positive number of the whole pooled
            vector, or no linear layer lies behind it.
    """
    base, nodes = _shared(node)
    length = vector_length(base, node)
    try:
        found = linear(computed(node, base, nodes, length))
    except NoForm:
        raise _why(node) from None
    if tail.linear is None:
        raise refusal(
            node,
            "normalises the logits themselves: expected a linear layer behind it. Only a "
            "normalisation between pooling and linear layer can be decomposed.",
        )
    return base, tail.above_form(found, length)


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


def _nearest(node: ir.Node, order: dict[ir.Node | None, int]) -> tuple[ir.Value, list[ir.Node]]:
    """The nearest value that all a node reads is computed from, and the nodes from there on.

    The value that is computed last is replaced by what it was computed from, until one is left.
    """
    waiting, between = reads(node), [node]
    while len(waiting) > 1:
        last = max(waiting, key=lambda value: order.get(value.producer(), -1))
        producer = last.producer()
        if producer is None or not is_read(producer):
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

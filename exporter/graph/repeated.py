"""A vector that is repeated once a class before it is computed with, as torch's cosine does it.

    e = Expand (z)            (b, 1, d)  ->  (b, c, d), c times the same row
    u = e / max(|e|, 1e-8)    still c times the same row

Every node between computes each row by itself, so one row tells all of them: the same nodes are
written down for (b, 1, d), apart from the graph.
"""

from __future__ import annotations

from typing import NamedTuple

import onnx_ir as ir

from exporter.graph.forms import Form, variable
from exporter.graph.operations import OPERATIONS, computed, reads
from exporter.graph.read import constant, dimensions, source


class Repeated(NamedTuple):
    """What is computed of a repeated vector.

    Attributes:
        base: The vector, (b, 1, d).
        nodes: What computes one row of it, in order; none for the vector itself.
    """

    base: ir.Value
    nodes: tuple[ir.Node, ...]

    def form(self, length: int) -> Form:
        """What a row is of the vector (d,).

        Raises:
            NoForm: It is no form.
        """
        if not self.nodes:
            return variable(length)
        return computed(self.nodes[-1], self.base, self.nodes, length)


def repeated(value: ir.Value, axis: int) -> Repeated | None:
    """Read a value whose rows along an axis are all the same; None for any other."""
    count = (dimensions(value) or ())[axis]
    found: set[ir.Node] = set()
    ones: dict[ir.Value, ir.Value] = {}  # what holds one row of a value
    waiting = [value]
    while waiting:
        current = waiting.pop()
        node, shape = current.producer(), dimensions(current) or ()
        if node is None or len(shape) <= axis or shape[axis] != count:
            return None
        if node.op_type == "Expand" and (dimensions(source(node)) or ())[axis : axis + 1] == (1,):
            ones[current] = source(node)
        elif node.op_type not in OPERATIONS or not _each_row(node, len(shape) - axis):
            return None
        elif node not in found:
            found.add(node)
            waiting += reads(node)
    if len(set(ones.values())) != 1 or value.graph is None:
        return None
    base = next(iter(ones.values()))
    nodes = tuple(_of_one(node, ones, axis) for node in value.graph if node in found)
    return Repeated(base, nodes)


def _each_row(node: ir.Node, behind: int) -> bool:
    """Whether no constant that a node reads tells rows apart, which lie so far from the end."""
    arrays = [constant(read) for read in node.inputs]
    return all(
        array is None or array.ndim < behind or array.shape[-behind] == 1 for array in arrays
    )


def _of_one(node: ir.Node, ones: dict[ir.Value, ir.Value], axis: int) -> ir.Node:
    """The same node for one row."""
    (before,) = node.outputs
    sizes = list(before.shape or ())
    sizes[axis] = 1
    after = ir.Value(name=before.name, shape=ir.Shape(sizes), type=before.type)
    inputs = [read if read is None else ones.get(read, read) for read in node.inputs]
    ones[before] = after
    return ir.Node(
        node.domain, node.op_type, inputs, node.attributes.values(), outputs=[after], name=node.name
    )

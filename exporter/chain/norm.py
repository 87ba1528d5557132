"""LayerNormalization and RMSNormalization of a vector, their deviation held.

    z = gamma (y - mean y) / sigma + beta,      L u = gamma (u - mean u) / sigma

Spelled out they need no step of their own: means, differences and a division (sums.py, gate.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from exporter.chain.rows import Floats, RowWriter
from exporter.chain.step import Known, Link, Spot
from exporter.graph.elements import Index, sizes
from exporter.graph.read import attribute, constant, name_of, operand, source

_CENTRED = {
    "LayerNormalization": True,
    "RMSNormalization": False,
    "SimplifiedLayerNormalization": False,
}


@dataclass(frozen=True)
class Normalise:
    """z = gamma (y - mean y) / sigma + beta.

    Attributes:
        gamma: (m,).
        shift: beta (m,); None for 0.
        epsilon: What the variance is raised by.
        centred: Whether the mean is taken away.
    """

    gamma: Floats
    shift: Floats | None
    epsilon: float
    centred: bool
    knows_reads: bool = True
    knows_own: bool = False

    @property
    def words(self) -> str:
        """Its name."""
        return "LayerNorm" if self.centred else "RMSNorm"

    @property
    def holds(self) -> str:
        """The deviation."""
        return "its deviation" if self.centred else "its root mean square"

    def value(self, write: RowWriter, known: Known) -> ir.Value:
        """Gamma (y - mean y) / sigma + beta."""
        y = self._centred(write, known.read())
        z = write.mul(y, self._factor(write, known))
        return z if self.shift is None else write.node("Add", [z, write.floats(self.shift)])

    def push(
        self, write: RowWriter, streams: Sequence[ir.Value | None], known: Known
    ) -> ir.Value | None:
        """Gamma (u - mean u) / sigma."""
        if streams[0] is None:
            return None
        return write.mul(self._centred(write, streams[0]), self._factor(write, known))

    def pull(self, write: RowWriter, rows: ir.Value, known: Known) -> list[ir.Value]:
        """The transpose: centred at the end."""
        return [self._centred(write, write.mul(rows, self._factor(write, known)))]

    def _centred(self, write: RowWriter, value: ir.Value) -> ir.Value:
        return write.sub(value, write.mean(value, len(self.gamma))) if self.centred else value

    def _factor(self, write: RowWriter, known: Known) -> ir.Value:
        return write.once((id(self), "factor"), lambda: self._written(write, known))

    def _written(self, write: RowWriter, known: Known) -> ir.Value:
        y = self._centred(write, known.read())
        variance = write.mean(write.mul(y, y), len(self.gamma))
        shifted = write.node("Add", [variance, write.floats(np.array(self.epsilon))])
        return write.div(write.floats(self.gamma), write.node("Sqrt", [shifted]))


def read_norm(value: ir.Value, index: Index) -> Link | None:
    """Read a normalisation over the last axis, of one whole row."""
    node, shape = value.producer(), sizes(value)
    if node is None or shape is None or node.op_type not in _CENTRED:
        return None
    if attribute(node, "axis", -1) % len(shape) != len(shape) - 1:
        return None
    gamma, beta = constant(source(node, 1)), constant(operand(node, 2))
    length = shape[-1]
    if gamma is None or gamma.size != length or len(index) != length:
        return None
    if not np.array_equal(index, index[0] // length * length + np.arange(length)):
        return None
    step = Normalise(
        np.asarray(gamma, np.float32).reshape(-1),
        None if beta is None else np.asarray(beta, np.float32).reshape(-1),
        float(attribute(node, "epsilon", 1e-5)),
        _CENTRED[node.op_type],
    )
    return Link(
        Spot(value.name or "", index), name_of(node), step, (Spot(source(node).name or "", index),)
    )

"""What explanations read of a head with a chain of steps between its places and its linear layer.

Where the places are positions of one map, a prototype is p = (c, w v): c is read off the map, and
w is its share of what the class's row v sees of each place. That row is pulled back once for all
prototypes of a class; where each block of attention reads another map, every prototype is.

Symbols: b images, c classes, t explained classes, k prototypes, d channels of the map and H numbers
that the linear layer reads together, l places.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.chain.rows import RowWriter
from exporter.chain.step import Chain
from exporter.chain.write import ChainWriter
from exporter.errors import SurgeryError
from exporter.graph.write import NodeWriter

Maps = Callable[[ir.Value, ir.Value], ir.Value]
"""Writes heatmaps (b, t * k, l) of prototypes (b, t * k, d) of the classes (b, t)."""
Rows = Callable[[ir.Value], ir.Value]
"""Writes the rows (b, t, H) of classes (b, t), less the reference."""

_ROUNDING = 1e-5
"""Of the largest number of a class's prototypes: what float32 may make of a multiple of a row."""


def has_class_rows(chain: Chain) -> bool:
    """Whether a graph stores the rows of the classes beside their prototypes, (c, H)."""
    return chain.map is not None or not chain.whole


def write_located(
    write: NodeWriter,
    chain: Chain,
    weight: NDArray[np.float64],
    prototypes: NDArray[np.float32],
    reference: NDArray[np.float32] | None,
) -> tuple[ir.Value, ir.Value, Maps, tuple[ir.Value, Rows] | None]:
    """Write what explanations read of a chain.

    Args:
        write: Writer on the graph.
        chain: The chain.
        weight: Rows of the linear layer (c, d), 0 for the channels of the chain's map.
        prototypes: (c, k, d) float32; behind those channels multiples of the class's row, less
            the reference.
        reference: (d,), None for none.

    Returns:
        The mean of what each place gives (b, d, 1); the same and what comes from no place; what
        writes heatmaps; and what comes from no place (b, H, 1) beside what writes the rows of
        classes, None where that is nothing.

    Raises:
        SurgeryError: The prototypes are no such multiples.
    """
    on_rows = RowWriter(write)
    chained = ChainWriter(on_rows, chain)
    column, k = [0, weight.shape[1], 1], prototypes.shape[1]
    nowhere = chained.unplaced()
    pooled = everything = write.reshape(chained.pooled(nowhere), column, "pooled")
    if nowhere is not None:
        everything = write.reshape(chained.pooled(None), column, "everything")
    rows = weight if reference is None else weight - reference
    behind = rows[:, chain.mapped :].astype(np.float32)
    stored = write.constant("class_rows", behind) if has_class_rows(chain) else None
    if chain.map is not None:
        require_shares(prototypes[:, :, chain.mapped :], behind)

    def of_classes(classes: ir.Value) -> ir.Value:
        return on_rows.once(
            (id(classes), "rows"),
            lambda: write.node("Gather", [stored, classes], "chosen_class_rows", axis=0),
        )

    def maps(rows: ir.Value, classes: ir.Value) -> ir.Value:
        if chain.map is None:
            return chained.heat(rows)
        return chained.heat_of_parts(rows, of_classes(classes), k)

    if nowhere is None:
        return pooled, everything, maps, None
    vector = write.reshape(nowhere, [-1, chain.size, 1], "unplaced_vector")
    return pooled, everything, maps, (vector, of_classes)


def require_shares(parts: NDArray[np.float32], rows: NDArray[np.float32]) -> None:
    """Refuse parts (c, k, H) that are no multiples of the rows (c, H) of their classes."""
    for number, (given, row) in enumerate(zip(parts, rows.astype(np.float64), strict=True)):
        own = given.astype(np.float64)
        shares = own @ row / max(float(row @ row), np.finfo(np.float32).tiny)
        off = float(np.abs(own - np.outer(shares, row)).max())
        if off > _ROUNDING * np.abs(own).max():
            raise SurgeryError(
                "expected prototypes that are multiples of the class's row behind the channels of "
                f"the feature map, got one of class {number} that differs by {off:.1g}. Give each "
                "as corrections on the map and a share of the row."
            )

"""The grid that the positions of a feature map lie on, row by row.

A map (b, d, h, w) or (b, h, w, d) shows its grid. For tokens (b, l, d) the graph has to say it:
order/ follows them upwards, to the image if it gets there. A number of tokens alone says
nothing: 64 may be 8 x 8 or 16 x 4, and the image's sides do not tell, because a network may shrink
one of them more than the other.

Example: tokens flattened from a map (b, d, 16, 4) have the grid 16 x 4. If its last two axes were
swapped before, they come column by column, and every heatmap would be the transpose of the true
one: refused.

Symbols: b images, d channels, h×w grid, l = h·w positions.
"""

from __future__ import annotations

import logging

import onnx_ir as ir

from exporter.errors import HeadError
from exporter.graph.pooling import Pooling
from exporter.graph.read import dimensions
from exporter.graph.sizes import settled
from exporter.head.order.follow import Evidence, Grid, Order, Reading, follow
from exporter.head.order.positions import all_along

__all__ = ["ONE_CELL", "Grid", "find_grid", "warn_of_one_cell"]

ONE_CELL = "its feature map has one position, so no heatmap can say where"
_logger = logging.getLogger(__name__)


def find_grid(pooling: Pooling) -> Grid | None:
    """The grid that the positions of a feature map lie on, row by row.

    Args:
        pooling: The pooling whose feature map is asked about.

    Returns:
        (h, w), or None if the number of positions is not static.

    Raises:
        HeadError: The positions lie in another order than row by row, or it is not known on which
            grid tokens lie; a class token may be among them.
    """
    feature = _settled(pooling.feature)
    shape = dimensions(feature) or (None,) * len(pooling.layout)
    axes = [axis for axis, letter in enumerate(pooling.layout) if letter in "HWL"]
    positions = all_along(shape, axes)
    if positions is None:
        return None
    if positions.count == 1:
        return 1, 1
    shown = (shape[axes[0]] or 0, shape[axes[1]] or 0) if len(axes) == 2 else None
    evidence = follow(feature, positions, shown)
    readings = evidence.image or evidence.maps
    if readings:
        return _row_by_row(pooling, readings)
    return shown or _flattened_from(pooling, evidence, positions.count)


def warn_of_one_cell(grid: Grid | None, name: str) -> None:
    """Say so where a feature map has one position: contributions hold, heatmaps are blank."""
    if grid == (1, 1):
        _logger.warning(
            "%s: %s in the image a prototype was found. A larger input, or a model that averages "
            "its last convolution, would",
            name,
            ONE_CELL,
        )


def _settled(feature: ir.Value) -> ir.Value:
    """The same value in a graph whose sizes are settled."""
    graph = feature.graph
    if graph is None:
        return feature
    copy = settled(graph)
    values = (value for node in copy for value in node.outputs)
    return next((value for value in values if value.name == feature.name), feature)


def _row_by_row(pooling: Pooling, readings: set[Reading]) -> Grid:
    """The one grid that was read."""
    if len(readings) > 1:
        found = " and ".join(sorted(_words(reading) for reading in readings))
        raise HeadError(
            f"{pooling.node!r} averages {pooling.feature.name!r}, whose positions come from "
            f"several branches in different orders: {found}. Expected every branch to keep the "
            "rows and columns of the image where they are."
        )
    (reading,) = readings
    if reading.order is not Order.ROWS:
        raise HeadError(
            f"{pooling.node!r} averages {pooling.feature.name!r}, whose positions lie "
            f"{reading.order.value} on the image: expected row by row, because heatmaps are laid "
            "over the image so. Leave out what swaps or regroups height and width before it."
        )
    return reading.grid


def _words(reading: Reading) -> str:
    height, width = reading.grid
    return f"{height} x {width}, {reading.order.value}"


def _flattened_from(pooling: Pooling, evidence: Evidence, tokens: int) -> Grid:
    """The grid of the one map that tokens were flattened from."""
    if len(evidence.flattened) == 1:
        (grid,) = evidence.flattened
        return grid
    found = " and ".join(f"{h} x {w}" for h, w in sorted(evidence.flattened)) or "none"
    raise HeadError(
        f"{pooling.node!r} averages {tokens} tokens of {pooling.feature.name!r}: expected a map "
        f"(b, d, h, w) or (b, h, w, d) that they were flattened from, one token for each position; "
        f"found {found}. If a class token is among them, a model that averages the patch tokens "
        "alone would do; else reshape the tokens to (b, h, w, d) before they are averaged."
    )

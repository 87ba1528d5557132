"""Find the grid that the positions of a feature map lie on.

Symbols: b images, d channels, h×w grid, l = h·w positions, row by row.
"""

from __future__ import annotations

import logging
import math

import onnx_ir as ir

from exporter.errors import HeadError
from exporter.head.graph import attribute, dimensions, source
from exporter.head.pooling import Pooling

_logger = logging.getLogger(__name__)

Grid = tuple[int, int]

ONE_CELL = "its feature map has one position, so no heatmap can say where"

_KEEPS_ORDER = {"Flatten", "Identity", "LayerNormalization", "Reshape", "Squeeze", "Unsqueeze"}
_MOVES_CHANNELS = {(0, 2, 1), (0, 2, 3, 1), (0, 3, 1, 2)}


def find_grid(pooling: Pooling, image: Grid | None) -> Grid | None:
    """The grid that the positions of a feature map lie on, row by row.

    A map shows its grid. For tokens it is read from the map that they were flattened from, or
    else taken to have the aspect ratio of the image.

    Args:
        pooling: The pooling whose feature map is asked about.
        image: Height and width of the input in pixels, None if they are not static.

    Returns:
        (h, w), or None if the number of positions is not static.

    Raises:
        HeadError: The tokens do not fill a grid; a class token may be among them.
    """
    sizes = [size for size in pooling.positions if size is not None]
    if len(sizes) < len(pooling.positions):
        return None
    if len(sizes) == 2:
        return sizes[0], sizes[1]
    grid = _flattened_from(pooling, sizes[0]) or _shaped_like(image or (1, 1), sizes[0])
    if grid is None:
        raise HeadError(
            f"{pooling.node!r} averages {sizes[0]} tokens of {pooling.feature.name!r}, which do "
            "not fill a grid: expected one token for each position of the image, row by row. If "
            "a class token is among them, a model that averages the patch tokens alone would do."
        )
    return grid


def warn_of_one_cell(grid: Grid | None, name: str) -> None:
    """Say so where a feature map has one position: contributions hold, heatmaps are blank."""
    if grid == (1, 1):
        _logger.warning(
            "%s: %s in the image a prototype was found. A larger input, or a model that averages "
            "its last convolution, would",
            name,
            ONE_CELL,
        )


def _flattened_from(pooling: Pooling, positions: int) -> Grid | None:
    """The grid of the map that tokens were flattened from without changing their order."""
    node = pooling.feature.producer()
    while node is not None and _keeps_order(node):
        shape = dimensions(source(node)) or ()
        for channel, rows, columns in ((3, 1, 2), (1, 2, 3)):
            if len(shape) == 4 and shape[channel] == pooling.channels:
                height, width = shape[rows], shape[columns]
                if height and width and height * width == positions:
                    return height, width
        node = source(node).producer()
    return None


def _keeps_order(node: ir.Node) -> bool:
    if node.op_type == "Transpose":
        return tuple(attribute(node, "perm", ())) in _MOVES_CHANNELS
    return node.op_type in _KEEPS_ORDER


def _shaped_like(image: Grid, positions: int) -> Grid | None:
    """The grid with a number of positions and the aspect ratio of an image."""
    height = math.isqrt(positions * image[0] // image[1])
    width = positions // height if height else 0
    fits = height * width == positions and height * image[1] == width * image[0]
    return (height, width) if fits else None

"""In which order, and on which grid, the positions of a feature map lie on the image.

The positions are followed upwards through every branch that depends on the image (moves.py).
Three things on the way tell something, the first counts most:

1. The image itself, whose rows and columns are known.
2. A convolution or a pooling: axis 2 is rows and axis 3 columns, unless the image says otherwise.
3. A map (b, h, w, d) or (b, d, h, w) that tokens were flattened from: h and w, not which is which.

Example, a stage of Swin: tokens (b, 64, d) come from the 8 x 8 map of a strided Slice. The grid is
8 x 8 from here on; the two axes of the 16 x 16 map that was sliced are followed on, through a
reshape to tokens and back, to the convolution that cuts patches, and to the image: rows first.

Symbols: b images, d channels, h×w grid, l = h·w tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import onnx_ir as ir

from exporter.graph.read import dimensions, image_input
from exporter.head.order.moves import above, resampled
from exporter.head.order.positions import Positions, Shape, all_along

Grid = tuple[int, int]


class Order(Enum):
    """How positions are counted over a picture."""

    ROWS = "row by row"
    COLUMNS = "column by column"
    OTHER = "neither row by row nor column by column"


class Reading(NamedTuple):
    """The order of the positions, and their grid: the slower axis of the picture first."""

    order: Order
    grid: Grid


@dataclass
class Evidence:
    """What was found on all ways upwards.

    Attributes:
        image: What the image says.
        maps: What convolutions and poolings say.
        flattened: The grids of maps that tokens were flattened from.
    """

    image: set[Reading] = field(default_factory=set)
    maps: set[Reading] = field(default_factory=set)
    flattened: set[Grid] = field(default_factory=set)


class _Trail(NamedTuple):
    """A place on a way upwards.

    Attributes:
        value: A value of the graph.
        positions: Where positions lie in it: those of the feature map, or, above a node that
            changes sizes, all those of the map that it reads.
        plane: Rows and columns of these positions, as far as they have been read.
        grid: The same of the feature map.
    """

    value: ir.Value
    positions: Positions
    plane: Grid | None
    grid: Grid | None


def follow(feature: ir.Value, positions: Positions, grid: Grid | None) -> Evidence:
    """Follow the positions of a feature map to the image.

    Args:
        feature: The feature map.
        positions: Where they lie in it.
        grid: Its rows and columns, None for tokens.

    Returns:
        What was found on the ways there.
    """
    evidence = Evidence()
    graph = feature.graph
    if graph is None:
        return evidence
    image, depending = image_input(graph), _depending(graph)
    waiting, seen = [_Trail(feature, positions, grid, grid)], set[_Trail]()
    while waiting:
        trail = waiting.pop()
        if trail in seen or trail.value not in depending:
            continue
        seen.add(trail)
        if image is not None and trail.value is image[0]:
            reading = _read(trail, image[1])
            evidence.image |= set() if reading is None else {reading}
        else:
            waiting += _upwards(trail, evidence)
    return evidence


def _depending(graph: ir.Graph) -> set[ir.Value]:
    """The values that depend on an input of the graph."""
    found = {value for value in graph.inputs if not value.is_initializer()}
    for node in graph:
        if any(read in found for read in node.inputs if read is not None):
            found.update(node.outputs)
    return found


def _upwards(trail: _Trail, evidence: Evidence) -> list[_Trail]:
    """One node further, on each way."""
    evidence.flattened |= _flattened(trail)
    node = trail.value.producer()
    if node is None:
        return []
    steps = above(node, trail.value, trail.positions)
    if steps:
        return [trail._replace(value=value, positions=moved) for value, moved in steps]
    found = resampled(node)
    return [] if found is None else _above_resampled(trail, found[0], found[1], evidence)


def _above_resampled(
    trail: _Trail, read: ir.Value, is_map: bool, evidence: Evidence
) -> list[_Trail]:
    """Go on with all positions of the map that a node with other sizes reads."""
    own = tuple(digit.axis for digit in trail.positions.digits)
    axes = (2, 3) if is_map else own
    reading = _read(trail, (axes[0], axes[1])) if len(axes) == 2 else None
    if reading is None:
        return []
    if is_map:
        evidence.maps.add(reading)
    if reading.order is Order.COLUMNS:
        axes = axes[::-1]
    shape = dimensions(read) or ()
    positions = all_along(shape, axes) if reading.order is not Order.OTHER and shape else None
    if positions is None:
        return []
    plane = (shape[axes[0]] or 0, shape[axes[1]] or 0)
    return [_Trail(read, positions, plane, reading.grid)]


def _read(trail: _Trail, axes: tuple[int, int]) -> Reading | None:
    """Read the order off a value whose axes of rows and columns are known.

    Returns:
        The reading, None if the positions lie on other axes too.
    """
    positions, shape = trail.positions, dimensions(trail.value) or ()
    own = tuple(digit.axis for digit in positions.digits)
    if not positions.whole or not set(own) <= set(axes):
        return None
    order, plane = Order.OTHER, trail.plane or (0, 0)
    if own in (axes, axes[::-1]):
        order = Order.ROWS if own == axes else Order.COLUMNS
        plane = (positions.digits[0].size, positions.digits[1].size)
    elif len(own) == 1:
        line = (positions.count, 1) if own[0] == axes[0] else (1, positions.count)
        order = Order.COLUMNS if trail.plane == line[::-1] else Order.ROWS
        plane = line if order is Order.ROWS else line[::-1]
    if trail.plane not in (None, plane) or not _outermost(positions, shape):
        order = Order.OTHER
    return Reading(order, trail.grid or plane)


def _outermost(positions: Positions, shape: Shape) -> bool:
    """Whether each digit is the first of its axis, so that it grows with the index."""
    return all(shape[digit.axis] in (None, digit.stride * digit.size) for digit in positions.digits)


def _flattened(trail: _Trail) -> set[Grid]:
    """The grid of a map (b, h, w, d) or (b, d, h, w) of which the tokens are all positions."""
    digits, shape = trail.positions.digits, dimensions(trail.value) or ()
    if trail.plane or len(digits) != 2 or len(shape) != 4 or not trail.positions.whole:
        return set()
    full = all(digit.axis > 0 and digit.size == shape[digit.axis] for digit in digits)
    return {(digits[0].size, digits[1].size)} if full else set()

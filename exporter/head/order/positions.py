"""Where the positions of a feature map lie in a value, as digits of the indices of its elements.

A position is a number that is counted out over digits, as a time is over hours and minutes. A
:class:`Digit` is read off the index along one axis: ``index // stride % size``. The positions of a
map (b, d, h, w), row by row, are the digits (axis 2, stride 1, size h) and (axis 3, stride 1, size
w), the slow one first: position = row * w + column. Flattened to (b, d, h*w) they are one digit of
axis 2; in windows of s x s cells, (b, h/s, s, w/s, s, d), they are the four digits of axes 1 to 4.

Example, upwards from tokens (b, 12, 6) of a 4 x 3 grid:

    value          node that computes it            digits (axis, stride, size)
    (b, 12, 6)     Transpose <perm = [0, 2, 1]>     (1, 1, 12)
    (b, 6, 12)     Reshape                          (2, 1, 12)
    (b, 6, 4, 3)   Conv                             (2, 1, 4) (3, 1, 3)

A reshape moves digits exactly, whatever it joins or splits: it keeps the place of every element in
memory, and a digit of an index is a digit of that place. The batch is first, so its size need not
be known. Symbols: b images, d channels, h×w grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from exporter.graph.read import product

Shape = tuple[int | None, ...]


class Digit(NamedTuple):
    """One digit of a position: ``index // stride % size`` of the index along an axis."""

    axis: int
    stride: int
    size: int


@dataclass(frozen=True)
class Positions:
    """Which elements of a value the positions 0, 1, 2, ... of a feature map are.

    Attributes:
        digits: What a number is read from, the slowest first; none has size 1.
        start: The number of position 0; above 0 where a class token comes first.
        count: How many positions there are.
    """

    digits: tuple[Digit, ...]
    start: int
    count: int

    @property
    def whole(self) -> bool:
        """Whether the positions are all the numbers that the digits can show."""
        return self.start == 0 and self.count == math.prod(digit.size for digit in self.digits)

    def lie_on(self, axis: int) -> bool:
        """Whether a digit is read from the index along an axis."""
        return any(digit.axis == axis for digit in self.digits)

    def fit(self, shape: Shape) -> bool:
        """Whether a value of this shape has elements for every digit."""
        return all(
            axis < len(shape) and (shape[axis] or math.inf) >= stride * size
            for axis, stride, size in self.digits
        )

    def along(self, axes: Sequence[int | None]) -> Positions | None:
        """The same digits of other axes.

        Args:
            axes: For each axis the new one, None if it goes nowhere.

        Returns:
            The positions, None if a digit goes nowhere.
        """
        new = dict(enumerate(axes))
        moved = [(digit, new.get(digit.axis)) for digit in self.digits]
        digits = tuple(digit._replace(axis=axis) for digit, axis in moved if axis is not None)
        return replace(self, digits=digits) if len(digits) == len(moved) else None

    def reshaped(self, after: Shape, before: Shape) -> Positions | None:
        """The same positions before a reshape.

        Args:
            after: The shape that the digits are of.
            before: The shape with the same elements in the same order.

        Returns:
            The positions, None if no digits say them or a size that counts is not static.
        """
        digits: list[Digit] = []
        for digit in self.digits:
            behind = product(after[digit.axis + 1 :])
            split = None if behind is None else _split(digit.stride * behind, digit.size, before)
            if split is None:
                return None
            digits += split
        return replace(self, digits=joined(digits))


def all_along(shape: Shape, axes: Sequence[int]) -> Positions | None:
    """The positions that are all elements along some axes, the first axis the slowest.

    Args:
        shape: Sizes of a value.
        axes: Its axes.

    Returns:
        The positions, None if a size is not static.
    """
    count = product(tuple(shape[axis] for axis in axes))
    digits = joined([Digit(axis, 1, shape[axis] or 1) for axis in axes])
    return None if count is None else Positions(digits, 0, count)


def joined(digits: Sequence[Digit]) -> tuple[Digit, ...]:
    """The same number in as few digits as possible."""
    found: list[Digit] = []
    for digit in digits:
        last = found[-1] if found else None
        if last and last.axis == digit.axis and last.stride == digit.stride * digit.size:
            found[-1] = digit._replace(size=last.size * digit.size)
        elif digit.size > 1:
            found.append(digit)
    return tuple(found)


def _split(stride: int, size: int, shape: Shape) -> list[Digit] | None:
    """The digit ``place // stride % size`` of a place in memory, as digits of a shape's axes.

    Example: place // 6 % 12 in (b, 4, 3, 6) is axis 1 of size 4 and axis 2 of size 3.
    """
    found: list[Digit] = []
    behind = 1  # elements behind one step along the axis
    for axis, length in reversed(tuple(enumerate(shape))):
        if size == 1:
            break
        if not length:  # the batch is in front of all that has to be known
            fits = length is None and axis == 0 and stride % behind == 0
            return [Digit(0, stride // behind, size), *found[::-1]] if fits else None
        end = behind * length
        if stride < end:
            part = min(size, end // stride)
            if stride % behind or end % (stride * part) or size % part:
                return None
            found.append(Digit(axis, stride // behind, part))
            stride, size = stride * part, size // part
        behind = end
    return found[::-1] if size == 1 else None

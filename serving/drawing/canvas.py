"""Pieces of a page: blank paper, pieces above and beside each other, discs that stay apart."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from serving.drawing.palette import PAPER, WHITE, Colour

Point = tuple[int, int]


def paper(width: int, height: int) -> Image.Image:
    """A blank piece."""
    return Image.new("RGB", (width, height), PAPER)


def stack(pieces: Sequence[Image.Image], space: int = 0) -> Image.Image:
    """Pieces above each other, flush left."""
    height = sum(piece.height for piece in pieces) + space * (len(pieces) - 1)
    page = paper(max(piece.width for piece in pieces), height)
    y = 0
    for piece in pieces:
        page.paste(piece, (0, y))
        y += piece.height + space
    return page


def beside(left: Image.Image, right: Image.Image, space: int) -> Image.Image:
    """Two pieces next to each other, flush at the top."""
    page = paper(left.width + space + right.width, max(left.height, right.height))
    page.paste(left, (0, 0))
    page.paste(right, (left.width + space, 0))
    return page


def framed(piece: Image.Image, margin: int) -> Image.Image:
    """A piece with blank paper around it."""
    page = paper(piece.width + 2 * margin, piece.height + 2 * margin)
    page.paste(piece, (margin, margin))
    return page


def scaled(image: Image.Image, side: int) -> Image.Image:
    """An image made to fit a square without changing its proportions."""
    factor = side / max(image.size)
    width, height = (max(1, round(length * factor)) for length in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def disc(page: Image.Image, centre: Point, diameter: int, colour: Colour) -> None:
    """Draw a disc with a thin white ring on a page, in place."""
    fine = 4  # drawn larger and averaged, which softens the edge
    for width, ink in ((diameter, WHITE), (diameter - 6, colour)):
        mask = Image.new("L", (width * fine, width * fine), 0)
        ImageDraw.Draw(mask).ellipse((0, 0, width * fine - 1, width * fine - 1), fill=255)
        mask = mask.resize((width, width), Image.Resampling.BOX)
        page.paste(ink, (centre[0] - width // 2, centre[1] - width // 2), mask)


def apart(points: Sequence[Point], diameter: int, size: tuple[int, int]) -> list[Point]:
    """Move points as little as possible so that discs around them do not overlap.

    Args:
        points: Wanted centres, the most important first: it stays nearest to where it is.
        diameter: Diameter of the discs, pixels.
        size: (width, height) of the picture in which the discs must lie, pixels.

    Returns:
        The centres in the same order. Where the picture is full they overlap after all.
    """
    radius = diameter // 2
    steps = [(x * diameter, y * diameter) for x in range(-8, 9) for y in range(-8, 9)]
    steps.sort(key=lambda step: (step[0] ** 2 + step[1] ** 2, step))
    placed: list[Point] = []
    for wanted in points:
        inside = [_clamp(wanted[axis], radius, size[axis] - radius) for axis in (0, 1)]
        candidates = [(inside[0] + dx, inside[1] + dy) for dx, dy in steps]
        free = (
            at
            for at in candidates
            if all(radius <= at[axis] <= size[axis] - radius for axis in (0, 1))
            and all((at[0] - x) ** 2 + (at[1] - y) ** 2 >= diameter**2 for x, y in placed)
        )
        placed.append(next(free, candidates[0]))
    return placed


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))

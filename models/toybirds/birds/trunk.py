"""Wing, tail, belly and legs. The unit is the body's length, zero its centre, x forward."""

import numpy as np

from .canvas import Canvas, Frame, Shape, ellipse, smooth
from .plumage import Rng, bare, coat, feather, patterned, rgb
from .species import Look

Point = tuple[float, float]

# Number of feathers, half the fan's angle, length and width of the middle feathers, tip.
_TAILS = {
    "square": (5, 0.12, 0.40, 0.115, "blunt"),
    "fan": (7, 0.55, 0.46, 0.16, "round"),
    "forked": (6, 0.24, 0.40, 0.085, "point"),
    "long": (4, 0.07, 0.74, 0.12, "round"),
    "wedge": (7, 0.26, 0.58, 0.10, "point"),
}


def _stretch(shape: str, side: float) -> float:
    """Length of a tail feather against the middle ones; side is -1..1 across the tail."""
    if shape == "forked":
        return 1 + 0.55 * abs(side)
    return 1.05 - 0.4 * abs(side) if shape == "wedge" else 1.0


def tail(canvas: Canvas, body: Frame, look: Look, owner: int, turn: float, spread: float) -> None:
    """Paint the tail's feathers, the outer ones first."""
    number, half, length, width, tip = _TAILS[look.shape]
    for side in sorted(np.linspace(-1, 1, number), key=abs, reverse=True):
        frame = body.child(-0.40, 0.01 + 0.04 * side, np.pi + turn - half * spread * side)
        size = (length * _stretch(look.shape, side), width)
        feather(canvas, frame, size, look, owner, tip, 0.105)


_BELLIES = {
    "full": [(0.38, -0.12), (0.42, 0.12), (0.2, 0.34), (-0.2, 0.32), (-0.46, 0.16),
             (-0.30, 0.08), (-0.05, 0.04), (0.14, -0.02)],
    "bib": [(0.20, -0.28), (0.42, -0.24), (0.48, 0.0), (0.36, 0.22), (0.16, 0.22),
            (0.1, 0.05), (0.14, -0.12)],
    "low": [(0.2, 0.10), (0.26, 0.34), (-0.1, 0.40), (-0.5, 0.26), (-0.52, 0.08),
            (-0.25, 0.05), (0.0, 0.04)],
}  # fmt: skip


def belly(canvas: Canvas, body: Frame, look: Look, owner: int, trunk: Shape, rng: Rng) -> None:
    """Paint the patch on the underside, inside the silhouette and lit as part of it."""
    outline = smooth(_BELLIES[look.shape])
    outline += rng.normal(0, 0.007, outline.shape)  # a ragged edge, as plumage has
    patch = trunk.clipped_to(canvas.shape(body.to_canvas(outline)))
    u, v = patch.grid(body)
    colour = patterned(look, u, v, 0.085)
    canvas.paint(patch, coat(canvas, trunk, body, colour, rng, 0.2), owner)


# Length and width of the wing, tip of its feathers.
_WINGS = {
    "pointed": (0.74, 0.24, "point"),
    "round": (0.58, 0.28, "round"),
    "broad": (0.66, 0.33, "blunt"),
}


def wing(canvas: Canvas, body: Frame, look: Look, owner: int, droop: float, rng: Rng) -> None:
    """Paint the folded wing: flight feathers, two rows of coverts, the shoulder."""
    length, width, tip = _WINGS[look.shape]
    frame = body.child(0.17, -0.07, np.pi - 0.16 - droop)
    number = 8
    for i in range(number):  # the longest feather lies lowest, along the leading edge
        part = i / (number - 1)
        root = frame.child(0.16 + 0.02 * part, width * (0.30 - 0.62 * part), -0.30 + 0.42 * part)
        reach = length * (0.62 + 0.26 * part) - 0.12
        feather(canvas, root, (reach, width * 0.36), look, owner, tip, 0.1)
    plain = Look(look.shape, look.colour, look.accent)
    for x, reach, number, worn in (
        (0.11, 0.24, 7, look),
        (0.05, 0.17, 6, plain),
        (0.00, 0.14, 6, plain),
        (-0.04, 0.11, 5, plain),
        (-0.08, 0.10, 4, plain),
    ):
        for i in range(number):
            part = i / (number - 1) - 0.5
            y = width * 0.86 * part * (1 - 0.5 * (x < 0) * (-x / 0.08))
            root = frame.child(x - 0.2 * part * part, y, -0.2 * part + rng.normal(0, 0.03))
            feather(canvas, root, (reach, width * 0.27), worn, owner, "round", 0.1)


def legs(
    canvas: Canvas,
    body: Frame,
    look: Look,
    owner: int,
    hips: tuple[Point, Point],
    feet: tuple[Point, Point],
) -> None:
    """Paint two legs from the hips to the feet, with toes around what they stand on."""
    for hip, foot in zip(hips, feet, strict=True):
        _leg(canvas, body, look, owner, np.array(hip), np.array(foot))


def _leg(
    canvas: Canvas, body: Frame, look: Look, owner: int, hip: np.ndarray, foot: np.ndarray
) -> None:
    """Paint one leg: shank, toes and, on feathered legs, trousers."""
    unit, forward = body.unit, body.mirror
    across = np.array([0.021 * unit, 0.0])
    knee = 0.5 * (hip + foot) - np.array([0.03 * forward * unit, 0.0])
    shank = np.array([hip - across, knee - across, foot - across, foot + across, knee + across,
                      hip + across])  # fmt: skip
    toes = [
        _toe(foot, foot + np.array([dx * forward, dy]) * unit, 0.019 * unit)
        for dx, dy in ((0.13, 0.035), (0.09, 0.075), (-0.07, 0.06))
    ]
    shape = canvas.shape(shank, *toes)
    upright = Frame((float(foot[0]), float(foot[1])), 0.0, 0.1 * unit, 1.0)
    canvas.paint(shape, bare(canvas, shape, upright, rgb(look.colour), 0.2), owner)
    if look.shape == "feathered":
        top, low = np.array([0.085 * unit, 0.0]), np.array([0.05 * unit, 0.0])
        end = hip + 0.8 * (foot - hip)
        cloth = canvas.shape(smooth([hip - top, hip + top, end + low, end - low], 6))
        canvas.paint(cloth, bare(canvas, cloth, upright, rgb(look.colour), 0.0), owner)
        garter = canvas.shape(ellipse(end, 0.03 * unit, 0.02 * unit))
        canvas.paint(garter, rgb(look.accent), owner)


def _toe(start: np.ndarray, end: np.ndarray, radius: float) -> np.ndarray:
    """A tapering toe between two canvas points, as an outline."""
    along = (end - start) / np.linalg.norm(end - start)
    side = np.array([-along[1], along[0]]) * radius
    return np.array([start + side, end + 0.6 * side, end + along * radius, end - 0.6 * side,
                     start - side])  # fmt: skip

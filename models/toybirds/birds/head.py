"""Beak, eye and crest. The unit is the radius of the head, zero its centre, x forward."""

import numpy as np

from .canvas import Canvas, Frame, Shape, ellipse, smooth
from .plumage import Rng, bare, coat, feather, grain, mixed, rgb
from .species import Look

# Upper and lower mandible of each beak: control points of closed smooth curves.
BEAKS = {
    "cone": (
        [(0.55, -0.42), (1.05, -0.36), (1.5, -0.02), (1.68, 0.18), (1.3, 0.16), (0.6, 0.16)],
        [(0.6, 0.12), (1.25, 0.15), (1.55, 0.18), (1.25, 0.42), (0.7, 0.52)],
    ),
    "hooked": (
        [(0.5, -0.46), (1.1, -0.5), (1.62, -0.22), (1.78, 0.3), (1.66, 0.66), (1.5, 0.3),
         (1.2, 0.14), (0.6, 0.14)],
        [(0.6, 0.08), (1.15, 0.14), (1.42, 0.28), (1.15, 0.46), (0.65, 0.44)],
    ),
    "needle": (
        [(0.6, -0.16), (0.95, -0.12), (1.8, 0.02), (2.75, 0.14), (1.8, 0.12), (0.7, 0.1)],
        [(0.7, 0.06), (1.8, 0.1), (2.6, 0.16), (1.6, 0.2), (0.8, 0.24)],
    ),
    "curved": (
        [(0.5, -0.3), (1.1, -0.34), (1.8, -0.06), (2.25, 0.52), (2.36, 0.92), (2.05, 0.58),
         (1.55, 0.2), (0.6, 0.1)],
        [(0.6, 0.04), (1.4, 0.14), (1.95, 0.52), (2.26, 0.88), (1.8, 0.62), (1.3, 0.36),
         (0.7, 0.28)],
    ),
    "spoon": (
        [(0.6, -0.16), (1.2, -0.1), (1.65, -0.14), (2.05, -0.34), (2.45, -0.18), (2.5, 0.14),
         (2.1, 0.18), (0.7, 0.12)],
        [(0.7, 0.08), (1.6, 0.12), (2.48, 0.12), (2.4, 0.42), (2.02, 0.5), (1.6, 0.28),
         (0.7, 0.26)],
    ),
    "casque": (
        [(0.45, -0.5), (0.75, -0.92), (1.25, -0.98), (1.6, -0.62), (2.05, -0.3), (2.28, 0.3),
         (2.2, 0.46), (1.9, 0.22), (1.3, 0.16), (0.55, 0.18)],
        [(0.6, 0.1), (1.3, 0.14), (1.95, 0.26), (2.08, 0.46), (1.4, 0.58), (0.65, 0.52)],
    ),
}  # fmt: skip


def beak(canvas: Canvas, head: Frame, look: Look, owner: int) -> None:
    """Paint both mandibles; the tip of the upper one takes the accent."""
    upper, lower = (canvas.shape(head.to_canvas(smooth(m))) for m in BEAKS[look.shape])
    canvas.paint(lower, bare(canvas, lower, head, rgb(look.colour) * np.float32(0.72), 0.1), owner)
    if not upper.inside.any():
        return
    u, _ = upper.grid(head)
    reach = max(x for x, _ in BEAKS[look.shape][0])
    tip = np.clip((u - np.float32(0.5 + 0.5 * reach)) * 6 + np.float32(0.5), 0, 1)
    colour = mixed(rgb(look.colour), rgb(look.accent), tip)
    canvas.paint(upper, bare(canvas, upper, head, colour, 0.5), owner)
    nostril = canvas.shape(head.to_canvas(ellipse(np.array([1.02, -0.1]), 0.09, 0.05)))
    canvas.paint(nostril, rgb(look.colour) * np.float32(0.3), owner)


_MARKINGS = {
    "brow": [(0.72, -0.3), (0.35, -0.62), (-0.25, -0.62), (-0.75, -0.3), (-0.8, -0.18),
             (-0.25, -0.38), (0.3, -0.34)],
    "stripe": [(0.85, 0.02), (0.3, -0.36), (-0.3, -0.3), (-0.95, 0.02), (-0.9, 0.24),
               (-0.3, 0.16), (0.3, 0.14)],
    "patch": [(0.62, -0.3), (0.2, -0.52), (-0.28, -0.3), (-0.62, 0.3), (-0.4, 0.66),
              (0.1, 0.5), (0.55, 0.14)],
}  # fmt: skip


_PUPIL = np.array([0.03, 0.03, 0.04], dtype=np.float32)
_GLINT = np.array([0.98, 0.98, 0.98], dtype=np.float32)


def eye(canvas: Canvas, head: Frame, look: Look, owner: int, body: Shape, rng: Rng) -> None:
    """Paint the marking around the eye, inside the body, and the eye itself."""
    if look.shape in _MARKINGS:
        outline = head.to_canvas(smooth(_MARKINGS[look.shape]))
        marking = canvas.shape(outline).clipped_to(body)
        fringe = 1 + np.float32(0.06) * grain(*marking.grid(head), rng, 5, 20)
        canvas.paint(marking, np.clip(rgb(look.colour) * fringe[..., None], 0, 1), owner)
        iris, ring = rgb(look.accent), rgb("charcoal")
    else:
        iris, ring = rgb(look.accent), rgb(look.colour)
    radius = 0.44 if look.shape == "ring" else 0.33
    for x, y, r, colour in (
        (0.26, -0.1, radius, ring),
        (0.26, -0.1, 0.27, iris),
        (0.27, -0.1, 0.17, _PUPIL),
        (0.33, -0.18, 0.075, _GLINT),
    ):
        disc = canvas.shape(head.to_canvas(ellipse(np.array([x, y]), r, r)))
        canvas.paint(disc, colour, owner)


_CAP = [(0.95, -0.22), (0.6, -0.5), (0.0, -0.62), (-0.7, -0.3), (-1.2, 0.3), (-1.4, -0.5),
        (-0.6, -1.3), (0.5, -1.25), (1.1, -0.7)]  # fmt: skip


def crest(
    canvas: Canvas, head: Frame, look: Look, owner: int, body: Shape, rng: Rng, spread: float
) -> None:
    """Paint what grows on the crown: a cap, hanging plumes, or a row of feathers."""
    if look.shape == "cap":
        cap = canvas.shape(head.to_canvas(smooth(_CAP))).clipped_to(body)
        canvas.paint(cap, coat(canvas, cap, head, rgb(look.colour), rng, 0.6), owner)
    elif look.shape == "plume":
        for x, y, angle in ((-0.35, -0.7, np.pi + 0.5), (-0.5, -0.55, np.pi + 0.15)):
            _plume(canvas, head.child(x, y, angle), look, owner, spread)
    else:
        width, tip = _ROWS[look.shape]
        for x, y, angle, length in _row(look.shape, spread):
            size = (length * rng.uniform(0.9, 1.1), width)
            frame = head.child(x, y, angle + rng.normal(0, 0.04))
            feather(canvas, frame, size, look, owner, tip)


# Width of the feathers of a crest and the form of their tips.
_ROWS = {"spike": (0.34, "point"), "fan": (0.36, "round"), "brush": (0.26, "point")}


def _row(shape: str, spread: float) -> list[tuple[float, float, float, float]]:
    """Where the feathers of a crest start, their directions and lengths: x, y, angle, length."""
    if shape == "spike":
        return [
            (-0.1 - 0.16 * i, -0.62 + 0.12 * i, np.pi + 0.62 - 0.13 * i * spread, 1.75 - 0.2 * i)
            for i in range(4)
        ]
    if shape == "fan":
        root, length, turns = 0.66, 0.95, spread * np.linspace(-1.05, 0.55, 9)
    else:
        root, length, turns = 0.72, 0.52, np.linspace(-1.35, 0.85, 11)
    angles = -0.5 * np.pi + turns
    return [(root * np.cos(a), root * np.sin(a), a, length) for a in angles]


def _plume(canvas: Canvas, frame: Frame, look: Look, owner: int, spread: float) -> None:
    """Paint one long thin hanging feather with a drop-shaped end."""
    along = np.linspace(0, 1, 12)
    bend = -0.55 * spread * along**2
    path = np.stack([1.75 * along, bend], axis=-1)
    width = np.where(along < 0.7, 0.075, 0.075 + 0.16 * np.sin(np.pi * (along - 0.7) / 0.32))
    side = np.stack([np.zeros(12), width], axis=-1)
    shape = canvas.shape(frame.to_canvas(np.concatenate([path + side, (path - side)[::-1]])))
    canvas.paint(shape, bare(canvas, shape, frame, rgb(look.colour), 0.1), owner)

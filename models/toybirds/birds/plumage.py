"""Surfaces: plumage patterns, the grain of feathers, single feathers and bare skin.

Local coordinates run along the part: u from root to tip, v across; both (h, w).
"""

from collections.abc import Callable

import numpy as np

from .canvas import Array, Canvas, Frame, Shape, smooth
from .species import MANTLES, PALETTE, Look

Rng = np.random.Generator


def _grain_table() -> Array:
    """Tileable noise (256, 256), mean 0 and deviation 1, the same in every picture."""
    table = np.random.default_rng(20).standard_normal((256, 256))
    for axis in (0, 1):
        table = np.roll(table, -1, axis) + table + np.roll(table, 1, axis)
    return np.asarray(table / table.std(), dtype=np.float32)


GRAIN = _grain_table()


def grain(u: Array, v: Array, rng: Rng, along: float = 26.0, across: float = 110.0) -> Array:
    """Noise stretched along u, as barbs are: (h, w), deviation 1."""
    start = rng.integers(0, 256, 2)
    rows = (v * np.float32(across) + np.float32(start[0] + 4096)).astype(np.int32) & 255
    columns = (u * np.float32(along) + np.float32(start[1] + 4096)).astype(np.int32) & 255
    return np.asarray(GRAIN[rows, columns])


def _step(x: Array) -> Array:
    """A soft step from 0 to 1 as x passes 0, about half a unit wide."""
    return np.asarray(np.clip(x * np.float32(2) + np.float32(0.5), 0, 1))


def _bars(u: Array, v: Array) -> Array:
    """Stripes across, bent towards the tip at the edges."""
    return _step(np.sin(2 * np.pi * (u + 0.35 * v * v)) - np.float32(0.1))


def _lattice(u: Array, v: Array) -> tuple[Array, Array]:
    """Offsets (du, dv) from the nearest point of a brick lattice of unit spacing."""
    row = np.rint(v)
    shifted = u + np.float32(0.5) * (row % np.float32(2))
    return shifted - np.rint(shifted), v - row


def _spots(u: Array, v: Array) -> Array:
    """Round dots on a brick lattice."""
    du, dv = _lattice(u, v)
    return _step((np.float32(0.31) - np.hypot(du, dv)) * 5)


def _scales(u: Array, v: Array) -> Array:
    """Crescents, the dark edges of rounded feathers that lie like roof tiles."""
    du, dv = _lattice(u, v * np.float32(1.15))
    reach = np.hypot(du + np.float32(0.25), dv * np.float32(1.1))
    return _step((reach - np.float32(0.47)) * 6)


def _streaks(u: Array, v: Array) -> Array:
    """Long drops along the feathers."""
    du, dv = _lattice(u * np.float32(0.55), v * np.float32(1.2))
    return _step((np.float32(0.2) - np.abs(dv) - np.float32(0.25) * du * du) * 6)


PATTERNS: dict[str, Callable[[Array, Array], Array]] = {
    "bars": _bars,
    "spots": _spots,
    "scales": _scales,
    "streaks": _streaks,
}


def rgb(name: str) -> Array:
    """A colour of the palette or of the mantles as sRGB 0..1, shape (3,)."""
    values = PALETTE[name] if name in PALETTE else MANTLES[name]
    return np.array(values, dtype=np.float32) / np.float32(255)


def mixed(base: Array, other: Array, amount: Array) -> Array:
    """Colours (h, w, 3): base where amount (h, w) is 0, other where it is 1."""
    return base + amount[..., None] * (other - base)


def patterned(look: Look, u: Array, v: Array, spacing: float) -> Array:
    """Ground colour and pattern (h, w, 3); `spacing` is the pattern's period in local units."""
    if look.pattern not in PATTERNS:  # "tips" and "plain" colour whole feathers or nothing
        return np.broadcast_to(rgb(look.colour), (*u.shape, 3))
    scale = np.float32(1 / spacing)
    amount = PATTERNS[look.pattern](u * scale, v * scale)
    return mixed(rgb(look.colour), rgb(look.accent), amount)


def coat(
    canvas: Canvas, shape: Shape, frame: Frame, colour: Array, rng: Rng, roundness: float
) -> Array:
    """Plumage lit as a rounded body.

    Args:
        canvas: gives the light.
        shape: where the plumage is.
        frame: u along the feathers.
        colour: sRGB (h, w, 3) or (3,).
        rng: picks the piece of grain.
        roundness: how far from the edge the surface bends, local units.

    Returns:
        Colours (h, w, 3).
    """
    u, v = shape.grid(frame)
    lit = shape.relief(max(4.0, roundness * frame.unit), canvas.light)
    lit = lit * (1 + np.float32(0.045) * grain(u, v, rng))
    return np.asarray(np.clip(colour * lit[..., None], 0, 1))


def bare(canvas: Canvas, shape: Shape, frame: Frame, colour: Array, gloss: float) -> Array:
    """Smooth horn or skin, lit as a rounded body: colours (h, w, 3).

    Args:
        canvas: gives the light.
        shape: where it is.
        frame: its unit measures the roundness.
        colour: sRGB (h, w, 3) or (3,).
        gloss: strength of the highlight, 0..1.
    """
    lit = shape.relief(max(4.0, 0.35 * frame.unit), canvas.light)[..., None]
    highlight = np.float32(gloss) * np.clip(lit - 1, 0, 1)
    return np.asarray(np.clip(colour * lit + highlight, 0, 1))


_TIPS = {
    "round": [(0.86, -0.46), (0.97, -0.28), (1.0, 0.0), (0.97, 0.28), (0.86, 0.46)],
    "point": [(0.70, -0.42), (0.88, -0.20), (1.0, 0.0), (0.88, 0.20), (0.70, 0.42)],
    "blunt": [(0.94, -0.48), (1.0, -0.36), (1.0, 0.0), (1.0, 0.36), (0.94, 0.48)],
}

# Outline of a feather of length and width 1 along the x axis, for each form of tip.
_VANES = {
    name: smooth([(0.0, -0.14), (0.35, -0.42), *tip, (0.35, 0.42), (0.0, 0.14)], 4)
    for name, tip in _TIPS.items()
}


def feather(
    canvas: Canvas,
    frame: Frame,
    size: tuple[float, float],
    look: Look,
    owner: int,
    tip: str = "round",
    spacing: float = 0.1,
) -> None:
    """Paint one feather along the frame's x axis.

    Args:
        canvas: what to paint on.
        frame: zero at the root.
        size: length and width, local units.
        look: colour and pattern; pattern "tips" gives the last quarter the accent.
        owner: which part this is.
        tip: "round", "point" or "blunt".
        spacing: period of the pattern, local units.
    """
    length, width = size
    shape = canvas.shape(frame.to_canvas(_VANES[tip] * size))
    if not shape.inside.any():
        return
    u, v = shape.grid(frame)
    colour = patterned(look, u, v, spacing)
    if look.pattern == "tips":
        reach = (u / np.float32(length) - np.float32(0.74)) * 12
        colour = mixed(colour, rgb(look.accent), _step(reach))
    across = v * np.float32(2 / width)  # -1..1
    barbs = np.sin((u + np.abs(v) * 0.9) * np.float32(170)) * np.float32(0.035)
    edge = np.clip(np.abs(across) - np.float32(0.62), 0, 1) * np.float32(0.9)
    shaft = np.float32(0.16) * (np.abs(across) < np.float32(0.09))
    shade = np.float32(1.06) + barbs + np.float32(0.10) * across - edge - shaft
    canvas.paint(shape, np.clip(colour * shade[..., None], 0, 1), owner)

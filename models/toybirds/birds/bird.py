"""The bird: its pose, its silhouette and the order in which its parts are painted."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .canvas import Canvas, Frame, Points, Shape, ellipse
from .head import beak, crest, eye
from .plumage import coat, rgb
from .scene import Scene
from .species import PARTS, SPECIES
from .trunk import belly, legs, tail, wing

OWNERS = {part: number for number, part in enumerate(PARTS, start=1)}
MANTLE = len(PARTS) + 1  # owner number of what is bird but no part

_LEG_LENGTHS = {"short": 0.15, "long": 0.36, "feathered": 0.2}
_HEAD = 0.168


@dataclass(frozen=True)
class Pose:
    """Where the bird's frames are.

    Attributes:
        body: zero at the body's centre, x towards the breast.
        head: zero at the head's centre, x towards the beak, unit the head's radius.
        feet: canvas x, y of the two feet.
        hips: canvas x, y of the two hips.
        stout: thickness of the body.
    """

    body: Frame
    head: Frame
    feet: tuple[tuple[float, float], tuple[float, float]]
    hips: tuple[tuple[float, float], tuple[float, float]]
    stout: float


def pose(scene: Scene, size: int) -> Pose:
    """Place the frames of a scene on a canvas of `size` sub-pixels."""
    unit = scene.unit * size
    origin = (size * (scene.place[0] + 0.05 * scene.mirror), size * scene.place[1])
    world = Frame(origin, 0.0, unit, scene.mirror)
    body = Frame(origin, -scene.pitch, unit, scene.mirror)
    base = _in_world(world, body, 0.2, -0.05)
    x = base[0] + scene.reach * np.cos(scene.neck)
    y = base[1] - scene.reach * np.sin(scene.neck)
    head = world.child(float(x), float(y), scene.gaze, _HEAD)
    length = _LEG_LENGTHS[SPECIES[scene.species].legs.shape]
    feet, hips = [], []
    for bx, step in ((0.02, 0.05), (-0.08, -0.03)):
        hx, hy = _in_world(world, body, bx, 0.16 * scene.stout)
        hips.append(_point(world, hx, hy))
        feet.append(_point(world, hx + step, 0.22 + length))
    return Pose(body, head, (feet[0], feet[1]), (hips[0], hips[1]), scene.stout)


def _in_world(world: Frame, body: Frame, x: float, y: float) -> tuple[float, float]:
    """A point of the body frame in the upright frame with the same origin."""
    c, s = np.cos(body.angle - world.angle), np.sin(body.angle - world.angle)
    return float(c * x - s * y), float(s * x + c * y)


def _point(frame: Frame, x: float, y: float) -> tuple[float, float]:
    px, py = frame.to_canvas(np.array([x, y]))
    return float(px), float(py)


def _silhouette(canvas: Canvas, stance: Pose) -> Shape:
    """Body, neck and head as one: circles along a smooth spine."""
    k = stance.stout
    nodes = [(-0.52, 0.02, 0.05), (-0.40, 0.01, 0.11 * k), (-0.2, 0.01, 0.185 * k),
             (0.0, 0.0, 0.232 * k), (0.15, -0.03, 0.222 * k)]  # fmt: skip
    spine = [(*stance.body.to_canvas(np.array([x, y])), r * stance.body.unit) for x, y, r in nodes]
    hx, hy = stance.head.origin
    cx, cy, cr = spine[-1]
    neck = 0.84 * stance.head.unit + 0.16 * cr
    spine += [(0.45 * cx + 0.55 * hx, 0.45 * cy + 0.55 * hy, neck), (hx, hy, stance.head.unit)]
    knots = np.linspace(0, len(spine) - 1, 48)
    x, y, r = (_natural(knots, np.array(column)) for column in zip(*spine, strict=True))
    return canvas.shape(*(ellipse(np.array(c), w, w) for *c, w in zip(x, y, r, strict=True)))


def _natural(t: Points, values: Points) -> Points:
    """Catmull-Rom interpolation of values (m,) at t in 0..m-1."""
    i = np.minimum(t.astype(int), len(values) - 2)
    before, after = 2 * values[:1] - values[1:2], 2 * values[-1:] - values[-2:-1]
    padded = np.concatenate([before, values, after])
    p0, p1, p2, p3 = (padded[i + j] for j in range(4))
    f = t - i
    cubic = 2 * p0 - 5 * p1 + 4 * p2 - p3 + f * (3 * (p1 - p2) + p3 - p0)
    return np.asarray(p1 + 0.5 * f * (p2 - p0 + f * cubic))


def paint_bird(canvas: Canvas, scene: Scene, stance: Pose, without: frozenset[str]) -> None:
    """Paint a bird from back to front, leaving out some of its parts."""
    looks = SPECIES[scene.species]
    body = _silhouette(canvas, stance)
    frame, head, rng, spread = stance.body, stance.head, scene.rng, scene.spread

    def mantle(owner: int) -> None:
        colour = coat(canvas, body, frame, rgb(scene.mantle), rng("bird"), 0.2)
        canvas.paint(body, colour, owner)

    steps: dict[str, Callable[[int], None]] = {
        "tail": lambda o: tail(canvas, frame, looks.tail, o, scene.tail, spread),
        "legs": lambda o: legs(canvas, frame, looks.legs, o, stance.hips, stance.feet),
        "mantle": mantle,
        "belly": lambda o: belly(canvas, frame, looks.belly, o, body, rng("belly")),
        "wing": lambda o: wing(canvas, frame, looks.wing, o, scene.droop, rng("wing")),
        "beak": lambda o: beak(canvas, head, looks.beak, o),
        "crest": lambda o: crest(canvas, head, looks.crest, o, body, rng("crest"), spread),
        "eye": lambda o: eye(canvas, head, looks.eye, o, body, rng("eye")),
    }
    for name, paint in steps.items():
        if name not in without:
            paint(OWNERS.get(name, MANTLE))

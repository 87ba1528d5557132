"""Where everything is painted: frames, smooth outlines, shapes, shading and the canvas.

Everything is painted on a grid `SUPERSAMPLING` times finer than the image, without
antialiasing, and averaged down at the end. Each sub-pixel therefore belongs to exactly one
owner, so the masks of the parts are exact, and leaving a part out changes no pixel in which it
does not show.

Symbols: (s, s) canvas in sub-pixels; (h, w) the box around a shape; points (m, 2) as x, y.
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

SUPERSAMPLING = 4

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """A local coordinate system on the canvas: turned, scaled, perhaps mirrored, moved.

    Attributes:
        origin: x and y of the local zero in sub-pixels.
        angle: where the local x axis points before mirroring, radians, clockwise (y is down).
        unit: length of one local unit in sub-pixels.
        mirror: -1.0 flips left and right, 1.0 does not.
    """

    origin: tuple[float, float]
    angle: float
    unit: float
    mirror: float

    def to_canvas(self, points: Points) -> Points:
        """Local points (..., 2) in canvas sub-pixels."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        x, y = points[..., 0], points[..., 1]
        turned = np.stack([self.mirror * (c * x - s * y), s * x + c * y], axis=-1)
        return np.asarray(turned * self.unit + self.origin)

    def to_local(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Canvas sub-pixels as local coordinates, the inverse of `to_canvas`."""
        c, s = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        dx = np.float32(self.mirror / self.unit) * (x - np.float32(self.origin[0]))
        dy = np.float32(1 / self.unit) * (y - np.float32(self.origin[1]))
        return c * dx + s * dy, c * dy - s * dx

    def child(self, x: float, y: float, angle: float = 0.0, unit: float = 1.0) -> "Frame":
        """A frame at the local point (x, y), turned by `angle`, `unit` times as large."""
        origin = self.to_canvas(np.array([x, y]))
        return Frame(
            (float(origin[0]), float(origin[1])),
            self.angle + angle,
            self.unit * unit,
            self.mirror,
        )


def smooth(points: list[tuple[float, float]], steps: int = 8) -> Points:
    """A closed Catmull-Rom curve through points (m, 2), as m * steps points."""
    p1 = np.asarray(points, dtype=np.float64)
    p0, p2, p3 = np.roll(p1, 1, axis=0), np.roll(p1, -1, axis=0), np.roll(p1, -2, axis=0)
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    curve = p1 + 0.5 * t * (
        p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0))
    )
    return curve.transpose(1, 0, 2).reshape(-1, 2)


def ellipse(centre: Points, rx: float, ry: float) -> Points:
    """An ellipse around a centre (2,): points (28, 2)."""
    turn = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    return np.stack([rx * np.cos(turn), ry * np.sin(turn)], axis=-1) + centre


@dataclass(frozen=True)
class Shape:
    """The sub-pixels inside some outlines.

    Attributes:
        left: column of the box's first sub-pixel on the canvas.
        top: row of the box's first sub-pixel on the canvas.
        inside: (h, w) true inside the outlines.
    """

    left: int
    top: int
    inside: Mask

    @property
    def window(self) -> tuple[slice, slice]:
        """The box as row and column slices of the canvas."""
        h, w = self.inside.shape
        return slice(self.top, self.top + h), slice(self.left, self.left + w)

    def grid(self, frame: Frame) -> tuple[Array, Array]:
        """Local coordinates of every sub-pixel of the box, each (h, w)."""
        h, w = self.inside.shape
        y, x = np.indices((h, w), dtype=np.float32)
        return frame.to_local(x + np.float32(self.left), y + np.float32(self.top))

    def clipped_to(self, other: "Shape") -> "Shape":
        """What of this shape lies inside the other one."""
        h, w = self.inside.shape
        inside = np.zeros_like(self.inside)
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom = min(self.top + h, other.top + other.inside.shape[0])
        right = min(self.left + w, other.left + other.inside.shape[1])
        if top < bottom and left < right:
            mine = np.s_[top - self.top : bottom - self.top, left - self.left : right - self.left]
            its = np.s_[
                top - other.top : bottom - other.top, left - other.left : right - other.left
            ]
            inside[mine] = self.inside[mine] & other.inside[its]
        return Shape(self.left, self.top, inside)

    def relief(self, radius: float, light: tuple[float, float]) -> Array:
        """Brightness (h, w) around 1 of the shape as if inflated and lit from one side.

        Args:
            radius: how far from its edge the surface bends, sub-pixels.
            light: x and y of the unit vector towards the light.

        Returns:
            Factor for the colours: over 1 on slopes that face the light, under 1 on others.
        """
        # A blurred mask is the height of the surface. A quarter of the resolution is enough.
        h, w = self.inside.shape
        pad = int(radius)
        small = (max(1, (w + 2 * pad) // 4), max(1, (h + 2 * pad) // 4))
        mask = Image.fromarray(np.pad(self.inside, pad).view(np.uint8) * np.uint8(255))
        soft = mask.resize(small, Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(radius / 8))
        height = np.pad(np.asarray(soft, dtype=np.float32) / 255, 1, mode="edge")
        slope_x = (height[1:-1, 2:] - height[1:-1, :-2]) * (radius / 8)
        slope_y = (height[2:, 1:-1] - height[:-2, 1:-1]) * (radius / 8)
        facing = -(slope_x * light[0] + slope_y * light[1])
        lit = Image.fromarray(1 + 0.95 * facing - 0.25 * (1 - height[1:-1, 1:-1]))
        full = lit.resize((w + 2 * pad, h + 2 * pad), Image.Resampling.BILINEAR)
        return np.asarray(full)[pad : pad + h, pad : pad + w]


class Canvas:
    """A square picture under work, in sub-pixels.

    Attributes:
        colour: (s, s, 3) float32 sRGB, 0..1.
        owner: (s, s) uint8, which part shows at a sub-pixel; 0 is none.
        light: x and y of the unit vector towards the light.
    """

    def __init__(self, backdrop: Array, light: tuple[float, float]) -> None:
        self.colour = backdrop
        self.owner = np.zeros(backdrop.shape[:2], dtype=np.uint8)
        self.light = light

    def shape(self, *outlines: Points) -> Shape:
        """The union of closed outlines, each (m, 2) in sub-pixels, cut off at the borders."""
        size = self.colour.shape[0]
        points = np.concatenate(outlines)
        left, top = (max(0, int(v)) for v in np.floor(points.min(axis=0)) - 1)
        right, bottom = (min(size, int(v)) for v in np.ceil(points.max(axis=0)) + 2)
        box = (max(0, right - left), max(0, bottom - top))
        if 0 in box:
            return Shape(0, 0, np.zeros((0, 0), dtype=np.bool_))
        picture = Image.new("L", box)
        draw = ImageDraw.Draw(picture)
        for outline in outlines:
            draw.polygon([tuple(p) for p in (outline - (left, top)).tolist()], fill=1)
        return Shape(left, top, np.asarray(picture).view(np.bool_))

    def paint(self, shape: Shape, colour: Array, owner: int) -> None:
        """Cover a shape.

        Args:
            shape: where.
            colour: sRGB 0..1, (h, w, 3) for every sub-pixel of the box or (3,) for all.
            owner: which part this is; 0 for what is no part.
        """
        np.copyto(self.colour[shape.window], colour, where=shape.inside[..., None])
        np.copyto(self.owner[shape.window], np.uint8(owner), where=shape.inside)

    def image(self) -> Array:
        """The picture at its final size: (s, s, 3) averaged down to (n, n, 3)."""
        rows = reduce(np.add, (self.colour[i::SUPERSAMPLING] for i in range(SUPERSAMPLING)))
        total = reduce(np.add, (rows[:, i::SUPERSAMPLING] for i in range(SUPERSAMPLING)))
        return np.asarray(total / np.float32(SUPERSAMPLING**2))

    def shown(self) -> NDArray[np.uint16]:
        """Which owners show in a pixel: (n, n), bit i set where owner i has a sub-pixel."""
        bits = np.left_shift(1, self.owner, dtype=np.uint16)
        rows = reduce(np.bitwise_or, (bits[i::SUPERSAMPLING] for i in range(SUPERSAMPLING)))
        parts = (rows[:, i::SUPERSAMPLING] for i in range(SUPERSAMPLING))
        return np.asarray(reduce(np.bitwise_or, parts))

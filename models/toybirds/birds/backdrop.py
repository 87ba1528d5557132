"""What is not bird: the blurred distance, branches, what the bird stands on, leaves before it.

Every backdrop carries distractors in the birds' own colours: feather-like leaves, berries and
blurred shapes. The unit of this module is the picture's side.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .canvas import SUPERSAMPLING, Array, Canvas, Frame, ellipse, smooth
from .plumage import Rng, bare, feather, grain, rgb
from .scene import Scene
from .species import PALETTE, Look

# Top, horizon and bottom of the distance, and the colours of its blurred shapes.
_DISTANCES = {
    "forest": ("6f8f5a 4f7146 33482f", "86a85c 5c7d3c 2f4427 a8b878 6b5a3c"),
    "sky": ("7fb0dc a9cdea d6e6ee", "f4f6f7 e3edf3 cfdde8 ffffff b9cfdf"),
    "lake": ("b4c8c8 7fa3a8 4c7480", "8fb3b4 5d8790 3f6470 a9b88a 6c7d52"),
    "meadow": ("cfdca4 a4b864 6f8a3c", "d9e07c 8fae4c 5f7f36 e8d9a0 c6b06c"),
    "autumn": ("d8b47c b07c48 6c4a34", "e0a04c b8682f 8c4a2c d9c06c 5c4030"),
    "snow": ("c2cede dfe6ee f2f5f8", "ffffff d3dce8 b4c2d2 e9eff5 8c9cae"),
    "town": ("a89c98 8a7c78 5e5654", "b88470 9c6452 cfc4b8 746c70 d8c8a4"),
    "desert": ("e6cfa8 d8ac74 b07c50", "f0dcb4 c8935c 9c6844 e2b98a 88705c"),
}


def _hex(text: str) -> Array:
    """Colours like "6f8f5a" as sRGB 0..1, shape (m, 3)."""
    values = [list(bytes.fromhex(word)) for word in text.split()]
    return np.array(values, dtype=np.float32) / np.float32(255)


def distance(scene: Scene, size: int) -> Array:
    """The blurred distance, (s, s, 3) sRGB 0..1 with s = size * SUPERSAMPLING."""
    rng = scene.rng("backdrop")
    stops, shapes = (_hex(text) for text in _DISTANCES[scene.backdrop])
    y = np.linspace(0, 1, 64)
    horizon = rng.uniform(0.35, 0.7)
    rows = np.stack([np.interp(y, [0, horizon, 1], stops[:, c]) for c in range(3)], axis=-1)
    small = np.broadcast_to(rows[:, None] * rng.uniform(0.85, 1.1), (64, 64, 3))
    picture = Image.fromarray((np.clip(small, 0, 1) * 255).astype(np.uint8)).resize((128, 128))
    for radius, number, reach in ((9.0, 8, 34.0), (4.0, 9, 22.0), (1.8, 6, 8.0)):
        _scatter(ImageDraw.Draw(picture), scene.backdrop, shapes, (number, reach), rng)
        picture = picture.filter(ImageFilter.GaussianBlur(radius * rng.uniform(0.8, 1.2)))
    full = (size * SUPERSAMPLING,) * 2
    return np.asarray(
        picture.resize(full, Image.Resampling.BILINEAR), dtype=np.float32
    ) / np.float32(255)


def _scatter(
    draw: ImageDraw.ImageDraw, kind: str, shapes: Array, crowd: tuple[int, float], rng: Rng
) -> None:
    """Draw shapes of a backdrop, some tinged with birds' colours; crowd is number and size."""
    birdlike = np.array(list(PALETTE.values()), dtype=np.float32) / 255
    number, reach = crowd
    for _ in range(number):
        own = shapes[rng.integers(len(shapes))]
        tinge = birdlike[rng.integers(len(birdlike))]
        mixture = own + (0.6 * (rng.random() < 0.35)) * (tinge - own)
        colour = tuple(int(v) for v in mixture * 255)
        x, y = rng.uniform(-10, 138, 2)
        w, h = rng.uniform(0.3, 1.0, 2) * reach
        if kind in ("lake", "desert", "snow"):
            draw.ellipse((x - 1.8 * w, y - 0.22 * h, x + 1.8 * w, y + 0.22 * h), fill=colour)
        elif kind == "meadow":
            lean = rng.uniform(-18, 18)
            draw.line((x, 140, x + lean, y), fill=colour, width=int(2 + w / 6))
        elif kind == "town":
            draw.rectangle((x - w / 2, y - h, x + w / 2, y + h), fill=colour)
        else:
            draw.ellipse((x - w, y - h, x + w, y + h), fill=colour)


def branches(canvas: Canvas, scene: Scene, feet: np.ndarray) -> None:
    """Paint twigs and leaves behind the bird and what it stands on.

    Args:
        canvas: what to paint on.
        scene: gives the seed and the backdrop.
        feet: canvas x, y of the feet, (2, 2).
    """
    rng = scene.rng("branches")
    size = canvas.colour.shape[0]
    for _ in range(rng.integers(1, 4)):
        start, end = rng.uniform(-0.1, 1.1, (2, 2)) * size
        _branch(canvas, start, end, rng.uniform(0.006, 0.016) * size, rng)
        _leaves(canvas, start, end, int(rng.integers(2, 6)), rng)
        for place in rng.uniform(0, 1, rng.integers(0, 4)):
            radius = rng.uniform(0.012, 0.024) * size
            _berry(canvas, start + place * (end - start) + (0, 1.5 * radius), radius, rng)
    _perch(canvas, feet, rng)


def _branch(canvas: Canvas, start: np.ndarray, end: np.ndarray, width: float, rng: Rng) -> None:
    """Paint a knotty branch that thins out from start to end."""
    t = np.linspace(0, 1, 14)[:, None]
    side = np.array([start[1] - end[1], end[0] - start[0]])
    side = side / np.linalg.norm(side)
    bend = rng.uniform(-1.5, 1.5) * width * np.sin(np.pi * t) + rng.normal(0, 0.1 * width, (14, 1))
    path = start + t * (end - start) + bend * side
    half = width * (1 - 0.45 * t) * rng.uniform(0.88, 1.12, (14, 1))
    shape = canvas.shape(np.concatenate([path + half * side, (path - half * side)[::-1]]))
    bark = _hex("6a5646 574638 7c6a58 8a8078")[rng.integers(4)]
    along = float(np.arctan2(end[1] - start[1], end[0] - start[0]))
    frame = Frame((float(start[0]), float(start[1])), along, canvas.colour.shape[0] * 0.25, 1.0)
    shade = 1 + np.float32(0.10) * grain(*shape.grid(frame), rng, 14, 60)
    round_ = Frame(frame.origin, along, 2.2 * width, 1.0)
    colour = bare(canvas, shape, round_, bark * shade[..., None], 0.0)
    canvas.paint(shape, colour, 0)


def _leaves(canvas: Canvas, start: np.ndarray, end: np.ndarray, number: int, rng: Rng) -> None:
    """Paint leaves along a branch; some are coloured and barred like plumage."""
    greens = ("olive", "teal", "gold")
    for place in rng.uniform(0, 1, number):
        colour = str(rng.choice(list(PALETTE) if rng.random() < 0.4 else greens))
        pattern = str(rng.choice(["plain", "plain", "bars", "spots", "tips"]))
        accent = str(rng.choice(list(PALETTE)))
        origin = start + place * (end - start)
        frame = Frame(
            (float(origin[0]), float(origin[1])),
            rng.uniform(0, 2 * np.pi),
            canvas.colour.shape[0] * 0.5,
            1.0,
        )
        size = (rng.uniform(0.18, 0.34), rng.uniform(0.07, 0.13))
        feather(canvas, frame, size, Look("leaf", colour, accent, pattern), 0, "point")


def _berry(canvas: Canvas, centre: np.ndarray, radius: float, rng: Rng) -> None:
    """Paint a berry: round, glossy, in any colour, easily taken for an eye."""
    colour = rgb(str(rng.choice(list(PALETTE))))
    shape = canvas.shape(ellipse(centre, radius, radius))
    frame = Frame((float(centre[0]), float(centre[1])), 0.0, 2.5 * radius, 1.0)
    canvas.paint(shape, bare(canvas, shape, frame, colour, 0.6), 0)
    spot = centre + 0.35 * radius * np.array(canvas.light)
    glint = canvas.shape(ellipse(spot, 0.28 * radius, 0.28 * radius))
    canvas.paint(glint, np.ones(3, np.float32), 0)


def _perch(canvas: Canvas, feet: np.ndarray, rng: Rng) -> None:
    """Paint a branch, a post or a stone under the feet."""
    size = canvas.colour.shape[0]
    x, y = feet.mean(axis=0)
    width = rng.uniform(0.022, 0.034) * size
    kind = rng.choice(["branch", "branch", "stone"])
    if kind == "branch":
        slope = rng.uniform(-0.12, 0.12)
        ends = np.array([[-0.15 * size, 0.0], [1.15 * size, 0.0]])
        ends[:, 1] = y + 0.75 * width + slope * (ends[:, 0] - x)
        if rng.random() < 0.5:
            ends = ends[::-1]
        _branch(canvas, ends[0], ends[1], width, rng)
        return
    half = rng.uniform(0.16, 0.3) * size
    points = [(-1.0, 0.9), (-0.8, 0.2), (-0.3, 0.0), (0.3, 0.0), (0.8, 0.25), (1.0, 0.9),
              (0.6, 3.0), (-0.6, 3.0)]  # fmt: skip
    outline = smooth(points) + rng.normal(0, 0.015, (64, 2))
    shape = canvas.shape(outline * (half, 0.14 * size) + (x, y))
    stone = _hex("8c8a86 76706a a09a90 6c7078")[rng.integers(4)]
    frame = Frame((float(x), float(y)), 0.0, 0.3 * size, 1.0)
    shade = 1 + np.float32(0.06) * grain(*shape.grid(frame), rng, 60, 60)
    canvas.paint(shape, bare(canvas, shape, frame, stone * shade[..., None], 0.0), 0)


def cover(canvas: Canvas, scene: Scene, centre: tuple[float, float]) -> None:
    """Paint leaves before the bird, whose centre is given in canvas x, y."""
    rng = scene.rng("cover")
    size = canvas.colour.shape[0]
    for _ in range(scene.cover):
        turn, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.12, 0.36) * size
        tip = np.array(centre) + far * np.array([np.cos(turn), np.sin(turn)])
        start = tip + 0.3 * size * np.array([np.cos(turn), np.sin(turn)])
        _branch(canvas, start, tip, 0.008 * size, rng)
        _leaves(canvas, start, tip, 3, rng)

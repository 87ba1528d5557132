"""From a scene to a picture and the truth about it."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .backdrop import branches, cover, distance
from .bird import OWNERS, paint_bird, pose
from .canvas import SUPERSAMPLING, Array, Canvas, Mask
from .scene import Scene
from .species import PARTS

# A part that shows in fewer pixels, at the default size, counts as hidden.
_LEAST_VISIBLE = 6
_DEFAULT_SIZE = 128


@dataclass(frozen=True)
class Sample:
    """A picture and the truth about it.

    Attributes:
        image: (size, size, 3) uint8 sRGB.
        label: the species.
        masks: for each part, (size, size), true where any of the part shows: exactly the
            pixels that can change when the part is left out.
        bird: (size, size), true where any of the bird shows.
        keypoints: for each part x, y in pixels, the middle of what shows of it moved to the
            nearest pixel that shows it, and whether enough of it shows to be called visible;
            x and y are NaN where it is not.
    """

    image: NDArray[np.uint8]
    label: str
    masks: dict[str, Mask]
    bird: Mask
    keypoints: dict[str, tuple[float, float, bool]]


def draw(scene: Scene, without: Collection[str] = (), size: int = _DEFAULT_SIZE) -> Sample:
    """Paint a scene.

    Args:
        scene: what to paint.
        without: names of parts to leave out; what is behind them then shows and every other
            pixel stays as it is.
        size: side of the picture in pixels.

    Returns:
        The picture with its masks and keypoints.

    Raises:
        ValueError: `without` names something that is no part.
    """
    unknown = sorted(set(without) - set(PARTS))
    if unknown:
        raise ValueError(f"without: expected names among {PARTS}, got {unknown}")
    light = (float(np.cos(scene.light)), -float(np.sin(scene.light)))
    canvas = Canvas(distance(scene, size), light)
    stance = pose(scene, size * SUPERSAMPLING)
    branches(canvas, scene, np.array(stance.feet))
    paint_bird(canvas, scene, stance, scene.missing | frozenset(without))
    cover(canvas, scene, stance.body.origin)
    shown = canvas.shown()
    masks = {part: (shown >> OWNERS[part]) & 1 == 1 for part in PARTS}
    least = _LEAST_VISIBLE * (size / _DEFAULT_SIZE) ** 2
    return Sample(
        image=_film(canvas.image(), scene),
        label=scene.species,
        masks=masks,
        bird=shown > 1,  # any owner but 0
        keypoints={part: _keypoint(mask, least) for part, mask in masks.items()},
    )


def _film(colour: Array, scene: Scene) -> NDArray[np.uint8]:
    """Light the picture as a whole, pixel by pixel: exposure, tint, side light and noise."""
    rng = scene.rng("film")
    n = colour.shape[0]
    y, x = np.indices((n, n), dtype=np.float32) / n - 0.5
    fall = x * np.float32(np.cos(scene.light)) - y * np.float32(np.sin(scene.light))
    tint = 1 + 0.07 * scene.warmth * np.array([1.0, 0.15, -1.0], dtype=np.float32)
    lit = colour * tint * (scene.exposure * (1 + 0.22 * fall))[..., None]
    noisy = lit + rng.normal(0, 0.012, lit.shape).astype(np.float32)
    return np.asarray(np.clip(noisy, 0, 1) * 255 + 0.5, dtype=np.uint8)


def _keypoint(mask: Mask, least: float) -> tuple[float, float, bool]:
    """The pixel of a mask nearest to its middle: x, y, visible."""
    y, x = np.nonzero(mask)
    if len(x) < least:
        return float("nan"), float("nan"), False
    nearest = np.argmin((x - x.mean()) ** 2 + (y - y.mean()) ** 2)
    return float(x[nearest]), float(y[nearest]), True

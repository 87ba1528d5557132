"""Heatmaps on photographs: where a prototype looked, in its colour.

People read a heatmap relative to its own peak, so that is how it is drawn; how much it counts is
the contribution's to say. Only evidence for the class is drawn: what speaks against it would look
the same. Symbols: h×w grid; height and width of the picture in pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from serving.drawing.palette import PAPER, WHITE, Colour

Strength = NDArray[np.float64]
Pixels = NDArray[np.float64]

LEVEL = 0.5
"""Share of the peak at which a region's outline is drawn."""

_GHOST = 0.02  # two bicubic dips, at most 1/8 each, multiply to evidence that is not there
_OPACITY = 0.86


def strength(heatmap: NDArray[np.floating], size: tuple[int, int]) -> Strength:
    """A heatmap's positive part relative to its peak, upsampled.

    Args:
        heatmap: (h, w), finite.
        size: (width, height), pixels.

    Returns:
        (height, width), 0 to 1; zero everywhere when nothing in the heatmap is positive.
    """
    positive = np.maximum(heatmap.astype(np.float64), 0.0)
    largest = positive.max()
    if largest == 0.0:
        return np.zeros(size[::-1])
    grid = Image.fromarray((positive / largest).astype(np.float32))
    pixels = np.asarray(grid.resize(size, Image.Resampling.BICUBIC), dtype=np.float64)
    # Bicubic dips below zero beside a peak and may pass one on it.
    return np.where(pixels < _GHOST, 0.0, np.minimum(pixels, 1.0))


def pale(image: Image.Image) -> Image.Image:
    """The image grey and light, so that a colour drawn on it is the only one."""
    # Stretching first keeps dark photographs from swallowing the colour.
    grey = ImageOps.autocontrast(image.convert("L"), cutoff=1)
    return Image.blend(grey.convert("RGB"), Image.new("RGB", image.size, PAPER), 0.5)


def tint(image: Image.Image, strength: Strength, colour: Colour) -> Image.Image:
    """The image in grey with a heatmap in one colour over it.

    Args:
        image: RGB photograph.
        strength: (height, width), 0 to 1: the colour's opacity.
        colour: The prototype's colour.

    Returns:
        RGB picture of the same size; grey where the strength is zero.
    """
    ground = np.asarray(pale(image), dtype=np.float64)
    # The colour keeps half of the photograph's light and shade, so the part stays visible.
    shaded = np.asarray(colour) * (0.5 + 0.5 * ground / 255.0)
    return _picture(_blend(ground, shaded, _OPACITY * strength))


def regions(image: Image.Image, parts: list[tuple[Strength, Colour]]) -> Image.Image:
    """The image in its own colours where a prototype looks, pale elsewhere, regions outlined.

    Args:
        image: RGB photograph.
        parts: Strength (height, width) and colour of each prototype, the last one on top.

    Returns:
        RGB picture of the same size.
    """
    seen = np.zeros(image.size[::-1])
    for part, _ in parts:
        seen = np.maximum(seen, np.clip((part - LEVEL) * 8.0 + 0.5, 0.0, 1.0))
    photograph = np.asarray(image, dtype=np.float64)
    pixels = _blend(np.asarray(pale(image), dtype=np.float64), photograph, seen)
    for part, colour in parts:
        distance = _distance_to_outline(part)
        pixels = _blend(pixels, np.asarray(WHITE), _stroke(distance, 9.0))
        pixels = _blend(pixels, np.asarray(colour), _stroke(distance, 5.0))
    return _picture(pixels)


def _distance_to_outline(strength: Strength) -> Strength:
    """Distance to the level line in pixels, first order: |s - level| / |gradient of s|."""
    slope = np.hypot(*np.gradient(strength)) if min(strength.shape) > 1 else np.zeros(1)
    return np.abs(strength - LEVEL) / np.maximum(slope, 1e-9)


def _stroke(distance: Strength, width: float) -> Strength:
    """Coverage of a pixel by a line of this width, 0 to 1: its edges are one pixel soft."""
    return np.clip(width / 2 + 0.5 - distance, 0.0, 1.0)


def _blend(under: Pixels, over: Pixels, opacity: Strength) -> Pixels:
    alpha = opacity[..., None]
    return under * (1.0 - alpha) + over * alpha


def _picture(pixels: Pixels) -> Image.Image:
    return Image.fromarray(np.rint(np.clip(pixels, 0.0, 255.0)).astype(np.uint8))

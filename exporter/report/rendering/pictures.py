"""Images inside the page: photographs, their pale grounds, heatmaps and crops, as data URIs.

A photograph is stored once in colour and once pale; each heatmap is a small veil in its prototype's
colour that the page lays over the pale one, so another prototype costs a kilobyte, not a picture.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.drawing.overlay import pale, strength
from serving.drawing.palette import Colour
from serving.model.preprocess import decode

VIEW = 256
"""Longer side of a photograph in the page, pixels; smaller views stay as they are."""

_VEIL = 48
_CROP = 96
_PHOTOGRAPH_QUALITY = 74
_PALE_QUALITY = 55
_CROP_QUALITY = 72


@dataclass(frozen=True)
class Picture:
    """One image of the page.

    Attributes:
        uri: Its data URI.
        width: Pixels.
        height: Pixels.
    """

    uri: str
    width: int
    height: int


def photograph(view: Image.Image) -> Picture:
    """What the network sees."""
    return _webp(_fitted(view), quality=_PHOTOGRAPH_QUALITY)


def ground(view: Image.Image) -> Picture:
    """What the network sees, pale: heatmaps are laid over it."""
    return _webp(pale(_fitted(view)), quality=_PALE_QUALITY)


def veil(heatmap: NDArray[np.floating], colour: Colour, size: tuple[int, int]) -> Picture:
    """A heatmap relative to its peak: one colour, its strength as opacity.

    Args:
        heatmap: (h, w).
        colour: The colour.
        size: (width, height) of the view; only its proportions count.
    """
    factor = _VEIL / max(size)
    small = (max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))
    alpha = np.rint(strength(heatmap, small) * 255.0).astype(np.uint8)
    picture = Image.new("RGB", small, colour)
    picture.putalpha(Image.fromarray(alpha))
    return _webp(picture, quality=80, alpha_quality=80, exact=True)


def crop(path: Path) -> Picture:
    """An evidence crop of the artifact.

    Raises:
        ImageError: It cannot be decoded.
    """
    tile = decode(path).resize((_CROP, _CROP), Image.Resampling.LANCZOS)
    return _webp(tile, quality=_CROP_QUALITY)


def _fitted(view: Image.Image) -> Image.Image:
    factor = VIEW / max(view.size)
    if factor >= 1:
        return view
    size = (max(1, round(view.width * factor)), max(1, round(view.height * factor)))
    return view.resize(size, Image.Resampling.LANCZOS)


def _webp(image: Image.Image, **options: int | bool) -> Picture:
    content = io.BytesIO()
    image.save(content, "WEBP", method=6, **options)
    text = base64.b64encode(content.getvalue()).decode()
    return Picture(f"data:image/webp;base64,{text}", image.width, image.height)

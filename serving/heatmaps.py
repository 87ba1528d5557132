"""Heatmaps as answers carry them: numbers, pictures, or nothing."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.overlay import strength
from serving.palette import prototype_colour
from serving.schema import HeatmapOptions

Draw = Callable[[int, NDArray[np.float32]], NDArray[np.float32] | str | None]
"""From a prototype's number and its heatmap (h, w) to what the answer holds of it."""


def drawer(options: HeatmapOptions, *, width: int, height: int) -> Draw:
    """How heatmaps are returned.

    Args:
        options: What the client asked for.
        width: Of the view, pixels.
        height: Of the view, pixels.
    """
    if options.heatmaps == "none":
        return lambda _number, _heatmap: None
    if options.heatmaps == "values":
        return lambda _number, heatmap: heatmap
    size = drawn_size(options, width=width, height=height)
    return lambda number, heatmap: _png(number, heatmap, size)


def drawn_size(options: HeatmapOptions, *, width: int, height: int) -> tuple[int, int]:
    """Width and height of a drawn heatmap, pixels, for a view of the size given."""
    longer = max(width, height)
    factor = (options.upsample or longer) / longer
    return max(1, round(width * factor)), max(1, round(height * factor))


def _png(number: int, heatmap: NDArray[np.float32], size: tuple[int, int]) -> str:
    """The prototype's colour, with its strength as opacity, as a data URL."""
    alpha = np.rint(strength(heatmap, size) * 255.0).astype(np.uint8)
    picture = Image.new("RGB", size, prototype_colour(number))
    picture.putalpha(Image.fromarray(alpha))
    content = io.BytesIO()
    picture.save(content, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()

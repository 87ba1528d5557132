"""The training crops that show what a prototype looks like.

Symbols: n images, k prototypes, h×w grid.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.artifact import Preprocessing
from serving.model.preprocess import Box, decode, make_view

CROPS = 5
"""Crops kept for each prototype."""

_SIDE = 72 / 224
"""Side of a crop over the short side of the input: the box of EvalProtoPNet (ICCV 2023)."""

_PIXELS = 128
_QUALITY = 85


@dataclass(frozen=True)
class Crop:
    """One crop of a training image.

    Attributes:
        jpeg: Its bytes, a square JPEG.
        path: The training image.
        value: Activation at the peak, logit units.
        box: (left, top, right, bottom) in pixels of the upright original image.
    """

    jpeg: bytes
    path: Path
    value: float
    box: Box


def best_crops(
    activations: NDArray[np.floating],
    paths: tuple[Path, ...],
    preprocessing: Preprocessing,
) -> list[list[Crop]]:
    """Crop the images where each prototype is most active, one crop of an image.

    Args:
        activations: (n, k, h, w), the heatmaps of one class's images, logit units.
        paths: The n images.
        preprocessing: How they became input tensors.

    Returns:
        For each of the k prototypes its crops, best first; fewer than :data:`CROPS` where there
        are fewer images.
    """
    n, k, h, w = activations.shape
    flat = activations.reshape(n, k, h * w)
    peaks = flat.max(axis=2)  # (n, k)
    cells = flat.argmax(axis=2)  # (n, k), the first of equal ones
    # A stable sort: equal peaks keep the order of the names.
    best = np.argsort(-peaks, axis=0, kind="stable")[:CROPS]  # (crops, k)
    return [
        [
            _crop(
                paths[image],
                divmod(int(cells[image, prototype]), w),
                (h, w),
                float(peaks[image, prototype]),
                preprocessing,
            )
            for image in best[:, prototype]
        ]
        for prototype in range(k)
    ]


def _crop(
    path: Path,
    cell: tuple[int, int],
    grid: tuple[int, int],
    value: float,
    preprocessing: Preprocessing,
) -> Crop:
    original = decode(path)
    view = make_view(original, preprocessing)
    box = view.to_original(crop_box(cell, grid, view.image.size))
    tile = original.crop(box).resize((_PIXELS, _PIXELS), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    tile.save(buffer, "JPEG", quality=_QUALITY)
    return Crop(jpeg=buffer.getvalue(), path=path, value=value, box=box)


def crop_box(cell: tuple[int, int], grid: tuple[int, int], size: tuple[int, int]) -> Box:
    """The square around a cell of the grid, moved to lie inside the view.

    Args:
        cell: (row, column) of the grid.
        grid: (h, w).
        size: (width, height) of the view, pixels.

    Returns:
        (left, top, right, bottom) in pixels of the view.
    """
    width, height = size
    side = max(1, round(_SIDE * min(size)))
    x = (cell[1] + 0.5) * width / grid[1]
    y = (cell[0] + 0.5) * height / grid[0]
    left = min(max(0, round(x - side / 2)), width - side)
    top = min(max(0, round(y - side / 2)), height - side)
    return left, top, left + side, top + side

"""The training crops that show what a prototype looks like, and small whole images around them.

Symbols: n images, k prototypes, h×w grid.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
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

CONTEXT_SIDE = 320
"""Pixels of the longer side of a whole image, at most."""

_PIXELS = 128
_QUALITY = 85
_DIGITS = 6  # of a fraction: a hundredth of a pixel of the largest image

Fractions = tuple[float, float, float, float]


@dataclass(frozen=True)
class Context:
    """The whole training image that a crop is of, made small.

    Attributes:
        jpeg: Its bytes, upright.
        first: (prototype, rank) of the first crop of this image, which it is named after.
        box: Where the crop is: (left, top, right, bottom) as fractions of width and height.
    """

    jpeg: bytes
    first: tuple[int, int]
    box: Fractions


@dataclass(frozen=True)
class Crop:
    """One crop of a training image.

    Attributes:
        jpeg: Its bytes, a square JPEG.
        path: The training image.
        value: Activation at the peak, logit units.
        box: (left, top, right, bottom) in pixels of the upright original image.
        context: The whole image, where it is kept.
    """

    jpeg: bytes
    path: Path
    value: float
    box: Box
    context: Context | None = None


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
    return Crop(jpeg=_jpeg(tile), path=path, value=value, box=box)


def with_contexts(crops: list[list[Crop]]) -> list[list[Crop]]:
    """The same crops with the whole images around them; those of one image share one.

    Args:
        crops: Of each prototype of one class, best first.
    """
    small: dict[Path, tuple[bytes, tuple[int, int], tuple[int, int]]] = {}
    found: list[list[Crop]] = []
    for prototype, own in enumerate(crops):
        found.append([])
        for rank, crop in enumerate(own):
            if crop.path not in small:
                original = decode(crop.path)
                small[crop.path] = _jpeg(_made_small(original)), (prototype, rank), original.size
            jpeg, first, size = small[crop.path]
            found[-1].append(
                replace(crop, context=Context(jpeg, first, _fractions(crop.box, size)))
            )
    return found


def _made_small(image: Image.Image) -> Image.Image:
    factor = CONTEXT_SIDE / max(image.size)
    if factor >= 1:
        return image
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _fractions(box: Box, size: tuple[int, int]) -> Fractions:
    """A box in pixels as fractions; one that reaches over the edge, as of padding, is cut there."""
    left, top, right, bottom = (
        round(min(max(place / size[axis % 2], 0.0), 1.0), _DIGITS) for axis, place in enumerate(box)
    )
    return left, top, right, bottom


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


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

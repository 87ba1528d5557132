"""Pictures changed before the network sees them: with noise, mirrored, or moved by a cell.

The noise is that of stability (Huang et al., ICCV 2023, EvalProtoPNet): N(0, 0.2), clipped to 0.25,
added after normalisation. They normalise by ImageNet's deviation of each channel; a model with
another normalisation gets the same noise in pixels.

Symbols: n images, h×w grid of the feature map, H×W view. Tensors are (n, channels, H, W), or
channels last where the layout says so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serving.artifact import Preprocessing
from serving.artifact.layout import ImageLayout, image_axes, image_shape

Tensors = NDArray[np.float32]

DEVIATION = 0.2
"""How far the noise deviates, in units of ImageNet's deviation."""

LIMIT = 0.25
"""The largest noise, in the same units."""

IMAGENET = {"R": 0.229, "G": 0.224, "B": 0.225, "L": 0.226}
"""ImageNet's deviation by channel, in shares of the range of pixels; of grey the mean of three."""

CELLS = 1
"""How far a picture is moved, right as well as down."""


def noisy(
    tensors: Tensors, preprocessing: Preprocessing, generator: np.random.Generator
) -> Tensors:
    """Add noise to input tensors.

    Args:
        tensors: (n, channels, H, W) or channels last, as the preprocessing says.
        preprocessing: The artifact's: how far one step of a pixel moves the tensor.
        generator: Where the noise is drawn from.

    Returns:
        The same shape, float32.
    """
    noise = generator.normal(0.0, DEVIATION, tensors.shape)
    # A step over the whole range of pixels moves the tensor by 255 * scale / std.
    deviations = np.array([IMAGENET[channel] for channel in preprocessing.channels])
    factor = deviations * 255 * preprocessing.scale / np.asarray(preprocessing.std)
    factor = factor.reshape(image_shape(preprocessing.layout, len(factor), (1, 1)))
    changed: Tensors = tensors + np.clip(noise, -LIMIT, LIMIT) * factor
    return changed.astype(np.float32)


def mirrored(tensors: Tensors, layout: ImageLayout) -> Tensors:
    """Mirror pictures left to right; shape and layout stay."""
    _, columns = image_axes(layout)
    return np.ascontiguousarray(np.flip(tensors, columns))


def shifted(tensors: Tensors, layout: ImageLayout, grid: tuple[int, int]) -> Tensors:
    """Move pictures right and down by :data:`CELLS` of a grid (h, w); the edge is repeated."""
    moved = tensors
    for axis, cells in zip(image_axes(layout), grid, strict=True):
        length = tensors.shape[axis]
        source = np.maximum(np.arange(length) - round(CELLS * length / cells), 0)
        moved = moved.take(source, axis=axis)
    return np.ascontiguousarray(moved)

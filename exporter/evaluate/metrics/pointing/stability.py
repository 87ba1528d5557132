"""Stability: does a prototype point at the same parts when the image gets a little noise?

Huang et al., ICCV 2023 (EvalProtoPNet), and the paper's Table 2: the share of images and
prototypes whose vector of hit parts stays the same under noise N(0, 0.2), clipped to 0.25, added
after normalisation. They normalise by ImageNet's deviation of each channel; a model with another
normalisation gets the same noise in pixels.

Symbols: n images, k prototypes, q parts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serving.artifact import Preprocessing
from serving.artifact.layout import image_shape

DEVIATION = 0.2
"""Of the noise, in units of ImageNet's deviation."""

LIMIT = 0.25
"""Largest noise, likewise."""

IMAGENET = {"R": 0.229, "G": 0.224, "B": 0.225, "L": 0.226}
"""Its deviation by channel, in shares of the range of pixels; of grey the mean of the three."""


def stability(hits: NDArray[np.bool_], noisy_hits: NDArray[np.bool_]) -> float:
    """The share of equal part vectors, 0 to 1.

    Args:
        hits: (n, k, q) on the images.
        noisy_hits: (n, k, q) on the same images with noise.
    """
    return float((hits == noisy_hits).all(axis=2).mean())


def noisy(
    tensors: NDArray[np.float32], preprocessing: Preprocessing, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Input tensors with noise.

    Args:
        tensors: (n, channels, height, width) or channels last, as the preprocessing says.
        preprocessing: The artifact's: how far one step of a pixel moves the tensor.
        generator: Of the noise.
    """
    noise = generator.normal(0.0, DEVIATION, tensors.shape)
    # A step over the whole range of pixels moves the tensor by 255 * scale / std.
    deviations = np.array([IMAGENET[channel] for channel in preprocessing.channels])
    factor = deviations * 255 * preprocessing.scale / np.asarray(preprocessing.std)
    factor = factor.reshape(image_shape(preprocessing.layout, len(factor), (1, 1)))
    shifted: NDArray[np.float32] = tensors + np.clip(noise, -LIMIT, LIMIT) * factor
    return shifted.astype(np.float32)

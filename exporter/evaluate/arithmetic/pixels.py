"""Pictures as the network takes them, whatever their layout, and the probability it gives.

Symbols: n images, c classes, H×W view.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from serving.artifact.layout import ImageLayout, channel_axis, image_axes
from serving.drawing.peaks import Floats

Value = TypeVar("Value", bound=np.generic)
LogitsOf = Callable[[NDArray[np.float32]], Floats]
"""Runs the network: tensors (n, ...) to logits (n, c)."""


def view_size(tensors: NDArray[np.float32], layout: ImageLayout) -> tuple[int, int]:
    """Height and width of tensors (n, ...)."""
    rows, columns = image_axes(layout)
    return tensors.shape[rows], tensors.shape[columns]


def over_channels(masks: NDArray[Value], layout: ImageLayout) -> NDArray[Value]:
    """Masks (n, H, W) with an axis for the channels."""
    return np.expand_dims(masks, channel_axis(layout))


def class_probability(
    logits: Floats, class_id: int, change: float | NDArray[np.float64] = 0.0
) -> NDArray[np.float64]:
    """The softmax at one class.

    Args:
        logits: (n, c).
        class_id: The class.
        change: A number or (n,), added to the logit of the class before.

    Returns:
        (n,), 0 to 1.
    """
    changed = np.array(logits, dtype=np.float64)
    changed[:, class_id] += change
    return np.asarray(softmax(changed, axis=1)[:, class_id])

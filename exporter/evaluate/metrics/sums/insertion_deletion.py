"""Insertion and deletion: does the probability follow what the explanation calls important?

Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018.
Take away what is most important first and the probability of the class should fall early (a small
area under the deletion curve); put it back first and it should rise early (a large area under the
insertion curve). Areas are by the trapezoid rule over shares of what is taken, 0 to 1.

Over prototypes it is exact and runs no network: prototype i muted takes c_i from the class's logit
f and leaves every other logit, so with the contributions in descending order

    deletion_j  = softmax(f - c_1 - .. - c_j)
    insertion_j = softmax(f - c_1 - .. - c_k + c_1 + .. + c_j)

Over pixels the class map is upsampled and its pixels, largest first and ties row by row, are
replaced by the image's mean colour (deletion), or put into its blurred copy (insertion). Petsiuk et
al. delete to the mean colour of ImageNet; see mean_colour and blurred.

Symbols: n images, k prototypes, c classes, h×w grid, H×W view, j steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import softmax

from serving.artifact.layout import ImageLayout, channel_axis, image_axes
from serving.drawing.peaks import Floats, upsample

Value = TypeVar("Value", bound=np.generic)
LogitsOf = Callable[[NDArray[np.float32]], Floats]
"""Runs the network: tensors (n, ...) to logits (n, c)."""

_BLUR = 5 / 224
"""Petsiuk et al.'s deviation of the blur over the short side of the input."""


@dataclass(frozen=True)
class Curves:
    """The probability of the class, averaged over images.

    Attributes:
        deletion: (j + 1,), from the whole to nothing, the most important taken first.
        insertion: (j + 1,), from nothing to the whole, the most important put in first.
    """

    deletion: NDArray[np.float64]
    insertion: NDArray[np.float64]

    @property
    def deletion_area(self) -> float:
        """Area under the deletion curve, 0 to 1; the smaller the better."""
        return _area(self.deletion)

    @property
    def insertion_area(self) -> float:
        """Area under the insertion curve, 0 to 1; the larger the better."""
        return _area(self.insertion)


def prototype_curves(contributions: Floats, logits: Floats, class_id: int) -> Curves | None:
    """The curves over the prototypes of a class.

    Args:
        contributions: (n, k), of the class.
        logits: (n, c).
        class_id: The class.

    Returns:
        Curves of k + 1 points; None without images.
    """
    if not len(logits):
        return None
    ordered = -np.sort(-np.asarray(contributions, dtype=np.float64), axis=1)
    taken = np.cumsum(np.pad(ordered, ((0, 0), (1, 0))), axis=1)  # (n, k + 1)
    deletion = [_probability(logits, class_id, -column) for column in taken.T]
    insertion = [_probability(logits, class_id, column) for column in (taken - taken[:, -1:]).T]
    return Curves(np.mean(deletion, axis=1), np.mean(insertion, axis=1))


def pixel_curves(
    tensors: NDArray[np.float32],
    maps: Floats,
    logits_of: LogitsOf,
    class_id: int,
    *,
    deleted_to: NDArray[np.float32],
    inserted_into: NDArray[np.float32],
    steps: int = 16,
    layout: ImageLayout = "NCHW",
) -> Curves | None:
    """The curves over the pixels; the network runs 2 (steps + 1) times an image.

    Args:
        tensors: (n, channels, H, W), or channels last as the layout says.
        maps: (n, h, w), the class map that orders the pixels.
        logits_of: Runs the network, on steps + 1 tensors at a time.
        class_id: The class.
        deleted_to: What a deleted pixel becomes; of a shape that broadcasts to the tensors.
        inserted_into: The images that pixels are put into, likewise.
        steps: Points after the first, 1 or more.
        layout: Of the tensors.

    Returns:
        Curves of steps + 1 points; None without images.
    """
    if not len(tensors):
        return None
    size = view_size(tensors, layout)
    shares = np.arange(steps + 1) / steps
    cuts = np.round(shares * size[0] * size[1]).reshape(-1, 1, 1)  # pixels taken
    curves = np.zeros((2, steps + 1))
    grounds = (np.broadcast_to(ground, tensors.shape) for ground in (deleted_to, inserted_into))
    for tensor, grey, blur, heatmap in zip(tensors, *grounds, maps, strict=True):
        taken = over_channels(_ranks(upsample(heatmap, size)) < cuts, layout)
        for curve, (inside, rest) in zip(curves, ((grey, tensor), (tensor, blur)), strict=True):
            logits = logits_of(np.where(taken, inside, rest))
            curve += class_probability(logits, class_id)
    deletion, insertion = curves / len(tensors)
    return Curves(deletion, insertion)


def blurred(tensors: NDArray[np.float32], layout: ImageLayout = "NCHW") -> NDArray[np.float32]:
    """The baseline of insertion: the images without their details.

    Args:
        tensors: (n, channels, H, W), or channels last.
        layout: Of the tensors.
    """
    sigma = _BLUR * min(view_size(tensors, layout))
    found = gaussian_filter(tensors, sigma, axes=image_axes(layout))
    return np.asarray(found, dtype=np.float32)


def mean_colour(tensors: NDArray[np.float32], layout: ImageLayout = "NCHW") -> NDArray[np.float32]:
    """The baseline of deletion: each image's mean colour, of a shape that broadcasts.

    Args:
        tensors: (n, channels, H, W), or channels last.
        layout: Of the tensors.
    """
    return np.asarray(tensors.mean(axis=image_axes(layout), keepdims=True))


def class_probability(logits: Floats, class_id: int) -> NDArray[np.float64]:
    """The softmax of logits (n, c) at one class, (n,)."""
    return _probability(logits, class_id, 0.0)


def view_size(tensors: NDArray[np.float32], layout: ImageLayout) -> tuple[int, int]:
    """Height and width of tensors (n, ...)."""
    rows, columns = image_axes(layout)
    return tensors.shape[rows], tensors.shape[columns]


def over_channels(masks: NDArray[Value], layout: ImageLayout) -> NDArray[Value]:
    """Masks (n, H, W) with an axis for the channels."""
    return np.expand_dims(masks, channel_axis(layout))


def _probability(
    logits: Floats, class_id: int, change: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    changed = np.array(logits, dtype=np.float64)
    changed[:, class_id] += change
    return np.asarray(softmax(changed, axis=1)[:, class_id])


def _ranks(heatmap: Floats) -> NDArray[np.intp]:
    """The place of each pixel (H, W) in descending order, from 0."""
    order = np.argsort(-heatmap, axis=None, kind="stable")
    ranks = np.empty(heatmap.size, dtype=np.intp)
    ranks[order] = np.arange(heatmap.size)
    return ranks.reshape(heatmap.shape)


def _area(curve: NDArray[np.float64]) -> float:
    return float(np.trapezoid(curve) / (len(curve) - 1))

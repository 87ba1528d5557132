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

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from exporter.evaluate.arithmetic.pixels import (
    LogitsOf,
    class_probability,
    over_channels,
    view_size,
)
from exporter.evaluate.trial.case import Case, Need
from exporter.evaluate.trial.metric import Metric, Value
from exporter.evaluate.trial.runs import Runs
from serving.artifact.layout import ImageLayout, image_axes
from serving.drawing.peaks import Floats, upsample

_BLUR = 5 / 224
"""Petsiuk et al.'s deviation of the blur over the short side of the input."""

_STEPS = 16
"""Points of the curves over pixels after the first."""


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
    deletion = [class_probability(logits, class_id, -column) for column in taken.T]
    missing = taken - taken[:, -1:]  # (n, k + 1)
    insertion = [class_probability(logits, class_id, column) for column in missing.T]
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
        layout: Where the tensors have their channels.

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
        layout: Where the tensors have their channels.
    """
    sigma = _BLUR * min(view_size(tensors, layout))
    found = gaussian_filter(tensors, sigma, axes=image_axes(layout))
    return np.asarray(found, dtype=np.float32)


def mean_colour(tensors: NDArray[np.float32], layout: ImageLayout = "NCHW") -> NDArray[np.float32]:
    """The baseline of deletion: each image's mean colour, of a shape that broadcasts.

    Args:
        tensors: (n, channels, H, W), or channels last.
        layout: Where the tensors have their channels.
    """
    return np.asarray(tensors.mean(axis=image_axes(layout), keepdims=True))


def _ranks(heatmap: Floats) -> NDArray[np.intp]:
    """The place of each pixel (H, W) in descending order, from 0."""
    order = np.argsort(-heatmap, axis=None, kind="stable")
    ranks = np.empty(heatmap.size, dtype=np.intp)
    ranks[order] = np.arange(heatmap.size)
    return ranks.reshape(heatmap.shape)


def _area(curve: NDArray[np.float64]) -> float:
    return float(np.trapezoid(curve) / (len(curve) - 1))


def _over_prototypes(case: Case) -> Curves | None:
    return prototype_curves(case.contributions, case.trial.logits, case.trial.index)


def _over_pixels(case: Case) -> Curves | None:
    """Methods of the same sum have the same class map, which is measured once."""
    row = case.method.row
    if row is None:
        return _pixel_curves_of(case)
    return case.runs.once_for_row(_over_pixels, row, lambda: _pixel_curves_of(case))


def _pixel_curves_of(case: Case) -> Curves | None:
    runs = case.runs
    grey, blur = runs.once(_grounds)
    return pixel_curves(
        runs.tensors,
        case.ranking[: runs.count],
        runs.logits,
        case.trial.index,
        deleted_to=grey,
        inserted_into=blur,
        steps=_STEPS,
        layout=runs.layout,
    )


def _grounds(runs: Runs) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return mean_colour(runs.tensors, runs.layout), blurred(runs.tensors, runs.layout)


def _deleted(curves: Curves | None) -> Value:
    return None if curves is None else curves.deletion_area


def _inserted(curves: Curves | None) -> Value:
    return None if curves is None else curves.insertion_area


_RISE = "Petsiuk et al., BMVC 2018 (RISE)"

METRICS = (
    Metric(
        name="prototype_deletion",
        title="Prototype deletion",
        better="lower",
        meaning="area under the probability as prototypes are muted, largest first",
        source=f"after {_RISE}",
        blind="Prototypes that cancel look good, as one of them holds more than the whole: read it "
        "with the sum of norms.",
        needs=(Need.ROW, Need.SOFTMAX),
        measure=lambda case: _deleted(case.once(_over_prototypes)),
    ),
    Metric(
        name="prototype_insertion",
        title="Prototype insertion",
        better="higher",
        meaning="the same, from none to all",
        source=f"after {_RISE}",
        blind="Prototypes that cancel look good here too, as the first of them lifts the class "
        "above its own logit.",
        needs=(Need.ROW, Need.SOFTMAX),
        measure=lambda case: _inserted(case.once(_over_prototypes)),
    ),
    Metric(
        name="pixel_deletion",
        title="Pixel deletion",
        better="lower",
        meaning="area under the probability as the hottest pixels turn grey",
        source=_RISE,
        blind="It sees only the sum of the heatmaps, which is the same for every exact split of a "
        "row, and pictures with grey holes are none that the network has learned.",
        needs=(Need.SOFTMAX, Need.MANY_RUNS),
        measure=lambda case: _deleted(case.once(_over_pixels)),
    ),
    Metric(
        name="pixel_insertion",
        title="Pixel insertion",
        better="higher",
        meaning="area under the probability as the hottest pixels are put into a blurred image",
        source=_RISE,
        blind="It sees only the sum of the heatmaps, and a network that knows the blurred picture "
        "leaves little to put in.",
        needs=(Need.SOFTMAX, Need.MANY_RUNS),
        measure=lambda case: _inserted(case.once(_over_pixels)),
    ),
)

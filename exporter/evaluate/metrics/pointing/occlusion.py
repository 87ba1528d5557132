"""Occlusion: does a part vanish with the place it points at, and do the others stay?

The hottest cells of the heatmap of one prototype, a fifth of the picture (3 x 3 cells of a 7 x 7
grid), are blurred away and the network is run again. With c the contributions before and c' after,
over the images and prototypes that count for the class (c_i > 0),

    own    = sum (c_i - c'_i) / sum c_i              others = sum_(j != i) (c_j - c'_j) / sum c_i
    logit  = sum of all (c_j - c'_j) / sum of all c_j

Beside them own at as many cells drawn at random: what any hole in the picture takes. It follows
Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, who occlude a
patch and look at the class; here each prototype is held to its own place. It needs no annotation.

Symbols: n images, k prototypes, h×w grid, p = h * w, H×W view.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from exporter.evaluate.arithmetic.pixels import over_channels, view_size
from exporter.evaluate.trial.case import Case, Need
from exporter.evaluate.trial.metric import Metric
from exporter.evaluate.trial.runs import Runs
from serving.artifact.layout import image_axes

AREA = 9 / 49
"""Of the picture, what is blurred away."""

BLUR = 1 / 8
"""The deviation of the blur, over the short side: nothing is left to recognise."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Losses:
    """What is lost with the place of a prototype, in shares; None where nothing counts.

    Attributes:
        own: Of the prototype itself.
        others: Of the others, over what the prototype was.
        logit: Of the class's evidence.
        random: Of the prototype itself with random cells.
    """

    own: float | None
    others: float | None
    logit: float | None
    random: float | None


def hottest(heatmaps: Floats) -> NDArray[np.bool_]:
    """The hottest cells of heatmaps (..., h, w), :data:`AREA` of each."""
    flat = heatmaps.reshape(*heatmaps.shape[:-2], -1)
    count = max(1, round(AREA * flat.shape[-1]))
    order = np.argsort(-flat, axis=-1, kind="stable")[..., :count]
    found = np.zeros(flat.shape, dtype=bool)
    np.put_along_axis(found, order, True, axis=-1)
    return found.reshape(heatmaps.shape)


def losses(before: Floats, after: Floats, at_random: Floats) -> Losses:
    """What blurring the place of each prototype takes.

    Args:
        before: c, (n, k).
        after: c', (n, k, k): of all prototypes, the last axis, with the place of one blurred away.
        at_random: (n, k), of each prototype with random cells blurred away.
    """
    count = before.shape[1]
    counts = before > 0
    whole = float(before[counts].sum())
    lost = (before[:, None] - after).astype(np.float64)  # (n, k, k)
    own = np.diagonal(lost, axis1=1, axis2=2)
    total = np.broadcast_to(before.sum(axis=1, keepdims=True), before.shape)[counts].sum()
    if not whole > 0 or not total > 0:
        return Losses(None, None, None, None)
    everything = lost.sum(axis=2)[counts].sum()
    return Losses(
        own=float(own[counts].sum() / whole),
        others=float((lost.sum(axis=2) - own)[counts].sum() / whole) if count > 1 else None,
        logit=float(everything / total),
        random=float((before - at_random)[counts].sum() / whole),
    )


def _measured(case: Case) -> Losses:
    runs = case.runs
    heatmaps = case.heatmaps[: runs.count]
    count, k, *grid = heatmaps.shape
    generator = np.random.default_rng(runs.seed)
    drawn = generator.random((count, 1, *grid), dtype=np.float32)
    cells = np.concatenate([hottest(heatmaps), hottest(drawn)], axis=1)  # (n, k + 1, h, w)
    blurred = runs.once(_blurred)
    found = []
    for tensor, blur, masks in zip(runs.tensors, blurred, cells, strict=True):
        holes = over_channels(_enlarged(masks, view_size(runs.tensors, runs.layout)), runs.layout)
        maps = runs.maps(np.where(holes, blur, tensor))
        found.append(case.heatmaps_of(maps).mean(axis=(2, 3)))
    after = np.stack(found)  # (n, k + 1, k)
    return losses(case.contributions[: runs.count], after[:, :k], after[:, k])


def _blurred(runs: Runs) -> Floats:
    sigma = BLUR * min(view_size(runs.tensors, runs.layout))
    return np.asarray(gaussian_filter(runs.tensors, sigma, axes=image_axes(runs.layout)))


def _enlarged(cells: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Cells (m, h, w) as pixels (m, H, W), the cell that a pixel's centre lies in deciding."""
    rows, columns = (
        (np.arange(length) + 0.5) * count // length
        for length, count in zip(size, cells.shape[1:], strict=True)
    )
    return np.asarray(cells[:, rows.astype(int)[:, None], columns.astype(int)])


_NEEDS = (Need.PROTOTYPES, Need.MANY_RUNS)
_SOURCE = "after Zeiler and Fergus, ECCV 2014"
_BLIND = (
    "A blurred hole is no picture that the network has learned, and its features see beyond it: "
    "read it beside what random cells take."
)

METRICS = (
    Metric(
        name="occlusion_own",
        title="Occlusion, own",
        better="higher",
        meaning="share of a prototype that is lost with its own hottest cells",
        source=_SOURCE,
        blind=_BLIND,
        needs=_NEEDS,
        measure=lambda case: case.once(_measured).own,
    ),
    Metric(
        name="occlusion_random",
        title="Occlusion, random cells",
        better="lower",
        meaning="the same with as many cells drawn at random",
        source=_SOURCE,
        blind="A prototype that looks everywhere loses little here too.",
        needs=_NEEDS,
        measure=lambda case: case.once(_measured).random,
    ),
    Metric(
        name="occlusion_others",
        title="Occlusion, others",
        better="lower",
        meaning="what the other prototypes lose with it, over what the prototype was",
        source=_SOURCE,
        blind="Below zero the others rise as they take over; parts that overlap lose together.",
        needs=_NEEDS,
        measure=lambda case: case.once(_measured).others,
    ),
    Metric(
        name="occlusion_logit",
        title="Occlusion, logit",
        better="higher",
        meaning="share of the class's evidence that is lost with the cells of one prototype",
        source=_SOURCE,
        blind="Wide heatmaps of a whole object take more than those of a part.",
        needs=_NEEDS,
        measure=lambda case: case.once(_measured).logit,
    ),
)

"""Background: does the explanation leave out what is not the object?

After FunnyBirds' background independence (Hesse et al., ICCV 2023), which counts the background
objects whose removal moves the logit by less than 5 %. Adapted to contributions, which may cancel
in a logit, and to whole backdrops: the same bird is rendered before others, x'_b, and

    independence = 1 - sum over n, b, i of |c_i(x_n) - c_i(x'_nb)| / sum over n, b, i of |c_i(x_n)|

It is 1 when no backdrop moves any contribution, 0 when they move as much as there is, and negative
beyond. Beside it the share of each prototype's positive evidence (upsampled heatmap, clipped at 0)
that lies outside the foreground.

Symbols: n images, k prototypes, b backdrops, h×w grid, H×W view.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.arithmetic.statistics import mean_defined
from exporter.evaluate.metrics.truth.part_purity import part_mass
from exporter.evaluate.trial.case import Case, Need
from exporter.evaluate.trial.metric import Metric, Value
from serving.drawing.peaks import Floats


def background_independence(contributions: Floats, elsewhere: Floats) -> float | None:
    """How little the contributions move when the backdrop is another.

    Args:
        contributions: (n, k).
        elsewhere: (n, b, k), of the same bird before other backdrops; a backdrop with a NaN is left
            out.

    Returns:
        At most 1; None if nothing contributes or there is no backdrop.
    """
    before = np.asarray(contributions, dtype=np.float64)[:, None, :]
    known = np.isfinite(elsewhere).all(axis=2, keepdims=True)  # (n, b, 1)
    moved = np.abs(before - elsewhere).sum(where=known)
    total = np.broadcast_to(np.abs(before), elsewhere.shape).sum(where=known)
    return float(1 - moved / total) if total > 0 else None


def background_share(heatmaps: Floats, foreground: NDArray[np.bool_]) -> float | None:
    """The share of positive evidence outside the foreground, summed over images, mean over k.

    Args:
        heatmaps: (n, k, h, w).
        foreground: (n, H, W).

    Returns:
        0 to 1; a prototype without positive evidence is left out, None if all are.
    """
    mass = part_mass(heatmaps, foreground[:, None])
    outside = mass.outside.sum(axis=0)  # (k,)
    total = outside + mass.parts.sum(axis=(0, 2))
    shares = np.full(len(total), np.nan)
    return mean_defined(np.divide(outside, total, out=shares, where=total > 0))


def by_image(rows: Floats, image: NDArray[np.intp], n: int) -> Floats:
    """Sort rows of altered pictures by the image that they are of.

    Args:
        rows: (m, k), m >= 1.
        image: (m,), the image of each.
        n: How many images there are.

    Returns:
        (n, b, k) with b the most that an image has; NaN where one has fewer.
    """
    most = int(np.bincount(image, minlength=n).max())
    sorted_ = np.full((n, most, rows.shape[1]), np.nan, dtype=np.float32)
    seen = np.zeros(n, dtype=int)
    for row, index in zip(rows, image, strict=True):
        sorted_[index, seen[index]] = row
        seen[index] += 1
    return sorted_


def _independence(case: Case) -> Value:
    moved = case.heatmaps_of(case.truth.moved_maps).mean(axis=(2, 3))
    elsewhere = by_image(moved, case.truth.moved, len(case.contributions))
    return background_independence(case.contributions, elsewhere)


_SOURCE = "after Hesse et al., ICCV 2023 (FunnyBirds)"

METRICS = (
    Metric(
        name="background_independence",
        title="Background independence",
        better="higher",
        meaning="1 - change of the contributions before another backdrop",
        source=_SOURCE,
        blind="What hardly depends on the picture is independent of its backdrop too.",
        # A heatmap that sees no image moves with none.
        needs=(Need.PROTOTYPES, Need.MASKS, Need.BACKDROPS),
        measure=_independence,
    ),
    Metric(
        name="background_evidence",
        title="Evidence on background",
        better="lower",
        meaning="share of the evidence that lies off the object",
        source=_SOURCE,
        blind="A coarse grid spills over the outline whatever the prototypes are, and negative "
        "evidence is not counted.",
        needs=(Need.MASKS,),
        measure=lambda case: background_share(case.heatmaps, case.truth.foreground),
    ),
)

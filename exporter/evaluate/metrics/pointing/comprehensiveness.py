"""Comprehensiveness: do the prototypes of a class together cover the object?

Zhu et al., "Interpretable Image Classification via Non-parametric Part Prototype Learning", CVPR
2025: with M_i the min-max scaled, upsampled heatmap of prototype i and G the foreground,

    S = union over i of {M_i >= 0.6},      comprehensiveness = mean over images of |S & G| / |S | G|

They upsample bilinearly; here it is bicubic, as for every other metric, so that all of them look
at the same picture. A constant heatmap is scaled to 0 and covers nothing.

Symbols: n images, k prototypes, h×w grid, H×W view.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.arithmetic.localization import min_max
from exporter.evaluate.trial.case import Need
from exporter.evaluate.trial.metric import Metric
from serving.drawing.peaks import Floats, upsample

THRESHOLD = 0.6


def comprehensiveness(heatmaps: Floats, foreground: NDArray[np.bool_]) -> float | None:
    """Intersection over union of what the prototypes cover with the foreground.

    Args:
        heatmaps: (n, k, h, w).
        foreground: (n, H, W); an image of which nothing is foreground is left out.

    Returns:
        0 to 1; None if no image has foreground.
    """
    found = [
        intersection_over_union(np.asarray(covered(maps, shown.shape).any(axis=0)), shown)
        for maps, shown in zip(heatmaps, foreground, strict=True)
        if shown.any()
    ]
    return float(np.mean(found)) if found else None


def covered(heatmaps: Floats, size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where heatmaps (..., h, w) reach 0.6 of their range, (..., H, W) of size (H, W)."""
    return np.asarray(min_max(upsample(heatmaps, (size[0], size[1]))) >= THRESHOLD)


def intersection_over_union(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """The intersection over union of two masks of one shape, 0 to 1; 0 if both are empty."""
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 0.0


METRICS = (
    Metric(
        name="comprehensiveness",
        title="Comprehensiveness",
        better="higher",
        meaning="overlap of all heatmaps together with the foreground",
        source="Zhu et al., CVPR 2025",
        blind="One blob over the whole object scores as high as parts that cover it together.",
        needs=(Need.MASKS,),
        measure=lambda case: comprehensiveness(case.heatmaps, case.truth.foreground),
    ),
)

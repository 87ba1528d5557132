"""Part IoU: does a prototype's bright area have the shape of its part?

Ours, for exact masks: the threshold of Zhu et al. (CVPR 2025) with the matching of part purity.
With M_ni the min-max scaled, upsampled heatmap and G_nq the mask of the part q(i) that prototype i
stands for,

    mean over i of mean over n with q(i) shown of  |{M_ni >= 0.6} & G| / |{M_ni >= 0.6} | G|

Symbols: n images, k prototypes, q parts, h×w grid, H×W view.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.arithmetic.statistics import mean_defined
from exporter.evaluate.metrics.pointing.comprehensiveness import covered, intersection_over_union
from exporter.evaluate.metrics.truth.part_purity import NO_PART, purity_of
from exporter.evaluate.trial.case import Need
from exporter.evaluate.trial.metric import Metric
from serving.drawing.peaks import Floats


def part_iou(
    heatmaps: Floats, masks: NDArray[np.bool_], parts: NDArray[np.integer]
) -> float | None:
    """Mean intersection over union of prototypes and the parts they stand for.

    Args:
        heatmaps: (n, k, h, w).
        masks: (n, q, H, W); empty where a part is not shown.
        parts: (k,), the part of each prototype, from part_purity.

    Returns:
        0 to 1. A prototype that stands for no part counts 0, one whose part no image shows is left
        out; None if all are left out, or no image shows any part.
    """
    if not masks.any():
        return None
    found = np.full(heatmaps.shape[:2], np.nan)
    found[:, parts == NO_PART] = 0.0
    for image, maps in enumerate(heatmaps):
        bright = covered(maps, masks.shape[2:])  # (k, H, W)
        for prototype, part in enumerate(parts):
            if part != NO_PART and masks[image, part].any():
                found[image, prototype] = intersection_over_union(
                    bright[prototype], masks[image, part]
                )
    each = [mean_defined(column) for column in found.T]
    return mean_defined([value for value in each if value is not None])


METRICS = (
    Metric(
        name="part_iou",
        title="Part IoU",
        better="higher",
        meaning="overlap of a heatmap with its part",
        source="ours, with the threshold of Zhu et al., CVPR 2025",
        blind="A coarse grid cannot draw a small part, however right the prototype is.",
        needs=(Need.SPLIT, Need.MASKS),
        measure=lambda case: part_iou(case.heatmaps, case.truth.masks, case.once(purity_of).parts),
    ),
)

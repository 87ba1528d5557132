"""Distinctiveness: do the prototypes of a class point at different places of an image?

Zhu et al., CVPR 2025: 1 - the mean over images and pairs of prototypes of the intersection over
union of their boxes, 72 px at 224 around the peak. Their code does not cut the boxes at the border.

Symbols: n images, k prototypes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.arithmetic.localization import overlap, squares
from exporter.evaluate.trial.case import Need
from exporter.evaluate.trial.metric import Metric
from serving.drawing.peaks import Size


def distinctiveness(peaks: NDArray[np.integer], size: Size) -> float | None:
    """1 - mean pairwise overlap, 0 to 1; None for a single prototype.

    Args:
        peaks: (n, k, 2), x and y in pixels.
        size: (height, width) of the view.
    """
    first, second = np.triu_indices(peaks.shape[1], k=1)
    if not len(first):
        return None
    found = squares(peaks, size)  # (n, k, 4)
    return 1.0 - float(overlap(found[:, first], found[:, second]).mean())


METRICS = (
    Metric(
        name="distinctiveness",
        title="Distinctiveness",
        better="higher",
        meaning="1 - overlap of the boxes at the peaks",
        source="Zhu et al., CVPR 2025",
        blind="Random directions peak far apart: what lies at the peaks it does not ask.",
        needs=(Need.SPLIT,),
        measure=lambda case: distinctiveness(case.peaks, case.trial.size),
    ),
)

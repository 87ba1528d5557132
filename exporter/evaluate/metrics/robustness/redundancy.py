"""Redundancy: do several prototypes of a class say the same?

Two figures, both mean values over pairs of prototypes i < j, 0 when all differ and 1 when all are
copies:

    cosine       |p~_i . p~_j| / (|p~_i| |p~_j|)
    correlation  Pearson over positions of heatmap_ni and heatmap_nj, mean over images, -1 to 1

Symbols: n images, k prototypes, d channels, h×w grid.
"""

from __future__ import annotations

import numpy as np

from exporter.evaluate.arithmetic.statistics import correlation, flattened, mean_defined
from exporter.evaluate.trial.case import Need
from exporter.evaluate.trial.metric import Metric
from serving.drawing.peaks import Floats


def prototype_cosine(prototypes: Floats) -> float | None:
    """Mean pairwise absolute cosine.

    Args:
        prototypes: (k, d).

    Returns:
        0 to 1; pairs with a prototype of zeros are left out, None if none remains or k is 1.
    """
    doubles = prototypes.astype(np.float64)
    norms = np.linalg.norm(doubles, axis=1, keepdims=True)
    units = np.divide(doubles, norms, out=np.full(doubles.shape, np.nan), where=norms > 0)
    first, second = np.triu_indices(len(prototypes), k=1)
    return mean_defined(np.abs((units[first] * units[second]).sum(axis=1)))


def heatmap_correlation(heatmaps: Floats) -> float | None:
    """Mean pairwise correlation of heatmaps.

    Args:
        heatmaps: (n, k, h, w).

    Returns:
        -1 to 1; pairs with a constant heatmap are left out, None if none remains or k is 1.
    """
    flat = flattened(heatmaps)  # (n, k, p)
    first, second = np.triu_indices(heatmaps.shape[1], k=1)
    return mean_defined(correlation(flat[:, first], flat[:, second]))


METRICS = (
    Metric(
        name="cosine",
        title="Redundancy, prototypes",
        better="lower",
        meaning="mean |cosine| of two prototypes of a class",
        source="docs/evaluation.md",
        blind="Prototypes that differ only where no feature goes have a small cosine and the same "
        "heatmaps.",
        needs=(Need.PROTOTYPES,),
        measure=lambda case: prototype_cosine(case.prototypes),
    ),
    Metric(
        name="correlation",
        title="Redundancy, heatmaps",
        better="lower",
        meaning="mean correlation of two heatmaps of an image",
        source="docs/evaluation.md",
        blind="Random directions have heatmaps that differ, so a small value is no sign of parts.",
        needs=(Need.SPLIT,),
        measure=lambda case: heatmap_correlation(case.heatmaps),
    ),
)

"""Overlap between seeds: would another run have explained the class the same way?

The prototypes of two runs come in any order. r_ij is Pearson's correlation over positions of the
heatmaps of prototype i of the first and j of the second run, averaged over the images; the
one-to-one matching with the largest sum of r is found exactly (Hungarian method). Reported are the
mean r of matched pairs, and the share of images and matched pairs whose boxes around the peaks (72
px at 224, as for consistency) have an intersection over union above 0.5.

Symbols: n images, k prototypes, h×w grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from exporter.evaluate.arithmetic.localization import boxes, overlap
from exporter.evaluate.arithmetic.statistics import correlation, flattened, mean_defined
from exporter.evaluate.trial.case import Case, Need
from exporter.evaluate.trial.metric import Metric, Value
from serving.drawing.peaks import Floats, Size, peaks

THRESHOLD = 0.5


@dataclass(frozen=True)
class SeedOverlap:
    """How alike two runs are.

    Attributes:
        correlation: Mean over matched pairs, -1 to 1; None if every pair has constant heatmaps.
        same_place: Share of images and those pairs whose boxes overlap, 0 to 1; None likewise.
        matches: (pairs, 2), a prototype of the first run and its partner in the second.
    """

    correlation: float | None
    same_place: float | None
    matches: NDArray[np.intp]


def seed_overlap(first: Floats, second: Floats, size: Size) -> SeedOverlap | None:
    """Match the prototypes of two runs and compare them.

    Args:
        first: (n, k, h, w), heatmaps of one run.
        second: (n, k', h, w), of another on the same images; k' may differ, what is left over
            stays unmatched.
        size: (height, width) of the view.

    Returns:
        The overlap; None without images. Pairs with a constant heatmap match last.
    """
    if not len(first):
        return None
    alike = _mean_correlations(first, second)  # (k, k')
    rows, columns = linear_sum_assignment(np.nan_to_num(alike, nan=-1.0), maximize=True)
    one = boxes(peaks(first, size)[:, rows], size)
    other = boxes(peaks(second, size)[:, columns], size)
    together = (overlap(one, other) > THRESHOLD).mean(axis=0)  # (pairs,)
    varies = np.isfinite(alike[rows, columns])
    return SeedOverlap(
        correlation=mean_defined(alike[rows, columns]),
        same_place=mean_defined(np.where(varies, together, np.nan)),
        matches=np.stack([rows, columns], axis=1),
    )


def _mean_correlations(first: Floats, second: Floats) -> NDArray[np.float64]:
    """(k, k'), over the images where both are defined; NaN where none is."""
    one = flattened(first)[:, :, None]  # (n, k, 1, p)
    other = flattened(second)[:, None]  # (n, 1, k', p)
    found = correlation(one, other)  # (n, k, k')
    known = np.isfinite(found)
    total = found.sum(axis=0, where=known)
    mean = np.full(total.shape, np.nan)
    np.divide(total, known.sum(axis=0), out=mean, where=known.any(axis=0))
    return mean


def _overlap(case: Case) -> SeedOverlap | None:
    other = case.again.heatmaps(case.trial.maps, case.trial.grid)
    return seed_overlap(case.heatmaps, other, case.trial.size)


def _correlation(case: Case) -> Value:
    found = case.once(_overlap)
    return None if found is None else found.correlation


def _same_place(case: Case) -> Value:
    found = case.once(_overlap)
    return None if found is None else found.same_place


METRICS = (
    Metric(
        name="seed_overlap",
        title="Agreement of seeds",
        better="higher",
        meaning="correlation of matched heatmaps of prototypes found with another seed",
        source="docs/evaluation.md",
        blind="Agreement is no truth: prototypes that are all alike match under every seed.",
        needs=(Need.AGAIN,),
        measure=_correlation,
    ),
    Metric(
        name="seed_place",
        title="Same place with another seed",
        better="higher",
        meaning="share of matched heatmaps whose boxes at the peaks overlap by half",
        source="docs/evaluation.md",
        blind="It looks at the peaks alone: two maps may share a peak and nothing else.",
        needs=(Need.AGAIN,),
        measure=_same_place,
    ),
)

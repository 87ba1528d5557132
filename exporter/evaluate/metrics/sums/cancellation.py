"""Cancellation: do prototypes speak against each other?

A split may be complete and still say little, when large parts of opposite sign cancel in the sum:

    sum of norms    sum_i |p~_i| / |sum_i p~_i|              1 when all point the same way
    negative share  sum over n, i of |min(c_ni, 0)| / sum over n, i of |c_ni|
    cancelled heat  1 - sum over n, x of |sum_i h_nix| / sum over n, i, x of |h_nix|

The sum of the prototypes is the head row (less the reference), so the first is over its norm. It
counts every direction alike, also those that no features take; the last counts what is drawn.

Symbols: n images, k prototypes, d channels, h x w positions x.
"""

from __future__ import annotations

import numpy as np

from exporter.evaluate.trial.case import Need
from exporter.evaluate.trial.metric import Metric
from serving.drawing.peaks import Floats


def sum_of_norms(prototypes: Floats) -> float | None:
    """The norms of the prototypes over the norm of their sum.

    Args:
        prototypes: (k, d).

    Returns:
        1 or more; None if they sum to zero.
    """
    doubles = prototypes.astype(np.float64)
    whole = float(np.linalg.norm(doubles.sum(axis=0)))
    return float(np.linalg.norm(doubles, axis=1).sum()) / whole if whole > 0 else None


def negative_share(contributions: Floats) -> float | None:
    """The share of the evidence that is negative.

    Args:
        contributions: (n, k), of the class on its images.

    Returns:
        0 to 1; None if nothing contributes.
    """
    doubles = contributions.astype(np.float64)
    total = float(np.abs(doubles).sum())
    return float(-np.minimum(doubles, 0).sum()) / total if total > 0 else None


def cancelled_heat(heatmaps: Floats) -> float | None:
    """The share of the heat that prototypes of the other sign take away at the same position.

    Args:
        heatmaps: (n, k, h, w), of the class on its images.

    Returns:
        0 to 1; None if there is no heat.
    """
    doubles = heatmaps.astype(np.float64)
    total = float(np.abs(doubles).sum())
    return 1 - float(np.abs(doubles.sum(axis=1)).sum()) / total if total > 0 else None


METRICS = (
    Metric(
        name="negative_share",
        title="Negative evidence",
        better="lower",
        meaning="share of the contributions that count against the class",
        source="Tan, Zhou and Chen, ICML 2024",
        blind="Heat of both signs within one prototype has cancelled before it is counted.",
        needs=(Need.ROW,),
        measure=lambda case: negative_share(case.contributions),
    ),
    Metric(
        name="norm_sum",
        title="Sum of norms",
        better="lower",
        meaning="sum of the prototypes' norms over the norm of their sum; 1 is no cancellation",
        source="docs/method.md",
        blind="Copies of one direction reach 1, and a direction that no feature takes counts like "
        "any other.",
        needs=(Need.ROW,),
        measure=lambda case: sum_of_norms(case.prototypes),
    ),
)

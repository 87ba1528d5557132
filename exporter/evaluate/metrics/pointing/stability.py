"""Stability: does a prototype point at the same parts when the image gets a little noise?

Huang et al., ICCV 2023 (EvalProtoPNet), and the paper's Table 2: the share of images and
prototypes whose vector of hit parts stays the same under noise, which trial/alterations.py draws.
Each draw gives a figure.

Symbols: n images, k prototypes, q parts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.trial.case import Case, Need
from exporter.evaluate.trial.metric import Metric, Value


def stability(hits: NDArray[np.bool_], noisy_hits: NDArray[np.bool_]) -> float:
    """The share of equal part vectors, 0 to 1.

    Args:
        hits: (n, k, q) on the images.
        noisy_hits: (n, k, q) on the same images with noise.
    """
    return float((hits == noisy_hits).all(axis=2).mean())


def _each_draw(case: Case) -> Value:
    """The figure of each draw of the noise."""
    return tuple(stability(case.hits, case.hits_of(maps)) for maps in case.trial.noisy)


METRICS = (
    Metric(
        name="stability",
        title="Stability",
        better="higher",
        meaning="share of equal hits under noise",
        source="Huang et al., ICCV 2023",
        blind="What does not look at the picture never moves, and scores 1.",
        needs=(Need.SPLIT, Need.KEYPOINTS),
        measure=_each_draw,
    ),
)

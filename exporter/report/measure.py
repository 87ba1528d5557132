"""The figures of one class that the report shows and the rules judge.

Symbols: n images, k prototypes, d channels. A muted prototype has no part in any figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.arithmetic.localization import visible
from exporter.evaluate.metrics.robustness.redundancy import heatmap_correlation
from exporter.evaluate.metrics.sums.cancellation import cancelled_heat, negative_share, sum_of_norms
from exporter.evaluate.metrics.sums.completeness import completeness_residual
from exporter.report.ground import OffObject, at_border, off_object, off_parts, steady
from exporter.report.observe import Observed, recognised
from serving.drawing.peaks import Size, peaks

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """Two prototypes of a class.

    Attributes:
        first: Number of the one.
        second: Number of the other, larger.
        cosine: Cosine of the two prototypes, -1 to 1; None if one is zero.
        correlation: Mean of their heatmaps' over images, -1 to 1; None without any.
    """

    first: int
    second: int
    cosine: float | None
    correlation: float | None


@dataclass(frozen=True)
class HeldOut:
    """What the held-out images of a class say.

    Attributes:
        images: n.
        skipped: Images that could not be decoded.
        recognised: Share that the model gives to the class.
        residual: Largest |contributions + bias + common + unplaced + rounding - logit| over the
            size of its summands.
        contributions: (k,), mean over images, logit units.
        shares: (k,), signed share of each prototype: sum over n of c_ni over the sum over n and j
            of |c_nj|. NaN where nothing contributes.
        negative: Share of the contributions that count against the class.
        cancelled: Share of the heat that other prototypes take away at the same position.
        border: (k,), share of images whose peak lies at the border.
        off_object: Beside the object, where masks are known.
        off_parts: (k,), share of images whose peak is near no keypoint, where keypoints are known
            and no masks.
        steady: (k,), share of images whose peak is near the keypoint that it is near most often,
            where keypoints are known.
        turned: (2,), share of the recognised images that are recognised no more without the
            prototype that counts most in them, and without the one that counts least; None where
            there are no two, or no image is recognised.
        drawn: Images that ``off_object`` is over.
        pointed: Images that ``off_parts`` is over.
    """

    images: int
    skipped: int
    recognised: float
    residual: float | None
    contributions: Doubles
    shares: Doubles
    negative: float | None
    cancelled: float | None
    border: Doubles
    off_object: OffObject | None
    off_parts: Doubles | None
    steady: Doubles | None
    turned: Doubles | None
    drawn: int
    pointed: int


@dataclass(frozen=True)
class ClassFigures:
    """The figures of one class.

    Attributes:
        live: Numbers of the prototypes that are not muted.
        norms: (k,), |p~_i| of each, zero where muted.
        norm_sum: Sum of the norms over the norm of the sum.
        pairs: Every two live prototypes.
        held_out: Figures from the held-out images; None without any.
    """

    live: tuple[int, ...]
    norms: Doubles
    norm_sum: float | None
    pairs: tuple[Pair, ...]
    held_out: HeldOut | None


def measure_class(
    prototypes: NDArray[np.float32], muted: frozenset[int], observed: Observed | None, size: Size
) -> ClassFigures:
    """Measure one class.

    Args:
        prototypes: (k, d), those that the class has.
        muted: Numbers of those that an edit has muted.
        observed: Its held-out images, explained.
        size: (height, width) of the view, pixels.
    """
    doubles = prototypes.astype(np.float64)
    doubles[sorted(muted)] = 0
    live = tuple(number for number in range(len(prototypes)) if number not in muted)
    return ClassFigures(
        live=live,
        norms=np.linalg.norm(doubles, axis=1),
        norm_sum=sum_of_norms(doubles),
        pairs=tuple(_pairs(doubles, live, observed)),
        held_out=None if observed is None else _held_out(observed, live, size),
    )


def _pairs(doubles: Doubles, live: Sequence[int], observed: Observed | None) -> list[Pair]:
    pairs = []
    for place, first in enumerate(live):
        for second in live[place + 1 :]:
            norm = float(np.linalg.norm(doubles[first]) * np.linalg.norm(doubles[second]))
            correlation = None
            if observed is not None:
                correlation = heatmap_correlation(observed.heatmaps[:, [first, second]])
            cosine = float(doubles[first] @ doubles[second]) / norm if norm > 0 else None
            pairs.append(Pair(first, second, cosine, correlation))
    return pairs


def _held_out(observed: Observed, live: Sequence[int], size: Size) -> HeldOut:
    centres = peaks(observed.heatmaps, size)
    contributions = observed.contributions.astype(np.float64)
    total = float(np.abs(contributions).sum())
    marks, known = observed.marks, observed.marks.drawn
    # Masks say more than keypoints: where there are any, the keypoints are not asked.
    points = None if len(known) else marks.points
    return HeldOut(
        images=len(observed.paths),
        skipped=observed.skipped,
        recognised=float(observed.recognised.mean()),
        residual=completeness_residual(
            observed.contributions, observed.constant, observed.logits[:, observed.index]
        ),
        contributions=contributions.mean(axis=0),
        shares=contributions.sum(axis=0) / total
        if total > 0
        else np.full(contributions.shape[1], np.nan),
        negative=negative_share(observed.contributions),
        cancelled=cancelled_heat(observed.heatmaps),
        border=at_border(centres, size),
        off_object=off_object(observed.heatmaps[known], centres[known], marks.foreground)
        if len(known)
        else None,
        off_parts=None if points is None else off_parts(centres, points, size),
        steady=None if marks.points is None else steady(centres, marks.points, size),
        turned=_turned(observed, live),
        drawn=len(known),
        pointed=0 if points is None else int(visible(points).any(axis=1).sum()),
    )


def _turned(observed: Observed, live: Sequence[int]) -> Doubles | None:
    """Take the strongest and the weakest live prototype out of the sum of each image."""
    before = observed.recognised
    if len(live) < 2 or not before.any():
        return None
    contributions = np.sort(observed.contributions[before][:, list(live)], axis=1)  # (n', live)
    shares = []
    for taken in (contributions[:, -1], contributions[:, 0]):
        logits = observed.logits[before].copy()
        logits[:, observed.index] -= taken
        shares.append(1 - recognised(logits, observed.index, observed.softmax).mean())
    return np.array(shares)

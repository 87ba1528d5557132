"""Single-part deletion: when a part goes, does what the explanation says of it go too?

After FunnyBirds (Hesse, Schaub-Meyer and Roth, ICCV 2023). The same bird is rendered without part
q, for every part that shows.

(a) Their single deletion: Spearman's correlation, over the parts of an image, of what the
explanation attributes to part q with how much the class's logit really drops,

    rho_n = Spearman over q of (a_nq, f(x_n) - f(x_n without q)),     mean over images.

Theirs is mapped to 0..1 by (rho + 1) / 2; this is rho. They skip an image whose rho is undefined;
here an explanation that attributes the same to all parts counts 0, as it ranks none, and only an
image with equal drops is skipped. Images with fewer than three parts shown are left out: of two
parts rho says but yes or no. What a set of prototypes attributes to a part is the sum of their
heatmaps there, as for every other attribution; the boxes that FunnyBirds takes for ProtoPNet alone
change the score (Oplatek, Rymarczyk and Zielinski, arXiv 2408.11401, 2024).

(b) Ours, for prototypes: of all that the contributions move when parts go, the share that is the
fall of a prototype that stands for the part. With d_nqi = c_i(x_n) - c_i(x_n without q) and q(i)
the part of prototype i,

    right share = sum over n, q, i with q(i) = q of d_nqi / sum over n, q, i of |d_nqi|,   >= 0.

A part for which no prototype stands adds to the denominator alone, so that k prototypes on one
part do not pass.

Symbols: n images, k prototypes, q parts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.arithmetic.statistics import mean_defined, rank_correlation
from exporter.evaluate.metrics.truth.part_purity import mass_of, purity_of
from exporter.evaluate.trial.case import Case, Need
from exporter.evaluate.trial.metric import Metric, Value
from serving.drawing.peaks import Floats

FEWEST_PARTS = 3


def deletion_correlation(attribution: Floats, logits: Floats, without: Floats) -> float | None:
    """How well the attribution ranks the parts by what they are worth to the network.

    Args:
        attribution: (n, q), for instance PartMass.attribution; ignored where the part is not shown.
        logits: (n,), of the class.
        without: (n, q), the logit of the image without the part; NaN where it is not shown.

    Returns:
        -1 to 1; None if no image has three parts whose drops differ.
    """
    drops = np.asarray(logits, dtype=np.float64)[:, None] - without
    found = [
        _correlation(importance[shown], drop[shown])
        for importance, drop, shown in zip(attribution, drops, np.isfinite(drops), strict=True)
        if np.count_nonzero(shown) >= FEWEST_PARTS
    ]
    return mean_defined(found)


def right_share(contributions: Floats, without: Floats, parts: NDArray[np.integer]) -> float | None:
    """The share of the change that is the fall of the right prototype.

    Args:
        contributions: (n, k).
        without: (n, q, k), of the image without the part; NaN where it is not shown.
        parts: (k,), the part of each prototype, from part_purity.

    Returns:
        0 to 1; None if no part is shown or no contribution moves.
    """
    drops = np.asarray(contributions, dtype=np.float64)[:, None, :] - without  # (n, q, k)
    drops = np.where(np.isfinite(drops), drops, 0.0)
    total = float(np.abs(drops).sum())
    if total == 0:
        return None
    right = np.arange(drops.shape[1])[:, None] == parts  # (q, k)
    return float(np.clip((drops * right).sum() / total, 0, 1))


def _correlation(importance: Floats, drop: Floats) -> float:
    """The correlation of one image; NaN for equal drops, 0 for equal importance."""
    if np.ptp(drop) == 0:
        return np.nan
    if np.ptp(importance) == 0:
        return 0.0
    return float(rank_correlation(importance, drop))


def _rank(case: Case) -> Value:
    """Put the logits of the pictures without a part where image and part say."""
    index, truth = case.trial.index, case.truth
    without = np.full(truth.masks.shape[:2], np.nan, dtype=np.float32)  # (n, q)
    without[tuple(truth.removed.T)] = truth.removed_logits[:, index]
    attribution = case.once(mass_of).attribution
    return deletion_correlation(attribution, case.trial.logits[:, index], without)


def _share(case: Case) -> Value:
    """Put the contributions of the pictures without a part where image and part say."""
    truth, k = case.truth, case.contributions.shape[1]
    without = np.full((*truth.masks.shape[:2], k), np.nan, dtype=np.float32)  # (n, q, k)
    without[tuple(truth.removed.T)] = case.heatmaps_of(truth.removed_maps).mean(axis=(2, 3))
    return right_share(case.contributions, without, case.once(purity_of).parts)


_NEEDS = (Need.SPLIT, Need.MASKS, Need.REMOVED)
_SOURCE = "after Hesse et al., ICCV 2023 (FunnyBirds)"

METRICS = (
    Metric(
        name="deletion_rank",
        title="Part deletion, rank",
        better="higher",
        meaning="rank correlation of a part's evidence with the drop of the logit without it",
        source=_SOURCE,
        blind="It judges the heatmaps together: which prototype holds what does not matter.",
        needs=_NEEDS,
        measure=_rank,
    ),
    Metric(
        name="deletion_share",
        title="Part deletion, share",
        better="higher",
        meaning="share of the change without a part that its own prototype takes",
        source=_SOURCE,
        blind="A part that the class does not use moves nothing: its prototype goes unjudged.",
        needs=_NEEDS,
        measure=_share,
    ),
)

"""Consistency: does a prototype point at the same part in image after image?

Huang et al., ICCV 2023 (EvalProtoPNet), and the paper's Table 2. Prototype i is consistent when
for some part the share of the images in which the part is hit, of those in which it is visible, is
at least 0.8:

    max over q of  (sum over n of hit_niq) / (sum over n of visible_nq)  >=  0.8

Only the true class's prototypes count, on the images of that class. Distinct parts (after Zhu et
al., CVPR 2025) asks more: prototypes that are consistent on the same part count once. Which part a
prototype stands for is read in two ways: to the class's advantage, by the largest matching, or as
the part that it hits most often, whatever the others do.

Symbols: n images, k prototypes, q parts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from exporter.evaluate.arithmetic.localization import visible
from exporter.evaluate.trial.case import Case, Need
from exporter.evaluate.trial.metric import Metric

THRESHOLD = 0.8


def hit_rates(hits: NDArray[np.bool_], visible: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How often each prototype hits each part where it is visible.

    Args:
        hits: (n, k, q).
        visible: (n, q).

    Returns:
        (k, q), 0 to 1; 0 for a part that is never visible.
    """
    shown = visible.sum(axis=0)  # (q,)
    found = (hits & visible[:, None, :]).sum(axis=0)  # (k, q)
    return np.asarray(found / np.maximum(shown, 1))


def consistency(hits: NDArray[np.bool_], visible: NDArray[np.bool_]) -> float:
    """The share of the prototypes of a class that are consistent, 0 to 1.

    Args:
        hits: (n, k, q), n >= 1 test images of the class.
        visible: (n, q).
    """
    return float((hit_rates(hits, visible) >= THRESHOLD).any(axis=1).mean())


def distinct_parts(hits: NDArray[np.bool_], visible: NDArray[np.bool_]) -> float:
    """The share of consistent prototypes when each part counts once, 0 to 1.

    A prototype may be consistent on several parts that lie in one box, so which part it stands for
    is chosen to the class's advantage: the largest matching of prototypes and parts, over k.

    Args:
        hits: (n, k, q), n >= 1 test images of the class.
        visible: (n, q).
    """
    consistent = csr_array(hit_rates(hits, visible) >= THRESHOLD)
    partners = maximum_bipartite_matching(consistent, perm_type="column")  # (k,), -1 for none
    return float((partners >= 0).mean())


def distinct_best_parts(hits: NDArray[np.bool_], visible: NDArray[np.bool_]) -> float:
    """The same where a prototype stands for the part that it hits most often, 0 to 1.

    Args:
        hits: (n, k, q), n >= 1 test images of the class.
        visible: (n, q).
    """
    rates = hit_rates(hits, visible)
    best = rates.argmax(axis=1)[rates.max(axis=1) >= THRESHOLD]
    return len(np.unique(best)) / len(rates)


def _shown(case: Case) -> NDArray[np.bool_]:
    """Which keypoints are visible, (n, q)."""
    return visible(case.points)


METRICS = (
    Metric(
        name="consistency",
        title="Consistency",
        better="higher",
        meaning="share of prototypes that hit one part in 80 % of the images",
        source="Huang et al., ICCV 2023",
        blind="A heatmap that always peaks in the middle is consistent on centred objects.",
        needs=(Need.SPLIT, Need.KEYPOINTS),
        measure=lambda case: consistency(case.hits, _shown(case)),
    ),
    Metric(
        name="distinct_parts",
        title="Distinct parts",
        better="higher",
        meaning="the same, each part counted once, by the largest matching of prototypes and parts",
        source="Zhu et al., CVPR 2025",
        blind="It counts peaks: whether what lies under them matters to the class it does not ask.",
        needs=(Need.SPLIT, Need.KEYPOINTS),
        measure=lambda case: distinct_parts(case.hits, _shown(case)),
    ),
    Metric(
        name="distinct_best_parts",
        title="Distinct parts, best",
        better="higher",
        meaning="the same, each prototype standing for the part that it hits most often",
        source="after Zhu et al., CVPR 2025",
        blind="Of parts in one box chance decides which is hit most often.",
        needs=(Need.SPLIT, Need.KEYPOINTS),
        measure=lambda case: distinct_best_parts(case.hits, _shown(case)),
    ),
)

"""The figures of one method on the held-out images of one class.

Symbols: n images, k prototypes, q parts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.cancellation import negative_share, sum_of_norms
from exporter.evaluate.completeness import completeness_residual
from exporter.evaluate.consistency import consistency, distinct_parts
from exporter.evaluate.distinctiveness import distinctiveness
from exporter.evaluate.equivariance import mirror_equivariance, shift_equivariance
from exporter.evaluate.insertion_deletion import prototype_curves
from exporter.evaluate.localization import hits, peaks, visible
from exporter.evaluate.methods import OURS, Method
from exporter.evaluate.part_deletion import deletion_correlation, right_share
from exporter.evaluate.part_iou import part_iou
from exporter.evaluate.part_purity import part_mass, part_purity
from exporter.evaluate.redundancy import heatmap_correlation, prototype_cosine
from exporter.evaluate.stability import stability
from exporter.evaluate.subject import Subject
from exporter.evaluate.trial import Trial, Truth

Floats = NDArray[np.float32]
Figures = dict[str, float | None]

POINTING = (
    "consistency",
    "distinct_parts",
    "stability",
    "distinctiveness",
    "part_purity",
    "part_iou",
    "deletion_rank",
    "deletion_share",
)
"""Where prototypes point: all but distinctiveness need annotations, the last four drawn truth."""

FREE = (
    "completeness",
    "negative_share",
    "norm_sum",
    "cosine",
    "correlation",
    "mirror",
    "shift",
    "prototype_deletion",
    "prototype_insertion",
    "seed_overlap",
)
"""What needs no annotation."""

ROUNDING = ("completeness",)
"""What is nothing but rounding: its differences say nothing."""


def measure(subject: Subject, trial: Trial, method: Method, draw: int) -> Figures:
    """Every figure of a method that one seed gives.

    Args:
        subject: The artifact.
        trial: The images of the class.
        method: Its prototypes.
        draw: Which draw of the noise.
    """
    heatmaps = method.heatmaps(trial.maps, trial.grid)
    return {
        **_pointing(trial, method, heatmaps, draw),
        **_alike(trial, method, heatmaps),
        **_sums(subject, trial, method, heatmaps),
        **({} if trial.truth is None else _truths(trial, trial.truth, method, heatmaps)),
    }


def _pointing(trial: Trial, method: Method, heatmaps: Floats, draw: int) -> Figures:
    centres = peaks(heatmaps, trial.size)
    found: Figures = {"distinctiveness": distinctiveness(centres, trial.size)}
    if trial.points is not None:
        shown, struck = visible(trial.points), hits(centres, trial.points, trial.size)
        moved = peaks(method.heatmaps(trial.noisy[draw], trial.grid), trial.size)
        found["consistency"] = consistency(struck, shown)
        found["distinct_parts"] = distinct_parts(struck, shown)
        found["stability"] = stability(struck, hits(moved, trial.points, trial.size))
    return found


def _alike(trial: Trial, method: Method, heatmaps: Floats) -> Figures:
    assert method.prototypes is not None  # only the centre baseline has none
    mirrored = method.heatmaps(trial.mirrored, trial.grid)
    shifted = method.heatmaps(trial.shifted, trial.grid)
    return {
        "cosine": prototype_cosine(method.prototypes),
        "correlation": heatmap_correlation(heatmaps),
        "mirror": mirror_equivariance(heatmaps, mirrored),
        "shift": shift_equivariance(heatmaps, shifted, rows=1, columns=1),
    }


def _sums(subject: Subject, trial: Trial, method: Method, heatmaps: Floats) -> Figures:
    """Of methods that sum to the head row; NMF alone does not."""
    if method.row is None or method.prototypes is None:
        return {}
    contributions = heatmaps.mean(axis=(2, 3))
    constant = np.full(len(heatmaps), subject.head.bias[trial.index], dtype=np.float64)
    if method.name == OURS:
        constant += trial.maps.mean(axis=1) @ subject.reference
    curves = prototype_curves(contributions, trial.logits, trial.index)
    return {
        "completeness": completeness_residual(
            contributions, constant, trial.logits[:, trial.index]
        ),
        "negative_share": negative_share(contributions),
        "norm_sum": sum_of_norms(method.prototypes),
        "prototype_deletion": None if curves is None else curves.deletion_area,
        "prototype_insertion": None if curves is None else curves.insertion_area,
    }


def _truths(trial: Trial, truth: Truth, method: Method, heatmaps: Floats) -> Figures:
    contributions = heatmaps.mean(axis=(2, 3))  # (n, k)
    mass = part_mass(heatmaps, truth.masks)
    purity = part_purity(mass)
    image, part = truth.removed.T
    parts = truth.masks.shape[1]
    without = np.full((len(heatmaps), parts, method.k), np.nan, dtype=np.float32)
    without[image, part] = method.heatmaps(truth.removed_maps, trial.grid).mean(axis=(2, 3))
    logits = np.full((len(heatmaps), parts), np.nan, dtype=np.float32)
    logits[image, part] = truth.removed_logits[:, trial.index]
    return {
        "part_purity": purity.value,
        "part_iou": part_iou(heatmaps, truth.masks, purity.parts),
        "deletion_rank": deletion_correlation(
            mass.attribution, trial.logits[:, trial.index], logits
        ),
        "deletion_share": right_share(contributions, without, purity.parts),
    }

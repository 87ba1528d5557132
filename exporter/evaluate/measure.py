"""Every metric of one class, for every method.

Symbols: n images, k prototypes, d channels, p = h*w positions, q parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.baselines.methods import GRAD_CAM, OURS, Method
from exporter.evaluate.localization import hits, visible
from exporter.evaluate.measure_pixels import Probe, Value, class_map, measure_pixels, where
from exporter.evaluate.metrics.pointing.comprehensiveness import comprehensiveness
from exporter.evaluate.metrics.pointing.consistency import consistency, distinct_parts
from exporter.evaluate.metrics.pointing.distinctiveness import distinctiveness
from exporter.evaluate.metrics.pointing.stability import stability
from exporter.evaluate.metrics.robustness.equivariance import (
    mirror_equivariance,
    shift_equivariance,
)
from exporter.evaluate.metrics.robustness.randomisation import similarity
from exporter.evaluate.metrics.robustness.redundancy import heatmap_correlation, prototype_cosine
from exporter.evaluate.metrics.robustness.seed_overlap import seed_overlap
from exporter.evaluate.metrics.sums.cancellation import negative_share, sum_of_norms
from exporter.evaluate.metrics.sums.completeness import axioms, completeness_residual
from exporter.evaluate.metrics.sums.insertion_deletion import prototype_curves
from exporter.evaluate.metrics.truth.background import background_independence, background_share
from exporter.evaluate.metrics.truth.part_deletion import deletion_correlation, right_share
from exporter.evaluate.metrics.truth.part_iou import part_iou
from exporter.evaluate.metrics.truth.part_purity import part_mass, part_purity
from exporter.evaluate.subject import Subject
from exporter.evaluate.trial import Trial, Truth
from serving.drawing.peaks import peaks

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Measured:
    """The figures of one class.

    Attributes:
        label: Its label.
        images: n.
        figures: By method, then metric.
    """

    label: str
    images: int
    figures: dict[str, dict[str, Value]]


def measure_class(
    trial: Trial, methods: Sequence[Method], again: Mapping[str, Method], probe: Probe
) -> Measured:
    """Measure every method on the images of one class.

    Args:
        trial: The images, as every method sees them.
        methods: What to compare; their order is kept.
        again: By name, the methods found once more with another seed.
        probe: Runs the network.
    """
    shuffled = probe.random_reader.run(trial.tensors(len(trial.pictures)))[0]
    figures: dict[str, dict[str, Value]] = {}
    for method in methods:
        heatmaps = method.heatmaps(trial.maps, trial.grid)
        found = measure_method(trial, method, probe.subject)
        if method.prototypes is not None:
            found["randomisation"] = similarity(heatmaps, method.heatmaps(shuffled, trial.grid))
            found["axioms"] = _violation(trial, method, probe)
        if method.name in again:
            other = again[method.name].heatmaps(trial.maps, trial.grid)
            overlap = seed_overlap(heatmaps, other, trial.size)
            if overlap is not None:
                found["seed_overlap"] = overlap.correlation
                found["seed_place"] = overlap.same_place
        figures[method.name] = found
    if probe.subject.by_softmax:
        for name, found in measure_pixels(trial, methods, probe).items():
            figures.setdefault(name, {}).update(found)
    else:
        figures[GRAD_CAM] = where(trial, class_map(trial, probe.subject))
    return Measured(trial.label, len(trial.pictures), figures)


def measure_method(trial: Trial, method: Method, subject: Subject) -> dict[str, Value]:
    """Every metric that asks for no further run of the network.

    Args:
        trial: The images of one class.
        method: One way to explain it.
        subject: The artifact.
    """
    heatmaps = method.heatmaps(trial.maps, trial.grid)
    found = _looks(trial, method, heatmaps) | _sums(trial, method, heatmaps, subject)
    if trial.truth is not None:
        found |= _truths(trial, trial.truth, method, heatmaps)
    return found


def _looks(trial: Trial, method: Method, heatmaps: Floats) -> dict[str, Value]:
    """Where the heatmaps point, and how they follow the image."""
    centres = peaks(heatmaps, trial.size)
    found: dict[str, Value] = {"distinctiveness": distinctiveness(centres, trial.size)}
    if trial.points is not None and (shown := visible(trial.points)).any():
        struck = hits(centres, trial.points, trial.size)
        found["consistency"] = consistency(struck, shown)
        found["distinct_parts"] = distinct_parts(struck, shown)
        found["stability"] = tuple(
            stability(
                struck,
                hits(
                    peaks(method.heatmaps(maps, trial.grid), trial.size), trial.points, trial.size
                ),
            )
            for maps in trial.noisy
        )
    found["correlation"] = heatmap_correlation(heatmaps)
    if method.prototypes is not None:
        found["cosine"] = prototype_cosine(method.prototypes)
        found["mirror"] = mirror_equivariance(heatmaps, method.heatmaps(trial.mirrored, trial.grid))
        found["shift"] = shift_equivariance(
            heatmaps, method.heatmaps(trial.shifted, trial.grid), rows=1, columns=1
        )
    return found


def _sums(trial: Trial, method: Method, heatmaps: Floats, subject: Subject) -> dict[str, Value]:
    """What the contributions say, of methods whose prototypes sum to the head row."""
    if method.row is None or method.prototypes is None:
        return {}
    contributions = heatmaps.mean(axis=(2, 3))
    constant = np.full(len(heatmaps), subject.head.bias[trial.index], dtype=np.float64)
    if method.name == OURS:
        constant += trial.maps.mean(axis=1) @ subject.reference
    curves = None
    if subject.by_softmax:
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


def _violation(trial: Trial, method: Method, probe: Probe) -> float | None:
    """The largest violation of the four axioms, by prototypes of the row or meant for it."""
    if method.prototypes is None:
        return None
    row = probe.subject.head.weight[trial.index] if method.row is None else method.row
    # In the precision that prototypes are served in.
    prototypes = method.prototypes.astype(np.float32)
    found = axioms(trial.maps[: probe.network_images], row, prototypes)
    if found is None:
        return None
    return max(found.completeness, found.sensitivity, found.linearity, found.symmetry)


def _truths(trial: Trial, truth: Truth, method: Method, heatmaps: Floats) -> dict[str, Value]:
    """What only exact masks and altered pictures tell."""
    contributions = heatmaps.mean(axis=(2, 3))
    n, k = contributions.shape
    mass = part_mass(heatmaps, truth.masks)
    purity = part_purity(mass)
    found: dict[str, Value] = {
        "comprehensiveness": comprehensiveness(heatmaps, truth.foreground),
        "part_purity": purity.value,
        "part_iou": part_iou(heatmaps, truth.masks, purity.parts),
        "background_evidence": background_share(heatmaps, truth.foreground),
    }
    if len(truth.removed):
        image, part = truth.removed.T
        without = np.full((n, truth.masks.shape[1], k), np.nan, dtype=np.float32)
        removed = method.heatmaps(truth.removed_maps, trial.grid)
        without[image, part] = removed.mean(axis=(2, 3))
        logits = np.full((n, truth.masks.shape[1]), np.nan, dtype=np.float32)
        logits[image, part] = truth.removed_logits[:, trial.index]
        found["deletion_rank"] = deletion_correlation(
            mass.attribution, trial.logits[:, trial.index], logits
        )
        found["deletion_share"] = right_share(contributions, without, purity.parts)
    # A heatmap that sees no image moves with none.
    if len(truth.moved) and method.prototypes is not None:
        moved = method.heatmaps(truth.moved_maps, trial.grid).mean(axis=(2, 3))
        found["background_independence"] = background_independence(
            contributions, _grouped(moved, truth.moved, n)
        )
    return found


def _grouped(moved: Floats, image: NDArray[np.intp], n: int) -> Floats:
    """Contributions (m, k) of altered pictures -> (n, b, k), NaN where an image has fewer."""
    most = int(np.bincount(image, minlength=n).max())
    grouped = np.full((n, most, moved.shape[1]), np.nan, dtype=np.float32)
    seen = np.zeros(n, dtype=int)
    for row, index in zip(moved, image, strict=True):
        grouped[index, seen[index]] = row
        seen[index] += 1
    return grouped

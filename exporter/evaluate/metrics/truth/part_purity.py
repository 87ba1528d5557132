"""Part purity: does a prototype's evidence lie on one part?

Ours, for masks that are exact (the procedural birds), after the purity of PIP-Net (Nauta et al.,
CVPR 2023), which counts keypoints in patches. With A_ni the heatmap of prototype i on image n,
upsampled and clipped at 0, and M_nq the pixels that part q owns,

    mass_niq = sum of A_ni over M_nq,     purity_i = max over q of sum_n mass_niq / sum_n |A_ni|

averaged over the prototypes. The maximising q is the part that prototype i stands for. All images
count, also those that do not show the part: the mass then lies elsewhere and lowers the purity.

Masks that overlap: a pixel belongs to the smallest part that covers it in that image, so that an
eye on a head is not counted twice, nor lost to the head. A prototype without positive evidence in
any image stands for nothing and has purity 0; leaving it out would reward empty prototypes.

Symbols: n images, k prototypes, q parts, h×w grid, H×W view.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.trial.case import Case, Need
from exporter.evaluate.trial.metric import Metric
from serving.drawing.peaks import Floats, upsample

NO_PART = -1
"""Stands for the part of a prototype that has no evidence on any."""


@dataclass(frozen=True)
class PartMass:
    """Where the positive evidence of a class lies.

    Attributes:
        parts: (n, k, q), on each part.
        outside: (n, k), on none.
        shown: (n, q), whether any pixel shows the part.
    """

    parts: NDArray[np.float64]
    outside: NDArray[np.float64]
    shown: NDArray[np.bool_]

    @property
    def attribution(self) -> NDArray[np.float64]:
        """(n, q), what the prototypes together put on each part; NaN where it is not shown."""
        return np.where(self.shown, self.parts.sum(axis=1), np.nan)


@dataclass(frozen=True)
class Purity:
    """How purely the prototypes of a class stand for parts.

    Attributes:
        value: Mean of each, 0 to 1; None if no image shows any part.
        each: (k,), the purity of each prototype; 0 for one without positive evidence.
        parts: (k,), the part that each stands for; NO_PART for one with no evidence on any.
    """

    value: float | None
    each: NDArray[np.float64]
    parts: NDArray[np.intp]


def part_mass(heatmaps: Floats, masks: NDArray[np.bool_]) -> PartMass:
    """The positive evidence of each prototype on each part.

    Args:
        heatmaps: (n, k, h, w).
        masks: (n, q, H, W); empty where a part is not shown.
    """
    images, parts, *size = masks.shape
    mass = np.zeros((images, heatmaps.shape[1], parts + 1))
    for image, maps in enumerate(heatmaps):
        positive = np.maximum(upsample(maps, (size[0], size[1])), 0)  # (k, H, W)
        mass[image] = positive.reshape(len(maps), -1) @ _owners(masks[image])
    return PartMass(mass[:, :, :-1], mass[:, :, -1], np.asarray(masks.any(axis=(2, 3))))


def part_purity(mass: PartMass) -> Purity:
    """The share of each prototype's evidence that lies on its best part.

    Args:
        mass: What the heatmaps of a class's images put on each part, from part_mass.
    """
    on_parts = mass.parts.sum(axis=0)  # (k, q)
    prototypes = len(on_parts)
    if not mass.shown.any():
        return Purity(None, np.zeros(prototypes), np.full(prototypes, NO_PART))
    best = on_parts.max(axis=1)
    total = on_parts.sum(axis=1) + mass.outside.sum(axis=0)
    each = np.divide(best, total, out=np.zeros(prototypes), where=total > 0)
    parts = np.where(best > 0, on_parts.argmax(axis=1), NO_PART)
    return Purity(float(each.mean()), each, parts)


def _owners(masks: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Which part owns each pixel, (H * W, q + 1) of ones and zeros; the last owns the rest."""
    parts = len(masks)
    areas = masks.sum(axis=(1, 2))
    owner = np.full(masks.shape[1:], parts)
    for part in sorted(range(parts), key=lambda part: (-areas[part], -part)):
        owner[masks[part]] = part  # the smallest last
    return np.asarray(np.eye(parts + 1, dtype=np.float32)[owner.ravel()])


def mass_of(case: Case) -> PartMass:
    """The positive evidence of a case on each part."""
    return part_mass(case.heatmaps, case.truth.masks)


def purity_of(case: Case) -> Purity:
    """How purely the prototypes of a case stand for parts, and for which."""
    return part_purity(case.once(mass_of))


METRICS = (
    Metric(
        name="part_purity",
        title="Part purity",
        better="higher",
        meaning="share of a heatmap's evidence that lies on its part",
        source="ours, after Nauta et al., CVPR 2023 (PIP-Net)",
        blind="Prototypes that all stand for one part are as pure as those of several.",
        needs=(Need.SPLIT, Need.MASKS),
        measure=lambda case: case.once(purity_of).value,
    ),
)

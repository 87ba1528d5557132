"""What is compared: the artifact's prototypes, and the baselines beside them.

Several metrics can be gamed, so no figure stands alone. Of one class with head row v (D,):

========== ===================================================================================
ours       the artifact's prototypes
centre     k heatmaps that peak in the middle of the image, whatever it shows
random     k random directions
cam        the plain class activation map, k times: v / k
nmf        the prototypes of NMF alone (the paper's eq. 2): parts, but no classifier
naive      the paper's ablation: the residual R split in proportion to the scales
even       R / k for each
paper      the paper's solver: Nelder-Mead on eq. 6, from zeros
========== ===================================================================================

The last four need training images. Symbols: n images, k prototypes, d channels, h×w grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from exporter.decompose import multiplicative
from exporter.decompose.refinement import (
    equal_split,
    first_shares,
    naive_split,
    nelder_mead_split,
)
from exporter.decompose.scaling import scale
from exporter.smoothing import NONE, Passes, smooth_heatmaps

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Baseline = Literal["centre", "random", "cam", "nmf", "naive", "even", "paper"]
BASELINES: tuple[Baseline, ...] = get_args(Baseline)
FROM_TRAINING: tuple[Baseline, ...] = ("nmf", "naive", "even", "paper")
OURS = "ours"
GRAD_CAM, RISE = "grad-cam", "rise"
"""One map of the class each, for the metrics that ask where."""


@dataclass(frozen=True)
class Method:
    """One way to explain a class.

    Attributes:
        name: Its name in tables.
        prototypes: (k, d) float64; heatmaps are features @ prototypes. None where the heatmap does
            not look at the image.
        k: Prototypes.
        row: (d,) float64, what the prototypes sum to; None where they sum to nothing of the
            head's, so that contributions are not in logit units.
        smoothing: Passes over its heatmaps, down and across.
    """

    name: str
    prototypes: Doubles | None
    k: int
    row: Doubles | None = None
    smoothing: Passes = NONE

    def heatmaps(self, maps: Floats, grid: tuple[int, int]) -> Floats:
        """Heatmaps (n, k, h, w) of feature maps (n, p, d) on a grid (h, w)."""
        if self.prototypes is None:
            return np.broadcast_to(_hill(grid), (len(maps), self.k, *grid)).astype(np.float32)
        found = maps @ self.prototypes.T.astype(np.float32)  # (n, p, k)
        sharp = found.transpose(0, 2, 1).reshape(len(maps), self.k, *grid)
        return smooth_heatmaps(sharp, self.smoothing)


@dataclass(frozen=True)
class ClassMap:
    """One map of the class, of a baseline that says where and has no prototypes.

    Attributes:
        name: Its name in tables.
        evidence: (n, h, w), 0 or more; what the metrics of heatmaps see.
        ranking: (n, h, w), which orders the pixels.
    """

    name: str
    evidence: Floats
    ranking: Floats
    prototypes: None = None
    row: None = None

    def heatmaps(self, maps: Floats, grid: tuple[int, int]) -> Floats:  # noqa: ARG002
        """The evidence as one heatmap, (n, 1, h, w), whatever the feature maps."""
        return self.evidence[:, None]


def ours(prototypes: Floats, smoothing: Passes) -> Method:
    """The artifact's prototypes (k, d) of one class, with its passes over the heatmaps."""
    values = prototypes.astype(np.float64)
    return Method(OURS, values, len(values), values.sum(axis=0), smoothing)


def baselines(
    names: Sequence[Baseline],
    row: Doubles,
    k: int,
    seed: int,
    training: Floats | None,
    mapped: int = 0,
) -> tuple[Method, ...]:
    """The baselines of one class.

    Args:
        names: Which.
        row: v, (d,) float64, the whole head row: the baselines know no reference.
        k: Prototypes.
        seed: Where the random directions and NMF start.
        training: (n, p, d), the features of training images; None leaves those out that need
            them, and so do too few images.
        mapped: Channels of the feature map in front, of a head whose rows read something else
            behind them (docs/heads.md). NMF factorises the map then, and those that split the
            row's residual are left out: NMF has no part of that row.

    Returns:
        The baselines in the order of :data:`BASELINES`.

    Raises:
        DecompositionError: ``paper`` is asked for and its simplex does not fit into memory.
    """
    found = {
        "centre": Method("centre", None, k),
        "random": Method("random", np.random.default_rng(seed).normal(size=(k, len(row))), k),
        "cam": Method("cam", np.tile(row / k, (k, 1)), k, row),
    }
    if training is not None and any(name in FROM_TRAINING for name in names):
        if mapped:
            found |= _on_map(row, k, seed, training[:, :, :mapped])
        else:
            found |= _from_training(names, row, k, seed, training)
    return tuple(found[name] for name in BASELINES if name in names and name in found)


def _on_map(row: Doubles, k: int, seed: int, training: Floats) -> dict[str, Method]:
    """NMF of a feature map (n, p, d) that is in front of what the row (d + H,) reads."""
    flat = np.maximum(training.reshape(-1, training.shape[2]), 0)
    if len(flat) < k or not flat.any():
        return {}
    basis = multiplicative.factorize(flat, k, seed).value.prototypes
    behind = np.zeros((k, len(row) - basis.shape[1]))
    return {"nmf": Method("nmf", np.hstack([basis, behind]).astype(np.float64), k)}


def _from_training(
    names: Sequence[Baseline], row: Doubles, k: int, seed: int, training: Floats
) -> dict[str, Method]:
    """The paper's three steps on the features of one class, with each way to split R."""
    flat = np.maximum(training.reshape(-1, training.shape[2]), 0)
    if len(flat) < k or not flat.any():
        return {}
    basis = multiplicative.factorize(flat, k, seed).value.prototypes
    alpha = scale(basis, row).value
    scaled = alpha[:, None] * basis
    residual = row - scaled.sum(axis=0)
    even = equal_split(k, residual)
    shares: dict[str, Doubles | None] = {"even": even}
    if "naive" in names:
        shares["naive"] = naive_split(alpha, residual)
    if "paper" in names:
        shares["paper"] = nelder_mead_split(
            training, basis, residual, first_shares("zeros", alpha, residual)
        ).value
    split = {
        # Where the scales cancel the naive split does not exist; the export splits evenly there.
        name: Method(name, scaled + (even if share is None else share), k, row)
        for name, share in shares.items()
    }
    return {"nmf": Method("nmf", basis.astype(np.float64), k), **split}


def _hill(grid: tuple[int, int]) -> Floats:
    """A heatmap (h, w) that falls from 1 in the middle to 0 in the corners."""
    y, x = (np.arange(length) - (length - 1) / 2 for length in grid)
    distance = np.hypot(y[:, None], x)
    return np.asarray(1 - distance / max(distance.max(), 1), dtype=np.float32)

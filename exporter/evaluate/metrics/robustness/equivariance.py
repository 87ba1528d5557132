"""Equivariance: does the heatmap move with the picture?

Pearson's correlation over positions, averaged over images and prototypes, of the heatmaps of a
picture with those of the changed picture, moved back: mirrored left to right, or shifted by whole
cells of the grid, on the cells that both see. The heatmaps of a convolutional network follow
either, but for its borders and strides; what falls is the network's doing as much as the
prototypes', so compare methods on one network.

Symbols: n images, k prototypes, h×w grid.
"""

from __future__ import annotations

from exporter.evaluate.arithmetic.statistics import correlation, flattened, mean_defined
from exporter.evaluate.trial.alterations import CELLS
from exporter.evaluate.trial.case import Case, Need
from exporter.evaluate.trial.metric import Metric, Value
from serving.drawing.peaks import Floats


def mirror_equivariance(heatmaps: Floats, mirrored: Floats) -> float | None:
    """How well the heatmaps follow a mirrored picture.

    Args:
        heatmaps: (n, k, h, w).
        mirrored: (n, k, h, w), of the pictures mirrored left to right; not yet mirrored back.

    Returns:
        -1 to 1; constant heatmaps are left out, None if none remains.
    """
    return _agreement(heatmaps, mirrored[..., ::-1])


def shift_equivariance(
    heatmaps: Floats, shifted: Floats, *, rows: int = 0, columns: int = 0
) -> float | None:
    """How well the heatmaps follow a shifted picture.

    Args:
        heatmaps: (n, k, h, w).
        shifted: (n, k, h, w), of the pictures moved by whole cells.
        rows: Cells that the picture was moved down; negative for up.
        columns: Cells that it was moved to the right; negative for left.

    Returns:
        -1 to 1; heatmaps that are constant on the cells that both see are left out, None if none
        remains or they see no cell in common.
    """
    down, right = _shared(heatmaps.shape[2], rows), _shared(heatmaps.shape[3], columns)
    back_down, back_right = _shared(heatmaps.shape[2], -rows), _shared(heatmaps.shape[3], -columns)
    return _agreement(heatmaps[:, :, down, right], shifted[:, :, back_down, back_right])


def _shared(length: int, shift: int) -> slice:
    """The cells of an axis that are still there once it has moved."""
    return slice(max(0, -shift), max(0, length - max(0, shift)))


def _agreement(first: Floats, second: Floats) -> float | None:
    if not first.size:
        return None
    return mean_defined(correlation(flattened(first), flattened(second)))


def _mirrored(case: Case) -> Value:
    return mirror_equivariance(case.heatmaps, case.heatmaps_of(case.trial.mirrored))


def _shifted(case: Case) -> Value:
    moved = case.heatmaps_of(case.trial.shifted)
    return shift_equivariance(case.heatmaps, moved, rows=CELLS, columns=CELLS)


METRICS = (
    Metric(
        name="mirror",
        title="Mirroring",
        better="higher",
        meaning="correlation of the heatmaps of the mirrored image, mirrored back",
        source="docs/evaluation.md",
        blind="A convolution follows whatever the prototypes are: most is the network's doing.",
        needs=(Need.PROTOTYPES,),
        measure=_mirrored,
    ),
    Metric(
        name="shift",
        title="Shifting",
        better="higher",
        meaning="correlation of the heatmaps after a shift by one cell, shifted back",
        source="docs/evaluation.md",
        blind="A shift by whole cells suits the network's stride: what a smaller one does, it does "
        "not ask.",
        needs=(Need.PROTOTYPES,),
        measure=_shifted,
    ),
)

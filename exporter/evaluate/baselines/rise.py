"""RISE, a baseline for where the evidence of a class lies, from the network's outputs alone.

Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018.
With N random masks M_m, the saliency of a pixel is the mean probability of the class over the
images in which it was kept:

    S = 1 / (N keep) sum_m P(class | x * M_m) M_m

A mask is a 7×7 grid of zeros and ones (1 with probability keep), enlarged bilinearly to 8×8 cells
of ceil(size / 7) pixels, of which a window of the input's size is cut at a random place in the
first cell. Masks multiply the normalised tensor, as the paper's code does: what is hidden becomes
the value 0 there. All images see the same masks.

Symbols: n images, m masks, c classes, H×W view.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.arithmetic.pixels import (
    LogitsOf,
    class_probability,
    over_channels,
    view_size,
)
from serving.artifact.layout import ImageLayout

GRID = 7


def rise(
    tensors: NDArray[np.float32],
    logits_of: LogitsOf,
    class_id: int,
    *,
    masks: int = 1000,
    keep: float = 0.5,
    seed: int = 0,
    batch: int = 32,
    layout: ImageLayout = "NCHW",
) -> NDArray[np.float32]:
    """The saliency of every pixel for a class; the network runs n * masks times.

    Args:
        tensors: (n, channels, H, W), or channels last as the layout says.
        logits_of: Runs the network, on at most batch tensors at a time.
        class_id: The class.
        masks: How many, 1 or more; the paper takes 4000 to 8000.
        keep: Probability that a cell of a mask is kept, above 0.
        seed: Decides the masks, whatever the batch.
        batch: Masks that are run at once.
        layout: Where the tensors have their channels.

    Returns:
        (n, H, W) float32, 0 or more.
    """
    size = view_size(tensors, layout)
    generator = np.random.default_rng(seed)
    grids = (generator.random((masks, GRID, GRID)) < keep).astype(np.float32)
    cell = [-(-length // GRID) for length in size]
    places = generator.integers(0, cell, (masks, 2))  # first row and column of the window
    saliency = np.zeros((len(tensors), *size), dtype=np.float32)
    for start in range(0, masks, batch):
        chunk = slice(start, start + batch)
        shown = random_masks(grids[chunk], places[chunk], size)  # (m, H, W)
        for image, tensor in enumerate(tensors):
            logits = logits_of(tensor * over_channels(shown, layout))
            weights = class_probability(logits, class_id).astype(np.float32)
            saliency[image] += np.tensordot(weights, shown, axes=1)
    return np.asarray(saliency / np.float32(masks * keep))


def random_masks(
    grids: NDArray[np.float32], places: NDArray[np.integer], size: tuple[int, int]
) -> NDArray[np.float32]:
    """Enlarge grids and cut a window of each.

    Args:
        grids: (m, 7, 7).
        places: (m, 2), first row and column of the window.
        size: (H, W) of the window.

    Returns:
        (m, H, W) float32, within the range of the grids.
    """
    rows = _windows(size[0], places[:, 0])  # (m, H, 7)
    columns = _windows(size[1], places[:, 1])
    return np.asarray(rows @ grids @ columns.transpose(0, 2, 1))


def _windows(length: int, starts: NDArray[np.integer]) -> NDArray[np.float32]:
    """Bilinear interpolation from the grid to each window along one axis, (m, length, 7)."""
    enlarged = (GRID + 1) * -(-length // GRID)
    pixels = starts[:, None] + np.arange(length)  # (m, length)
    centres = np.clip((pixels + 0.5) * GRID / enlarged - 0.5, 0, GRID - 1)  # the border repeats
    weights = 1 - np.abs(centres[..., None] - np.arange(GRID))
    return np.asarray(np.maximum(weights, 0), dtype=np.float32)

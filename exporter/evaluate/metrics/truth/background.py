"""Background: does the explanation leave out what is not the object?

After FunnyBirds' background independence (Hesse et al., ICCV 2023), which counts the background
objects whose removal moves the logit by less than 5 %. Adapted to contributions, which may cancel
in a logit, and to whole backdrops: the same bird is rendered before others, x'_b, and

    independence = 1 - sum over n, b, i of |c_i(x_n) - c_i(x'_nb)| / sum over n, b, i of |c_i(x_n)|

It is 1 when no backdrop moves any contribution, 0 when they move as much as there is, and negative
beyond. Beside it the share of each prototype's positive evidence (upsampled heatmap, clipped at 0)
that lies outside the foreground.

Symbols: n images, k prototypes, b backdrops, h×w grid, H×W view.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.metrics.truth.part_purity import part_mass
from exporter.evaluate.statistics import mean_defined
from serving.drawing.peaks import Floats


def background_independence(contributions: Floats, elsewhere: Floats) -> float | None:
    """How little the contributions move when the backdrop is another.

    Args:
        contributions: (n, k).
        elsewhere: (n, b, k), of the same bird before other backdrops; a backdrop with a NaN is left
            out.

    Returns:
        At most 1; None if nothing contributes or there is no backdrop.
    """
    before = np.asarray(contributions, dtype=np.float64)[:, None, :]
    known = np.isfinite(elsewhere).all(axis=2, keepdims=True)  # (n, b, 1)
    moved = np.abs(before - elsewhere).sum(where=known)
    total = np.broadcast_to(np.abs(before), elsewhere.shape).sum(where=known)
    return float(1 - moved / total) if total > 0 else None


def background_share(heatmaps: Floats, foreground: NDArray[np.bool_]) -> float | None:
    """The share of positive evidence outside the foreground, summed over images, mean over k.

    Args:
        heatmaps: (n, k, h, w).
        foreground: (n, H, W).

    Returns:
        0 to 1; a prototype without positive evidence is left out, None if all are.
    """
    mass = part_mass(heatmaps, foreground[:, None])
    outside = mass.outside.sum(axis=0)  # (k,)
    total = outside + mass.parts.sum(axis=(0, 2))
    shares = np.full(len(total), np.nan)
    return mean_defined(np.divide(outside, total, out=shares, where=total > 0))

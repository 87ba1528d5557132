"""Where the peaks of the heatmaps lie: at the border, off the object, near its keypoints.

Shares over images, one for each prototype. A blind heatmap would have its share too, so the rules
compare with what chance gives. Symbols: n images, k prototypes, q parts, h×w grid, height×width of
the view in pixels; positions are (x, y).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.arithmetic.localization import hits, visible
from exporter.evaluate.metrics.pointing.consistency import hit_rates
from exporter.evaluate.metrics.truth.part_purity import part_mass
from serving.drawing.peaks import Size

Floats = NDArray[np.floating]
Shares = NDArray[np.float64]

BORDER = 0.08
"""Width of the border over the side: one cell of a 7 x 7 grid has its centre inside, of a 16 x 16
grid only the outermost."""


@dataclass(frozen=True)
class OffObject:
    """What lies beside the object, where masks are known.

    Attributes:
        peaks: (k,), share of images whose peak is more than half a cell off the object, up and
            down as well as left and right: a heatmap knows its place no better.
        evidence: (k,), share of the positive evidence off the object; NaN where there is none.
        area: Share of the images' area that is off the object: what a blind heatmap would have.
    """

    peaks: Shares
    evidence: Shares
    area: float


def at_border(centres: NDArray[np.integer], size: Size) -> Shares:
    """The share of images whose peak lies in the border.

    Args:
        centres: (n, k, 2), peaks, n >= 1.
        size: (height, width) of the view.

    Returns:
        (k,), 0 to 1.
    """
    position = (centres + 0.5) / np.array(size[::-1])
    outside = ((position < BORDER) | (position > 1 - BORDER)).any(axis=2)  # (n, k)
    return np.asarray(outside.mean(axis=0))


def off_object(
    heatmaps: Floats, centres: NDArray[np.integer], foreground: NDArray[np.bool_]
) -> OffObject:
    """What lies beside the object.

    Args:
        heatmaps: (n, k, h, w), n >= 1.
        centres: (n, k, 2), their peaks.
        foreground: (n, height, width), where the object shows.
    """
    cell = np.divide(foreground.shape[1:], heatmaps.shape[2:])  # height and width, pixels
    on = np.array(
        [
            [_near(mask, centre, cell / 2) for centre in places]
            for mask, places in zip(foreground, centres, strict=True)
        ]
    )  # (n, k)
    mass = part_mass(heatmaps, foreground[:, None])
    outside = mass.outside.sum(axis=0)  # (k,)
    total = outside + mass.parts.sum(axis=(0, 2))
    evidence = np.full(len(total), np.nan)
    np.divide(outside, total, out=evidence, where=total > 0)
    return OffObject(1 - on.mean(axis=0), evidence, float(1 - foreground.mean()))


def off_parts(
    centres: NDArray[np.integer], points: NDArray[np.float64], size: Size
) -> Shares | None:
    """The share of images where no visible part lies in the box around the peak.

    Args:
        centres: (n, k, 2), peaks.
        points: (n, q, 2), keypoints in pixels of the view, NaN where not visible.
        size: (height, width) of the view.

    Returns:
        (k,), over the images with a visible part; None if no image has one.
    """
    shown = visible(points).any(axis=1)  # (n,)
    if not shown.any():
        return None
    struck = hits(centres[shown], points[shown], size).any(axis=2)  # (n', k)
    return np.asarray(1 - struck.mean(axis=0))


def steady(centres: NDArray[np.integer], points: NDArray[np.float64], size: Size) -> Shares | None:
    """How often each prototype points at the keypoint that it points at most.

    Args:
        centres: (n, k, 2), peaks.
        points: (n, q, 2), keypoints in pixels of the view, NaN where not visible.
        size: (height, width) of the view.

    Returns:
        (k,), over the images that show that keypoint; None if no image shows any.
    """
    shown = visible(points)
    if not shown.any():
        return None
    return np.asarray(hit_rates(hits(centres, points, size), shown).max(axis=1))


def _near(mask: NDArray[np.bool_], centre: NDArray[np.integer], reach: Shares) -> bool:
    """Whether a mask (height, width) shows anywhere around a pixel (x, y)."""
    (x, y), (down, across) = centre, np.ceil(reach).astype(int)
    rows = slice(max(0, y - down), y + down + 1)
    return bool(mask[rows, max(0, x - across) : x + across + 1].any())

"""What a report measured, as the ``trust.json`` that an edit puts into the artifact."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.arithmetic.localization import hits, visible
from exporter.evaluate.metrics.pointing.consistency import hit_rates
from exporter.images.trust import LIMITS, border_chance, places, rounded, share
from exporter.report.examples import ClassReport
from exporter.report.measure import ClassFigures, HeldOut
from exporter.report.observe import Observed
from serving.artifact import Artifact
from serving.artifact.trust import (
    HeldOutClass,
    HeldOutPartRecord,
    HeldOutTrust,
    Trust,
    read_trust,
)
from serving.drawing.peaks import Size, peaks

_NOT_MEASURED = HeldOutClass(images=0, recognised=None, parts=())


def held_out_class(figures: ClassFigures, observed: Observed | None, size: Size) -> HeldOutClass:
    """The figures of one class on held-out images.

    Args:
        figures: As the report has them.
        observed: Its held-out images, explained; None without any.
        size: (height, width) of the view, pixels.
    """
    if observed is None or figures.held_out is None:
        return _NOT_MEASURED
    held_out, steady = figures.held_out, _steady(observed, size)
    return HeldOutClass(
        images=held_out.images,
        recognised=share(held_out.recognised),
        parts=tuple(
            HeldOutPartRecord(
                share=_signed(held_out.shares[number]) if number in figures.live else None,
                steady=None if steady is None else share(float(steady[number])),
                off_object=_off(held_out, number),
                **dict(place),
            )
            for number, place in enumerate(places(observed.heatmaps))
        ),
    )


def trust_of(artifact: Artifact, sha256: str, data: str, classes: Sequence[ClassReport]) -> Trust:
    """The figures of an artifact, what its export saw and what a report measured.

    Args:
        artifact: The artifact.
        sha256: Of its manifest.
        data: Name of the folder of held-out images.
        classes: Those of the report; others are not measured.
    """
    measured = {found.record.index: found.trust for found in classes}
    split = {found.index for found in artifact.manifest.classes if found.state == "decomposed"}
    held_out = HeldOutTrust(
        artifact=sha256,
        data=data,
        classes=tuple(
            found if index in split else found.model_copy(update={"parts": ()})
            for index in range(len(artifact.manifest.classes))
            for found in [measured.get(index, _NOT_MEASURED)]
        ),
    )
    own = read_trust(artifact)
    if own is not None:
        return own.model_copy(update={"held_out": held_out})
    chance = border_chance(artifact.manifest.head.grid)
    return Trust(border_chance=chance, limits=LIMITS, held_out=held_out)


def _steady(observed: Observed, size: Size) -> NDArray[np.float64] | None:
    """How often each part is near the keypoint that it is near most often, (k,)."""
    points = observed.marks.points
    if points is None or not visible(points).any():
        return None
    found = hits(peaks(observed.heatmaps, size), points, size)
    return np.asarray(hit_rates(found, visible(points)).max(axis=1))


def _off(held_out: HeldOut, number: int) -> float | None:
    """How often a part's peak is off the object: by masks, else by keypoints."""
    if held_out.off_object is not None:
        return share(float(held_out.off_object.peaks[number]))
    return None if held_out.off_parts is None else share(float(held_out.off_parts[number]))


def _signed(value: float) -> float | None:
    return rounded(float(value)) if np.isfinite(value) else None

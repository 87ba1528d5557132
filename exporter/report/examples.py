"""Which held-out images are shown, and which classes.

Images are taken at even steps of the class's probability, from the most certain to the least, so
that nobody picks the pretty ones and mistakes are seen. Symbols: n images, m shown, k prototypes,
h×w grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exporter.report.measure import ClassFigures
from exporter.report.observe import Observed
from exporter.report.rules import Finding
from serving.artifact import ClassRecord
from serving.artifact.trust import HeldOutClass


@dataclass(frozen=True)
class Example:
    """One held-out image of a class.

    Attributes:
        path: Its file.
        place: Its rank by the class's probability, from 1.
        probability: Probability of its class.
        logit: Logit of its class.
        bias: The head's.
        common: The reference's share.
        unplaced: What comes from no place of the picture.
        rounding: What a quantised head adds by rounding.
        contributions: (k,), logit units.
        heatmaps: (k, h, w), logit units.
        best: The class with the largest logit.
        best_probability: Probability of that class.
        recognised: Whether the model gives the image to its class.
    """

    path: Path
    place: int
    probability: float
    logit: float
    bias: float
    common: float
    unplaced: float
    rounding: float
    contributions: NDArray[np.float32]
    heatmaps: NDArray[np.float32]
    best: int
    best_probability: float
    recognised: bool


@dataclass(frozen=True)
class ClassReport:
    """All that is known of one class.

    Attributes:
        record: The class, from the manifest.
        figures: Its figures.
        findings: Its warnings.
        examples: Its held-out images to show, the most certain first.
        trust: Its figures, as the artifact can keep them.
    """

    record: ClassRecord
    figures: ClassFigures
    findings: tuple[Finding, ...]
    examples: tuple[Example, ...]
    trust: HeldOutClass

    @property
    def certainty(self) -> float:
        """Share of its held-out images recognised; 0 without any."""
        return 0.0 if self.figures.held_out is None else self.figures.held_out.recognised


def choose_examples(observed: Observed | None, count: int) -> tuple[Example, ...]:
    """The images to show.

    Args:
        observed: The class's held-out images, explained.
        count: m, at most so many.
    """
    if observed is None:
        return ()
    own = observed.probabilities[:, observed.index]
    order = np.argsort(-own, kind="stable")
    return tuple(
        _example(observed, int(order[place]), place + 1) for place in _even(len(order), count)
    )


def shown_first(classes: Sequence[ClassReport], limit: int) -> tuple[ClassReport, ...]:
    """The classes to show with pictures, in the order of the logits.

    Where there are more than the limit, those with the most warnings are shown; of equal ones
    those that the model recognises least.
    """
    if len(classes) <= limit:
        return tuple(classes)
    urgent = sorted(classes, key=lambda c: (-len(c.findings), c.certainty, c.record.index))
    return tuple(sorted(urgent[:limit], key=lambda c: c.record.index))


def _even(total: int, count: int) -> list[int]:
    """Even steps from the first to the last; the middle alone if one is asked for."""
    if count == 1:
        return [(total - 1) // 2]
    return sorted({round(step * (total - 1) / (count - 1)) for step in range(count)})


def _example(observed: Observed, number: int, place: int) -> Example:
    best = int(observed.logits[number].argmax())
    return Example(
        path=observed.paths[number],
        place=place,
        probability=float(observed.probabilities[number, observed.index]),
        logit=float(observed.logits[number, observed.index]),
        bias=observed.bias,
        common=float(observed.common[number]),
        unplaced=float(observed.unplaced[number]),
        rounding=float(observed.rounding[number]),
        contributions=observed.contributions[number],
        heatmaps=observed.heatmaps[number],
        best=best,
        best_probability=float(observed.probabilities[number, best]),
        recognised=bool(observed.recognised[number]),
    )

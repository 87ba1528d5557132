"""What a logit is the sum of, as it is drawn: the parts that count most, and the rest in lines."""

from __future__ import annotations

import math

import numpy as np

from serving.drawing.sentence import ranked
from serving.errors import ArtifactError
from serving.model.explanation import ClassExplanation, PrototypeExplanation


def strongest(explained: ClassExplanation, count: int) -> list[PrototypeExplanation]:
    """The parts that count most, for the class or against it, in the order of their ranks."""
    order = ranked(explained)
    kept = sorted(order, key=lambda p: -abs(p.contribution))[:count]
    numbers = {p.index for p in kept}
    return [p for p in order if p.index in numbers]


def other_terms(explained: ClassExplanation, rows: int, decimals: int) -> list[tuple[str, float]]:
    """What must be added to the drawn contributions to reach the logit."""
    shown = {p.index for p in strongest(explained, rows)}
    hidden = [p.contribution for p in explained.prototypes if p.index not in shown]
    plural = "" if len(hidden) == 1 else "s"
    terms = [(f"{len(hidden)} more part{plural}", sum(hidden))] if hidden else []
    terms += [("bias", explained.bias), ("common to all classes", explained.common)]
    if explained.unplaced:
        terms.append(("from no place", explained.unplaced))
    if explained.rounding:
        terms.append(("rounding to 8 bits", explained.rounding))
    total = sum(p.contribution for p in explained.prototypes)
    total += explained.bias + explained.common + explained.unplaced + explained.rounding
    difference = explained.logit - total
    # A verified artifact has none beyond rounding, but a sum in print must add up.
    if round(abs(difference), decimals) > 0:
        terms.append(("difference", difference))
    return terms


def refuse_infinite(explained: ClassExplanation) -> None:
    """Refuse numbers that no picture can show.

    Raises:
        ArtifactError: One of them is not finite; the message names it.
    """
    numbers = {
        "logit": explained.logit,
        "probability": explained.probability,
        "bias": explained.bias,
        "common": explained.common,
        "term from no place": explained.unplaced,
        "rounding": explained.rounding,
    }
    for prototype in explained.prototypes:
        numbers[f"contribution of prototype {prototype.index}"] = prototype.contribution
        numbers[f"heatmap of prototype {prototype.index}"] = float(np.abs(prototype.heatmap).max())
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise ArtifactError(
                f"class {explained.label!r}: expected finite numbers to draw, got {value} for the "
                f"{name}. The network overflows on this image; check the preprocessing."
            )

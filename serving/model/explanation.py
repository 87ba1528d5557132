"""What the classifier looked for in one image: the answer of a predictor.

Symbols: h×w grid of the feature map. Everything is in logit units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.artifact.classes import fixed_name, is_named
from serving.artifact.trust import Doubt


def completeness_residual(
    contributions: NDArray[np.floating],
    rest: NDArray[np.float64] | float,
    logits: NDArray[np.floating] | float,
) -> NDArray[np.float64]:
    """|sum of contributions + rest - logit|, what an explanation misses (equation 8).

    Args:
        contributions: (..., k), logit units.
        rest: What else the logit is the sum of: bias + common + unplaced + rounding, of a
            shape that broadcasts to (...). Added in float64, or its own rounding counts too.
        logits: (...).

    Returns:
        (...) float64, logit units.
    """
    total = contributions.sum(axis=-1, dtype=np.float64) + rest
    return np.asarray(np.abs(total - logits))


def placed_share(contributions: Sequence[float], unplaced: float) -> float:
    """How much of the evidence for a class has a place in the picture.

        |sum of contributions| / (|sum of contributions| + |unplaced|)

    Args:
        contributions: Of its prototypes, logit units.
        unplaced: What comes from no place, logit units.

    Returns:
        0 to 1; 1 where nothing is unplaced.
    """
    if unplaced == 0:
        return 1.0
    placed = abs(math.fsum(contributions))
    return placed / (placed + abs(unplaced))


class _Short:
    """What prints its names and numbers alone: heatmaps fill pages."""

    def __repr__(self) -> str:
        values = vars(self).items()
        said = [f"{k}={v!r}" for k, v in values if isinstance(v, str | int | float)]
        return f"{type(self).__name__}({', '.join(said)})"


@dataclass(frozen=True)
class Evidence:
    """A training crop that activates a prototype.

    Attributes:
        path: JPEG inside the artifact.
        image: Id of the training image, its path below the data folder.
        value: Activation at the crop's centre, logit units.
    """

    path: Path
    image: str
    value: float


@dataclass(frozen=True, repr=False)
class PrototypeExplanation(_Short):
    """What one prototype says of one image.

    Attributes:
        index: Number of the prototype in its class, from 0.
        name: Its name.
        contribution: What it adds to the logit, logit units.
        heatmap: Where, (h, w), logit units; its mean is the contribution.
        evidence: Training crops that show what it looks like, best first.
        doubts: Reasons to look at it twice.
    """

    index: int
    name: str
    contribution: float
    heatmap: NDArray[np.float32]
    evidence: tuple[Evidence, ...]
    doubts: tuple[Doubt, ...] = ()

    @property
    def is_named(self) -> bool:
        """Whether somebody gave it a name; see :func:`serving.artifact.classes.is_named`."""
        return is_named(self.index, self.name)

    @property
    def fixed_name(self) -> str:
        """What people call it in every picture: its own name, or its number in the artifact."""
        return fixed_name(self.index, self.name)


@dataclass(frozen=True, repr=False)
class ClassExplanation(_Short):
    """Why one class got its logit: contributions + bias + common + unplaced + rounding = logit.

    Attributes:
        class_id: Position of the class in the logits.
        label: Its label.
        logit: The source model's own logit; after muting, the steered one.
        probability: Softmax or sigmoid of the logits, as the manifest says.
        bias: The head's bias, logit units.
        common: The reference's share, the same for every class; moves no probability.
        unplaced: What the network adds without looking at a place of the picture; 0 of most heads.
        rounding: What a quantised head adds by rounding; 0 of any other.
        whole: The class had too few training images: its head row is one prototype.
        prototypes: Its prototypes in their own order.
    """

    class_id: int
    label: str
    logit: float
    probability: float
    bias: float
    common: float
    unplaced: float
    rounding: float
    whole: bool
    prototypes: tuple[PrototypeExplanation, ...]

    @property
    def residual(self) -> float:
        """|sum of contributions + the other terms - logit|: is this answer complete?"""
        contributions = np.array([prototype.contribution for prototype in self.prototypes])
        rest = self.bias + self.common + self.unplaced + self.rounding
        return float(completeness_residual(contributions, rest, self.logit))

    @property
    def placed(self) -> float:
        """How much of the evidence has a place in the picture, 0 to 1; see placed_share."""
        return placed_share([p.contribution for p in self.prototypes], self.unplaced)


@dataclass(frozen=True)
class Score:
    """What a class got.

    Attributes:
        class_id: Position of the class in the logits.
        label: Its label.
        probability: Softmax or sigmoid of the logits, as the manifest says.
    """

    class_id: int
    label: str
    probability: float


@dataclass(frozen=True)
class Explanation:
    """The answer for one image.

    Attributes:
        view: What the network saw: resized, cropped, RGB.
        classes: The explained classes, best first or as asked for.
        best: The two most probable classes of all, best first, whether explained or not; empty
            where only the explained ones are known.
        activation: What made probabilities of the logits.
    """

    view: Image.Image = field(repr=False)
    classes: tuple[ClassExplanation, ...]
    best: tuple[Score, ...] = ()
    activation: Literal["softmax", "sigmoid"] = "softmax"

    @property
    def residual(self) -> float:
        """The largest completeness residual of the explained classes, logit units."""
        return max(explained.residual for explained in self.classes)

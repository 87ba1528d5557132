"""What the classifier looked for in one image: the answer of a predictor.

Symbols: h×w grid of the feature map. Everything is in logit units.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def completeness_residual(
    contributions: NDArray[np.floating],
    bias: NDArray[np.floating] | float,
    common: NDArray[np.floating] | float,
    logits: NDArray[np.floating] | float,
) -> NDArray[np.float64]:
    """|sum of contributions + bias + common - logit|, what an explanation misses (equation 8).

    Args:
        contributions: (..., k), logit units.
        bias: The head's bias, of a shape that broadcasts to (...).
        common: The reference's share, likewise.
        logits: (...).

    Returns:
        (...) float64, logit units.
    """
    total = contributions.sum(axis=-1, dtype=np.float64) + bias + common
    return np.asarray(np.abs(total - logits))


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


@dataclass(frozen=True)
class PrototypeExplanation:
    """What one prototype says of one image.

    Attributes:
        index: Number of the prototype in its class, from 0.
        name: Its name.
        contribution: What it adds to the logit, logit units.
        heatmap: Where, (h, w), logit units; its mean is the contribution.
        evidence: Training crops that show what it looks like, best first.
    """

    index: int
    name: str
    contribution: float
    heatmap: NDArray[np.float32]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class ClassExplanation:
    """Why one class got its logit: contributions + bias + common = logit.

    Attributes:
        class_id: Position of the class in the logits.
        label: Its label.
        logit: The source model's own logit; after muting, the steered one.
        probability: Softmax or sigmoid of the logits, as the manifest says.
        bias: The head's bias, logit units.
        common: The reference's share, the same for every class; moves no probability.
        whole: The class had too few training images: its head row is one prototype.
        prototypes: Its prototypes in their own order.
    """

    class_id: int
    label: str
    logit: float
    probability: float
    bias: float
    common: float
    whole: bool
    prototypes: tuple[PrototypeExplanation, ...]

    @property
    def residual(self) -> float:
        """|sum of contributions + bias + common - logit|, the completeness of this answer."""
        contributions = np.array([prototype.contribution for prototype in self.prototypes])
        return float(completeness_residual(contributions, self.bias, self.common, self.logit))


@dataclass(frozen=True)
class Explanation:
    """The answer for one image.

    Attributes:
        view: What the network saw: resized, cropped, RGB.
        classes: The explained classes, best first or as asked for.
    """

    view: Image.Image
    classes: tuple[ClassExplanation, ...]

    @property
    def residual(self) -> float:
        """The largest completeness residual of the explained classes, logit units."""
        return max(explained.residual for explained in self.classes)

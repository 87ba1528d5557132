"""The most confused pairs of classes, and what spoke for either in one image of each.

A mistake is an image that the model gives to another class, where classes exclude each other; where
they do not, no class is taken for another. Symbols: n images, c classes, k prototypes, h×w grid;
contributions and heatmaps in logit units.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exporter.report.observe import Observed
from serving.artifact import ClassRecord
from serving.model.predictor import Predictor
from serving.model.preprocess import decode, make_view, to_tensor

SHOWN = 6
"""Pairs shown with their contrast; the others are listed."""


@dataclass(frozen=True)
class Mistake:
    """One image that the model gives to another class.

    Attributes:
        true: Its class.
        taken: The class that the model gives it to.
        path: Its file.
        probability: Probability of that class.
    """

    true: int
    taken: int
    path: Path
    probability: float


@dataclass(frozen=True)
class Side:
    """One class of a contrast.

    Attributes:
        record: The class, from the manifest.
        probability: Its probability.
        contributions: (k,).
        heatmaps: (k, h, w).
        rest: What else its logit holds: bias, common term, what has no place, and rounding.
        decisive: Numbers of the prototypes without which the image would be recognised.
    """

    record: ClassRecord
    probability: float
    contributions: NDArray[np.float32]
    heatmaps: NDArray[np.float32]
    rest: float
    decisive: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Contrast:
    """What spoke for the class that was said, and for the one that is right.

    Attributes:
        path: The image, the most certain mistake of its kind.
        said: The class that the model gives it to.
        right: The class it belongs to.
    """

    path: Path
    said: Side
    right: Side


@dataclass(frozen=True)
class Confusion:
    """Two classes that are mistaken for each other.

    Attributes:
        true: The class whose images are taken for the other more often.
        taken: The other.
        count: How many of its images are.
        back: How many images of the other are taken for it.
        contrast: One of the images; None for pairs that are listed alone.
    """

    true: ClassRecord
    taken: ClassRecord
    count: int
    back: int
    contrast: Contrast | None


def mistakes_of(observed: Observed | None) -> Iterator[Mistake]:
    """The images of a class that are given to another one; none where classes may go together."""
    if observed is None or not observed.softmax:
        return
    for number in np.flatnonzero(~observed.recognised):
        taken = int(observed.logits[number].argmax())
        probability = float(observed.probabilities[number, taken])
        yield Mistake(observed.index, taken, observed.paths[number], probability)


def confusions(
    predictor: Predictor, mistakes: Iterable[Mistake], shown: int = SHOWN
) -> tuple[Confusion, ...]:
    """The confused pairs, the most confused first.

    Args:
        predictor: The artifact, ready to answer.
        mistakes: All that were made.
        shown: How many pairs get a contrast.

    Raises:
        ImageError: An image cannot be decoded any more.
        InferenceError: The network fails on it.
    """
    pairs: dict[tuple[int, int], list[list[Mistake]]] = defaultdict(lambda: [[], []])
    for mistake in mistakes:
        low, high = sorted((mistake.true, mistake.taken))
        pairs[low, high][mistake.true == high].append(mistake)
    ways = [sorted(both, key=len, reverse=True) for both in pairs.values()]
    ways.sort(key=lambda both: (-len(both[0]) - len(both[1]), both[0][0].true, both[0][0].taken))
    return tuple(
        _confusion(predictor, more, less, with_contrast=place < shown)
        for place, (more, less) in enumerate(ways)
    )


def _confusion(
    predictor: Predictor, more: Sequence[Mistake], less: Sequence[Mistake], *, with_contrast: bool
) -> Confusion:
    records = predictor.manifest.classes
    surest = max(more, key=lambda mistake: mistake.probability)
    return Confusion(
        true=records[surest.true],
        taken=records[surest.taken],
        count=len(more),
        back=len(less),
        contrast=_contrast(predictor, surest) if with_contrast else None,
    )


def _contrast(predictor: Predictor, mistake: Mistake) -> Contrast:
    preprocessing = predictor.manifest.input.preprocessing
    view = make_view(decode(mistake.path, preprocessing=preprocessing), preprocessing)
    asked = np.array([[mistake.taken, mistake.true]], dtype=np.int64)
    found = predictor.run(to_tensor(view.image, preprocessing)[None], classes=asked)
    logits = found.logits[0].astype(np.float64)
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()

    def side(place: int) -> Side:
        record = predictor.manifest.classes[asked[0, place]]
        k = len(record.prototypes)
        rest = found.common[0, 0] + found.unplaced[0, place] + found.rounding[0, place]
        return Side(
            record=record,
            probability=float(probabilities[record.index]),
            contributions=found.contributions[0, place, :k],
            heatmaps=found.heatmaps[0, place, :k],
            rest=float(rest) + float(predictor.bias[record.index]),
            decisive=_decisive(logits, mistake, found.contributions[0, place, :k])
            if place == 0
            else frozenset(),
        )

    return Contrast(mistake.path, said=side(0), right=side(1))


def _decisive(
    logits: NDArray[np.float64], mistake: Mistake, contributions: NDArray[np.float32]
) -> frozenset[int]:
    """Parts of the class that was said without which the right one is ahead of all others."""
    found = set()
    for number, contribution in enumerate(contributions):
        without = logits.copy()
        without[mistake.taken] -= contribution
        if int(without.argmax()) == mistake.true:
            found.add(number)
    return frozenset(found)

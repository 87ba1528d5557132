"""Two artifacts on the same images: best classes, contributions and heatmaps, side by side.

Each artifact prepares an image in its own way. Symbols: k parts of the older class, m of the newer
one, h×w grid of either. Everything is in logit units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exporter.errors import DatasetError
from exporter.text import as_text
from serving.errors import ImageError
from serving.model.explanation import ClassExplanation
from serving.model.predictor import Predictor

ClassPair = tuple[int | None, int | None]
"""Positions of a class in the logits of both, None where one lacks it."""


@dataclass(frozen=True)
class Looked:
    """What the parts of one class say of one image; none of a class that is not there.

    Attributes:
        contributions: (k,).
        heatmaps: (k, h, w).
    """

    contributions: NDArray[np.float32]
    heatmaps: NDArray[np.float32]


@dataclass(frozen=True)
class Seen:
    """One image, in the older and the newer artifact.

    Attributes:
        image: Its path below the folder.
        best: Label and probability of the best class in each.
        classes: What the parts of the best classes of both say in each.
    """

    image: str
    best: tuple[tuple[str, float], tuple[str, float]]
    classes: dict[ClassPair, tuple[Looked, Looked]]


@dataclass(frozen=True)
class Observed:
    """All images.

    Attributes:
        data: Name of their folder.
        images: Those that could be decoded.
        skipped: How many could not.
    """

    data: str
    images: tuple[Seen, ...]
    skipped: int

    def of_class(self, pair: ClassPair) -> list[tuple[str, tuple[Looked, Looked]]]:
        """The images that either artifact gives to a class."""
        return [(seen.image, seen.classes[pair]) for seen in self.images if pair in seen.classes]


def observe(
    predictors: tuple[Predictor, Predictor],
    pairs: Sequence[ClassPair],
    root: Path,
    paths: Sequence[Path],
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Observed:
    """Run two artifacts on the same images.

    Args:
        predictors: The older and the newer artifact.
        pairs: Every class of both.
        root: The folder of the images.
        paths: The images.
        progress: Called with the images done and the images in all.

    Raises:
        DatasetError: Not one image can be decoded.
        InferenceError: A model fails on an image.
    """
    old = _Side(predictors[0], {pair[0]: pair for pair in pairs})
    new = _Side(predictors[1], {pair[1]: pair for pair in pairs})
    images = []
    for done, path in enumerate(paths, start=1):
        progress(done, len(paths))
        try:
            before, after = old.look(path), new.look(path)
        except ImageError:
            continue  # counted as skipped
        images.append(
            Seen(
                image=as_text(path.relative_to(root).as_posix()),
                best=((before.label, before.probability), (after.label, after.probability)),
                classes={
                    pair: (old.looked(path, pair[0]), new.looked(path, pair[1]))
                    for pair in (old.pairs[before.class_id], new.pairs[after.class_id])
                },
            )
        )
    if not images:
        raise DatasetError(f"{root}: not one of {len(paths)} images can be decoded.")
    return Observed(as_text(root.resolve().name), tuple(images), len(paths) - len(images))


class _Side:
    """One artifact, and what it says of the image at hand."""

    def __init__(self, predictor: Predictor, pairs: dict[int | None, ClassPair]) -> None:
        self.pairs = pairs
        self._predictor = predictor
        self._explained: dict[int, ClassExplanation] = {}

    def look(self, path: Path) -> ClassExplanation:
        """The best class of the next image."""
        classes = self._predictor.explain(path).classes
        self._explained = {explained.class_id: explained for explained in classes}
        return classes[0]

    def looked(self, path: Path, index: int | None) -> Looked:
        """What the parts of a class say of it."""
        if index is None:
            return Looked(np.empty(0, np.float32), np.empty((0, 1, 1), np.float32))
        if index not in self._explained:  # not among the best
            self._explained[index] = self._predictor.explain(path, classes=[index]).classes[0]
        parts = self._explained[index].prototypes
        return Looked(
            np.array([part.contribution for part in parts], dtype=np.float32),
            np.stack([part.heatmap for part in parts]),
        )

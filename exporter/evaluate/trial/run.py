"""Everything that is measured on the images of one class, once for all methods.

The network runs on the images, on copies with noise, mirrored or shifted, and, where the truth is
known, on the same pictures without a part or before another backdrop.

Symbols: n images, c classes, d channels, p = h*w positions, q parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.annotations.parts import Annotations
from exporter.evaluate.annotations.truth import PartTruth
from exporter.evaluate.trial.alterations import mirrored, noisy, shifted
from exporter.evaluate.trial.subject import Picture, Subject
from exporter.images.dataset import ClassImages
from exporter.images.features import FeatureReader
from serving.model.predictor import Predictor

_BATCH = 8
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Truth:
    """What is known of drawn pictures to the pixel.

    Attributes:
        masks: (n, q, height, width) of the view: where each part shows.
        foreground: (n, height, width): where anything of the bird shows, part or not.
        removed: (m, 2), image and part of each picture that lacks a part; m is 0 without any.
        removed_maps: (m, p, d), their feature maps.
        removed_logits: (m, c).
        moved: (m',), the image of each picture before another backdrop, likewise.
        moved_maps: (m', p, d).
    """

    masks: NDArray[np.bool_]
    foreground: NDArray[np.bool_]
    removed: NDArray[np.intp]
    removed_maps: Floats
    removed_logits: Floats
    moved: NDArray[np.intp]
    moved_maps: Floats

    def only(self, kept: NDArray[np.bool_]) -> Truth:
        """The same of some of the images.

        Args:
            kept: (n,), whether an image stays.
        """
        numbers = np.cumsum(kept) - 1  # (n,), of each image among those that stay
        removed, moved = kept[self.removed[:, 0]], kept[self.moved]
        images, parts = self.removed[removed].T
        return Truth(
            masks=self.masks[kept],
            foreground=self.foreground[kept],
            removed=np.stack([numbers[images], parts], axis=1),
            removed_maps=self.removed_maps[removed],
            removed_logits=self.removed_logits[removed],
            moved=numbers[self.moved[moved]],
            moved_maps=self.moved_maps[moved],
        )


@dataclass(frozen=True)
class Trial:
    """The images of one class, as every method sees them.

    Attributes:
        index: The class.
        label: Its label.
        size: (height, width) of the view, pixels.
        grid: (h, w) of the feature map.
        pictures: The n images.
        maps: (n, p, d), their feature maps.
        logits: (n, c), the classifier's own.
        unplaced: (n,), what of the class's logit comes from no place, the reference's share of it
            and the rounding of a quantised head included: logit = mean of maps @ head row + bias +
            this. 0 of most heads.
        noisy: Feature maps of the images with noise, one array for each seed.
        mirrored: (n, p, d), of the images mirrored left to right.
        shifted: (n, p, d), of the images moved one cell right and down.
        points: (n, q, 2), keypoints in pixels of the view, NaN where not visible; None without
            annotations.
        truth: What is known to the pixel, of drawn pictures only.
    """

    index: int
    label: str
    size: tuple[int, int]
    grid: tuple[int, int]
    pictures: tuple[Picture, ...]
    maps: Floats
    logits: Floats
    unplaced: NDArray[np.float64]
    noisy: tuple[Floats, ...]
    mirrored: Floats
    shifted: Floats
    points: NDArray[np.float64] | None
    truth: Truth | None

    def tensors(self, count: int) -> Floats:
        """The input tensors of the first images, (count, ...) in the network's layout."""
        return np.stack([picture.tensor for picture in self.pictures[:count]])

    def only(self, kept: NDArray[np.bool_]) -> Trial:
        """The same on some of its images.

        Args:
            kept: (n,), whether an image stays.
        """
        return replace(
            self,
            pictures=tuple(p for p, keep in zip(self.pictures, kept, strict=True) if keep),
            maps=self.maps[kept],
            logits=self.logits[kept],
            unplaced=self.unplaced[kept],
            noisy=tuple(maps[kept] for maps in self.noisy),
            mirrored=self.mirrored[kept],
            shifted=self.shifted[kept],
            points=None if self.points is None else self.points[kept],
            truth=None if self.truth is None else self.truth.only(kept),
        )


@dataclass(frozen=True)
class Conditions:
    """What every class is put through.

    Attributes:
        subject: The artifact.
        reader: Runs its classifier.
        predictor: Runs its own graphs, which alone say what comes from no place; None where
            nothing does.
        annotations: Where the parts are, if known.
        truth: Masks and altered pictures, if known.
        seeds: How many draws of the noise.
        seed: Where the first draw starts; each further one starts from the next number.
        jobs: Threads that decode.
    """

    subject: Subject
    reader: FeatureReader
    predictor: Predictor | None
    annotations: Annotations | None
    truth: PartTruth | None
    seeds: int
    seed: int
    jobs: int


def run_trial(conditions: Conditions, entry: ClassImages) -> Trial | None:
    """Run the network on everything that the metrics of one class need.

    Args:
        conditions: What to run.
        entry: The class and its images.

    Returns:
        The trial; None where no image can be decoded, or none of them is annotated although
        annotations are given.
    """
    subject, reader = conditions.subject, conditions.reader
    pictures, points = _annotated(subject.pictures(entry.paths, conditions.jobs), conditions)
    if not pictures:
        return None
    tensors = np.stack([picture.tensor for picture in pictures])
    maps, logits = reader.run(tensors)
    truth = None
    if conditions.truth is not None:
        truth = _truth(conditions, conditions.truth, pictures, (maps[:0], logits[:0]))
    preprocessing = subject.preprocessing
    generators = (
        np.random.default_rng([conditions.seed + number, entry.index])
        for number in range(conditions.seeds)
    )
    return Trial(
        index=entry.index,
        label=entry.label,
        size=subject.size,
        grid=reader.grid,
        pictures=tuple(pictures),
        maps=maps,
        logits=logits,
        unplaced=_unplaced(conditions, entry.index, tensors, maps),
        noisy=tuple(reader.run(noisy(tensors, preprocessing, g))[0] for g in generators),
        mirrored=reader.run(mirrored(tensors, preprocessing.layout))[0],
        shifted=reader.run(shifted(tensors, preprocessing.layout, reader.grid))[0],
        points=points,
        truth=truth,
    )


def _unplaced(
    conditions: Conditions, index: int, tensors: Floats, maps: Floats
) -> NDArray[np.float64]:
    """What of a class's logits comes from no place, (n,), of tensors (n, ...) and their maps."""
    predictor, found = conditions.predictor, np.zeros(len(tensors))
    if predictor is None:
        return found
    for start in range(0, len(tensors), _BATCH):
        batch = tensors[start : start + _BATCH]
        outputs = predictor.run(batch, classes=np.full((len(batch), 1), index, dtype=np.int64))
        found[start : start + len(batch)] = outputs.unplaced[:, 0]
        found[start : start + len(batch)] += outputs.common[:, 0] + outputs.rounding[:, 0]
    # Of the reference's share this leaves what the maps do not hold.
    found -= maps.mean(axis=1) @ conditions.subject.reference
    return found


def _annotated(
    pictures: Sequence[Picture], conditions: Conditions
) -> tuple[list[Picture], NDArray[np.float64] | None]:
    """The pictures to measure on and their keypoints (n, q, 2) in pixels of the view."""
    if conditions.annotations is None:
        return list(pictures), None
    kept, points = [], []
    for picture in pictures:
        found = conditions.annotations.find(picture.path, picture.file_size)
        if found is not None:
            kept.append(picture)
            points.append(picture.to_view(found))
    return kept, np.stack(points) if points else None


def _truth(
    conditions: Conditions,
    truth: PartTruth,
    pictures: Sequence[Picture],
    none: tuple[Floats, Floats],
) -> Truth | None:
    """The masks and the altered pictures; None where these pictures were drawn without them.

    ``none`` is what the network gives for no picture: (0, p, d) and (0, c).
    """
    if not any(truth.covers(picture.path) for picture in pictures):
        return None
    subject = conditions.subject
    removed: list[tuple[int, int]] = []
    moved: list[int] = []
    without: list[Floats] = []
    elsewhere: list[Floats] = []
    for number, picture in enumerate(pictures):
        for part, name in enumerate(truth.parts):
            path = truth.without(picture.path, name)
            if path is not None:
                removed.append((number, part))
                without.append(subject.picture(path).tensor)
        for path in truth.backdrops(picture.path):
            moved.append(number)
            elsewhere.append(subject.picture(path).tensor)
    removed_maps, removed_logits = _run(conditions.reader, without, none)
    moved_maps, _ = _run(conditions.reader, elsewhere, none)
    return Truth(
        masks=np.stack([p.masks_to_view(truth.masks(p.path)) for p in pictures]),
        foreground=np.concatenate(
            [p.masks_to_view(truth.foreground(p.path)[None]) for p in pictures]
        ),
        removed=np.array(removed, dtype=np.intp).reshape(-1, 2),
        removed_maps=removed_maps,
        removed_logits=removed_logits,
        moved=np.array(moved, dtype=np.intp),
        moved_maps=moved_maps,
    )


def _run(
    reader: FeatureReader, tensors: Sequence[Floats], none: tuple[Floats, Floats]
) -> tuple[Floats, Floats]:
    return reader.run(np.stack(tensors)) if tensors else none

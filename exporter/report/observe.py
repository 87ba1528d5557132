"""The held-out images of one class, explained by the artifact as it is served.

Symbols: n images, c classes, k prototypes that the class has, h×w grid, q parts. Contributions,
heatmaps and logits are in logit units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exporter.evaluate.annotations import Annotations, PartTruth
from exporter.evaluate.trial.subject import Picture
from exporter.images.dataset import ClassImages
from serving.errors import ImageError
from serving.model.outputs import activate
from serving.model.predictor import Predictor
from serving.model.preprocess import decode, make_view, to_tensor

_BATCH = 8
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Marks:
    """Where the object in each image is, as far as it is annotated.

    Attributes:
        points: (n, q, 2), keypoints in pixels of the view, NaN where not visible or not known;
            None without annotations.
        drawn: Images whose masks are known.
        foreground: (len(drawn), height, width), where the object shows in them, part or not.
    """

    points: NDArray[np.float64] | None
    drawn: NDArray[np.intp]
    foreground: NDArray[np.bool_]


@dataclass(frozen=True)
class Observed:
    """What the artifact says of the held-out images of one class.

    Attributes:
        index: The class.
        paths: The n images.
        skipped: Images that cannot be decoded.
        logits: (n, c), the model's.
        probabilities: (n, c), softmax or sigmoid of them.
        contributions: (n, k), of the class's prototypes.
        heatmaps: (n, k, h, w).
        bias: The head's.
        common: (n,), the reference's share.
        unplaced: (n,), what comes from no place of the picture.
        rounding: (n,), what a quantised head adds by rounding.
        recognised: (n,), whether the model gives the image to its class.
        softmax: Whether the classes exclude each other.
        marks: Where the object is.
    """

    index: int
    paths: tuple[Path, ...]
    skipped: int
    logits: Floats
    probabilities: NDArray[np.float64]
    contributions: Floats
    heatmaps: Floats
    bias: float
    common: NDArray[np.float64]
    unplaced: NDArray[np.float64]
    rounding: NDArray[np.float64]
    recognised: NDArray[np.bool_]
    softmax: bool
    marks: Marks

    @property
    def constant(self) -> NDArray[np.float64]:
        """(n,), bias, common term, what is unplaced and rounding: what else the logit holds."""
        return self.common + self.bias + self.unplaced + self.rounding


def recognised(logits: Floats, index: int, softmax: bool) -> NDArray[np.bool_]:
    """Whether the model gives images to a class.

    Args:
        logits: (n, c).
        index: The class.
        softmax: Whether the best class is the answer; else all of at least even odds are.
    """
    return np.asarray(logits.argmax(axis=1) == index if softmax else logits[:, index] >= 0)


def observe(
    predictor: Predictor,
    entry: ClassImages,
    *,
    annotations: Annotations | None = None,
    truth: PartTruth | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Observed | None:
    """Explain the held-out images of one class.

    Args:
        predictor: The artifact, ready to answer.
        entry: The class and its images.
        annotations: Where the parts are, if known.
        truth: Masks, if known.
        progress: Called with the number of images done since the last call.

    Returns:
        What was seen; None where no image can be decoded.

    Raises:
        InferenceError: The network fails on an image.
        DatasetError: An annotation does not fit its image.
    """
    manifest = predictor.manifest
    record = manifest.classes[entry.index]
    parts: list[tuple[Floats, ...]] = []
    marks: list[tuple[NDArray[np.float64] | None, NDArray[np.bool_] | None]] = []
    paths: list[Path] = []
    prepared = _prepared(entry.paths, predictor, progress)
    while batch := list(islice(prepared, manifest.input.shape[0] or _BATCH)):
        parts.append(_explain(predictor, np.stack([p.tensor for p in batch]), entry.index))
        marks += [(_points(p, annotations), _foreground(p, truth)) for p in batch]
        paths += [p.path for p in batch]
    if not paths:
        return None
    logits, contributions, heatmaps, common, unplaced, rounding = (
        np.concatenate(part) for part in zip(*parts, strict=True)
    )
    k = len(record.prototypes)
    probabilities = activate(logits, manifest.activation)
    softmax = manifest.activation == "softmax"
    return Observed(
        index=entry.index,
        paths=tuple(paths),
        skipped=len(entry.paths) - len(paths),
        logits=logits,
        probabilities=probabilities,
        contributions=contributions[:, 0, :k],
        heatmaps=heatmaps[:, 0, :k],
        bias=float(predictor.bias[entry.index]),
        common=common[:, 0].astype(np.float64),
        unplaced=unplaced[:, 0].astype(np.float64),
        rounding=rounding[:, 0].astype(np.float64),
        recognised=recognised(logits, entry.index, softmax),
        softmax=softmax,
        marks=_marks(marks),
    )


def _prepared(
    paths: tuple[Path, ...], predictor: Predictor, progress: Callable[[int], None]
) -> Iterator[Picture]:
    preprocessing = predictor.manifest.input.preprocessing
    for path in paths:
        progress(1)
        try:
            image = decode(path, preprocessing=preprocessing)
        except ImageError:
            continue  # counted as skipped
        view = make_view(image, preprocessing)
        yield Picture(path, image.size, view, to_tensor(view.image, preprocessing))


def _explain(predictor: Predictor, tensors: Floats, index: int) -> tuple[Floats, ...]:
    """Logits, contributions, heatmaps, common term, what is unplaced and rounding of tensors."""
    found = predictor.run(tensors, classes=np.full((len(tensors), 1), index, dtype=np.int64))
    rest = found.common, found.unplaced, found.rounding
    return found.logits, found.contributions, found.heatmaps, *rest


def _points(picture: Picture, annotations: Annotations | None) -> NDArray[np.float64] | None:
    found = None if annotations is None else annotations.find(picture.path, picture.file_size)
    return None if found is None else picture.to_view(found)


def _foreground(picture: Picture, truth: PartTruth | None) -> NDArray[np.bool_] | None:
    if truth is None or not truth.covers(picture.path):
        return None
    (mask,) = picture.masks_to_view(truth.foreground(picture.path)[None])
    return np.asarray(mask)


def _marks(
    marks: list[tuple[NDArray[np.float64] | None, NDArray[np.bool_] | None]],
) -> Marks:
    known = [points for points, _ in marks if points is not None]
    points = None
    if known:
        unknown = np.full(known[0].shape, np.nan)
        points = np.stack([unknown if found is None else found for found, _ in marks])
    drawn = [number for number, (_, mask) in enumerate(marks) if mask is not None]
    masks = [mask for _, mask in marks if mask is not None]
    return Marks(
        points=points,
        drawn=np.array(drawn, dtype=np.intp),
        foreground=np.stack(masks) if masks else np.zeros((0, 0, 0), dtype=bool),
    )

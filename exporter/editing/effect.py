"""What muting prototypes changes: in arrays, and on the images of a data set.

Symbols: n images, c classes, t classes of an image that are looked at, k prototypes.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exporter.errors import DatasetError, EditError
from exporter.images.dataset import Dataset, read_dataset
from exporter.text import as_text
from serving.artifact import Manifest
from serving.artifact.edits import ChangeRecord, ClassEffectRecord, EffectRecord
from serving.errors import ImageError
from serving.model.predictor import Predictor

_BATCH = 8
Ids = NDArray[np.int64]


def best_when_muted(
    logits: NDArray[np.float32],
    contributions: NDArray[np.float32],
    class_ids: NDArray[np.int64] | None = None,
) -> Ids:
    """The best class of each image if one prototype were muted, for each prototype on its own.

    Muting prototype i of class a takes contribution_i from the logit of a and leaves every other
    logit alone, so a stays or becomes the best class if what is left exceeds the best of the
    others. In float32, as the edited graph computes it; of equal logits the first class is best.

    Args:
        logits: (n, c), logit units.
        contributions: (n, t, k), logit units.
        class_ids: (n, t), the classes that the contributions are of; by default t = c, in order.

    Returns:
        (n, t, k): the best class with prototype [t, k] muted.
    """
    count, classes = logits.shape
    if class_ids is None:
        class_ids = np.tile(np.arange(classes, dtype=np.int64), (count, 1))
    order = np.argsort(-logits, axis=1, kind="stable")
    first, second = order[:, :1], order[:, 1 % classes][:, None]
    other = np.where(class_ids == first, second, first)  # (n, t): the best of the other classes
    left = np.take_along_axis(logits, class_ids, axis=1)[:, :, None] - contributions
    limit = np.take_along_axis(logits, other, axis=1)[:, :, None]
    wins = (left > limit) | ((left == limit) & (class_ids <= other)[:, :, None])
    return np.where(wins, class_ids[:, :, None], other[:, :, None])


@dataclass(frozen=True)
class Change:
    """The best classes of images before and after a model was changed.

    Attributes:
        labels: (n,) the right class.
        before: (n,) the best class before.
        after: (n,) the best class after.
    """

    labels: Ids
    before: Ids
    after: Ids

    @property
    def changed(self) -> NDArray[np.bool_]:
        """(n,): the best class is another."""
        return np.not_equal(self.before, self.after)

    @property
    def corrected(self) -> NDArray[np.bool_]:
        """(n,): wrong before, right after."""
        found: NDArray[np.bool_] = (self.before != self.labels) & (self.after == self.labels)
        return found

    @property
    def broken(self) -> NDArray[np.bool_]:
        """(n,): right before, wrong after."""
        found: NDArray[np.bool_] = (self.before == self.labels) & (self.after != self.labels)
        return found

    def of_class(self, index: int) -> ClassEffectRecord:
        """What the change did to one class."""
        own = self.labels == index
        return ClassEffectRecord(
            class_index=index,
            images=int(own.sum()),
            recognised_before=int((self.before[own] == index).sum()),
            recognised_after=int((self.after[own] == index).sum()),
            predicted_before=int((self.before == index).sum()),
            predicted_after=int((self.after == index).sum()),
        )


def read_images(root: Path, manifest: Manifest) -> Dataset:
    """The class folders that an edit is measured on, every image of them.

    Raises:
        DatasetError: The folders do not fit the labels.
        EditError: The model is no single-label classifier.
    """
    if manifest.activation == "sigmoid":
        raise EditError(
            f"{root}: class folders name one class for an image, but this model gives every class "
            "a probability of its own, so there is no best class to compare. Leave `data` out."
        )
    return read_dataset(
        root,
        class_count=len(manifest.classes),
        labels=manifest.labels,
        max_images=sys.maxsize,
        seed=0,
    )


def sha256_of_images(dataset: Dataset) -> str:
    """The sha256 on record in the effect that was measured on these images."""
    digest = hashlib.sha256()
    for path in (path for entry in dataset.classes for path in entry.paths):
        with suppress(OSError):
            digest.update(_mark(dataset.image_id(path), path.read_bytes()))
    return digest.hexdigest()


def measure(
    before: Predictor,
    after: Predictor,
    dataset: Dataset,
    *,
    touched: tuple[int, ...],
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> EffectRecord:
    """Run two models on the same images and compare their best classes.

    Args:
        before: The model before.
        after: The model after; it prepares images in the same way.
        dataset: The images.
        touched: Classes to report on their own, by index.
        progress: Called with the images done and the images in all.

    Raises:
        DatasetError: Not one image can be decoded.
        InferenceError: A model fails on an image.
    """
    digest = hashlib.sha256()
    names: list[str] = []
    rows: list[tuple[int, int, int]] = []
    for batch in _batches(before, dataset, digest.update):
        tensors = np.stack([tensor for _, _, tensor in batch])
        best = [model.logits(tensors).argmax(axis=1) for model in (before, after)]
        names += [name for name, _, _ in batch]
        rows += [
            (label, int(old), int(new))
            for (_, label, _), old, new in zip(batch, *best, strict=True)
        ]
        progress(len(rows), dataset.image_count)
    if not rows:
        raise DatasetError(f"{dataset.root}: not one image can be decoded.")
    progress(dataset.image_count, dataset.image_count)
    change = Change(*np.array(rows, dtype=np.int64).T)
    return EffectRecord(
        data=as_text(dataset.root.resolve().name),
        sha256=digest.hexdigest(),
        images=len(rows),
        skipped=dataset.image_count - len(rows),
        accuracy_before=float((change.before == change.labels).mean()),
        accuracy_after=float((change.after == change.labels).mean()),
        corrected=int(change.corrected.sum()),
        broken=int(change.broken.sum()),
        changes=tuple(
            ChangeRecord(image=name, label=label, before=old, after=new)
            for name, (label, old, new) in zip(names, rows, strict=True)
            if old != new
        ),
        classes=tuple(change.of_class(index) for index in touched),
    )


Prepared = tuple[str, int, NDArray[np.float32]]
"""Id of an image, its class, its input tensor."""


def _batches(
    predictor: Predictor, dataset: Dataset, note: Callable[[bytes], None]
) -> Iterator[list[Prepared]]:
    prepared = _prepared(predictor, dataset, note)
    size = predictor.manifest.input.shape[0] or _BATCH
    while batch := list(islice(prepared, size)):
        yield batch


def _prepared(
    predictor: Predictor, dataset: Dataset, note: Callable[[bytes], None]
) -> Iterator[Prepared]:
    for entry in dataset.classes:
        for path in entry.paths:
            name = dataset.image_id(path)
            try:
                content = path.read_bytes()
                note(_mark(name, content))
                tensor = predictor.preprocess(content)[1]
            except (OSError, ImageError):
                continue  # counted as skipped
            yield name, entry.index, tensor


def _mark(name: str, content: bytes) -> bytes:
    """What an image, readable or not, adds to the sha256 of a data set."""
    return hashlib.sha256(name.encode()).digest() + hashlib.sha256(content).digest()

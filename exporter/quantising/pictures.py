"""The pictures that a quantisation reads: some to take ranges from, the rest to compare on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from exporter.errors import DatasetError
from exporter.images.dataset import ClassImages, Dataset, find_images, read_dataset
from serving.artifact import Manifest
from serving.errors import ImageError
from serving.model.predictor import Predictor

_BATCH = 8


class Picture(NamedTuple):
    """An image: its file, its name in the record, and its class, None where nothing tells it."""

    path: Path
    name: str
    label: int | None


@dataclass(frozen=True)
class Pictures:
    """The pictures of one folder.

    Attributes:
        root: The folder.
        calibration: Those that ranges are taken from.
        compared: All others.
    """

    root: Path
    calibration: tuple[Picture, ...]
    compared: tuple[Picture, ...]


def read_pictures(
    root: Path, manifest: Manifest, *, calibration: int, max_images: int, seed: int
) -> Pictures:
    """Find the pictures of a folder and share them out.

    Args:
        root: A folder of images, or of one folder for each class. Of a multilabel model folders
            tell no class.
        manifest: Of the artifact that is quantised.
        calibration: Images to take ranges from, spread over the classes; at most half of all.
        max_images: Images used of each class.
        seed: Of the draw where there are more.

    Raises:
        DatasetError: The class folders do not fit the labels, or there are too few images.
    """
    dataset = _dataset(root, manifest, max_images, seed)
    labelled = manifest.activation == "softmax" and len(dataset.classes) > 1
    found = [
        Picture(path, dataset.image_id(path), entry.index if labelled else None)
        for entry in dataset.classes
        for path in entry.paths
    ]
    count = min(calibration, len(found) // 2)
    chosen = {number * len(found) // count for number in range(count)}
    pictures = Pictures(
        root,
        tuple(picture for number, picture in enumerate(found) if number in chosen),
        tuple(picture for number, picture in enumerate(found) if number not in chosen),
    )
    if not pictures.compared or (calibration and not count):
        raise DatasetError(
            f"{root}: expected images, some to take ranges from and others to compare on, found "
            f"{len(found)}. Give a folder of images, or of one folder for each class."
        )
    return pictures


def _dataset(root: Path, manifest: Manifest, max_images: int, seed: int) -> Dataset:
    if not root.is_dir():
        raise DatasetError(
            f"{root}: expected a folder of images, or of one folder of images for each class."
        )
    folders = any(p.is_dir() and not p.name.startswith(".") for p in root.iterdir())
    if not folders or manifest.activation == "sigmoid":
        paths = find_images(root).paths
        return Dataset(root, (ClassImages(0, "", paths),))
    return read_dataset(
        root,
        class_count=len(manifest.classes),
        labels=manifest.labels,
        max_images=max_images,
        seed=seed,
    )


def batches(
    predictor: Predictor, pictures: Sequence[Picture]
) -> Iterator[tuple[list[Picture], NDArray[np.float32]]]:
    """Pictures and their input tensors (b, ...), a batch at a time; what is damaged is left out."""
    prepared = _prepared(predictor, pictures)
    size = predictor.manifest.input.shape[0] or _BATCH
    while batch := list(islice(prepared, size)):
        yield [picture for picture, _ in batch], np.stack([tensor for _, tensor in batch])


def _prepared(
    predictor: Predictor, pictures: Sequence[Picture]
) -> Iterator[tuple[Picture, NDArray[np.float32]]]:
    for picture in pictures:
        with suppress(ImageError):  # counted as skipped
            yield picture, predictor.preprocess(picture.path)[1]


def sha256_of(pictures: Sequence[Picture]) -> str:
    """The sha256 of pictures, names and bytes, one after another."""
    digest = hashlib.sha256()
    for picture in pictures:
        with suppress(OSError):
            content = picture.path.read_bytes()
            digest.update(hashlib.sha256(picture.name.encode()).digest())
            digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()

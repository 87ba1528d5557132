"""A few pictures, and how much of what decides for their classes has a place in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from exporter.errors import DatasetError
from exporter.head import Head
from exporter.head.rows import split_reference
from exporter.images.dataset import find_images
from exporter.images.features import FeatureReader
from exporter.images.placed import HALF, placed_shares
from exporter.source.onnx_file import Source
from serving.artifact import Preprocessing

IMAGES, OF_EACH = 16, 2


class Placed(BaseModel):
    """Placed shares of the classes that some images are given, 0 to 1.

    ``below_half`` counts the images whose share is below a half.
    """

    model_config = ConfigDict(frozen=True)

    images: int
    median: float
    least: float
    most: float
    below_half: int

    @property
    def words(self) -> str:
        """The same as a sentence."""
        if self.least == 1:
            return f"all of the evidence for the predicted class, over {self.images} images"
        told = (
            f"{self.median:.0%} of the evidence for the predicted class, {self.least:.0%} to "
            f"{self.most:.0%} over {self.images} images"
        )
        if not self.below_half:
            return told
        return (
            f"{told}; less than half in {self.below_half} of them: there heatmaps show the smaller "
            "part of what decided"
        )


def measure_placed(source: Source, head: Head, preprocessing: Preprocessing, data: Path) -> Placed:
    """Run a few pictures of a folder.

    Args:
        source: The model, its image size fixed.
        head: Its head.
        preprocessing: How an image becomes the input tensor.
        data: A folder of images, or of one folder for each class.

    Raises:
        DatasetError: No image in it can be read.
        InferenceError: The network cannot run on them.
        SourceError: It gives values that are not finite.
    """
    with FeatureReader(source, head, preprocessing, threads=0) as reader:
        features = reader.read(sample_images(data))
    if not features.paths:
        raise DatasetError(
            f"{data}: expected images that can be read, {features.skipped[0]} `data` is a folder "
            "of images, or of one folder for each class."
        )
    rows = split_reference(head, None, multilabel=False)
    predicted = features.logits.argmax(axis=1)
    return _summary(placed_shares(features, head, rows, predicted))


def sample_images(data: Path) -> tuple[Path, ...]:
    """:data:`OF_EACH` images of each class folder, of classes all over it, or the first ones.

    Raises:
        DatasetError: There are none.
    """
    folders = sorted(p for p in data.iterdir() if p.is_dir() and not p.name.startswith("."))
    step = max(1, -(-len(folders) * OF_EACH // IMAGES))
    found = [find_images(folder).paths[:OF_EACH] for folder in folders[::step]]
    images = tuple(path for paths in found for path in paths) or find_images(data).paths[:IMAGES]
    if not images:
        raise DatasetError(
            f"{data}: expected images, or one folder of images for each class, found none."
        )
    return images


def _summary(shares: NDArray[np.float64]) -> Placed:
    return Placed(
        images=len(shares),
        median=float(np.median(shares)),
        least=float(shares.min()),
        most=float(shares.max()),
        below_half=int((shares < HALF).sum()),
    )

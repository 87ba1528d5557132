"""An artifact opened for evaluation: its network, its head and its prototypes.

Symbols: n images, c classes, k prototypes, d channels, p = h*w positions.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from safetensors.numpy import load_file

from exporter.head import Head, find_head
from exporter.images.features import FeatureReader
from exporter.smoothing import Passes
from exporter.source.embedded import embedded_source
from exporter.source.onnx_file import Source
from serving.artifact import PROTOTYPES, Artifact, Preprocessing
from serving.errors import ImageError
from serving.model.predictor import Predictor
from serving.model.preprocess import View, decode, make_view, to_tensor


@dataclass(frozen=True)
class Picture:
    """One image, prepared.

    Attributes:
        path: Its file.
        file_size: (width, height) of the upright image, pixels.
        view: What the network sees of it, and where that lies in the image.
        tensor: The network's input, (channels, height, width) or channels last.
    """

    path: Path
    file_size: tuple[int, int]
    view: View
    tensor: NDArray[np.float32]

    def to_view(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Move points (q, 2), x and y in pixels of the image, to pixels of the view.

        What falls outside the view is NaN: the network does not see it.
        """
        moved = (points + 0.5) * self.view.scale - self.view.offset - 0.5
        outside = ((moved < -0.5) | (moved >= np.array(self.view.image.size) - 0.5)).any(axis=1)
        moved[outside] = np.nan
        return np.asarray(moved)

    def masks_to_view(self, masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Move masks (q, height, width) of the image to the view, the nearest pixel deciding."""
        width, height = self.view.image.size
        x = (np.arange(width) + 0.5 + self.view.offset[0]) / self.view.scale[0]
        y = (np.arange(height) + 0.5 + self.view.offset[1]) / self.view.scale[1]
        inside_x = (x >= 0) & (x < masks.shape[2])
        inside_y = (y >= 0) & (y < masks.shape[1])
        moved = np.zeros((len(masks), height, width), dtype=bool)
        columns, rows = x[inside_x].astype(int), y[inside_y].astype(int)
        moved[:, inside_y[:, None] & inside_x] = masks[:, rows][:, :, columns].reshape(
            len(masks), -1
        )
        return moved


@dataclass(frozen=True)
class Subject:
    """What is evaluated.

    Attributes:
        artifact: The artifact.
        source: The classifier inside it.
        head: Its head.
        prototypes: (c, k, d) float32, those of the artifact.
        reference: (d,) float32, what was taken out of every head row.
    """

    artifact: Artifact
    source: Source
    head: Head
    prototypes: NDArray[np.float32]
    reference: NDArray[np.float32]

    @property
    def preprocessing(self) -> Preprocessing:
        """How an image becomes the input tensor."""
        return self.artifact.manifest.input.preprocessing

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the view, pixels."""
        return self.preprocessing.size

    @property
    def k(self) -> int:
        """Prototypes of each class."""
        return self.artifact.manifest.prototypes

    @property
    def smoothing(self) -> Passes:
        """Passes over the heatmaps, down and across."""
        return self.artifact.manifest.method.smoothing

    @property
    def by_softmax(self) -> bool:
        """Whether the probabilities of the classes sum to one."""
        return self.artifact.manifest.activation == "softmax"

    @contextmanager
    def reader(self, jobs: int, model: ir.Model | None = None) -> Iterator[FeatureReader]:
        """Run the classifier, or a changed copy of it, over images.

        Args:
            jobs: Threads; 0 takes all cores.
            model: The changed copy. A chain is read off it again, for its steps know weights.
        """
        source, head = self.source, self.head
        if model is not None:
            source = Source(source.name, model, source.sha256, source.input)
            if head.chain is not None:
                head = find_head(model, output=self.artifact.manifest.head.output)
        with FeatureReader(source, head, self.preprocessing, jobs) as reader:
            yield reader

    def predictor(self, jobs: int) -> Predictor | None:
        """Runs the artifact's own graphs, where these alone say what comes from no place.

        Args:
            jobs: Threads; 0 takes all cores.
        """
        head = self.artifact.manifest.head
        if not head.unplaced and not head.rounding:
            return None
        return Predictor(self.artifact, threads=jobs)

    def picture(self, path: Path) -> Picture:
        """Decode and prepare an image.

        Raises:
            ImageError: Not an image, damaged, or too large.
        """
        image = decode(path, preprocessing=self.preprocessing)
        view = make_view(image, self.preprocessing)
        return Picture(path, image.size, view, to_tensor(view.image, self.preprocessing))

    def pictures(self, paths: tuple[Path, ...], jobs: int) -> list[Picture]:
        """Decode and prepare images; those that cannot be decoded are left out."""
        with ThreadPoolExecutor(jobs or None) as pool:
            found = list(pool.map(self._picture_or_none, paths))
        return [picture for picture in found if picture is not None]

    def _picture_or_none(self, path: Path) -> Picture | None:
        try:
            return self.picture(path)
        except ImageError:
            return None  # counted by the caller


def open_subject(artifact: Artifact) -> Subject:
    """Take the classifier out of an artifact again.

    Raises:
        IntegrityError: ``model.onnx`` is no ONNX model.
        HeadError: Its head cannot be found, so it is not one that was exported.
    """
    source = embedded_source(artifact)
    tensors = load_file(artifact.path(PROTOTYPES))
    return Subject(
        artifact=artifact,
        source=source,
        head=find_head(source.model, output=artifact.manifest.head.output),
        prototypes=tensors["prototypes"],
        reference=tensors["reference"],
    )

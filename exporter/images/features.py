"""Run the network over the images of one class and keep its feature maps.

Symbols: n images, c classes, d channels, p = h*w positions of the feature map.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from exporter.errors import SourceError
from exporter.head import Head
from exporter.images.doubts import Looked
from exporter.smoothing import NONE, Passes, smooth_features
from exporter.source.graph_session import open_session
from exporter.source.onnx_file import Source
from exporter.surgery import AT_MAP, ROW, features_of, tap_features
from serving.artifact import Preprocessing
from serving.errors import ImageError
from serving.model.padding import run_in_batches
from serving.model.preprocess import decode, preprocess, to_tensor
from serving.model.runtime import run

_BATCH = 8
_UNREADABLE = bytes(32)  # in place of the sha256 of a file that cannot be read
Decoded = tuple[bytes, NDArray[np.float32] | ImageError]
"""The sha256 of an image file, and its tensor or why there is none."""


@dataclass(frozen=True)
class ClassFeatures:
    """The feature maps of the usable images of one class.

    Attributes:
        maps: (n, p, d) float32. Where the pooled vector is normalised each image is divided by
            its own number, so that the mean over p times a head row plus bias is the logit.
        logits: (n, c) float32, the source model's own.
        grid: (h, w) of the feature map.
        paths: The n images.
        skipped: Why each unusable image was left out.
        sha256: Hash of all images, usable or not, as :func:`sha256_of_images` makes it.
        doubts: What is odd about the images: of one colour, or the same one again.
        row: (d',) float64, of a head whose chain has a map (docs/heads.md), whose channels are in
            front of what each place gives: the row of the class as one of these, the mean over
            images. None for other heads.
    """

    maps: NDArray[np.float32]
    logits: NDArray[np.float32]
    grid: tuple[int, int]
    paths: tuple[Path, ...]
    skipped: tuple[str, ...]
    sha256: str
    doubts: tuple[str, ...] = ()
    row: NDArray[np.float64] | None = None

    @property
    def seen(self) -> NDArray[np.float32]:
        """What the network sees at each place: the maps, or what is of the chain's map of them."""
        return self.maps if self.row is None else self.maps[:, :, : len(self.row)]

    def smoothed(self, passes: Passes) -> ClassFeatures:
        """The same with smoothed maps; these maps become the smoothed ones."""
        if passes != NONE and self.paths:
            smooth_features(self.maps, self.grid, passes, out=self.maps)
        return self

    def activations(self, prototypes: NDArray[np.float32]) -> NDArray[np.float32]:
        """The heatmaps of prototypes (k, d): (n, k, h, w), logit units (equation 8)."""
        maps = self.maps @ prototypes.T  # (n, p, k)
        return maps.transpose(0, 2, 1).reshape(len(maps), len(prototypes), *self.grid)


def sha256_of_images(paths: tuple[Path, ...]) -> str:
    """The sha256, in hexadecimal, of the sha256 of each image's bytes, one after another."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError:
            digest.update(_UNREADABLE)
    return digest.hexdigest()


class _Measured(NamedTuple):
    """What the network gives for a batch of b images.

    Attributes:
        maps: (b, p, d), as in :class:`ClassFeatures`.
        logits: (b, c).
        grid: (h, w).
        rows: (b, d'), the row of the class at the chain's map; (0, 0) where there is none.
    """

    maps: NDArray[np.float32]
    logits: NDArray[np.float32]
    grid: tuple[int, int]
    rows: NDArray[np.float32]


class FeatureReader:
    """Reads the feature maps of images, one class at a time.

    Decoding runs ahead of the network by one batch, so memory holds the maps of one class and two
    batches of images, whatever the number of classes.

    Args:
        source: The source model.
        head: The head found in it.
        preprocessing: How an image becomes the input tensor.
        threads: Threads for decoding and inside the network; 0 takes all cores.

    Attributes:
        grid: (h, w) of the feature map, as the graph says. Of a map (b, d, h, w) or (b, h, w, d)
            whose size the graph does not tell, that of the map which the network gives.

    Raises:
        RuntimeSetupError: onnxruntime cannot load the graph.
        InferenceError: The network cannot run on images of the preprocessing's size.
        SourceError: The network gives another grid than the graph says, or tokens whose number
            the graph does not fix.
    """

    def __init__(
        self, source: Source, head: Head, preprocessing: Preprocessing, threads: int
    ) -> None:
        self._session = open_session(tap_features(source.model, head), threads=threads)
        self._head = head
        self._input = source.input.name
        self._fixed_batch = source.input.shape[0]
        self._preprocessing = preprocessing
        self._pool = ThreadPoolExecutor(threads or os.cpu_count())
        blank = to_tensor(Image.new("RGB", preprocessing.size[::-1]), preprocessing)
        self.grid = self._measure(blank[None]).grid

    def __enter__(self) -> FeatureReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        del self._session  # it holds the weights, and what follows needs the memory

    def read(
        self,
        paths: tuple[Path, ...],
        *,
        row: NDArray[np.float64] | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> ClassFeatures:
        """Read the feature maps of images.

        Args:
            paths: Images of one class.
            row: (d,), of the class; where the head's chain has a map, it is told as a row of that.
            progress: Called with the number of images done since the last call.

        Returns:
            The feature maps of the images that could be decoded.

        Raises:
            InferenceError: The network fails on these inputs.
            SourceError: It gives values that are not finite.
        """
        kept: list[Path] = []
        skipped: list[str] = []
        maps: NDArray[np.float32] | None = None
        logits: list[NDArray[np.float32]] = []
        rows: list[NDArray[np.float32]] = []
        digest, looked = hashlib.sha256(), Looked(self._preprocessing.layout)
        for chunk, read in self._decoded(paths):
            decoded = [tensor for _, tensor in read]
            for content_hash, _ in read:
                digest.update(content_hash)
            usable = [tensor for tensor in decoded if not isinstance(tensor, ImageError)]
            skipped += [str(tensor) for tensor in decoded if isinstance(tensor, ImageError)]
            if usable:
                looked.at(usable)
                found = self._measure(np.stack(usable), row)
                if maps is None:
                    maps = np.empty((len(paths), *found.maps.shape[1:]), dtype=np.float32)
                maps[len(kept) : len(kept) + len(usable)] = found.maps
                logits.append(found.logits)
                rows.append(found.rows)
                kept += [
                    path
                    for path, tensor in zip(chunk, decoded, strict=True)
                    if not isinstance(tensor, ImageError)
                ]
            progress(len(chunk))
        return ClassFeatures(
            maps=np.empty((0, 0, 0), np.float32) if maps is None else maps[: len(kept)],
            logits=np.concatenate(logits) if logits else np.empty((0, 0), np.float32),
            grid=self.grid,
            paths=tuple(kept),
            skipped=tuple(skipped),
            sha256=digest.hexdigest(),
            doubts=looked.doubts(),
            row=self._mean_row(rows, len(kept)),
        )

    def _decoded(self, paths: tuple[Path, ...]) -> Iterator[tuple[tuple[Path, ...], list[Decoded]]]:
        pending: tuple[tuple[Path, ...], list[Future[Decoded]]] | None = None
        for start in range(0, len(paths), _BATCH):
            chunk = paths[start : start + _BATCH]
            futures = [self._pool.submit(self._decode, path) for path in chunk]
            if pending is not None:
                yield pending[0], [future.result() for future in pending[1]]
            pending = chunk, futures
        if pending is not None:
            yield pending[0], [future.result() for future in pending[1]]

    def _decode(self, path: Path) -> Decoded:
        try:
            content = path.read_bytes()
        except OSError as error:
            reason = f"{path.name}: cannot be read: {error.strerror}."
            return _UNREADABLE, ImageError(reason)
        found = hashlib.sha256(content).digest()
        try:
            image = decode(content, name=path.name, preprocessing=self._preprocessing)
            return found, preprocess(image, self._preprocessing)
        except ImageError as error:
            return found, error

    def run(self, tensors: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run the network on input tensors.

        Args:
            tensors: (n, channels, height, width), or channels last, n >= 1.

        Returns:
            Maps (n, p, d) as in :class:`ClassFeatures`, and logits (n, c).

        Raises:
            InferenceError: The network fails on these inputs.
            SourceError: It gives values that are not finite.
        """
        parts = [self._measure(tensors[i : i + _BATCH]) for i in range(0, len(tensors), _BATCH)]
        maps, logits = ([getattr(part, name) for part in parts] for name in ("maps", "logits"))
        return np.concatenate(maps), np.concatenate(logits)

    @property
    def _map_channels(self) -> int:
        """The channels of the map of the head's chain; 0 where there is none."""
        return 0 if self._head.chain is None else self._head.chain.mapped

    def _mean_row(self, rows: list[NDArray[np.float32]], images: int) -> NDArray[np.float64] | None:
        if not self._map_channels:
            return None
        total = np.zeros(self._map_channels)
        for batch in rows:
            total += batch.sum(axis=0, dtype=np.float64)
        return total / max(images, 1)

    def _measure(
        self, batch: NDArray[np.float32], row: NDArray[np.float64] | None = None
    ) -> _Measured:
        names, given = [features_of(self._head), self._head.logits], {}
        channels = self._map_channels
        if channels:
            names.append(AT_MAP)
            size = self._head.weight.shape[1] - channels
            own = np.zeros(size) if row is None else row[channels:]
            given[ROW] = own.reshape(1, 1, -1).astype(np.float32)
        found = run_in_batches(
            lambda feeds: run(self._session, names, {**feeds, **given}),
            {self._input: batch},
            self._fixed_batch,
        )
        features, logits = (found[name] for name in names[:2])
        if not np.isfinite(features).all():
            raise SourceError(
                f"the feature map {self._head.feature!r} has values that are not finite. Check "
                "the preprocessing: a wrong scale makes activations overflow."
            )
        maps, grid = feature_rows(features, self._head)
        at_map = found[AT_MAP].reshape(-1, channels) if channels else np.empty((0, 0), np.float32)
        rows = np.broadcast_to(at_map, (len(batch), channels)) if channels else at_map
        return _Measured(maps, logits.reshape(len(batch), -1), grid, rows)


def feature_rows(
    features: NDArray[np.float32], head: Head
) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """A feature map as it leaves the network, position by position.

    Args:
        features: (n, d, h, w), (n, h, w, d) or tokens (n, p, d), as ``head.layout`` says.
        head: The head that averages it.

    Returns:
        Maps (n, p, d) as in :class:`ClassFeatures`, and their grid (h, w).

    Raises:
        SourceError: They do not lie on the grid that the graph says, or are tokens and it says
            none.
    """
    if head.chain is not None:
        return features, head.chain.grid
    if head.layout == "NCHW":
        n, d, *sizes = features.shape
        rows = features.reshape(n, d, -1).transpose(0, 2, 1)
    else:
        n, *sizes, d = features.shape
        rows = features.reshape(n, -1, d)
    grid = _agreed(head, tuple(sizes))
    if head.normalisation is not None:
        numbers = head.normalisation.of(rows.mean(axis=1, dtype=np.float64))
        rows = (rows / numbers[:, None, None]).astype(np.float32)
    return rows, grid


def _agreed(head: Head, sizes: tuple[int, ...]) -> tuple[int, int]:
    """The grid of the graph, held against what the network gives: (h, w), or the tokens (p,)."""
    if head.grid is None and len(sizes) == 2:
        return sizes
    if head.grid is None:
        raise SourceError(
            f"expected the graph to fix the number of tokens {head.feature!r}, because it alone "
            f"tells their grid; it leaves it open, the network gives {sizes[0]}. Export the model "
            "with a fixed image size, or run onnx.shape_inference on it."
        )
    if sizes not in (head.grid, (math.prod(head.grid),)):
        found = " x ".join(str(size) for size in sizes)
        raise SourceError(
            f"expected the feature map {head.feature!r} on the grid that the graph says, "
            f"{head.grid[0]} x {head.grid[1]}, the network gives {found}. The shapes stored in the "
            "model are wrong: export it again, or delete its value_info."
        )
    return head.grid

"""Run the network over the images of one class and keep its feature maps.

Symbols: n images, c classes, d channels, p = h*w positions of the feature map.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from exporter.errors import SourceError
from exporter.head import Head
from exporter.source.graph_session import open_session
from exporter.source.onnx_file import Source
from exporter.surgery import tap_features
from serving.artifact import Preprocessing
from serving.errors import ImageError
from serving.model.preprocess import decode, preprocess, to_tensor
from serving.model.runtime import run

_BATCH = 8
Decoded = NDArray[np.float32] | ImageError


@dataclass(frozen=True)
class ClassFeatures:
    """The feature maps of the usable images of one class.

    Attributes:
        maps: (n, p, d) float32. Behind a pooled LayerNormalization each image is divided by its
            own sigma, so that the mean over p times a head row plus bias is the logit.
        logits: (n, c) float32, the source model's own.
        grid: (h, w) of the feature map.
        paths: The n images.
        skipped: Why each unusable image was left out.
    """

    maps: NDArray[np.float32]
    logits: NDArray[np.float32]
    grid: tuple[int, int]
    paths: tuple[Path, ...]
    skipped: tuple[str, ...]

    def activations(self, prototypes: NDArray[np.float32]) -> NDArray[np.float32]:
        """The heatmaps of prototypes (k, d): (n, k, h, w), logit units (equation 8)."""
        maps = self.maps @ prototypes.T  # (n, p, k)
        return maps.transpose(0, 2, 1).reshape(len(maps), len(prototypes), *self.grid)


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
        grid: (h, w) of the feature map.

    Raises:
        RuntimeSetupError: onnxruntime cannot load the graph.
        InferenceError: The network cannot run on images of the preprocessing's size.
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
        self.grid = self._measure(blank[None])[2]

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
        self, paths: tuple[Path, ...], *, progress: Callable[[int], None] = lambda _: None
    ) -> ClassFeatures:
        """Read the feature maps of images.

        Args:
            paths: Images of one class.
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
        for chunk, decoded in self._decoded(paths):
            usable = [tensor for tensor in decoded if not isinstance(tensor, ImageError)]
            skipped += [str(tensor) for tensor in decoded if isinstance(tensor, ImageError)]
            if usable:
                features, batch_logits = self.run(np.stack(usable))
                if maps is None:
                    maps = np.empty((len(paths), *features.shape[1:]), dtype=np.float32)
                maps[len(kept) : len(kept) + len(usable)] = features
                logits.append(batch_logits)
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
            return preprocess(decode(path), self._preprocessing)
        except ImageError as error:
            return error

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
        return np.concatenate([part[0] for part in parts]), np.concatenate([p[1] for p in parts])

    def _measure(
        self, batch: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], tuple[int, int]]:
        count = len(batch)
        size = self._fixed_batch or count
        names = (self._head.feature, self._head.logits)
        parts = []
        for start in range(0, count, size):
            feed = batch[start : start + size]
            short = size - len(feed)
            if short:  # a graph of fixed batch size: fill up with the last image, then cut
                feed = np.concatenate([feed, np.repeat(feed[-1:], short, axis=0)])
            parts.append(run(self._session, names, {self._input: feed}))
        features, logits = (np.concatenate([part[n] for part in parts])[:count] for n in names)
        if not np.isfinite(features).all():
            raise SourceError(
                f"the feature map {self._head.feature!r} has values that are not finite. Check "
                "the preprocessing: a wrong scale makes activations overflow."
            )
        rows, grid = self._rows(features)
        return rows, logits, grid

    def _rows(self, features: NDArray[np.float32]) -> tuple[NDArray[np.float32], tuple[int, int]]:
        """Feature map of any layout -> (n, p, d), and its grid."""
        head = self._head
        if head.layout == "NCHW":
            n, d, h, w = features.shape
            rows = features.reshape(n, d, h * w).transpose(0, 2, 1)
        elif head.layout == "NHWC":
            n, h, w, d = features.shape
            rows = features.reshape(n, h * w, d)
        else:
            rows = features
            h, w = token_grid(features.shape[1], self._preprocessing.size)
        if head.layer_norm is not None:
            variance = rows.mean(axis=1, dtype=np.float64).var(axis=1)
            sigma = np.sqrt(variance + head.layer_norm.epsilon)
            rows = (rows / sigma[:, None, None]).astype(np.float32)
        return rows, (h, w)


def token_grid(tokens: int, size: tuple[int, int]) -> tuple[int, int]:
    """The grid of a sequence of patch tokens, from the aspect ratio of the input.

    Args:
        tokens: Length of the sequence.
        size: Height and width of the input, pixels.

    Returns:
        (h, w) with h * w = tokens, as close to the input's aspect ratio as the tokens allow.

    Raises:
        SourceError: The tokens do not fill a grid of the input's shape.
    """
    height, width = size
    h = max(1, round((tokens * height / width) ** 0.5))
    if tokens % h or abs((tokens // h) / h - width / height) > 0.25 * width / height:
        raise SourceError(
            f"expected patch tokens that fill a grid of the shape of the input ({height} x "
            f"{width}), got {tokens} tokens. Tokens beside the patches (class token, registers) "
            "must not be averaged in."
        )
    return h, tokens // h

"""What the source and an artifact answer on the same inputs, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from PIL import Image

from exporter.head import Head
from exporter.images.features import feature_rows
from exporter.source.graph_session import open_session
from exporter.surgery import features_of, tap_features, tap_logits
from exporter.verification.edit_gates import EditComparison
from exporter.verification.gates import (
    COMPLETENESS,
    SUMMANDS,
    count_gate,
    limit_gate,
    summands,
    worst,
)
from serving.artifact import GateRecord, InputRecord, Manifest
from serving.errors import ImageError
from serving.model.explanation import completeness_residual
from serving.model.outputs import Outputs
from serving.model.padding import run_in_batches
from serving.model.predictor import Predictor
from serving.model.runtime import Session, output_names, run

_BATCH = 8
_MIXING = 1e-4  # another kernel may round otherwise for another batch; 0 was seen on the birds
_TINY = float(np.finfo(np.float64).tiny)
_SLICE = 100  # classes explained at once: their heatmaps stay small
Array = NDArray[Any]


def input_batches(predictor: Predictor, images: Sequence[Path]) -> Iterator[NDArray[np.float32]]:
    """Batches of input tensors: noise pictures and the images, each prepared as in production."""
    size = batch_size(predictor.manifest)
    pending = [predictor.preprocess(picture)[1] for picture in noise_pictures(predictor, size)]
    for path in images:
        try:
            pending.append(predictor.preprocess(path)[1])
        except ImageError:
            continue  # reported and counted when its features were read
        while len(pending) >= size:
            yield np.stack(pending[:size])
            pending = pending[size:]
    while pending:
        batch = pending[:size]
        pending = pending[size:]
        yield np.stack(batch)


def batch_size(manifest: Manifest | None) -> int:
    """Images compared at once: as many as the graph fixes, else 8."""
    return (manifest and manifest.input.shape[0]) or _BATCH


def noise_pictures(predictor: Predictor, count: int) -> Iterator[Image.Image]:
    """Pictures of seeded noise, coarse to fine, of the size that the network sees."""
    height, width = predictor.manifest.input.preprocessing.size
    generator = np.random.default_rng(0)
    for number in range(count):
        cells = 2 ** (number % 8 + 1)
        pixels = generator.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        yield Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


class SourceRun:
    """The source, ready to answer; apart from the comparison, so that it can be let go first.

    Args:
        graph: The source.
        head: Its head.
        declared: The input, whose batch size the graph may fix.
        threads: Threads inside an operator; 0 takes all cores.
    """

    def __init__(self, graph: ir.Model, head: Head, declared: InputRecord, threads: int) -> None:
        self._head, self._logits, self._classes = head, head.logits, len(head.weight)
        self._declared = declared
        self._plain = open_session(graph, threads=threads)
        # One that gives probabilities alone is asked for its logits too.
        self._tapped = (
            None
            if head.logits == head.output
            else open_session(tap_logits(graph, head), threads=threads)
        )
        self._features = (
            open_session(tap_features(graph, head), threads=threads) if head.roundings else None
        )

    def outputs(self, batch: NDArray[np.float32]) -> dict[str, Array]:
        """Its own outputs by name."""
        return self._run(self._plain, batch)

    def logits(self, batch: NDArray[np.float32], outputs: dict[str, Array]) -> Array:
        """The logits (b, c) of a batch and of what it answered to it."""
        found = outputs if self._tapped is None else self._run(self._tapped, batch)
        return found[self._logits].reshape(-1, self._classes)

    def most_rounded(
        self, batch: NDArray[np.float32], unrounded: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The most that the steps of a quantised head can change its logits by.

        Args:
            batch: Input tensors.
            unrounded: The logits before any rounding (b, c).

        Returns:
            (b, c), logit units.
        """
        most = np.zeros(unrounded.shape)
        if self._features is None:
            return most
        found = self._run(self._features, batch)[features_of(self._head)]
        pooled = feature_rows(found, self._head)[0].mean(axis=1, dtype=np.float64)
        for rounding in self._head.roundings:
            most += rounding.most(pooled, unrounded)
        return most

    def _run(self, session: Session, batch: NDArray[np.float32]) -> dict[str, Array]:
        step = partial(run, session, output_names(session))
        return run_in_batches(step, {self._declared.name: batch}, self._declared.shape[0])


class _First(NamedTuple):
    """The first batch, what a neutral mask has to answer to it, and its images without each other.

    Attributes:
        batch: Its input tensors.
        expected: The outputs by name.
        mixed: |logits alone - logits among the others| (b, c).
    """

    batch: NDArray[np.float32]
    expected: Mapping[str, Array]
    mixed: Array


@dataclass
class Comparison:
    """What source and artifact answer on the same inputs, accumulated batch by batch.

    First :meth:`add` for every batch, then :meth:`steer` once, then :meth:`gates`.
    """

    predictor: Predictor
    edit: EditComparison | None = None
    first: _First | None = None
    images: int = 0
    agreeing: int = 0
    residual: float = 0.0
    residual_all: float = 0.0
    heatmap: float = 0.0
    mixing: float = 0.0
    rounding: float = 0.0
    differing: dict[str, int] = field(default_factory=dict)
    compared: dict[str, int] = field(default_factory=dict)

    @property
    def _plain(self) -> Predictor:
        """The artifact that has to give the source's bits: before the edits, if there are any."""
        return self.predictor if self.edit is None else self.edit.before

    def add(self, batch: NDArray[np.float32], source: SourceRun) -> None:
        """Compare the answers to one batch of input tensors."""
        expected = source.outputs(batch)
        outputs = plain = self.predictor.run(batch)
        if self.edit is not None:
            plain = self.edit.before.run(batch)
            self.edit.add(batch, outputs, plain)
        self._bits("batch", len(batch), expected, plain)
        # Not by probabilities: where float32 saturates, several classes share the largest.
        logits = source.logits(batch, expected)
        if self.first is None:
            neutral = expected if self.edit is None else outputs.source
            self.first = _First(batch, neutral, self._one_by_one(batch, source, logits))
        best = logits.argmax(axis=1)
        self.images += len(batch)
        self.agreeing += int((best == outputs.logits.argmax(axis=1)).sum())
        scale = summands(outputs, self.predictor.bias)
        self.residual = worst(self.residual, float((self._residual(outputs) / scale).max()))
        if self.predictor.manifest.head.rounding:
            self._round(batch, outputs, source)
        means = outputs.heatmaps.mean(axis=(3, 4), dtype=np.float64)
        error = np.abs(means - outputs.contributions) / scale[:, :, None]
        self.heatmap = worst(self.heatmap, float(error.max()))

    def _round(self, batch: NDArray[np.float32], outputs: Outputs, source: SourceRun) -> None:
        """Hold what an artifact calls rounding to what the steps of its scales allow."""
        found = np.abs(outputs.rounding.astype(np.float64))
        unrounded = outputs.logits.astype(np.float64)
        own = np.take_along_axis(unrounded, outputs.class_ids, axis=1) - outputs.rounding
        np.put_along_axis(unrounded, outputs.class_ids, own, axis=1)
        most = np.take_along_axis(source.most_rounded(batch, unrounded), outputs.class_ids, axis=1)
        found -= COMPLETENESS * summands(outputs, self.predictor.bias)  # of float32 sums
        self.rounding = worst(self.rounding, float((found / np.maximum(most, _TINY)).max()))

    def _one_by_one(self, batch: NDArray[np.float32], source: SourceRun, logits: Array) -> Array:
        """How far each image of the first batch is without the others: (b, c), logit units."""
        mixed = []
        for image, among_others in zip(batch, logits, strict=True):
            single = image[None]
            expected = source.outputs(single)
            if self.predictor.manifest.input.shape[0] is None:
                self._bits("single", 1, expected, self._plain.run(single))
            mixed.append(np.abs(source.logits(single, expected)[0] - among_others))
        return np.stack(mixed)

    def steer(self) -> None:
        """Ask ``steerable.onnx`` about the first batch: the neutral mask, all classes."""
        if self.first is None:
            raise ValueError("expected a batch before")
        batch, expected, mixed = self.first
        count = len(self.predictor.manifest.classes)
        neutral = self.predictor.run(batch, mask=self.predictor.mask(()))
        self._bits("mask", len(batch), expected, neutral)
        for start in range(0, count, _SLICE):
            ids = np.arange(start, min(start + _SLICE, count), dtype=np.int64)
            found = self.predictor.run(batch, classes=np.tile(ids, (len(batch), 1)))
            scale = summands(found, self.predictor.bias)
            residual = self._residual(found) / scale
            self.residual_all = worst(self.residual_all, float(residual.max()))
            self.mixing = worst(self.mixing, float((mixed[:, ids] / scale).max()))

    def _residual(self, outputs: Outputs) -> NDArray[np.float64]:
        """Completeness residual (b, t) of equation (8), logit units."""
        rest = self.predictor.bias[outputs.class_ids].astype(np.float64)
        rest += outputs.common
        rest += outputs.unplaced
        rest += outputs.rounding
        logits = np.take_along_axis(outputs.logits, outputs.class_ids, axis=1)
        return completeness_residual(outputs.contributions, rest, logits)

    def _bits(self, gate: str, count: int, expected: Mapping[str, Array], outputs: Outputs) -> None:
        same = all(
            name in outputs.source and value.tobytes() == outputs.source[name].tobytes()
            for name, value in expected.items()
        )
        self.compared[gate] = self.compared.get(gate, 0) + count
        self.differing[gate] = self.differing.get(gate, 0) + (0 if same else count)

    def gates(self) -> list[GateRecord]:
        """What the batches so far say of each promise."""
        fixed = self.predictor.manifest.input.shape[0]
        single = (
            self._bit_gate("logits, batch 1", "single")
            if fixed is None
            else GateRecord(
                name="logits, batch 1",
                state="skipped",
                detail=f"the source model fixes the batch size to {fixed}",
            )
        )
        return [
            single,
            self._bit_gate(f"logits, batch {batch_size(self.predictor.manifest)}", "batch"),
            self._mixing_gate(fixed),
            self._bit_gate("neutral mask", "mask"),
            *(self.edit.gates() if self.edit else ()),
            self._limit("completeness", self.residual),
            self._limit("completeness, all", self.residual_all),
            *self._rounding_gate(),
            self._limit("heatmap means", self.heatmap),
            self.edit.agreement() if self.edit else self._agreement(),
        ]

    def _mixing_gate(self, fixed: int | None) -> GateRecord:
        name = "batch independence"
        if fixed == 1:
            detail = "the source model takes one image at a time"
            return GateRecord(name=name, state="skipped", detail=detail)
        return limit_gate(name, self.mixing, _MIXING, SUMMANDS)

    def _rounding_gate(self) -> list[GateRecord]:
        if not self.predictor.manifest.head.rounding:
            return []
        unit = "of what the steps of the scales allow"
        return [limit_gate("rounding", self.rounding, 1.0, unit)]

    def _limit(self, name: str, value: float) -> GateRecord:
        return limit_gate(name, value, COMPLETENESS, SUMMANDS)

    def _agreement(self) -> GateRecord:
        differing = 1.0 - self.agreeing / self.images
        return limit_gate("top-1 agreement", differing, 0.0, f"of {self.images} images differ")

    def _bit_gate(self, name: str, key: str) -> GateRecord:
        same = "the source" if self.edit is None else "the source, the edits taken back"
        if key == "mask" and self.edit is not None:
            same = "model.onnx"
        promise = f"images bit-identical to {same}"
        return count_gate(name, self.differing[key], self.compared[key], promise)

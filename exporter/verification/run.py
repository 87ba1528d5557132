"""Reload an artifact from disk as the server will, and hold it to every promise.

Each check is a gate with a measured value and a limit. L is the largest |logit| of an image,
u the reference, P the prototypes of a class, v its head row.

======================== =====================================================================
integrity                every file is there and hashes as the manifest says, and no other
logits, batch 1 and 8    the source's own outputs, bit for bit
neutral mask             ``steerable.onnx`` with a mask of ones, bit for bit
completeness             |sum of contributions + bias + common - logit| <= 1e-5 L (equation 8)
completeness, all        the same for every class of the model, through ``steerable.onnx``
prototypes sum to head   |sum of P + u - v| <= float32 rounding (equation 7)
stored prototypes        ``prototypes.safetensors`` is what both graphs hold, bit for bit
heatmap means            |mean of heatmap - contribution| <= 1e-5 L
top-1 agreement          the same best class by the logits, for every image
grid                     heat at a cell is that of its features, and hot where a picture is painted
golden batch             the recorded outputs, to 1e-4 of the largest value on any machine
======================== =====================================================================

Of an edited artifact, ``logits`` are those of the artifact before all its edits, ``neutral mask``
compares its own two graphs, ``top-1 agreement`` tells what the edits change and fails nothing, and
``exporter/verification/edit_gates.py`` has the gates that it adds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from PIL import Image

from exporter.errors import SurgeryError
from exporter.head import find_head
from exporter.source.embedded import embedded_source
from exporter.source.graph_session import open_session
from exporter.surgery import tap_logits
from exporter.text import as_text
from exporter.verification.edit_gates import EditComparison, EffectComparison, largest, unedited
from exporter.verification.gates import COMPLETENESS, count_gate, limit_gate, worst
from exporter.verification.grid_gate import grid_gate
from exporter.verification.head_gates import mismatch, stored_gate, sum_gate
from exporter.writing.ownership import strangers
from serving.artifact import (
    GOLDEN,
    MANIFEST,
    MANIFEST_HASH,
    Artifact,
    GateRecord,
    load_artifact,
)
from serving.errors import ArtifactError, ImageError
from serving.model.explanation import completeness_residual
from serving.model.golden import GOLDEN_TOLERANCE, golden_error, read_golden
from serving.model.outputs import Outputs
from serving.model.padding import run_in_batches
from serving.model.predictor import Predictor
from serving.model.runtime import Session, output_names, run

_BATCH = 8
_SLICE = 100  # classes explained at once: their heatmaps stay small
Array = NDArray[Any]


def verify(
    folder: Path,
    *,
    source: ir.Model | None = None,
    images: Sequence[Path] = (),
    data: Path | None = None,
    threads: int = 0,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[GateRecord, ...]:
    """Check an artifact against its source model.

    Args:
        folder: The artifact.
        source: The source graph; None takes it out of ``model.onnx`` by undoing the surgery.
        images: Images to compare on, beside pictures of seeded noise.
        data: Class folders; the effects of edits that were measured on them are measured again.
        threads: Threads inside an operator; 0 takes all cores.
        progress: Called with the images done and the images in all.

    Returns:
        Every gate, in the order of the table above. After a failed integrity gate nothing else
        is opened; a source that cannot be this artifact's fails the gate ``source``, a graph that
        does not run the gate ``runs``.
    """
    try:
        artifact = load_artifact(folder)
        predictor = Predictor(artifact, threads=threads)
    except ArtifactError as error:
        return (GateRecord(name="integrity", state="failed", detail=as_text(str(error))),)
    first = [_integrity_gate(artifact)]
    if first[0].state == "failed":
        return tuple(first)
    before, effects = None, None
    with TemporaryDirectory() as parents:
        if artifact.manifest.edits:
            found = unedited(artifact, Path(parents))
            first += found.gates
            if not found.artifacts:
                return tuple(first)
            before = Predictor(found.artifacts[-1], threads=threads)
            effects = EffectComparison(found.artifacts, data) if data else None
        try:
            graph = source if source is not None else embedded_source(artifact).model
        except (ArtifactError, SurgeryError) as error:
            return (*first, GateRecord(name="source", state="failed", detail=as_text(str(error))))
        other = mismatch(artifact, graph)
        if other is not None:
            return (*first, other)
        head = find_head(graph, output=artifact.manifest.head.output)
        edit = EditComparison(predictor, before) if before else None
        tapped = tap_logits(graph, head) if head.logits != head.output else None
        comparison = _Comparison(
            predictor,
            open_session(graph, threads=threads),
            head.logits,
            None if tapped is None else open_session(tapped, threads=threads),
            edit,
        )
        total = _batch_size(predictor) + len(images) + (effects.images if effects else 0)
        try:
            for tensors in _inputs(predictor, images):
                comparison.add(tensors)
                progress(comparison.images, total)
            if effects:
                images_done = comparison.images
                first += effects.gates(
                    threads=threads,
                    progress=lambda done: progress(images_done + done, total),
                )
        except ArtifactError as error:
            return (*first, GateRecord(name="runs", state="failed", detail=str(error)))
    compared = comparison.gates()
    del comparison  # its sessions hold the weights, and the next gate opens another
    return (
        *first,
        *compared,
        grid_gate(predictor, graph, threads=threads),
        sum_gate(artifact, head),
        stored_gate(artifact, head),
        _golden_gate(predictor),
    )


def _integrity_gate(artifact: Artifact) -> GateRecord:
    """The files of a loaded artifact hash as they should; what else lies there is named."""
    name, listed = "integrity", artifact.manifest.all_files
    others = strangers(artifact.folder, listed)
    if others:
        shown = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
        detail = f"{len(others)} files are here that the manifest does not list: {as_text(shown)}"
        return GateRecord(name=name, state="failed", detail=detail)
    detail = f"{len(artifact.manifest.files)} files"
    if not (artifact.folder / MANIFEST_HASH).exists():
        detail += f"; {MANIFEST} has no hash, it was written by an older version"
    return GateRecord(name=name, state="passed", detail=detail)


def passed(gates: Sequence[GateRecord]) -> bool:
    """Whether no gate failed."""
    return all(gate.state != "failed" for gate in gates)


def _inputs(predictor: Predictor, images: Sequence[Path]) -> Iterator[NDArray[np.float32]]:
    """Batches of input tensors: noise pictures and the images, each prepared as in production."""
    size = _batch_size(predictor)
    pending = [predictor.preprocess(picture)[1] for picture in _noise(predictor, size)]
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


def _batch_size(predictor: Predictor) -> int:
    return predictor.manifest.input.shape[0] or _BATCH


def _noise(predictor: Predictor, count: int) -> Iterator[Image.Image]:
    """Pictures of seeded noise, coarse to fine, of the size that the network sees."""
    height, width = predictor.manifest.input.preprocessing.size
    generator = np.random.default_rng(0)
    for number in range(count):
        cells = 2 ** (number % 8 + 1)
        pixels = generator.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        yield Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


@dataclass
class _Comparison:
    """What source and artifact answer on the same inputs, accumulated batch by batch."""

    predictor: Predictor
    session: Session
    logits: str  # the source's name for them
    ranking: Session | None = None  # the source with its logits, if it gives probabilities only
    edit: EditComparison | None = None
    images: int = 0
    agreeing: int = 0
    residual: float = 0.0
    residual_all: float = 0.0
    heatmap: float = 0.0
    differing: dict[str, int] = field(default_factory=dict)
    compared: dict[str, int] = field(default_factory=dict)

    @property
    def _plain(self) -> Predictor:
        """The artifact that has to give the source's bits: before the edits, if there are any."""
        return self.predictor if self.edit is None else self.edit.before

    def add(self, batch: NDArray[np.float32]) -> None:
        expected = self._source(batch, self.session)
        outputs = plain = self.predictor.run(batch)
        if self.edit is not None:
            plain = self.edit.before.run(batch)
            self.edit.add(batch, outputs, plain)
        self._bits("batch", len(batch), expected, plain)
        scale = largest(outputs.logits, plain.logits)
        if self.images == 0:
            self._first(batch, expected, outputs, scale)
        # Not by probabilities: where float32 saturates, several classes share the largest.
        ranked = expected if self.ranking is None else self._source(batch, self.ranking)
        best = ranked[self.logits].argmax(axis=1)
        self.images += len(batch)
        self.agreeing += int((best == outputs.logits.argmax(axis=1)).sum())
        self.residual = worst(self.residual, _residual(outputs, self.predictor, scale))
        means = outputs.heatmaps.mean(axis=(3, 4), dtype=np.float64)
        error = np.abs(means - outputs.contributions) / scale[:, None, None]
        self.heatmap = worst(self.heatmap, float(error.max()))

    def _source(self, batch: NDArray[np.float32], session: Session) -> dict[str, Array]:
        declared, names = self.predictor.manifest.input, output_names(session)
        return run_in_batches(
            partial(run, session, names), {declared.name: batch}, declared.shape[0]
        )

    def _first(
        self,
        batch: NDArray[np.float32],
        expected: dict[str, Array],
        outputs: Outputs,
        scale: NDArray[np.float32],
    ) -> None:
        """The costlier checks, on the first batch: the neutral mask, one by one, all classes."""
        count = len(self.predictor.manifest.classes)
        own = expected if self.edit is None else outputs.source
        self._bits("mask", len(batch), own, self.predictor.run(batch, mask=self.predictor.mask(())))
        if self.predictor.manifest.input.shape[0] is None:
            for image in batch:
                single = image[None]
                self._bits("single", 1, self._source(single, self.session), self._plain.run(single))
        for start in range(0, count, _SLICE):
            ids = np.arange(start, min(start + _SLICE, count), dtype=np.int64)
            found = self.predictor.run(batch, classes=np.tile(ids, (len(batch), 1)))
            residual = _residual(found, self.predictor, scale)
            self.residual_all = worst(self.residual_all, residual)

    def _bits(self, gate: str, count: int, expected: dict[str, Array], outputs: Outputs) -> None:
        same = all(
            name in outputs.source and value.tobytes() == outputs.source[name].tobytes()
            for name, value in expected.items()
        )
        self.compared[gate] = self.compared.get(gate, 0) + count
        self.differing[gate] = self.differing.get(gate, 0) + (0 if same else count)

    def gates(self) -> list[GateRecord]:
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
            self._bit_gate(f"logits, batch {_batch_size(self.predictor)}", "batch"),
            self._bit_gate("neutral mask", "mask"),
            *(self.edit.gates() if self.edit else ()),
            self._limit("completeness", self.residual),
            self._limit("completeness, all", self.residual_all),
            self._limit("heatmap means", self.heatmap),
            self.edit.agreement() if self.edit else self._agreement(),
        ]

    def _limit(self, name: str, value: float) -> GateRecord:
        return limit_gate(name, value, COMPLETENESS, "of the largest logit")

    def _agreement(self) -> GateRecord:
        differing = 1.0 - self.agreeing / self.images
        return limit_gate("top-1 agreement", differing, 0.0, f"of {self.images} images differ")

    def _bit_gate(self, name: str, key: str) -> GateRecord:
        same = "the source" if self.edit is None else "the source, the edits taken back"
        if key == "mask" and self.edit is not None:
            same = "model.onnx"
        promise = f"images bit-identical to {same}"
        return count_gate(name, self.differing[key], self.compared[key], promise)


def _residual(outputs: Outputs, predictor: Predictor, scale: NDArray[np.float32]) -> float:
    """Completeness residual over the largest |logit| of the image, equation (8); scale (b,)."""
    bias = predictor.bias[outputs.class_ids]  # (b, t)
    logits = np.take_along_axis(outputs.logits, outputs.class_ids, axis=1)
    residual = completeness_residual(outputs.contributions, bias, outputs.common, logits)
    return float((residual / scale[:, None]).max())


def _golden_gate(predictor: Predictor) -> GateRecord:
    try:
        golden = read_golden(predictor.artifact)
        outputs = predictor.run(golden.inputs)
    except ArtifactError as error:
        return GateRecord(name="golden batch", state="failed", detail=f"{GOLDEN}: {error}")
    found: dict[str, Array] = {
        **outputs.source,
        "contributions": outputs.contributions,
        "common": outputs.common,
        "class_ids": outputs.class_ids,
        "heatmaps": outputs.heatmaps,
    }
    if {name: value.shape for name, value in found.items()} != {
        name: value.shape for name, value in golden.outputs.items()
    }:
        detail = f"{GOLDEN}: its outputs have other names or shapes than the graph's"
        return GateRecord(name="golden batch", state="failed", detail=detail)
    difference = golden_error(found, golden.outputs)
    return limit_gate("golden batch", difference, GOLDEN_TOLERANCE, "of the largest value")

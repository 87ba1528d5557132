"""The gates of further graphs: they answer what ``model.onnx`` answers, in what they promise.

======================== =====================================================================
FILE: description        the manifest describes the inputs and outputs that the file has
FILE: logits             the outputs of ``model.onnx`` that a dense graph has too, bit for bit;
                         where prototypes are muted the logits, to 1e-5 S
FILE: completeness       of every class, as of ``model.onnx``
FILE: contributions      |dense - explained| <= 1e-5 S, of the classes that model.onnx explains
FILE: heatmaps           the same of each cell, S no less than the map's largest cell
FILE: operators          of a dense graph: our nodes choose nothing and compute no shape
FILE: pixels             of a graph that takes pixels: what the graph without answers, bit for bit
======================== =====================================================================

S is the size of a logit's summands (gates.summands). Symbols: b images, c classes, t explained
classes, k prototypes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from PIL import Image

from exporter.source.embedded import read_graph
from exporter.surgery import CHOOSING_OPERATORS, PREFIX, describe
from exporter.verification.gates import (
    COMPLETENESS,
    SUMMANDS,
    count_gate,
    limit_gate,
    summands,
    worst,
)
from serving.artifact import MODEL, STEERABLE, GateRecord, GraphRecord
from serving.artifact.layout import ImageLayout
from serving.errors import ImageError
from serving.model.outputs import Outputs
from serving.model.padding import run_in_batches
from serving.model.predictor import Predictor
from serving.model.preprocess import to_tensor
from serving.model.runtime import Session, make_session, output_names, run

Array = NDArray[Any]
_BATCH = 8


def graph_gates(
    predictor: Predictor, pictures: Sequence[Image.Image], images: Sequence[Path], threads: int
) -> Iterator[GateRecord]:
    """Hold every further graph of an artifact to ``model.onnx``, gate by gate.

    Args:
        predictor: Of the artifact.
        pictures: Pictures of the size that the network sees.
        images: Image files to compare on beside them.
        threads: Threads inside an operator; 0 takes all cores.

    Raises:
        ArtifactError: A graph does not run.
    """
    for record in predictor.manifest.graphs:
        model = read_graph(predictor.artifact.path(record.file))
        description = _description(predictor, model, record)
        yield description
        if record.file in (MODEL, STEERABLE) or description.state == "failed":
            continue
        comparison = _Comparison(predictor, record, threads)
        for batch in _batches(predictor, pictures, images):
            comparison.add(batch)
        yield from comparison.gates()
        if record.variant == "dense":
            yield _operators(model, record)


def _batches(
    predictor: Predictor, pictures: Sequence[Image.Image], images: Sequence[Path]
) -> Iterator[list[Image.Image]]:
    """Views of pictures and files; an image alone first, which may run through other kernels."""
    views = [predictor.preprocess(picture)[0] for picture in pictures]
    yield views[:1]
    for path in images:
        try:
            views.append(predictor.preprocess(path)[0])
        except ImageError:
            continue  # reported and counted when its features were read
    for start in range(0, len(views), _BATCH):
        yield views[start : start + _BATCH]


def _description(predictor: Predictor, model: ir.Model, record: GraphRecord) -> GateRecord:
    found = describe(model, record.file, record.variant, predictor.manifest)
    detail = f"{len(found.inputs)} inputs and {len(found.outputs)} outputs as the manifest says"
    if found != record:
        detail = "the manifest describes other inputs or outputs than the file has"
    state = "passed" if found == record else "failed"
    return GateRecord(name=f"{record.file}: description", state=state, detail=detail)


def _operators(model: ir.Model, record: GraphRecord) -> GateRecord:
    own = [node for node in model.graph if (node.name or "").startswith(PREFIX)]
    others = sum(node.op_type in CHOOSING_OPERATORS for node in own)
    return count_gate(
        f"{record.file}: operators", others, len(own), "added nodes pick nothing by an index"
    )


class _Comparison:
    """A further graph beside ``model.onnx``, batch by batch."""

    def __init__(self, predictor: Predictor, record: GraphRecord, threads: int) -> None:
        self._predictor, self._record = predictor, record
        self._session = make_session(predictor.artifact.path(record.file), threads=threads)
        self._plain: Session | None = None
        self._pixels = record.inputs[0].dtype == "uint8" != predictor.manifest.input.dtype
        self._images = self._differing = self._answering = 0
        # What muting takes from a logit is a sum of its own in each graph.
        self._muted = record.variant == "dense" and bool(predictor.manifest.muted)
        measured = ("completeness", "contributions", "heatmaps")
        self._errors = dict.fromkeys((*(["logits"] if self._muted else []), *measured), 0.0)

    def add(self, views: list[Image.Image]) -> None:
        """Compare the answers to views of one size."""
        manifest = self._predictor.manifest
        preprocessing = manifest.input.preprocessing
        tensors = np.stack([to_tensor(view, preprocessing) for view in views])
        given: Array = tensors
        if self._pixels:
            layout = self._record.inputs[0].layout or "NHWC"
            grey = preprocessing.channels == "L"
            given = np.stack([_as_pixels(view, layout, grey=grey) for view in views])
        found = self._run(self._session, self._record.inputs[0].name, given)
        outputs = self._predictor.run(tensors)
        expected = outputs.by_name(manifest)
        self._images += len(views)
        if self._record.variant == "dense":
            expected = outputs.source
            self._compare(found, outputs)
        same = all(found[name].tobytes() == value.tobytes() for name, value in expected.items())
        self._differing += 0 if same else len(views)

    def _compare(self, found: dict[str, Array], outputs: Outputs) -> None:
        manifest, ids = self._predictor.manifest, outputs.class_ids
        count, k, prefix = len(manifest.classes), manifest.prototypes, manifest.prefix
        shape = len(ids), count, k
        contributions = found[prefix + "contributions"].reshape(shape)
        heatmaps = found[prefix + "heatmaps"].reshape(*shape, *manifest.head.grid)
        none = np.zeros(shape[:2], np.float32)
        unplaced = found.get(prefix + "unplaced", none)
        rounding = found.get(prefix + "rounding", none)
        chosen = np.take_along_axis(contributions, ids[:, :, None], axis=1)
        maps = np.take_along_axis(heatmaps, ids[:, :, None, None, None], axis=1)
        scale = summands(outputs, self._predictor.bias)[:, :, None]
        self._note("contributions", np.abs(chosen - outputs.contributions) / scale)
        largest = np.abs(outputs.heatmaps).max(axis=(3, 4))
        cells = np.maximum(scale, largest)[..., None, None]
        self._note("heatmaps", np.abs(maps - outputs.heatmaps) / cells)
        every = np.tile(np.arange(count), (len(ids), 1))
        whole = Outputs(
            outputs.source,
            outputs.logits,
            contributions,
            outputs.common,
            every,
            heatmaps,
            unplaced,
            rounding,
        )
        total = contributions.sum(axis=2, dtype=np.float64) + self._predictor.bias
        total += found[prefix + "common"] + unplaced + rounding
        sizes = summands(whole, self._predictor.bias)
        self._note("completeness", np.abs(total - outputs.logits) / sizes)
        if self._muted:
            logits = found[manifest.head.logits].reshape(shape[:2])
            self._note("logits", np.abs(logits - outputs.logits) / sizes)

    def _note(self, name: str, errors: NDArray[np.floating[Any]]) -> None:
        self._errors[name] = worst(self._errors[name], float(errors.max()))

    def _run(self, session: Session, name: str, batch: Array) -> dict[str, Array]:
        step = partial(run, session, output_names(session))
        return run_in_batches(step, {name: batch}, self._predictor.manifest.input.shape[0])

    def gates(self) -> list[GateRecord]:
        """What the batches so far say of each promise."""
        file, dense = self._record.file, self._record.variant == "dense"
        what = "logits" if dense else "pixels"
        promise = f"images bit-identical to {MODEL}" + (" on the tensor" if self._pixels else "")
        gates = []
        if not self._muted:
            gates.append(count_gate(f"{file}: {what}", self._differing, self._images, promise))
        if dense:
            gates += [
                limit_gate(f"{file}: {name}", value, COMPLETENESS, SUMMANDS)
                for name, value in self._errors.items()
            ]
        return gates


def _as_pixels(view: Image.Image, layout: ImageLayout, *, grey: bool) -> NDArray[np.uint8]:
    """A view as a graph that takes pixels reads it."""
    pixels = np.asarray(view.convert("L") if grey else view)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return pixels if layout == "NHWC" else np.moveaxis(pixels, -1, 0)

"""Reload an artifact from disk as the server will, and hold it to every promise.

Each check is a gate with a measured value and a limit. S is the size of a logit's summands, its
|contributions|, |bias|, |common|, |unplaced| and |rounding| (gates.summands), u the reference, P
the prototypes of a class, v its head row.

======================== =====================================================================
integrity                every file is there and hashes as the manifest says, and no other
logits, batch 1 and 8    the source's own outputs, bit for bit
batch independence       |logits alone - logits among other images| <= 1e-4 S
neutral mask             ``steerable.onnx`` with a mask of ones, bit for bit
completeness             |sum of contributions + bias + common + unplaced + rounding - logit|
                         <= 1e-5 S (equation 8)
completeness, all        the same for every class of the model, through ``steerable.onnx``
rounding                 of a quantised head: half a step of its scales, and what lies beyond
                         their range (Rounding.most)
prototypes sum to head   |sum of P + u - v| <= float32 rounding (equation 7)
stored prototypes        ``prototypes.safetensors`` and the labels are what both graphs hold
heatmap means            |mean of heatmap - contribution| <= 1e-5 S
top-1 agreement          the same best class by the logits, for every image
grid                     heat at a cell is that of its features, and hot where a picture is painted
golden batch             the recorded outputs, to 1e-4 of the largest value on any machine
golden pictures          the recorded input tensors, bit for bit, and outputs, to the same
FILE: ...                of further graphs: exporter/verification/graph_gates.py
======================== =====================================================================

Of an edited artifact, ``logits`` are those of the artifact before all its edits, ``neutral mask``
compares its own two graphs, ``top-1 agreement`` tells what the edits change and fails nothing, and
``exporter/verification/edit_gates.py`` has the gates that it adds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.errors import SurgeryError
from exporter.head import find_head
from exporter.source.embedded import embedded_source
from exporter.text import as_text
from exporter.verification.comparison import (
    Comparison,
    SourceRun,
    batch_size,
    input_batches,
    noise_pictures,
)
from exporter.verification.edit_gates import EditComparison, EffectComparison, unedited
from exporter.verification.gates import limit_gate
from exporter.verification.graph_gates import graph_gates
from exporter.verification.grid_gate import grid_gate
from exporter.verification.head_gates import mismatch, stored_gate, sum_gate
from exporter.verification.listed import unmeasured
from exporter.writing.ownership import strangers
from serving.artifact import (
    BESIDE,
    GOLDEN,
    MANIFEST,
    MANIFEST_HASH,
    Artifact,
    GateRecord,
    load_artifact,
)
from serving.errors import ArtifactError
from serving.model.golden import (
    GOLDEN_TOLERANCE,
    Golden,
    golden_error,
    golden_pictures,
    read_golden,
    read_pictures,
)
from serving.model.predictor import Predictor

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
        does not run the gate ``runs``. What is not measured then is skipped.
    """
    return tuple(each_gate(folder, source, images, data, threads, progress))


def each_gate(
    folder: Path,
    source: ir.Model | None,
    images: Sequence[Path],
    data: Path | None,
    threads: int,
    progress: Callable[[int, int], None],
) -> Iterator[GateRecord]:
    """Yield each gate of :func:`verify` as soon as it is measured."""
    decided = []
    for gate in _measured(folder, source, images, data, threads, progress):
        decided.append(gate)
        yield gate
    yield from unmeasured(folder, decided)


def _measured(
    folder: Path,
    source: ir.Model | None,
    images: Sequence[Path],
    data: Path | None,
    threads: int,
    progress: Callable[[int, int], None],
) -> Iterator[GateRecord]:
    try:
        artifact = load_artifact(folder)
        predictor = Predictor(artifact, threads=threads)
    except ArtifactError as error:
        yield GateRecord(name="integrity", state="failed", detail=as_text(str(error)))
        return
    integrity = _integrity_gate(artifact)
    yield integrity
    if integrity.state == "failed":
        return
    before, effects = None, None
    with TemporaryDirectory() as parents:
        if artifact.manifest.edits:
            found = unedited(artifact, Path(parents))
            yield from found.gates
            if not found.artifacts:
                return
            before = Predictor(found.artifacts[-1], threads=threads)
            effects = EffectComparison(found.artifacts, data) if data else None
        try:
            graph = source if source is not None else embedded_source(artifact).model
        except (ArtifactError, SurgeryError) as error:
            yield GateRecord(name="source", state="failed", detail=as_text(str(error)))
            return
        other = mismatch(artifact, graph)
        if other is not None:
            yield other
            return
        head = find_head(graph, output=artifact.manifest.head.output)
        comparison = Comparison(predictor, EditComparison(predictor, before) if before else None)
        effect_images = effects.images if effects else 0
        total = effect_images + batch_size(artifact.manifest) + len(images)
        try:
            if effects:
                yield from effects.gates(
                    threads=threads, progress=lambda done: progress(done, total)
                )
            running = SourceRun(graph, head, artifact.manifest.input, threads)
            for tensors in input_batches(predictor, images):
                comparison.add(tensors, running)
                progress(effect_images + comparison.images, total)
            del running  # each session holds the weights: no more of them at once than it takes
            comparison.steer()
            yield from comparison.gates()
            del comparison
            yield grid_gate(predictor, graph, threads=threads)
            yield sum_gate(artifact, head)
            yield stored_gate(artifact, head)
            yield _golden_gate(predictor, "golden batch", read_golden)
            yield _pictures_gate(predictor)
            pictures = list(noise_pictures(predictor, batch_size(artifact.manifest)))
            yield from graph_gates(predictor, pictures, images, threads)
        except ArtifactError as error:
            yield GateRecord(name="runs", state="failed", detail=str(error))


def _integrity_gate(artifact: Artifact) -> GateRecord:
    """The files of a loaded artifact hash as they should; what else lies there is named."""
    name, listed = "integrity", artifact.manifest.all_files
    others = strangers(artifact.folder, listed | set(BESIDE))
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


def _golden_gate(predictor: Predictor, name: str, read: Callable[[Artifact], Golden]) -> GateRecord:
    try:
        golden = read(predictor.artifact)
        outputs = predictor.run(golden.inputs)
    except ArtifactError as error:
        return GateRecord(name=name, state="failed", detail=f"{GOLDEN}: {error}")
    found = outputs.by_name(predictor.manifest)
    if {name: value.shape for name, value in found.items()} != {
        name: value.shape for name, value in golden.outputs.items()
    }:
        detail = f"{GOLDEN}: its outputs have other names or shapes than the graph's"
        return GateRecord(name=name, state="failed", detail=detail)
    logits = {predictor.manifest.head.logits}
    prefix = predictor.manifest.prefix
    difference = golden_error(found, golden.outputs, logits=logits, prefix=prefix)
    return limit_gate(name, difference, GOLDEN_TOLERANCE, "of the largest value")


def _pictures_gate(predictor: Predictor) -> GateRecord:
    """The golden pictures give the recorded tensors, bit for bit, and these the outputs."""
    name, paths = "golden pictures", golden_pictures(predictor.artifact)
    if not paths:
        detail = "there are none; the artifact was written by an older version"
        return GateRecord(name=name, state="skipped", detail=detail)
    gate = _golden_gate(predictor, name, read_pictures)
    if gate.state == "failed":
        return gate
    try:
        tensors = [predictor.preprocess(path)[1] for path in paths]
    except ArtifactError as error:
        return GateRecord(name=name, state="failed", detail=as_text(str(error)))
    recorded = read_pictures(predictor.artifact).inputs
    other = [
        path.name
        for path, tensor, wanted in zip(paths, tensors, recorded, strict=True)
        if not np.array_equal(tensor.astype(wanted.dtype), wanted)
    ]
    if other:
        detail = f"{', '.join(other)}: the input tensor is not the recorded one"
        return GateRecord(name=name, state="failed", detail=detail)
    return gate

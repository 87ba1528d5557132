"""The files of a quantised artifact: its parent's, with graphs and a golden batch of its own."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
from safetensors.numpy import load_file

from exporter.editing.files import copy_file, rewrite_golden, write_manifest
from exporter.head import find_head
from exporter.quantising.body import body_of
from exporter.quantising.float16 import in_float16
from exporter.quantising.int8 import LEAST_OPSET, write_int8
from exporter.quantising.pictures import Picture, batches
from exporter.source.embedded import embedded_source
from exporter.source.onnx_file import Source, load_source
from exporter.surgery import raise_opset
from exporter.writing.graphs import HowExplained, head_record, write_graphs
from serving.artifact import (
    GOLDEN,
    MODEL,
    PROTOTYPES,
    STEERABLE,
    Artifact,
    SourceRecord,
    load_artifact,
    sha256_of,
)
from serving.model.padding import filled
from serving.model.predictor import Predictor


def narrowed(
    parent: Predictor,
    folder: Path,
    *,
    to: str,
    calibration: tuple[Picture, ...],
    reduce_range: bool,
) -> Source:
    """The classifier inside an artifact, its body in fewer bits.

    Args:
        parent: The artifact.
        folder: An empty folder, for the ONNX file that it is written to and read from.
        to: ``int8`` or ``float16``.
        calibration: Pictures to take the ranges of 8 bits from.
        reduce_range: Weights in 7 bits.

    Raises:
        SourceError: It cannot be written in fewer bits.
        SurgeryError: Its opset is too old for 8 bits and cannot be converted.
    """
    source, output = embedded_source(parent.artifact), parent.manifest.head.output
    model = raise_opset(source.model, LEAST_OPSET) if to == "int8" else source.model
    body = body_of(model, find_head(model, output=output))
    path = folder / f"{Path(source.name).stem}.{to}.onnx"
    if to == "int8":
        size, dtype = source.input.shape[0], source.input.dtype
        read = (tensors for _, tensors in batches(parent, calibration))
        kept = (filled(found, size or len(found)).astype(dtype) for found in read)
        write_int8(model, body, kept, path, reduce_range=reduce_range)
    else:
        ir.save(in_float16(model, body), path)
    return load_source(str(path), output=output)


def write_quantised(parent: Artifact, source: Source, folder: Path) -> Artifact:
    """Write the quantised artifact, its agreement and its verification still open.

    Args:
        parent: The artifact that is quantised; it is not changed.
        source: Its classifier in fewer bits.
        folder: An empty folder.

    Raises:
        HeadError: The tool has changed the head.
        SurgeryError: The outputs cannot be added to the graph.
        IntegrityError: A file of the parent cannot be read as what it is.
    """
    graphs = {record.file for record in parent.manifest.graphs}
    further = graphs - {MODEL, STEERABLE}  # of the parent's bits
    own = {MODEL, STEERABLE, GOLDEN, *further}
    for name in parent.manifest.files:
        if name not in own:
            copy_file(parent.path(name), folder / name)
    manifest = parent.manifest
    head = find_head(source.model, output=manifest.head.output)
    tensors = load_file(parent.path(PROTOTYPES))
    how = HowExplained(
        prototypes=tensors["prototypes"],
        reference=None if manifest.method.reference == "none" else tensors["reference"],
        top=manifest.top,
        grid=manifest.head.grid,
        smoothing=manifest.method.smoothing,
    )
    draft = manifest.model_copy(
        update={
            "source": SourceRecord(file=source.name, sha256=source.sha256),
            "head": head_record(head, manifest.head.grid),
            "graphs": (),
            "verification": (),
        }
    )
    write_graphs(folder, source.model, head, how, draft, tensors)
    rewrite_golden(parent, folder)
    names = [name for name in manifest.files if name not in further]
    made = draft.model_copy(update={"files": {name: sha256_of(folder / name) for name in names}})
    write_manifest(folder, made)
    return load_artifact(folder)

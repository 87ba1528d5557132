"""The graphs of an artifact: saved with what they say of themselves, and further ones added."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from safetensors.numpy import load_file

from exporter.config import Form
from exporter.head import Head, find_head
from exporter.source.embedded import embedded_source, read_graph
from exporter.surgery import (
    add_dense_outputs,
    add_edit,
    artifact_notes,
    describe,
    document,
    drop_model_api,
    require_dense,
    require_tensor,
    take_pixels,
    undocument,
    write_notes,
)
from serving.artifact import (
    MODEL,
    PROTOTYPES,
    STEERABLE,
    Artifact,
    GraphRecord,
    Manifest,
    Variant,
    sha256_of,
)

Tensors = Mapping[str, NDArray[np.float32]]


def save_graph(
    model: ir.Model, path: Path, variant: Variant, manifest: Manifest, tensors: Tensors
) -> None:
    """Save a graph with what it says of itself.

    Args:
        model: The graph; notes and doc strings are written into it.
        path: Its file.
        variant: Which graph of the artifact it is.
        manifest: Of the artifact; its files may still be open.
        tensors: What ``prototypes.safetensors`` holds.
    """
    write_notes(model, artifact_notes(manifest, tensors))
    document(model, variant, manifest)
    ir.save(model, path)


def require_form(form: Form, model: ir.Model, head: Head, dtype: str) -> None:
    """Refuse a further graph that a classifier cannot have, before the work.

    Args:
        form: Of the graph.
        model: The classifier.
        head: Its head.
        dtype: What the classifier takes.

    Raises:
        SurgeryError: It cannot have it.
    """
    if form.variant == "dense":
        require_dense(model, head)
    if form.input_type == "uint8":
        require_tensor(dtype)


def add_graph(artifact: Artifact, form: Form) -> Manifest:
    """Write a further graph into an artifact's folder, and describe every graph of it.

    Precondition: the artifact does not have it.

    Args:
        artifact: The artifact, its folder not yet in place.
        form: Of the graph.

    Returns:
        Its manifest with the graph, ``verification`` as it was; it is not written.

    Raises:
        SurgeryError: Its head cannot be written so, or its input is one of pixels.
    """
    manifest = artifact.manifest
    source = embedded_source(artifact)
    head = find_head(source.model, output=manifest.head.output)
    require_form(form, source.model, head, manifest.input.dtype)
    tensors = load_file(artifact.path(PROTOTYPES))
    if form.variant == "dense":
        model = _dense(source.model, head, manifest, tensors)
        variant: Variant = "dense"
    else:
        model, variant = read_graph(artifact.path(MODEL)), "explained"
        undocument(model)
    path = artifact.folder / form.file
    if form.input_type == "uint8":
        preprocessing = manifest.input.preprocessing
        model = take_pixels(model, manifest.input.name, preprocessing, form.input_layout)
        write_notes(model, artifact_notes(manifest, tensors))
        drop_model_api(model)
        document(model, variant, manifest)
        ir.save(model, path)
    else:
        save_graph(model, path, variant, manifest, tensors)
    record = describe(read_graph(path), form.file, variant, manifest)
    graphs = (*(manifest.graphs or _own(artifact)), record)
    files = dict(sorted({**manifest.files, form.file: sha256_of(path)}.items()))
    return manifest.model_copy(update={"graphs": graphs, "files": files})


def _own(artifact: Artifact) -> tuple[GraphRecord, ...]:
    """The records of the graphs that every artifact has."""
    kinds: dict[str, Variant] = {MODEL: "explained", STEERABLE: "steerable"}
    return tuple(
        describe(read_graph(artifact.path(file)), file, variant, artifact.manifest)
        for file, variant in kinds.items()
    )


def _dense(model: ir.Model, head: Head, manifest: Manifest, tensors: Tensors) -> ir.Model:
    """The dense graph of the classifier, with the artifact's edits."""
    dense = add_dense_outputs(
        model,
        head,
        tensors["prototypes"],
        reference=None if manifest.method.reference == "none" else tensors["reference"],
        grid=manifest.head.grid,
        smoothing=manifest.method.smoothing,
    )
    for edit in manifest.edits:
        muted = [(key.class_index, key.prototype) for key in edit.muted]
        if muted:
            shape = len(manifest.classes), manifest.prototypes, manifest.head.channels
            dense = add_edit(
                dense, manifest.head.logits, muted, shape=shape, logits_shape=manifest.logits_shape
            )
    return dense

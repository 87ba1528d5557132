"""The classifier inside an artifact, taken out by undoing the surgery."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from exporter.source.onnx_file import ModelInput, Source
from exporter.surgery import remove_prototype_outputs
from serving.artifact import MODEL, Artifact
from serving.errors import IntegrityError


def embedded_source(artifact: Artifact) -> Source:
    """Take the classifier out of an artifact again, the one before every edit.

    Raises:
        IntegrityError: ``model.onnx`` is no ONNX model.
        SurgeryError: An edit cannot be taken back, its note in the graph was changed.
    """
    model = read_graph(artifact.path(MODEL))
    remove_prototype_outputs(model)
    manifest = artifact.manifest
    taken = ModelInput(manifest.input.name, manifest.input.shape, manifest.input.dtype)
    return Source(manifest.source.file, model, manifest.source.sha256, taken)


def read_graph(path: Path) -> ir.Model:
    """Read one of an artifact's graphs.

    Raises:
        IntegrityError: It is no ONNX model.
    """
    try:
        return ir.load(path)
    except Exception as error:  # protobuf raises its own untyped exceptions
        raise IntegrityError(f"{path}: expected an ONNX model: {error}") from error

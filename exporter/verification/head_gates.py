"""The gates that hold what an artifact stores of the head to the source and to its own graphs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from safetensors.numpy import load_file

from exporter.errors import HeadError
from exporter.head import Head, find_head
from exporter.source.embedded import read_graph
from exporter.surgery import LABELS, PREFIX, SCALE, artifact_notes, remove_edit
from exporter.verification.gates import limit_gate
from serving.artifact import MANIFEST, MODEL, PROTOTYPES, STEERABLE, Artifact, GateRecord

_ALWAYS = (LABELS, SCALE)
_STORED = ("prototypes", "reference")  # in the graphs and beside them, under the same names


def mismatch(artifact: Artifact, graph: ir.Model) -> GateRecord | None:
    """The failed gate of a source that cannot be this artifact's; None where it may be.

    Args:
        artifact: The artifact.
        graph: The source to hold it to.
    """
    manifest = artifact.manifest
    inputs = [value.name for value in graph.graph.inputs if not value.is_initializer()]
    if inputs != [manifest.input.name]:
        return _failed(f"expected the input {manifest.input.name!r}, found {_listed(inputs)}")
    outputs = [value.name for value in graph.graph.outputs]
    if manifest.head.output not in outputs:
        return _failed(f"expected the output {manifest.head.output!r}, found {_listed(outputs)}")
    try:
        head = find_head(graph, output=manifest.head.output)
    except HeadError as error:
        return _failed(str(error))
    stored = load_file(artifact.path(PROTOTYPES))["prototypes"].shape
    if head.weight.shape != (stored[0], stored[2]):
        classes, channels = head.weight.shape
        return _failed(
            f"expected {stored[0]} classes and {stored[2]} channels, found {classes} and {channels}"
        )
    return None


def _failed(detail: str) -> GateRecord:
    return GateRecord(name="source", state="failed", detail=f"another model's: {detail}")


def _listed(names: list[str | None]) -> str:
    return ", ".join(repr(name) for name in names) or "none"


def sum_gate(artifact: Artifact, head: Head) -> GateRecord:
    """Equation (7): prototypes + reference = head row, to the rounding of float32 sums."""
    tensors = load_file(artifact.path(PROTOTYPES))
    prototypes = tensors["prototypes"].astype(np.float64)  # (c, k, d)
    total = prototypes.sum(axis=1) + tensors["reference"]
    largest = np.maximum(np.abs(prototypes).max(axis=1), np.abs(tensors["reference"]))
    limit = (prototypes.shape[1] + 1) * float(np.finfo(np.float32).eps)
    error = np.abs(total - head.weight) / np.maximum(largest, np.finfo(np.float32).tiny)
    return limit_gate("prototypes sum to head", float(error.max()), limit, "of the largest part")


def stored_gate(artifact: Artifact, head: Head) -> GateRecord:
    """What is stored beside the graphs is what they hold, bit for bit, and the head's bias.

    The sum of prototypes does not tell their order, no node reads the labels of the manifest or
    the scale, and the graphs answer without either file. Of an edited artifact it is what the
    graphs hold when the edits are taken back.
    """
    tensors = load_file(artifact.path(PROTOTYPES))
    notes = artifact_notes(artifact.manifest, tensors)
    differing = [] if _same(tensors["bias"], head.bias.astype(np.float32)) else ["the head's bias"]
    older = 0
    for graph in (MODEL, STEERABLE):
        model = read_graph(artifact.path(graph))
        while remove_edit(model):
            pass
        names = list(_other_arrays(model, tensors))
        if LABELS in model.metadata_props:
            names += _other_notes(model, notes)
        else:
            older += 1
        differing += [f"the {name} of {graph}" for name in dict.fromkeys(names)]
    detail = f"{PROTOTYPES} and the labels are bit-identical to both graphs and to the head's bias"
    if older:
        detail += f"; {older} graphs note no labels, they were written by an older version"
    if differing:
        detail = f"{PROTOTYPES} or {MANIFEST} differs from {', '.join(differing)}"
    state = "failed" if differing else "passed"
    return GateRecord(name="stored prototypes", state=state, detail=detail)


def _other_arrays(model: ir.Model, tensors: dict[str, NDArray[np.generic]]) -> Iterator[str]:
    for name in _STORED:
        value = model.graph.initializers.get(PREFIX + name)
        found = None if value is None else value.const_value
        if found is None or not _same(tensors[name], found.numpy()):
            yield name


def _other_notes(model: ir.Model, notes: dict[str, str]) -> Iterator[str]:
    """What a graph notes otherwise; one of before notes labels and scale alone."""
    props = model.metadata_props
    own = [key for key in notes if key.startswith(PREFIX)]
    older = not any(key in props for key in own if key not in _ALWAYS)
    for key in _ALWAYS if older else own:
        if props.get(key) != notes[key]:
            yield key.removeprefix(PREFIX).removesuffix("_sha256")


def _same(stored: NDArray[np.generic], found: NDArray[np.generic]) -> bool:
    return stored.dtype == found.dtype and stored.tobytes() == found.tobytes()

"""A model repository for the Triton Inference Server, one model for each graph.

``NAME`` holds ``config.pbtxt``, ``labels.txt``, ``manifest.json`` and ``1/model.onnx``, and
``NAME_steerable`` likewise, without labels. The schema of ``config.pbtxt`` is ModelConfig of
Triton's ``model_config.proto``; what it says of names, types and shapes is read from the graphs.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serving.artifact import MANIFEST, MODEL, STEERABLE, Artifact, sha256_of
from serving.model.runtime import Session, make_session

LABELS = "labels.txt"
_LARGEST_BATCH = 16  # images; as many as one request to `protohead serve` may hold
_TYPES = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(double)": "TYPE_FP64",
    "tensor(float)": "TYPE_FP32",
    "tensor(float16)": "TYPE_FP16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(int8)": "TYPE_INT8",
    "tensor(uint8)": "TYPE_UINT8",
}


def write(artifact: Artifact, folder: Path, name: str) -> None:
    """Write the repository.

    Args:
        artifact: What is packaged.
        folder: An empty folder.
        name: Of the model; that of the steerable graph is ``NAME_steerable``.
    """
    for file, model in ((MODEL, name), (STEERABLE, f"{name}_steerable")):
        place = folder / model
        (place / "1").mkdir(parents=True)
        shutil.copyfile(artifact.path(file), place / "1" / file)
        shutil.copyfile(artifact.path(MANIFEST), place / MANIFEST)
        text = config(artifact, make_session(artifact.path(file), threads=1), file, model)
        (place / "config.pbtxt").write_bytes(text.encode())
        if LABELS in text:
            # A label is a line, whatever is in it.
            lines = [" ".join(label.splitlines()) for label in artifact.manifest.labels]
            (place / LABELS).write_bytes("".join(f"{line}\n" for line in lines).encode())


def config(artifact: Artifact, session: Session, file: str, model: str) -> str:
    """The text of ``config.pbtxt``.

    Args:
        artifact: Whose graph it is.
        session: Of the graph.
        file: The graph's name.
        model: The model's name.
    """
    # Values of other types, such as the maps of scikit-learn's converters, Triton cannot hold.
    outputs = [value for value in session.get_outputs() if value.type in _TYPES]
    inputs = session.get_inputs()
    batched = all(_has_free_batch(value) for value in (*inputs, *outputs))
    logits = artifact.manifest.head.logits
    # Where the batch is not Triton's, it ranks the logits of all images as if they were one's.
    ranked = [v for v in outputs if v.name == logits and (batched or v.shape[:1] == [1])]
    lines = [
        f"name: {_quoted(model)}",
        'backend: "onnxruntime"',
        f"default_model_filename: {_quoted(file)}",
        f"max_batch_size: {_LARGEST_BATCH if batched else 0}",
        *(_tensor("input", value, batched) for value in inputs),
        *(_tensor("output", value, batched, labelled=value in ranked) for value in outputs),
        "instance_group [ { count: 1 kind: KIND_AUTO } ]",
        *(["dynamic_batching { }"] if batched else []),
        _parameter("protohead_manifest_sha256", sha256_of(artifact.path(MANIFEST))),
        _parameter("protohead_logits", logits),
        _parameter("protohead_activation", artifact.manifest.activation),
    ]
    return "\n".join(lines) + "\n"


def _has_free_batch(value: Any) -> bool:
    """Whether the first axis of a value is open, and others follow, as Triton's batches need it."""
    return len(value.shape) > 1 and not isinstance(value.shape[0], int)


def _tensor(field: str, value: Any, batched: bool, *, labelled: bool = False) -> str:
    note = f" label_filename: {_quoted(LABELS)}" if labelled else ""
    dims = _dims(value.shape[1:] if batched else value.shape)
    return (
        f"{field} [ {{ name: {_quoted(value.name)} data_type: {_TYPES[value.type]} "
        f"dims: {dims}{note} }} ]"
    )


def _dims(shape: Sequence[object]) -> list[int]:
    """The sizes as Triton writes them: -1 is any."""
    return [size if isinstance(size, int) else -1 for size in shape]


def _parameter(key: str, value: str) -> str:
    return f"parameters {{ key: {_quoted(key)} value: {{ string_value: {_quoted(value)} }} }}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)

"""What a graph says of itself, for whoever holds the file alone: metadata beside its nodes.

The manifest stays the contract: a hash of it cannot stand in a file that it hashes, and
onnxruntime's JavaScript reads no metadata. What identifies an artifact in its graphs is the source
and what was made of it: ``protohead/source_sha256`` and ``protohead/prototypes_sha256``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.graph.write import PREFIX
from serving.artifact import Manifest, Preprocessing

LABELS = PREFIX + "labels"
SCALE = PREFIX + "scale_sha256"
_NOTED = PREFIX + "noted"
_MODEL_API = "model_info "


def artifact_notes(
    manifest: Manifest, tensors: Mapping[str, NDArray[np.float32]]
) -> dict[str, str]:
    """The metadata that every graph of an artifact carries.

    ``verify`` holds the manifest and ``prototypes.safetensors`` to it. It depends on nothing that
    an edit changes.

    Args:
        manifest: Of the artifact; its files may still be open.
        tensors: What ``prototypes.safetensors`` holds.

    Returns:
        Values by key. Labels, preprocessing and method as JSON; the sha256 of the source's file, of
        scale and prototypes as little-endian float32; and the keys by which Intel's Model API
        prepares pictures and names classes.
    """
    preprocessing = manifest.input.preprocessing
    return {
        LABELS: json.dumps(list(manifest.labels)),
        SCALE: _digest(tensors["scale"]),
        PREFIX + "activation": manifest.activation,
        PREFIX + "preprocessing": preprocessing.model_dump_json(),
        PREFIX + "method": manifest.method.model_dump_json(),
        PREFIX + "source_sha256": manifest.source.sha256,
        PREFIX + "prototypes_sha256": _digest(tensors["prototypes"]),
        **_model_api(manifest, preprocessing),
    }


def write_notes(model: ir.Model, notes: Mapping[str, str]) -> None:
    """Write metadata into a graph; what the source says to Model API is left as it is."""
    props = model.metadata_props
    spoken = any(key.startswith(_MODEL_API) for key in props)
    added = {k: v for k, v in notes.items() if k.startswith(PREFIX) or not spoken}
    props.update(added)
    foreign = [key for key in added if not key.startswith(PREFIX)]
    if foreign:
        props[_NOTED] = json.dumps(foreign)


def drop_model_api(model: ir.Model) -> None:
    """Take what Model API reads out again: it would prepare pictures twice."""
    for key in json.loads(model.metadata_props.pop(_NOTED, "[]")):
        model.metadata_props.pop(key, None)


def remove_notes(model: ir.Model) -> None:
    """Take every note of ours out of a graph."""
    drop_model_api(model)
    for key in [key for key in model.metadata_props if key.startswith(PREFIX)]:
        del model.metadata_props[key]


def _model_api(manifest: Manifest, preprocessing: Preprocessing) -> dict[str, str]:
    """As near as its words go: it has no resize of the short side to more than the crop.

    Its pictures are BGR, as OpenCV reads them, and are prepared as (pixel - mean) / scale; a label
    ends where a space is.
    """
    unit = preprocessing.scale
    found = {
        "model_type": "Classification",
        "labels": " ".join("_".join(label.split()) or "_" for label in manifest.labels),
        "mean_values": _numbers(mean / unit for mean in preprocessing.mean),
        "scale_values": _numbers(std / unit for std in preprocessing.std),
        "reverse_input_channels": str(preprocessing.channels == "RGB"),
        "resize_type": "standard" if isinstance(preprocessing.resize, tuple) else "crop",
        "pad_value": "0",
        "multilabel": str(manifest.activation == "sigmoid"),
    }
    if preprocessing.interpolation in ("nearest", "bilinear", "bicubic"):
        names = {"nearest": "NEAREST", "bilinear": "LINEAR", "bicubic": "CUBIC"}
        found["interpolation_mode"] = names[preprocessing.interpolation]
    return {_MODEL_API + key: value for key, value in found.items()}


def _digest(array: NDArray[np.float32]) -> str:
    return hashlib.sha256(array.astype("<f4").tobytes()).hexdigest()


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{value:.9g}" for value in values)

"""The golden batch and pictures: inputs with every output, so that another runtime tests itself.

The batch begins at the tensor. The pictures are files, so that what comes before it is tested too.

One reader and one tolerance, for the exporter that verifies, the server that starts and
``docs/format.md``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from serving.artifact import GOLDEN, Artifact, Manifest, picture_file
from serving.errors import IntegrityError
from serving.model.outputs import ROUNDING, UNPLACED, explained_shapes

GOLDEN_TOLERANCE = 1e-4
"""Of the largest value of an output: another machine may round differently, not answer differently.
Of logits it is the largest of the same class, where contributions are no larger: a masked class, of
-1e9, says nothing of the others.

float32 rounding through a deep network stays near 1e-6 to 1e-5 of it."""

_INPUTS, _OUTPUTS = "inputs/", "outputs/"
_OF_PICTURES = "pictures/"


@dataclass(frozen=True)
class Golden:
    """What ``golden.npz`` holds of the batch, or of the pictures.

    Attributes:
        inputs: The input tensors, (b, ...), of the type that the graph takes.
        outputs: Every output of ``model.onnx`` by name, as recorded.
    """

    inputs: NDArray[np.float32]
    outputs: dict[str, NDArray[Any]]


def read_golden(artifact: Artifact) -> Golden:
    """Read an artifact's golden batch.

    Raises:
        IntegrityError: It is no such file, or what it holds does not fit the manifest.
    """
    return _read(artifact, "")


def golden_pictures(artifact: Artifact) -> tuple[Path, ...]:
    """The golden pictures of an artifact; an older one has none."""
    names = map(picture_file, range(len(artifact.manifest.files)))
    listed = takewhile(lambda name: name in artifact.manifest.files, names)
    return tuple(artifact.path(name) for name in listed)


def read_pictures(artifact: Artifact) -> Golden:
    """Read what the golden pictures of an artifact become, in their order.

    Raises:
        IntegrityError: As of :func:`read_golden`, or there is another number of pictures.
    """
    found, count = _read(artifact, _OF_PICTURES), len(golden_pictures(artifact))
    if len(found.inputs) != count:
        raise IntegrityError(
            f"{artifact.path(GOLDEN)}: expected inputs of {count} pictures, found "
            f"{len(found.inputs)}."
        )
    return found


def _read(artifact: Artifact, before: str) -> Golden:
    """The inputs and outputs under names that begin so."""
    manifest, path = artifact.manifest, artifact.path(GOLDEN)
    try:
        with path.open("rb") as file:
            _require_plain(file, path.stat().st_size)
            with np.load(file, allow_pickle=False) as arrays:
                inputs = arrays[before + _INPUTS + manifest.input.name]
                outputs = {
                    name.removeprefix(before + _OUTPUTS): arrays[name]
                    for name in arrays.files
                    if name.startswith(before + _OUTPUTS)
                }
        _require_fitting(inputs, outputs, manifest)
    except (OSError, KeyError, ValueError, EOFError, MemoryError, BadZipFile) as error:
        raise IntegrityError(f"{path}: expected golden inputs and outputs: {error}.") from error
    return Golden(inputs, outputs)


def _require_plain(file: IO[bytes], size: int) -> None:
    """Refuse arrays that are larger in memory than in the file, before any is read."""
    with ZipFile(file) as archive:
        packed = [info.filename for info in archive.infolist() if info.compress_type != ZIP_STORED]
        total = sum(info.file_size for info in archive.infolist())
    if packed or total > size:
        raise ValueError(f"its arrays are compressed to {size} bytes or lie within each other")
    file.seek(0)


def _require_fitting(
    inputs: NDArray[Any], outputs: Mapping[str, NDArray[Any]], manifest: Manifest
) -> None:
    expected = {"inputs": (len(inputs), *manifest.input.shape[1:])}
    expected |= explained_shapes(manifest, len(inputs))
    found = {"inputs": inputs, **outputs}
    for name, shape in expected.items():
        if name not in found:
            raise ValueError(f"there are no {name}")
        if found[name].shape != shape:
            raise ValueError(f"{name} of shape {shape} were expected, found {found[name].shape}")
    kind = manifest.input.dtype
    if not len(inputs) or inputs.dtype != kind:
        raise ValueError(f"{kind} inputs were expected, found {len(inputs)} of {inputs.dtype}")
    ids = outputs[manifest.prefix + "class_ids"]
    if ids.dtype != np.int64 or ids.min() < 0 or ids.max() >= len(manifest.classes):
        raise ValueError("class_ids of other classes than the manifest's")


def save_golden(path: Path, name: str, batch: Golden, pictures: Golden | None) -> None:
    """Write ``golden.npz``.

    Args:
        path: The file.
        name: The name of the graph's input.
        batch: The golden batch.
        pictures: What the golden pictures become; None where there are none.
    """
    arrays: dict[str, NDArray[Any]] = {}
    parts = {"": batch} if pictures is None else {"": batch, _OF_PICTURES: pictures}
    for before, part in parts.items():
        arrays |= {before + _OUTPUTS + output: value for output, value in part.outputs.items()}
        arrays[before + _INPUTS + name] = part.inputs
    np.savez(path, allow_pickle=False, **arrays)


def golden_error(
    found: Mapping[str, NDArray[Any]],
    recorded: Mapping[str, NDArray[Any]],
    *,
    logits: Collection[str],
    prefix: str = "",
) -> float:
    """How far outputs are from those recorded.

    Args:
        found: Outputs by name.
        recorded: Those of the golden batch, of the same names.
        logits: Those that are logits (b, c).
        prefix: Before the names of what the explained graph adds.

    Returns:
        The largest difference over the largest value of its output, or of its class; NaN where a
        value is none, and infinite where a shape is another.
    """
    tiny = float(np.finfo(np.float32).tiny)
    worst, placed = 0.0, float(np.abs(recorded.get(prefix + "contributions", 0.0)).max())
    # A difference of what contributions are the other part of: it rounds as they do.
    floors = {prefix + name: max(placed, tiny) for name in (UNPLACED, ROUNDING)}
    for name, expected in recorded.items():
        if found[name].shape != expected.shape:
            return float("inf")
        if name in logits:
            scale = np.maximum(np.abs(expected).max(axis=0), max(placed, tiny))
        else:
            scale = np.maximum(np.abs(expected).max(), floors.get(name, tiny))
        error = float((np.abs(found[name] - expected) / scale).max())
        worst = float(np.maximum(worst, error))  # unlike max, NaN stays
    return worst

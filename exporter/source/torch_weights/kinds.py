"""What a file that was given as weights is, by its content: one line for each kind it must not be.

torch's own errors for these files advise to unpickle them, or call them damaged.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from exporter.errors import SourceError

Kind = Literal["safetensors", "torch", "index"]

_HEAD = 512
_LFS = b"version https://git-lfs"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_PICKLE, _LATEST = 0x80, 5  # its first byte, and the protocols that follow it
_SAVE = "Save model.state_dict() alone where the model can be loaded, best as .safetensors."


def kind_of(path: Path) -> Kind:
    """How a file of weights is read.

    Raises:
        SourceError: It is no file of weights, but something else that is recognised.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}.") from error
    if not head:
        raise SourceError(f"{path}: expected weights, found an empty file. Copy it again.")
    if head.startswith(_LFS):
        raise SourceError(
            f"{path}: a Git LFS pointer, which stands for the weights and does not hold them. "
            "Run git lfs pull where it was cloned, or download the file itself."
        )
    if head.startswith(_HDF5):
        raise SourceError(
            f"{path}: an HDF5 file, as Keras writes it, not weights of torch. Export that model "
            "to ONNX and give the .onnx file as the model."
        )
    if head.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html", b"<?xml")):
        raise SourceError(f"{path}: a web page, not weights. Download the file itself.")
    if path.suffix == ".onnx":
        raise SourceError(
            f"{path}: an ONNX model, which carries its graph and its weights. Give it as the "
            "model, without `weights`."
        )
    if path.suffix == ".json":
        return "index"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return "safetensors"
    if head.startswith(b"PK"):
        _refuse_archive(path)
        return "torch"
    is_pickle = len(head) > 1 and head[0] == _PICKLE and head[1] <= _LATEST
    return "safetensors" if path.suffix == ".safetensors" and not is_pickle else "torch"


def _refuse_archive(path: Path) -> None:
    """Refuse a zip that torch or another program made, and that is no checkpoint."""
    names = [name.partition("/")[2] or name for name in _members(path)]
    if "constants.pkl" in names or any(name.startswith("code/") for name in names):
        raise SourceError(
            f"{path}: a TorchScript archive, a compiled program whose code was lost. Give the "
            f"module that it was compiled from. {_SAVE}"
        )
    if "archive_format" in names or "serialized_exported_program.json" in names:
        raise SourceError(
            f"{path}: a program saved by torch.export (.pt2), not weights. Give the module that "
            "it was exported from, or export the program with torch.onnx.export and give the "
            ".onnx file as the model."
        )
    if any(name.endswith((".npy", "model.weights.h5")) for name in names):
        raise SourceError(f"{path}: an archive of NumPy or Keras, not weights of torch. {_SAVE}")


def _members(path: Path) -> Iterator[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield from archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # torch's own reader says what is damaged


def shards_of(index: Path) -> list[Path]:
    """The files that an index, ``….index.json``, names; all must lie beside it.

    Raises:
        SourceError: It is no index, or a file is missing.
    """
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
        names = sorted(set(content["weight_map"].values()))
        if not all(isinstance(name, str) and name == Path(name).name for name in names):
            raise ValueError("a shard lies in another folder")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SourceError(
            f"{index}: expected an index of shards, a JSON object with a weight_map of tensors "
            f"to files beside it: {type(error).__name__}: {error}. Give the weights themselves."
        ) from error
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        raise SourceError(
            f"{index}: {len(missing)} of its {len(names)} shards are missing, first "
            f"{missing[0]}. Put them beside it."
        )
    return [index.parent / name for name in names]

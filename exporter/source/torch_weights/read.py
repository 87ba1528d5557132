"""A file of weights, read as tensors only.

Pickles are read by torch's own restricted reader, always. What a checkpoint holds beside its
tensors (options, a learner's history) is of classes that this reader refuses; for each of them it
is given a class of ours that does nothing. So a name in the file never becomes code: it is neither
imported nor called.
"""

from __future__ import annotations

import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import torch
from safetensors.torch import load_file

from exporter.errors import SourceError
from exporter.source.torch_weights.kinds import kind_of, shards_of
from exporter.source.torch_weights.unwrap import Inert, unwrap, whole_module
from exporter.text import whole_cause

_SHARD = re.compile(r"(.+)-\d+-of-\d+$")
_LEGACY_PICKLES = 4  # a magic number, a protocol, the system, and what was saved
_OWN = {"torch", "collections", "_codecs", "builtins", "__builtin__"}  # read by torch itself
_FOREIGN = ("torch.nn.modules.", "torch.optim.", "torch.utils.")


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict without running code from the file.

    Args:
        path: A ``.safetensors`` file, the index of several, or what ``torch.save`` wrote: a state
            dict, or a checkpoint that has one in it.

    Returns:
        Tensors by their names, on the CPU. What was unwrapped is logged as a warning.

    Raises:
        SourceError: The file is missing, damaged, or holds no named tensors.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "none"
        raise SourceError(f"{path}: expected a file of weights, found {found}. Check the path.")
    shard = _SHARD.match(path.stem)
    index = path.with_name(f"{shard[1]}{path.suffix}.index.json") if shard else path
    path = index if index.is_file() else path
    kind = kind_of(path)
    if kind != "index":
        return unwrap(_read(path, kind == "safetensors"), path)
    tensors: dict[str, torch.Tensor] = {}
    for file in shards_of(path):
        tensors |= unwrap(_read(file, kind_of(file) == "safetensors"), file)
    return tensors


def _read(path: Path, safetensors: bool) -> object:
    if safetensors:
        try:
            return load_file(path)
        except Exception as error:  # a damaged header fails anywhere in the reader
            raise _damaged(path, error) from error
    names = _foreign_names(path)
    try:
        with (
            path.open("rb") as file,  # of a path, torch believes the suffix
            torch.serialization.safe_globals([(_stand_in(name), name) for name in names]),
            warnings.catch_warnings(action="ignore"),  # of pickles it knows, and refuses anyway
        ):
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(path, names) from error
    except Exception as error:  # a damaged pickle fails anywhere in the reader
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> SourceError:
    cause = re.split(r"This is an internal|In PyTorch 2\.6|Re-running", whole_cause(error))[0]
    return SourceError(
        f"{path}: damaged, or no file of weights: {cause.strip(' .')}. Copy or save it again."
    )


def _refusal(path: Path, names: list[str]) -> SourceError:
    for name in names:
        if name.startswith(("fastai", "torch.nn.modules.")):
            return whole_module(path, name)
    held = f" ({', '.join(names[:3])})" if names else ""
    return SourceError(
        f"{path}: expected tensors only, found pickled Python objects{held} (or no torch file), "
        "which could run code and are not loaded. Save model.state_dict(), best as "
        ".safetensors, where you trust the file."
    )


def _stand_in(name: str) -> type[Inert]:
    return type("Inert", (Inert,), {"name": name})


def _foreign_names(path: Path) -> list[str]:
    """The classes and functions that a pickle names and torch does not read by itself."""
    names: dict[str, None] = {}
    try:
        for name in _names(path):
            own = name.partition(".")[0] in _OWN and not name.startswith(_FOREIGN)
            if not own:
                names[name] = None
    except Exception:  # no pickle, or a damaged one; torch's reader says how
        return []
    return list(names)


def _names(path: Path) -> Iterator[str]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if member.endswith("data.pkl"):
                    with archive.open(member) as file:
                        yield from _globals(file)
        return
    with path.open("rb") as file:
        for _ in range(_LEGACY_PICKLES):
            yield from _globals(file)


def _globals(file: IO[bytes]) -> Iterator[str]:
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name == "GLOBAL":
            yield str(argument).replace(" ", ".")

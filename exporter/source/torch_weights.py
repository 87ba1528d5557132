"""A file of weights, read as tensors only, and loaded into a module that it must fit."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from exporter.errors import SourceError

_SHOWN = 3


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict without running code from the file.

    Args:
        path: A ``.safetensors`` file, or what ``torch.save(model.state_dict(), path)`` wrote.

    Returns:
        Tensors by their names, on the CPU.

    Raises:
        SourceError: The file is missing, damaged, or holds anything but named tensors.
    """
    if not path.is_file():
        raise SourceError(f"{path}: expected a file of weights, found none. Check the path.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise SourceError(
            f"{path}: expected tensors only, found pickled Python objects (or no torch file), "
            "which could run code and are not loaded. Save model.state_dict(), best as "
            ".safetensors, where you trust the file."
        ) from error
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise SourceError(f"{path}: a damaged file of weights: {error}") from error
    if not isinstance(state, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in state.values()
    ):
        found = ", ".join(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
        raise SourceError(
            f"{path}: expected a state dict, names to tensors, found {found:.200}. Save "
            "model.state_dict() alone."
        )
    return dict(state)


def load_weights(network: nn.Module, state: Mapping[str, torch.Tensor], where: str) -> None:
    """Load a state dict that must name every weight of the module and no other.

    Args:
        network: The module; its weights are replaced.
        state: Tensors by their names.
        where: The model and the file, for the error.

    Raises:
        SourceError: A name is missing or unexpected, or a shape differs.
    """
    try:
        missing, unexpected = network.load_state_dict(state, strict=False)
    except RuntimeError as error:  # the shapes that differ, one in each line
        lines = str(error).splitlines()[1:]
        raise SourceError(f"{where}: {_first([line.strip() for line in lines])}") from error
    if missing or unexpected:
        raise SourceError(
            f"{where}: the weights are of another model: missing {_first(missing)}; "
            f"unexpected {_first(unexpected)}"
        )


def _first(items: list[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return (", ".join(items[:_SHOWN]) or "none") + more

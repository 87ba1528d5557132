"""Weights by the names of a file are loaded into a module that they must fit."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

import torch
from torch import nn

from exporter.errors import SourceError

_logger = logging.getLogger(__name__)

_SHOWN = 3
_COMPILED = "_orig_mod."
_COUNTER = "num_batches_tracked"  # files of old versions leave it out, and nothing reads it


def load_weights(network: nn.Module, state: Mapping[str, torch.Tensor], where: str) -> None:
    """Load a state dict that must hold every weight of the module.

    A prefix that all names have more or less than the module's (``module.`` of parallel training,
    ``model.`` of Lightning) is taken off or put on, and logged as a warning.

    Args:
        network: The module; its weights are replaced.
        state: Tensors by their names.
        where: The model and the file, for the error.

    Raises:
        SourceError: A name is missing or unexpected, or a shape differs.
    """
    try:
        fitted = fit_names(network.state_dict().keys(), state, where)
        missing, unexpected = network.load_state_dict(fitted, strict=False)
    except RuntimeError as error:  # the shapes that differ, one in each line
        lines = str(error).splitlines()[1:]
        raise SourceError(
            f"{where}: {_first([line.strip() for line in lines]) if lines else error}"
        ) from error
    missing = [name for name in missing if not name.endswith(_COUNTER)]
    if missing or unexpected:
        raise SourceError(
            f"{where}: the weights are of another model: missing {_first(missing)}; "
            f"unexpected {_first(unexpected)}"
        )


def fit_names(
    wanted: Collection[str], state: Mapping[str, torch.Tensor], where: str
) -> Mapping[str, torch.Tensor]:
    """A state dict by the names that a module has, as far as a prefix tells them apart.

    Args:
        wanted: The module's names.
        state: Tensors by the file's names.
        where: The model and the file, for what is said.

    Returns:
        The tensors, renamed where that makes them fit better.

    Raises:
        SourceError: Two networks in the file fit.
    """
    needed = {name for name in wanted if not name.endswith(_COUNTER)}
    if not needed or needed <= state.keys():
        return state
    if any(_COMPILED in name for name in state) and not any(_COMPILED in name for name in wanted):
        _logger.warning("%s: %r was taken off the names of the weights", where, _COMPILED)
        state = {name.replace(_COMPILED, ""): tensor for name, tensor in state.items()}
    return _without_prefix(needed, state, where) or _with_prefix(needed, state, where) or state


def _without_prefix(
    needed: set[str], state: Mapping[str, torch.Tensor], where: str
) -> Mapping[str, torch.Tensor] | None:
    """Take off the prefix under which the file has most of the module's names."""
    if needed <= state.keys():
        return state
    fits = _fits(needed, state.keys())
    complete = sorted(prefix for prefix, count in fits.items() if count == len(needed))
    if len(complete) > 1:
        raise SourceError(
            f"{where}: several networks in the file fit, under {', '.join(map(repr, complete))}. "
            "Save the state dict of the one that is meant."
        )
    best = complete[0] if complete else max(fits, key=lambda prefix: fits[prefix], default="")
    if not best or fits[best] <= len(needed & state.keys()):
        return None
    inside = {n.removeprefix(best): t for n, t in state.items() if n.startswith(best)}
    left = [name for name in state if not name.startswith(best)]
    rest = f"; left out: {_first(left)}" if left else ""
    _logger.warning("%s: %r was taken off the names of the weights%s", where, best, rest)
    return inside


def _with_prefix(
    needed: set[str], state: Mapping[str, torch.Tensor], where: str
) -> Mapping[str, torch.Tensor] | None:
    """Put the prefix before the file's names that the module has before all of them."""
    fits = _fits(set(state), needed)
    best = max(fits, key=lambda prefix: fits[prefix], default="")
    if not best or fits[best] < len(needed):
        return None
    _logger.warning("%s: %r was put before the names of the weights", where, best)
    return {best + name: tensor for name, tensor in state.items()}


def _fits(short: Collection[str], long: Collection[str]) -> dict[str, int]:
    """Prefixes that turn short names into long ones, with how many each turns.

    >>> _fits({"head.bias"}, {"model.head.bias", "other"})
    {'model.': 1}
    """
    prefixes: dict[str, int] = {}
    for name in long:
        at = -1
        while (at := name.find(".", at + 1)) >= 0:
            if name[at + 1 :] in short:
                prefix = name[: at + 1]
                prefixes[prefix] = prefixes.get(prefix, 0) + 1
    return prefixes


def _first(items: list[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return (", ".join(items[:_SHOWN]) or "none") + more

"""A checkpoint holds a state dict somewhere: find it, and say what was taken and what was left."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from exporter.errors import SourceError

_logger = logging.getLogger(__name__)

# Averaged weights are the ones that their trainers evaluate and publish, so they come first.
_KEYS = (
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema", "params_ema"),
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network"),
    *("weights", "params", "module"),
)
_DEEPEST = 4
_SHOWN = 4


class Inert:
    """What stands in for every object beside the tensors: it takes anything and does nothing."""

    name = ""

    def __new__(cls, *_: Any, **__: Any) -> Inert:
        """An instance, whatever the pickle calls it with."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def unwrap(found: object, path: Path) -> dict[str, torch.Tensor]:
    """The state dict in what a file holds.

    Args:
        found: What was read from the file.
        path: The file, for what is said.

    Returns:
        Tensors by their names.

    Raises:
        SourceError: There is no state dict in it, or a pickled module in its place.
    """
    trail: list[str] = []
    content = found
    while isinstance(content, Mapping) and len(trail) < _DEEPEST:
        key = _next_key(content)
        if key is None:
            break
        trail.append(key)
        content = content[key]
    if isinstance(content, Inert):
        raise whole_module(path, content.name, trail)
    tensors = _tensors(content)
    if not tensors:
        raise SourceError(
            f"{path}: expected a state dict, names to tensors, found {_what(content)}. Save "
            "model.state_dict() alone."
        )
    _say(path, trail, found, content)
    return tensors


def whole_module(path: Path, name: str, trail: list[str] | None = None) -> SourceError:
    """The refusal of a pickled module, which is code and no weights."""
    place = f", in its {trail[-1]!r}" if trail else ""
    saving = "torch.save(model.state_dict(), FILE)"
    kind = f"a whole pickled object ({name}{place}), as torch.save(model) writes it"
    if name.startswith("fastai"):
        kind, saving = "a fastai learner", "torch.save(learn.model.state_dict(), FILE)"
    return SourceError(
        f"{path}: {kind}, which could run code and is not loaded; expected tensors alone. Where "
        f"you trust it, load it yourself and save the weights: {saving}."
    )


def _next_key(content: Mapping[Any, Any]) -> str | None:
    """The key under which the state dict lies, None where this is the state dict."""
    for key in _KEYS:
        value = content.get(key)
        if isinstance(value, Mapping) and value:
            return key
    if _tensors(content):
        return None
    nested = [key for key, value in content.items() if isinstance(key, str) and _holds(value)]
    if len(nested) == 1:
        return nested[0]
    modules = [key for key in _KEYS if isinstance(content.get(key), Inert)]
    return modules[0] if modules else None


def _holds(value: object) -> bool:
    """Whether this is a state dict and nothing else, or has one under a usual name."""
    if not isinstance(value, Mapping):
        return False
    usual = (value.get(key) for key in _KEYS)
    return len(_tensors(value)) == len(value) > 0 or any(map(_holds, usual))


def _tensors(content: object) -> dict[str, torch.Tensor]:
    if not isinstance(content, Mapping):
        return {}
    return {
        key: value
        for key, value in content.items()
        if isinstance(key, str) and isinstance(value, torch.Tensor)
    }


def _what(content: object) -> str:
    if isinstance(content, Mapping):
        return f"{', '.join(map(str, content)):.200}" or "nothing"
    return type(content).__name__


def _say(path: Path, trail: list[str], found: object, content: object) -> None:
    left = [
        str(key)
        for level in (found, content)
        if isinstance(level, Mapping)
        for key, value in level.items()
        if key not in trail and not isinstance(value, torch.Tensor)
    ]
    left = list(dict.fromkeys(left))
    if not trail and not left:
        return
    more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
    taken = f"the weights are its {'.'.join(trail)!r}" if trail else "the weights are its tensors"
    rest = f"; left out: {', '.join(left[:_SHOWN])}{more}" if left else ""
    _logger.warning("%s: %s%s", path, taken, rest)

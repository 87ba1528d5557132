"""A classifier in any dress: what it calls its input, and where in its output the logits are."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from exporter.errors import SourceError

_IMAGES = ("pixel_values", "image", "images", "x", "input", "inputs")
_LOGITS = "logits"


class OutputError(Exception):
    """The output has no logits, or several tensors that could be them."""


class Logits(nn.Module):
    """A classifier whose input is ``image`` and whose output is the logits tensor alone.

    Args:
        model: The classifier.
        output: Where the logits are: a name or an index; None takes what is named ``logits``, or
            the only two-dimensional tensor.
        where: The model, for errors.
    """

    def __init__(self, model: nn.Module, output: str | None, where: str) -> None:
        super().__init__()
        self.model = model
        self._output = output
        self._keyword = _input_name(model, where)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The logits (batch, c) of images (batch, d, h, w)."""
        found = self.model(image) if not self._keyword else self.model(**{self._keyword: image})
        return pick(found, self._output)


def _input_name(model: nn.Module, where: str) -> str | None:
    """The keyword by which a model takes images, None where it takes them first."""
    try:
        parameters = list(inspect.signature(model.forward).parameters.values())
    except (TypeError, ValueError):  # a forward written in C, or none that Python can read
        return None
    first = parameters[0] if parameters else None
    keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    named = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.name in _IMAGES]
    positional = first is not None and first.kind in (
        first.POSITIONAL_ONLY,
        first.POSITIONAL_OR_KEYWORD,
        first.VAR_POSITIONAL,
    )
    if positional and not ("pixel_values" in named and first and first.name not in _IMAGES):
        return None
    required = [p.name for p in keywords if p.default is p.empty]
    if len(required) == 1:
        return required[0]
    if named:
        return named[0]
    if not keywords:
        return None
    raise SourceError(
        f"{where}: its forward takes {', '.join(p.name for p in keywords)} by name, and none of "
        f"them is called {', '.join(_IMAGES[:-1])} or {_IMAGES[-1]}. Give a module whose forward "
        "takes the images first."
    )


def pick(found: object, output: str | None) -> torch.Tensor:
    """The logits in what a classifier returned.

    Raises:
        OutputError: There are none, or it is not said which they are.
    """
    parts = _parts(found)
    if output is not None and not (isinstance(found, torch.Tensor) and output == _LOGITS):
        if output not in parts:
            raise OutputError(f"has no output {output!r}: it returns {_shown(found, parts)}")
        chosen = parts[output]
    elif isinstance(found, torch.Tensor):
        chosen = found
    elif _LOGITS in parts:
        chosen = parts[_LOGITS]
    else:
        tables = [p for p in parts.values() if isinstance(p, torch.Tensor) and p.ndim == 2]
        if len(tables) != 1:
            raise OutputError(
                f"expected logits (batch, classes), or an output with one two-dimensional tensor, "
                f"got {_shown(found, parts)}. Choose one by `output`, its name or its index"
            )
        chosen = tables[0]
    if not isinstance(chosen, torch.Tensor) or chosen.ndim != 2:
        raise OutputError(f"expected logits (batch, classes), got {_kind(chosen)}")
    return chosen


def _parts(found: object) -> dict[str, Any]:
    """The parts of an output by name or index."""
    if isinstance(found, torch.Tensor):
        return {"0": found}
    if isinstance(found, Mapping):
        return {str(key): value for key, value in found.items()}
    if isinstance(found, (tuple, list)):
        parts = {str(index): value for index, value in enumerate(found)}
        names = getattr(found, "_fields", ())  # of a named tuple
        return parts | {name: getattr(found, name) for name in names if name == _LOGITS}
    if dataclasses.is_dataclass(found) or hasattr(found, "__dict__"):
        return dict(vars(found))
    return {}


def _shown(found: object, parts: Mapping[str, Any]) -> str:
    if not parts or isinstance(found, torch.Tensor):
        return _kind(found)
    inside = ", ".join(f"{name}: {_kind(part)}" for name, part in list(parts.items())[:8])
    return f"a {type(found).__name__} ({inside})"


def _kind(found: object) -> str:
    if isinstance(found, torch.Tensor):
        return f"shape {tuple(found.shape)}"
    return type(found).__name__

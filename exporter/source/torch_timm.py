"""A timm model by its name; nothing is downloaded."""

from __future__ import annotations

import contextlib
import enum
import importlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from exporter.errors import MissingExtraError, SourceError
from exporter.text import whole_cause

_HUB = re.compile(r"(hf-hub|hf_hub):(?P<name>[\w.-]+/[\w.-]+)(@[\w.-]+)?")
_PLAIN = re.compile(r"[\w.]+")


def build_timm(
    name: str,
    state: Mapping[str, torch.Tensor] | None,
    config: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Build a timm model with as many classes as the weights have.

    Args:
        name: A name that timm knows; or ``hf-hub:OWNER/NAME``, whose architecture is told by
            ``config``, else by NAME.
        state: The weights that it will be given.
        config: The ``config.json`` that lies beside them on the hub, where it is at hand.

    Raises:
        SourceError: timm does not know it, or no weights are given.
        MissingExtraError: timm is not installed.
    """
    where = f"timm:{name}"
    hub = _HUB.fullmatch(name)
    if not hub and not _PLAIN.fullmatch(name):
        raise SourceError(
            f"{where}: expected the plain name of a timm model, or hf-hub:OWNER/NAME whose weights "
            "you have; nothing is downloaded here. Give the weights as `weights`."
        )
    if state is None:
        raise SourceError(
            f"{where}: without weights it is random, not a trained model, and nothing is "
            "downloaded here. Give `weights`; or, to let timm download its own, give "
            "package.module:callable with a function of yours that returns "
            f"timm.create_model({name!r}, pretrained=True)."
        )
    config = config or {}
    plain = hub["name"].partition("/")[2] if hub else name
    options = {**config.get("model_args", {})} if isinstance(config.get("model_args"), dict) else {}
    network = _create(str(config.get("architecture") or plain), where, options)
    described = config.get("pretrained_cfg")
    if isinstance(described, dict):
        network.pretrained_cfg = {**timm_config(network), **described}  # type: ignore[assignment]
    rows = _classes(network, state)
    if rows is not None and rows != network.num_classes:
        reset_classifier: Any = network.reset_classifier
        reset_classifier(rows)
    return network


def hub_config(weights: Path) -> dict[str, Any] | None:
    """The ``config.json`` of timm in the folder of the weights, None where there is none."""
    try:
        content = json.loads(weights.with_name("config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and "architecture" in content else None


def timm_config(network: nn.Module) -> dict[str, Any]:
    """``pretrained_cfg`` of a timm model, empty for any other."""
    config = getattr(network, "pretrained_cfg", None)
    return config if isinstance(config, dict) else {}


def _create(name: str, where: str, options: dict[str, Any]) -> nn.Module:
    timm = _import_timm(where)
    try:
        network: nn.Module = timm.create_model(name, pretrained=False, **options)
    except Exception as error:  # timm has no error of its own for what it does not know
        raise SourceError(
            f"{where}: {whole_cause(error)}. timm.list_models() names all architectures."
        ) from error
    return network


def _classes(network: nn.Module, state: Mapping[str, torch.Tensor]) -> int | None:
    """The classes of the weights; a distilled model has two classifiers, of as many each."""
    names = timm_config(network).get("classifier")
    for name in [names] if isinstance(names, str) else names or ():
        for key, tensor in state.items():
            if f".{key}".endswith(f".{name}.weight"):
                return len(tensor)
    return None


def _import_timm(where: str) -> Any:
    """timm, with torchvision where there is one that works beside this torch, else without.

    timm imports of torchvision a class to recognise frozen norms by, a transform to derive one
    from, the names of interpolations, and datasets. A network needs none of them.
    """
    for place in (contextlib.nullcontext, _no_torchvision):
        before = set(sys.modules)
        try:
            with place():
                return importlib.import_module("timm")
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[
                0
            ] == "torchvision" and place is not _no_torchvision:
                _forget(before)
                continue
            raise MissingExtraError(
                f"{where}: needs {error.name}, which is not installed. Run: pip install timm"
            ) from error
        except Exception as error:  # a torchvision built for another torch fails as it registers
            _forget(before)
            if place is _no_torchvision:
                raise SourceError(
                    f"{where}: timm cannot be imported: {whole_cause(error)}"
                ) from error
    raise AssertionError("unreachable")  # pragma: no cover


def _forget(before: set[str]) -> None:
    """Forget what was imported in part, so that it can be imported again."""
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("timm", "torchvision"):
            del sys.modules[name]


class _Interpolation(enum.Enum):
    """The names that timm asks torchvision for."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


class _Absent(nn.Module):
    """A class of torchvision that no network is an instance of."""


class _StandIn(ModuleType):
    """A module of torchvision, in which every name is a class that nothing uses."""

    __path__: list[str] = []  # noqa: RUF012  # a package, so that its parts can be imported

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent


@contextlib.contextmanager
def _no_torchvision() -> Iterator[None]:
    """While timm is imported, modules that hold what it looks for in torchvision."""
    parts = ("", ".datasets", ".ops", ".ops.misc", ".transforms", ".transforms.functional")
    modules = {f"torchvision{part}": _StandIn(f"torchvision{part}") for part in parts}
    for name, module in modules.items():
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
    functional = modules["torchvision.transforms.functional"]
    functional.InterpolationMode = _Interpolation  # type: ignore[attr-defined]
    before = {name: sys.modules[name] for name in modules if name in sys.modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            sys.modules.pop(name, None)
        sys.modules.update(before)

"""A torch model, built and with its weights, becomes the bytes of an ONNX file.

1. Read the weights as tensors only, never as pickled code.
2. Build the module: call `package.module:callable`, or ask timm.
3. Load the weights, which must fit.
4. Export it to ONNX and compare.

torch is imported by this file and the other `torch_` files beside it, and nowhere else.
"""

from __future__ import annotations

import contextlib
import importlib
import operator
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from exporter.errors import MissingExtraError, SourceError
from exporter.source.torch_export import export_module, root_cause
from exporter.source.torch_weights import load_weights, read_weights

_DEFAULT_SIDE = 224


def export_torch(
    model: str, weights: Path | None, input_size: tuple[int, int] | None
) -> tuple[str, bytes]:
    """Export a torch classifier to ONNX.

    Whatever the model's code and torch print goes to stderr: stdout is for results.

    Args:
        model: ``package.module:callable`` or ``timm:NAME``.
        weights: State dict to load, or None to keep the weights the callable returned.
        input_size: (height, width) in pixels; None asks the model's configuration.

    Returns:
        A file name for it, and the bytes of the ONNX file that `export_module` makes of it.

    Raises:
        SourceError: The model cannot be built, traced, or expressed in ONNX.
        MissingExtraError: timm is asked for and cannot be imported.
    """
    family, _, name = model.partition(":")
    with contextlib.redirect_stdout(sys.stderr), _current_folder_importable():
        state = read_weights(weights) if weights is not None else None
        network = _build_timm(name, state) if family == "timm" else _build(family, name)
        if state is not None:
            load_weights(network, state, f"{model} with {weights}")
        shape = _image_shape(network, input_size)
        return f"{name}.onnx", export_module(network.cpu().eval(), shape, model)


@contextlib.contextmanager
def _current_folder_importable() -> Iterator[None]:
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _build(module: str, attribute: str) -> nn.Module:
    where = f"{module}:{attribute}"
    try:
        builder = operator.attrgetter(attribute)(importlib.import_module(module))
    except Exception as error:  # the module is the user's code, and may fail in any way
        raise SourceError(
            f"{where}: cannot be imported: {root_cause(error)}. Expected package.module:callable, "
            "importable from the current folder or installed."
        ) from error
    try:
        network = builder()
    except Exception as error:
        raise SourceError(
            f"{where}: calling it without arguments failed: {root_cause(error)}"
        ) from error
    if not isinstance(network, nn.Module):
        raise SourceError(
            f"{where}: expected a callable that returns a torch.nn.Module, got "
            f"{type(network).__name__}"
        )
    return network


def _build_timm(name: str, state: Mapping[str, torch.Tensor] | None) -> nn.Module:
    """Build a timm model with as many classes as the weights have; nothing is downloaded."""
    where = f"timm:{name}"
    if not re.fullmatch(r"[\w.]+", name):
        raise SourceError(
            f"{where}: expected the plain name of a timm model; names with a source are "
            "downloaded. Download the weights yourself and give them as `weights`."
        )
    if state is None:
        raise SourceError(
            f"{where}: without weights it is random, not a trained model, and nothing is "
            "downloaded here. Give `weights`; or, to let timm download its own, give "
            "package.module:callable with a function of yours that returns "
            f"timm.create_model({name!r}, pretrained=True)."
        )
    try:
        timm: Any = importlib.import_module("timm")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{where}: needs {error.name}, which is not installed. Run: pip install timm "
            "torchvision"
        ) from error
    try:
        network: nn.Module = timm.create_model(name, pretrained=False)
    except RuntimeError as error:
        raise SourceError(f"{where}: {error}. timm.list_models() names them all.") from error
    rows = state.get(f"{_timm_config(network).get('classifier')}.weight")
    if rows is not None and len(rows) != network.num_classes:
        reset_classifier: Any = network.reset_classifier
        reset_classifier(len(rows))
    return network


def _timm_config(network: nn.Module) -> dict[str, Any]:
    config = getattr(network, "pretrained_cfg", None)
    return config if isinstance(config, dict) else {}


def _image_shape(network: nn.Module, input_size: tuple[int, int] | None) -> tuple[int, ...]:
    """(d, h, w) as asked, else as timm or transformers configured the model, else RGB 224."""
    config = getattr(network, "config", None)
    channels = int(getattr(config, "num_channels", 3))
    side = getattr(config, "image_size", None) or _DEFAULT_SIDE
    height, width = (side, side) if isinstance(side, int) else side
    channels, height, width = _timm_config(network).get("input_size", (channels, height, width))
    height, width = input_size or (height, width)
    return channels, height, width

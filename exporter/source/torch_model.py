"""A torch model, built and with its weights, becomes an ONNX graph.

1. Read the weights as tensors only, never as pickled code.
2. Build the module: the user's code, timm, or a folder of transformers.
3. Load the weights, which must fit.
4. Export it to ONNX and compare.

torch is imported by this file and the others named ``torch_``, and nowhere else.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch
from torch import nn

from exporter.errors import SourceError
from exporter.source.own import Own, as_size, own
from exporter.source.torch_build import build, require_module
from exporter.source.torch_checks import warn_untrained
from exporter.source.torch_export import export_module
from exporter.source.torch_timm import build_timm, hub_config, timm_config
from exporter.source.torch_transformers import (
    build_transformers,
    labels_of,
    read_config,
    read_processor,
    weights_in,
)
from exporter.source.torch_weights.load import load_weights
from exporter.source.torch_weights.read import read_weights
from exporter.text import as_text

_logger = logging.getLogger(__name__)

_DEFAULT_SIDE = 224
_ROUNDED = (torch.float64, torch.complex64, torch.complex128)


@dataclass(frozen=True)
class TorchOptions:
    """How a torch model is read.

    Attributes:
        weights: State dict or checkpoint to load; None keeps the weights that it comes with.
        input_size: (height, width) in pixels; None asks the model's configuration.
        channels: Channels of an image, 1 or 3; None asks the model's configuration.
        output: Where the logits are in its output, a name or an index; None finds out.
    """

    weights: Path | None = None
    input_size: tuple[int, int] | None = None
    channels: int | None = None
    output: str | None = None


@dataclass(frozen=True)
class _Built:
    """A module, and what lies beside it."""

    name: str
    network: nn.Module
    processor: dict[str, Any] | None = None
    labels: object = None
    is_ours: bool = True


def export_torch(model: object, options: TorchOptions) -> tuple[str, ir.Model, Own]:
    """Export a torch classifier to ONNX.

    Whatever the model's code and torch print goes to stderr: stdout is for results.

    Args:
        model: ``package.module:name`` or ``file.py:name``, ``timm:NAME``, ``hf:FOLDER``, or a
            ``torch.nn.Module``, which is left as it is.
        options: How it is read.

    Returns:
        A file name for it, the graph that `export_module` makes of it, and what it says of itself.

    Raises:
        SourceError: The model cannot be built, traced, or expressed in ONNX.
        MissingExtraError: timm or transformers is asked for and cannot be imported.
    """
    where = model if isinstance(model, str) else type(model).__name__
    with contextlib.redirect_stdout(sys.stderr), _current_folder_importable():
        built = _build(model, options.weights)
        found = _own(built, options.input_size)
        shape = _image_shape(built.network, options, found, where)
        with _ready(built, where) as network:
            warn_untrained(network, where)
            graph = export_module(network, shape, where, output=options.output)
    return f"{built.name}.onnx", graph, found


def _build(model: object, weights: Path | None) -> _Built:
    """The module with its weights."""
    if not isinstance(model, str):
        where = type(model).__name__
        network = require_module(model, where)
        if weights is not None:
            network = copy.deepcopy(network)  # it is the caller's own
            load_weights(network, read_weights(weights), f"{where} with {weights}")
        name = type(network).__name__
        return _Built(name, network, labels=labels_of(network), is_ours=weights is not None)
    family, _, name = model.partition(":")
    if family == "hf":
        return _from_folder(Path(name), weights)
    state = read_weights(weights) if weights is not None else None
    labels: object = None
    if family == "timm":
        config = hub_config(weights) if weights is not None else None
        network = build_timm(name, state, config)
        labels = (config or {}).get("label_names")
        name = name.rpartition("/")[2]
    else:
        module, _, name = model.rpartition(":")
        network = build(module, name)
        labels = labels_of(network)
    if state is not None:
        load_weights(network, state, f"{model} with {weights}")
    return _Built(name, network, labels=labels)


def _from_folder(folder: Path, weights: Path | None) -> _Built:
    """A folder of the hub: of transformers, or of timm, whose configuration names its own."""
    if weights is not None:
        raise SourceError(
            f"hf:{folder}: the folder carries its weights; `weights` is for models without. Leave "
            "it out."
        )
    config = read_config(folder)
    name = as_text(folder.resolve().name)
    if "architecture" in config and "architectures" not in config:
        file = weights_in(folder)
        state = read_weights(file)
        network = build_timm(str(config["architecture"]), state, config)
        load_weights(network, state, f"hf:{folder}")
        return _Built(name, network, labels=config.get("label_names"))
    network = build_transformers(folder)
    return _Built(name, network, read_processor(folder), labels_of(network))


def _own(built: _Built, size: tuple[int, int] | None) -> Own:
    if built.processor is not None:
        return own("transformers", built.processor, built.labels, size)
    return own("timm", timm_config(built.network), built.labels, size)


@contextlib.contextmanager
def _current_folder_importable() -> Iterator[None]:
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


@contextlib.contextmanager
def _ready(built: _Built, where: str) -> Iterator[nn.Module]:
    """The module in eval mode, on the CPU, in float32; the caller's own is left as it was."""
    network = built.network
    tensors = [*network.parameters(), *network.buffers()]
    if any(tensor.is_meta for tensor in tensors):
        raise SourceError(
            f"{where}: its weights are on the meta device, which holds no numbers. Build it "
            "without init_empty_weights or torch.device('meta'), and load its weights."
        )
    types = {t.dtype for t in tensors if t.is_floating_point() or t.is_complex()} - {torch.float32}
    elsewhere = any(tensor.device.type != "cpu" for tensor in tensors)
    if not built.is_ours and (types or elsewhere):
        network = copy.deepcopy(network)
    modes = [(module, module.training) for module in network.modules()]
    try:
        network = network.cpu()
        if types:
            _say_types(types, where)
            network = network.float()
        with _not_compiled(network):
            yield _in_eval_mode(network, where)
    finally:
        for module, training in modes:
            module.training = training


def _in_eval_mode(network: nn.Module, where: str) -> nn.Module:
    try:
        return network.eval()
    except NotImplementedError as error:
        raise SourceError(
            f"{where}: a module of torch.export, which cannot be put into eval mode. Give the "
            "torch.nn.Module that it was exported from, or export it with torch.onnx.export and "
            "pass the .onnx file."
        ) from error


def _say_types(types: set[torch.dtype], where: str) -> None:
    names = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in types))
    exact = "which holds them exactly" if not types & set(_ROUNDED) else "which rounds them"
    _logger.warning(
        "%s: weights in %s, computed in float32, %s; the logits are those of the float32 network",
        where,
        names,
        exact,
    )


@contextlib.contextmanager
def _not_compiled(network: nn.Module) -> Iterator[None]:
    """The module and its parts without torch.compile, which torch.export cannot look into."""
    replaced: list[tuple[nn.Module, str, nn.Module]] = []
    compiled: list[tuple[nn.Module, Any]] = []
    for module in list(network.modules()):
        if (call := getattr(module, "_compiled_call_impl", None)) is not None:
            compiled.append((module, call))
            module._compiled_call_impl = None
        for name, child in list(module.named_children()):
            inner = getattr(child, "_orig_mod", None)
            if isinstance(inner, nn.Module):
                replaced.append((module, name, child))
                setattr(module, name, inner)
    try:
        yield
    finally:
        for parent, name, child in replaced:
            setattr(parent, name, child)
        for module, call in compiled:
            module._compiled_call_impl = call


def _image_shape(
    network: nn.Module, options: TorchOptions, found: Own, where: str
) -> tuple[int, int, int]:
    """(d, h, w) as asked, else as timm or transformers configured the model, else RGB 224."""
    config = getattr(network, "config", None)
    size = options.input_size or (found.preprocessing.size if found.preprocessing else None)
    said = timm_config(network).get("input_size", getattr(config, "image_size", None))
    if size is None:
        size = as_size(said)
        if size is None and said is not None:
            _logger.warning(
                "%s: its configuration gives the image size as %r, which is none; %d x %d is used",
                where,
                said,
                _DEFAULT_SIDE,
                _DEFAULT_SIDE,
            )
    channels = options.channels
    if channels is None and found.preprocessing is not None:
        channels = len(found.preprocessing.channels)
    if channels is None:
        counted = as_size(getattr(config, "num_channels", None))
        channels = counted[0] if counted else 3
    return channels, *(size or (_DEFAULT_SIDE, _DEFAULT_SIDE))

"""Write an architecture as an ONNX file, by the exporters that its library has.

Weights are drawn at random from one seed, and every weight is moved a little, so that no branch is
hidden by an initial zero. Every file leaves the number of images open.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import nn

from benchmarks.zoo import keras_networks, networks
from benchmarks.zoo.networks import Architecture
from exporter.source.onnx_file import load_source

ARCHITECTURES = [*networks.NETWORKS, *keras_networks.NETWORKS]
_NOISE = 0.01
_NEEDS = {"keras": ("keras", "tensorflow", "tf2onnx")}


def missing(architecture: Architecture) -> list[str]:
    """The packages that are needed to build and write an architecture, and not installed."""
    needed = _NEEDS.get(architecture.package, (architecture.package,))
    return [name for name in needed if importlib.util.find_spec(name) is None]


def exporters(architecture: Architecture) -> tuple[str, ...]:
    """The names of what can write an architecture."""
    return tuple(KERAS if architecture.package == "keras" else TORCH)


def built(architecture: Architecture) -> Any:
    """The network, the same each time."""
    if architecture.package == "keras":
        return _keras(architecture)
    torch.manual_seed(0)
    network: nn.Module = architecture.make().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=_NOISE)
    return network


def write(network: Any, size: int, exporter: str, path: Path) -> None:
    """Write a network.

    Args:
        network: As ``built`` returns it.
        size: Side of its images in pixels.
        exporter: One of its ``exporters``.
        path: Of the file.

    Raises:
        ExporterError: The module does what is refused before it is exported.
    """
    {**TORCH, **KERAS}[exporter](network, size, path)


def _keras(architecture: Architecture) -> Any:
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
    import keras

    keras.utils.set_random_seed(0)
    network = architecture.make()
    random = np.random.default_rng(0)
    for weight in network.trainable_variables:
        noise = random.standard_normal(weight.shape, np.float32)
        weight.assign_add(_NOISE * noise)
    return network


def _torch_export(network: nn.Module, size: int, path: Path) -> None:
    ir.save(load_source(network, input_size=(size, size)).model, path)


def _trace(network: nn.Module, size: int, path: Path) -> None:
    """By torch's older exporter, which runs the module once and notes it down."""

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: torch.Tensor) -> Any:
            output = self.network(image)
            return getattr(output, "logits", output)

    torch.onnx.export(
        Logits().eval(),
        (torch.randn(2, 3, size, size),),
        str(path),
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
    )


def _tf2onnx(network: Any, _size: int, path: Path) -> None:
    """By way of a SavedModel: of a function some stored numbers would become inputs."""
    saved = path.with_suffix("")
    network.export(str(saved), verbose=False)
    command = [sys.executable, "-m", "tf2onnx.convert", "--saved-model", str(saved)]
    command += ["--opset", "17", "--output", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(done.stderr.strip().splitlines()[-1])


def _keras_export(network: Any, size: int, path: Path) -> None:
    # A Sequential that was never called is not exported.
    network(np.zeros((1, size, size, 3), np.float32))
    network.export(str(path), format="onnx", verbose=False)


_Write = Callable[[Any, int, Path], None]
TORCH: dict[str, _Write] = {"torch.export": _torch_export, "tracing": _trace}
KERAS: dict[str, _Write] = {"tf2onnx": _tf2onnx, "Model.export": _keras_export}

"""The heads that people write in torch are read as both of its exporters write them."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn
from torch.nn import functional

from exporter.head import find_head
from exporter.surgery import tap_features
from serving.model.runtime import make_session, run

pytestmark = pytest.mark.usefixtures("torchlib_once")

CHANNELS, CLASSES = 8, 5


class Network(nn.Module):
    """A backbone, the mean over its positions, and a head of the pooled map (b, d, 1, 1)."""

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Sequential(nn.Conv2d(3, CHANNELS, 3, stride=4, padding=1), nn.ReLU())
        self.head = make()
        for name, parameter in self.head.named_parameters():
            if "temperature" not in name:
                nn.init.normal_(parameter)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        pooled = functional.adaptive_avg_pool2d(self.backbone(image), 1)
        logits: torch.Tensor = self.head(pooled)
        return logits


class Unit(nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return functional.normalize(z)


class Lifted(nn.Module):
    """A norm with a number added, by hand."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z / (z.norm(dim=1, keepdim=True) + 0.5)


class Deviation(nn.Module):
    """A LayerNormalization by hand, of the deviation that torch takes by default."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return (z - z.mean(-1, keepdim=True)) / (z.std(-1, keepdim=True) + 0.5)


class RootMeanSquare(nn.Module):
    """RMSNorm as the language models of transformers spell it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(CHANNELS))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        variance = z.to(torch.float32).pow(2).mean(-1, keepdim=True)
        return self.weight * (z * torch.rsqrt(variance + 1e-6))


class LayerNorm2d(nn.Module):
    """A LayerNormalization of the channels of a map, as timm spells it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(CHANNELS))
        self.bias = nn.Parameter(torch.ones(CHANNELS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        variance, mean = torch.var_mean(x, dim=1, unbiased=False, keepdim=True)
        x = (x - mean) * torch.rsqrt(variance + 1e-6)
        return x * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


class Cosine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(CLASSES, CHANNELS))
        self.temperature = nn.Parameter(torch.tensor(2.0))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        weight = functional.normalize(self.weight, dim=-1)
        return self.temperature.exp() * functional.linear(functional.normalize(z), weight)


class Similarity(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(CLASSES, CHANNELS))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return 16 * functional.cosine_similarity(z[:, None], self.weight[None], dim=-1)


class Standardised(nn.Linear):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        weight = self.weight - self.weight.mean(1, keepdim=True)
        return functional.linear(z, weight / self.weight.std(1, keepdim=True), self.bias)


def linear() -> nn.Linear:
    return nn.Linear(CHANNELS, CLASSES)


def flat(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Flatten(), *layers)


HEADS: dict[str, tuple[Callable[[], nn.Module], str | None]] = {
    "F.normalize": (lambda: flat(Unit(), linear()), "sum of squares"),
    "a norm and a number": (lambda: flat(Lifted(), linear()), "sum of squares"),
    "a cosine with a temperature": (lambda: flat(Cosine()), "sum of squares"),
    "F.cosine_similarity": (lambda: flat(Similarity()), "sum of squares"),
    "nn.RMSNorm": (lambda: flat(nn.RMSNorm(CHANNELS), linear()), "mean square"),
    "RMSNorm of transformers": (lambda: flat(RootMeanSquare(), linear()), "mean square"),
    "nn.LayerNorm": (lambda: flat(nn.LayerNorm(CHANNELS), linear()), "LayerNormalization"),
    "a deviation and a number": (lambda: flat(Deviation(), linear()), "about the mean"),
    "LayerNorm2d of timm": (
        lambda: nn.Sequential(LayerNorm2d(), nn.Flatten(), linear()),
        "LayerNormalization",
    ),
    "GroupNorm of one group": (
        lambda: nn.Sequential(nn.GroupNorm(1, CHANNELS), nn.Flatten(), linear()),
        "LayerNormalization",
    ),
    "weight norm": (lambda: flat(nn.utils.parametrizations.weight_norm(linear())), None),
    "a standardised weight": (lambda: flat(Standardised(CHANNELS, CLASSES)), None),
}
LACKING = {("nn.RMSNorm", False)}  # the exporter of TorchScript has no such operator


def exported(network: nn.Module, images: torch.Tensor, *, dynamo: bool) -> ir.Model:
    file = io.BytesIO()
    free = (
        {"dynamic_shapes": ({0: torch.export.Dim("batch")},)}
        if dynamo
        else {"dynamic_axes": {"image": {0: "batch"}}, "opset_version": 17}
    )
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (images,), file, dynamo=dynamo, input_names=["image"], **free)
    return ir.from_proto(onnx.load_from_string(file.getvalue()))


EXPORTED = [
    pytest.param(name, dynamo, id=f"{name}, {'torch.export' if dynamo else 'TorchScript'}")
    for name in HEADS
    for dynamo in (True, False)
    if (name, dynamo) not in LACKING
]


@pytest.mark.parametrize(("name", "dynamo"), EXPORTED)
def test_the_head_computes_the_logits_of_torch(name: str, dynamo: bool) -> None:
    make, words = HEADS[name]
    network = Network(make).eval()
    images = torch.randn(3, 3, 16, 16)
    model = exported(network, images, dynamo=dynamo)
    head = find_head(model)
    assert (words is None) == (head.normalisation is None)
    assert head.normalisation is None or (words or "") in head.normalisation.words
    session = make_session(ir.to_proto(tap_features(model, head)).SerializeToString())
    found = run(session, [head.feature], {"image": images.numpy()})[head.feature]
    z = found.astype(np.float64).mean(axis=(2, 3))
    numbers = head.normalisation.of(z)[:, None] if head.normalisation else 1
    logits = network(images).detach().numpy()
    np.testing.assert_allclose(  # two runtimes' float32 rounding
        z @ head.weight.T / numbers + head.bias, logits, rtol=0, atol=1e-5 * np.abs(logits).max()
    )

"""Heads as people write them in torch, through both of its exporters."""

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
from graphs import run
from torch import Tensor, nn

from exporter.head import find_head
from exporter.surgery import tap_features

CLASSES = 5
Tail = Callable[[nn.ModuleDict, Tensor], Tensor]


class Network(nn.Module):
    """A convolution, ReLU, and a tail of the map (b, 8, 4, 4)."""

    def __init__(self, tail: Tail, **layers: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=4, padding=1)
        self.layers, self.tail = nn.ModuleDict(layers), tail

    def forward(self, image: Tensor) -> Tensor:
        return self.tail(self.layers, torch.relu(self.conv(image)))


def pooled(feature: Tensor) -> Tensor:
    return feature.mean((2, 3))


def ensemble(layers: nn.ModuleDict, feature: Tensor) -> Tensor:
    z = pooled(feature)
    return torch.stack([layers["a"](z), layers["b"](z)]).mean(0)


def multi_sample_dropout(layers: nn.ModuleDict, feature: Tensor) -> Tensor:
    z = pooled(feature)
    return torch.mean(torch.stack([layers["a"](layers["drop"](z)) for _ in range(3)]), dim=0)


def overwritten(layers: nn.ModuleDict, feature: Tensor) -> Tensor:
    logits = layers["a"](pooled(feature)).clone()
    logits[:, 1] = -1e4
    return logits


def linear(classes: int = CLASSES) -> nn.Linear:
    return nn.Linear(8, classes)


def conv(classes: int = CLASSES) -> nn.Conv2d:
    return nn.Conv2d(8, classes, 1)


NETWORKS: dict[str, Callable[[], Network]] = {
    "Conv2d behind the pooling": lambda: Network(
        lambda m, x: m["a"](nn.functional.adaptive_avg_pool2d(x, 1)), a=conv()
    ),
    "Conv2d, Softmax over its channels": lambda: Network(
        lambda m, x: m["a"](x.mean((2, 3), keepdim=True)).softmax(1), a=conv()
    ),
    "one logit, squeezed": lambda: Network(lambda m, x: m["a"](pooled(x)).squeeze(-1), a=linear(1)),
    "log_softmax": lambda: Network(lambda m, x: m["a"](pooled(x)).log_softmax(1), a=linear()),
    "class map": lambda: Network(
        lambda m, x: pooled(m["norm"](m["a"](m["drop"](x)))),
        drop=nn.Dropout(),
        a=conv(),
        norm=nn.BatchNorm2d(CLASSES),
    ),
    "Linear of each token": lambda: Network(
        lambda m, x: m["a"](x.flatten(2).transpose(1, 2)).mean(1), a=linear()
    ),
    "sum": lambda: Network(lambda m, x: m["a"](x.sum((2, 3)) / 16), a=linear()),
    "einsum": lambda: Network(
        lambda m, x: torch.einsum("bchw,kc->bk", x, m["a"].weight), a=linear()
    ),
    "padded AvgPool2d": lambda: Network(
        lambda m, x: m["a"](nn.functional.avg_pool2d(x, 6, padding=1).flatten(1)), a=linear()
    ),
    "background class left out": lambda: Network(
        lambda m, x: m["a"](pooled(x))[:, 1:], a=linear(6)
    ),
    "a list of classes": lambda: Network(
        lambda m, x: m["a"](pooled(x))[:, [0, 2, 4, 5, 1]], a=linear(6)
    ),
    "chunk": lambda: Network(lambda m, x: m["a"](pooled(x)).chunk(2, 1)[0], a=linear(10)),
    "two heads, cat": lambda: Network(
        lambda m, x: torch.cat([m["a"](pooled(x)), m["b"](pooled(x))], 1), a=linear(2), b=linear(3)
    ),
    "ensemble": lambda: Network(ensemble, a=linear(), b=linear()),
    "multi-sample dropout": lambda: Network(multi_sample_dropout, a=linear(), drop=nn.Dropout()),
    "masked_fill": lambda: Network(
        lambda m, x: m["a"](pooled(x)).masked_fill(torch.arange(CLASSES) == 2, -1e4), a=linear()
    ),
    "classes of a class map, shifted": lambda: Network(
        lambda m, x: pooled(m["a"](x)[:, 1:] + torch.arange(5.0)[:, None, None]), a=conv(6)
    ),
    "class maps added and joined": lambda: Network(
        lambda m, x: pooled(torch.cat([m["a"](x) + m["b"](x), m["c"](x)], 1)),
        a=conv(2),
        b=conv(2),
        c=conv(3),
    ),
    "logits less their mean": lambda: Network(
        lambda m, x: (lambda y: y - y.mean(1, keepdim=True))(m["a"](pooled(x))), a=linear()
    ),
    "a class of zeros": lambda: Network(
        lambda m, x: (lambda y: torch.cat([torch.zeros_like(y[:, :1]), y], 1))(m["a"](pooled(x))),
        a=linear(4),
    ),
    "a feature that is always one": lambda: Network(
        lambda m, x: m["a"](torch.cat([pooled(x), torch.ones(x.shape[0], 1)], 1)), a=nn.Linear(9, 5)
    ),
    "a sum over h * w": lambda: Network(
        lambda m, x: m["a"](x.sum((2, 3)) / (x.shape[2] * x.shape[3])), a=linear()
    ),
    "a class overwritten": lambda: Network(overwritten, a=linear()),
}


def exported(network: nn.Module, image: Tensor, *, dynamo: bool) -> ir.Model:
    """The network's graph, its batch open."""
    file = io.BytesIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # torch's own, of its own parts
        if dynamo:
            open_batch = {"image": {0: torch.export.Dim("b")}}
            program = torch.onnx.export(
                network, (image,), dynamo=True, dynamic_shapes=open_batch, input_names=["image"]
            )
            return ir.from_proto(program.model_proto)
        torch.onnx.export(
            network,
            (image,),
            file,
            dynamo=False,
            dynamic_axes={"image": {0: "b"}},
            input_names=["image"],
        )
    return ir.from_proto(onnx.load_from_string(file.getvalue()))


@pytest.mark.usefixtures("torchlib_once")
@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_head_of_a_torch_network_computes_its_logits(name: str, dynamo: bool) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network, image = NETWORKS[name]().eval(), torch.randn(3, 3, 16, 16)
    model = exported(network, image, dynamo=dynamo)
    head = find_head(model)
    found = run(tap_features(model, head), {"image": image.numpy()})
    axes = {"NCHW": (2, 3), "NHWC": (1, 2), "NLC": (1,)}[head.layout]
    z = found[head.feature].astype(np.float64).mean(axis=axes)
    logits = found[head.logits].reshape(3, -1)
    # float32 in the graph: 1e-5 of the largest logit is about 100 roundings
    np.testing.assert_allclose(
        z @ head.weight.T + head.bias, logits, rtol=0, atol=1e-5 * np.abs(logits).max()
    )

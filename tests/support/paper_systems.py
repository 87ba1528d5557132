"""The classifiers of the paper, at their size, with random weights.

Every builder is a ``package.module:callable`` for `load_source`, and takes images of 224 x 224.
"""

from __future__ import annotations

from typing import Any

from architectures import alive
from context_cluster import ContextCluster
from torch import nn

from exporter.source.torch_timm import build_timm

CLASSES = 5
SIZE = 224
_VGG19 = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))  # channels, convolutions


def resnet34() -> nn.Module:
    """ResNet-34."""
    return _timm("resnet34")


def resnet152() -> nn.Module:
    """ResNet-152."""
    return _timm("resnet152")


def densenet121() -> nn.Module:
    """DenseNet-121."""
    return _timm("densenet121")


def densenet161() -> nn.Module:
    """DenseNet-161."""
    return _timm("densenet161")


def vit_b32_token() -> nn.Module:
    """ViT-B/32, classified by its class token, as published."""
    return _timm("vit_base_patch32_224")


def vit_b32_mean() -> nn.Module:
    """ViT-B/32, classified by the mean of its patches' tokens."""
    return _timm("vit_base_patch32_224", global_pool="avg")


def vgg19() -> nn.Module:
    """VGG-19 as published: the map of 7 x 7 is flattened, and three linear layers follow."""
    head = nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout()),
        *(nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout()),
        nn.Linear(4096, CLASSES),
    )
    return alive(lambda: nn.Sequential(_vgg19_features(), head), SIZE)


def vgg19_mean() -> nn.Module:
    """VGG-19 with one linear layer on the mean over positions."""
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, CLASSES))
    return alive(lambda: nn.Sequential(_vgg19_features(), head), SIZE)


def coc_tiny() -> nn.Module:
    """CoC-Tiny."""

    def build() -> nn.Module:
        network = ContextCluster(CLASSES)
        for parameter in network.parameters():  # no branch scaled to nothing, no norm the identity
            nn.init.normal_(parameter, mean=parameter.mean().item(), std=0.1)
        return network

    return alive(build, SIZE)


def _timm(name: str, **options: Any) -> nn.Module:
    arguments = {"model_args": {"num_classes": CLASSES, **options}}
    return alive(lambda: build_timm(name, {}, arguments), SIZE)


def _vgg19_features() -> nn.Sequential:
    layers: list[nn.Module] = []
    before = 3
    for channels, convolutions in _VGG19:
        for _ in range(convolutions):
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
            before = channels
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)

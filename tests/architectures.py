"""The architectures people use, small and with random weights.

Every builder is a `package.module:callable` for `exporter.source.load_source`. The models come
from libraries that install without torchvision. Random initialisation alone would let the
features shrink to nothing on the way down, so `alive` rescales the weights and lets every
BatchNorm measure its statistics once: logits then differ from image to image, as they do in a
trained model, and a lost branch of the graph shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import transformers
from efficientnet_lite_pytorch import EfficientNet
from torch import nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CLASSES = 10
WIDTHS = [16, 32, 48, 64]
DEPTHS = [1, 1, 1, 1]


@dataclass(frozen=True)
class Architecture:
    """A builder of this module and what `find_head` has to find in its graph.

    Attributes:
        name: The builder's name in this module.
        size: Side of the square input in pixels.
        linear: Path of the classifying `nn.Linear` in the module.
        layout: Layout of the feature map, or None for a head that must be refused.
    """

    name: str
    size: int
    linear: str
    layout: str | None


ARCHITECTURES = [
    Architecture("resnet", 64, "classifier.1", "NCHW"),
    Architecture("regnet", 64, "classifier.1", "NCHW"),
    Architecture("mobilenet_v1", 64, "classifier", "NCHW"),
    Architecture("mobilenet_v2", 64, "classifier", "NCHW"),
    Architecture("efficientnet", 64, "classifier", "NCHW"),
    Architecture("efficientnet_lite", 224, "_fc", "NCHW"),
    Architecture("bit", 64, "classifier.1", "NCHW"),
    Architecture("poolformer", 64, "classifier", "NCHW"),
    Architecture("convnext", 64, "classifier", "NCHW"),
    Architecture("convnext_v2", 64, "classifier", "NCHW"),
    Architecture("pvt_v2", 64, "classifier", "BLD"),
    Architecture("swin", 64, "classifier", "BLD"),
    Architecture("vit", 64, "classifier", None),
    Architecture("dinov2", 56, "classifier", None),
]


def alive(model: nn.Module, size: int) -> nn.Module:
    """Give a random model activations of ordinary size all the way to its logits."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            fan_in = module.weight[0].numel()
            noise = torch.randn(module.weight.shape, generator=generator)
            module.weight.data = noise * (2 / fan_in) ** 0.5
            if module.bias is not None:
                module.bias.data = 0.1 * torch.randn(module.bias.shape, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.data = 1 + 0.1 * torch.randn(module.weight.shape, generator=generator)
            module.bias.data = 0.1 * torch.randn(module.bias.shape, generator=generator)
            module.momentum = None  # the cumulative average: one batch sets the statistics
    model.train()
    with torch.no_grad():
        model(torch.randn(8, 3, size, size, generator=generator))
    return model.eval()


def resnet() -> PreTrainedModel:
    """The plain case: GlobalAveragePool, Flatten, Gemm."""
    config = transformers.ResNetConfig(
        embedding_size=16, hidden_sizes=WIDTHS, depths=DEPTHS, num_labels=CLASSES
    )
    return alive(transformers.ResNetForImageClassification(config), 64)


def regnet() -> PreTrainedModel:
    """Grouped convolutions and squeeze-and-excitation."""
    config = transformers.RegNetConfig(
        embedding_size=16,
        hidden_sizes=WIDTHS,
        depths=DEPTHS,
        groups_width=16,
        num_labels=CLASSES,
    )
    return alive(transformers.RegNetForImageClassification(config), 64)


def mobilenet_v1() -> PreTrainedModel:
    """Depthwise convolutions with asymmetric padding."""
    config = transformers.MobileNetV1Config(
        depth_multiplier=0.25, image_size=64, num_labels=CLASSES
    )
    return alive(transformers.MobileNetV1ForImageClassification(config), 64)


def mobilenet_v2() -> PreTrainedModel:
    """Inverted residuals."""
    config = transformers.MobileNetV2Config(
        depth_multiplier=0.35, image_size=64, num_labels=CLASSES
    )
    return alive(transformers.MobileNetV2ForImageClassification(config), 64)


def efficientnet() -> PreTrainedModel:
    """Pools with AvgPool2d(hidden_dim, ceil_mode), whose window is larger than the map."""
    config = transformers.EfficientNetConfig(
        image_size=64,
        width_coefficient=0.5,
        depth_coefficient=0.3,
        hidden_dim=640,
        num_labels=CLASSES,
    )
    return alive(transformers.EfficientNetForImageClassification(config), 64)


def efficientnet_lite() -> nn.Module:
    """EfficientNet-Lite0 at its own size; its static padding fits 224 pixels only."""
    return alive(EfficientNet.from_name("efficientnet-lite0", num_classes=CLASSES), 224)


def bit() -> PreTrainedModel:
    """GroupNorm, weight-standardised convolutions, a norm before the pooling."""
    config = transformers.BitConfig(
        embedding_size=16,
        hidden_sizes=[32, 32, 64, 64],
        depths=DEPTHS,
        num_groups=8,
        num_labels=CLASSES,
    )
    return alive(transformers.BitForImageClassification(config), 64)


def poolformer() -> PreTrainedModel:
    """GroupNorm before the pooling, which is a mean over two axes."""
    config = transformers.PoolFormerConfig(hidden_sizes=WIDTHS, depths=DEPTHS, num_labels=CLASSES)
    return alive(transformers.PoolFormerForImageClassification(config), 64)


def convnext() -> PreTrainedModel:
    """LayerNormalization between the pooling and the linear layer."""
    config = transformers.ConvNextConfig(
        hidden_sizes=WIDTHS, depths=DEPTHS, image_size=64, num_labels=CLASSES
    )
    return alive(transformers.ConvNextForImageClassification(config), 64)


def convnext_v2() -> PreTrainedModel:
    """ConvNeXt with global response normalisation in its blocks."""
    config = transformers.ConvNextV2Config(
        hidden_sizes=WIDTHS, depths=DEPTHS, image_size=64, num_labels=CLASSES
    )
    return alive(transformers.ConvNextV2ForImageClassification(config), 64)


def pvt_v2() -> PreTrainedModel:
    """Tokens with a norm before their mean; no class token."""
    config = transformers.PvtV2Config(
        image_size=64,
        hidden_sizes=[16, 32, 40, 64],
        depths=DEPTHS,
        num_attention_heads=[1, 2, 5, 8],
        num_labels=CLASSES,
    )
    return alive(transformers.PvtV2ForImageClassification(config), 64)


def swin() -> PreTrainedModel:
    """Shifted windows; LayerNormalization, then a mean over the tokens."""
    config = transformers.SwinConfig(
        image_size=64,
        patch_size=4,
        embed_dim=16,
        depths=[1, 2],
        num_heads=[2, 4],
        window_size=4,
        num_labels=CLASSES,
    )
    return alive(transformers.SwinForImageClassification(config), 64)


def vit() -> PreTrainedModel:
    """Ends in a class token: no linear head on a pooled feature map."""
    config = transformers.ViTConfig(
        image_size=64,
        patch_size=16,
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        num_labels=CLASSES,
    )
    return alive(transformers.ViTForImageClassification(config), 64)


def dinov2() -> PreTrainedModel:
    """Ends in the class token beside the mean of the others: not decomposable either."""
    config = transformers.Dinov2Config(
        image_size=56,
        patch_size=14,
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_labels=CLASSES,
    )
    return alive(transformers.Dinov2ForImageClassification(config), 56)

"""The architectures people use, small and with random weights.

Every builder is a `package.module:callable` for `load_source`. The models come from libraries that
install without torchvision. Random initialisation alone would let the features shrink to nothing on
the way down, so `alive` rescales the weights and lets every BatchNorm measure its statistics once:
logits then differ from image to image, as they do in a trained model, and a lost branch of the
graph shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import transformers
from efficientnet_lite_pytorch import EfficientNet
from torch import nn

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
        layout: Layout of the feature map, or of the tokens that a class token attends to.
    """

    name: str
    size: int
    linear: str
    layout: str


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
    Architecture("pvt_v2", 64, "classifier", "NLC"),
    Architecture("swin", 64, "classifier", "NLC"),
    Architecture("vit", 64, "classifier", "NLC"),
    Architecture("dinov2", 56, "classifier", "NLC"),
]


def alive(build: Callable[[], nn.Module], size: int) -> nn.Module:
    """Build a module with activations of ordinary size all the way to its logits."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build().eval()
        for module in model.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.normal_(module.bias, std=0.1)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, mean=1, std=0.1)
                nn.init.normal_(module.bias, std=0.1)
                module.momentum = None  # the cumulative average: one batch sets the statistics
                module.train()
        with torch.no_grad():
            model(torch.randn(8, 3, size, size))
    return model.eval()


def resnet() -> nn.Module:
    """The plain case: GlobalAveragePool, Flatten, Gemm."""
    config = transformers.ResNetConfig(
        embedding_size=16, hidden_sizes=WIDTHS, depths=DEPTHS, num_labels=CLASSES
    )
    return alive(lambda: transformers.ResNetForImageClassification(config), 64)


def regnet() -> nn.Module:
    """Grouped convolutions and squeeze-and-excitation."""
    config = transformers.RegNetConfig(
        embedding_size=16,
        hidden_sizes=WIDTHS,
        depths=DEPTHS,
        groups_width=16,
        num_labels=CLASSES,
    )
    return alive(lambda: transformers.RegNetForImageClassification(config), 64)


def mobilenet_v1() -> nn.Module:
    """Depthwise convolutions with asymmetric padding."""
    config = transformers.MobileNetV1Config(
        depth_multiplier=0.25, image_size=64, num_labels=CLASSES
    )
    return alive(lambda: transformers.MobileNetV1ForImageClassification(config), 64)


def mobilenet_v2() -> nn.Module:
    """Inverted residuals."""
    config = transformers.MobileNetV2Config(
        depth_multiplier=0.35, image_size=64, num_labels=CLASSES
    )
    return alive(lambda: transformers.MobileNetV2ForImageClassification(config), 64)


def efficientnet() -> nn.Module:
    """Pools with AvgPool2d(hidden_dim, ceil_mode), whose window is larger than the map."""
    config = transformers.EfficientNetConfig(
        image_size=64,
        width_coefficient=0.5,
        depth_coefficient=0.3,
        hidden_dim=640,
        num_labels=CLASSES,
    )
    return alive(lambda: transformers.EfficientNetForImageClassification(config), 64)


def efficientnet_lite() -> nn.Module:
    """EfficientNet-Lite0 at its own size; its static padding fits 224 pixels only."""
    return alive(lambda: EfficientNet.from_name("efficientnet-lite0", num_classes=CLASSES), 224)


def bit() -> nn.Module:
    """GroupNorm, weight-standardised convolutions, a norm before the pooling."""
    config = transformers.BitConfig(
        embedding_size=16,
        hidden_sizes=[32, 32, 64, 64],
        depths=DEPTHS,
        num_groups=8,
        num_labels=CLASSES,
    )
    return alive(lambda: transformers.BitForImageClassification(config), 64)


def poolformer() -> nn.Module:
    """GroupNorm before the pooling, which is a mean over two axes."""
    config = transformers.PoolFormerConfig(hidden_sizes=WIDTHS, depths=DEPTHS, num_labels=CLASSES)
    return alive(lambda: transformers.PoolFormerForImageClassification(config), 64)


def convnext() -> nn.Module:
    """LayerNormalization between the pooling and the linear layer."""
    config = transformers.ConvNextConfig(
        hidden_sizes=WIDTHS, depths=DEPTHS, image_size=64, num_labels=CLASSES
    )
    return alive(lambda: transformers.ConvNextForImageClassification(config), 64)


def convnext_v2() -> nn.Module:
    """ConvNeXt with global response normalisation in its blocks."""
    config = transformers.ConvNextV2Config(
        hidden_sizes=WIDTHS, depths=DEPTHS, image_size=64, num_labels=CLASSES
    )
    return alive(lambda: transformers.ConvNextV2ForImageClassification(config), 64)


def pvt_v2() -> nn.Module:
    """Tokens with a norm before their mean; no class token."""
    config = transformers.PvtV2Config(
        image_size=64,
        hidden_sizes=[16, 32, 40, 64],
        depths=DEPTHS,
        num_attention_heads=[1, 2, 5, 8],
        num_labels=CLASSES,
    )
    return alive(lambda: transformers.PvtV2ForImageClassification(config), 64)


def swin() -> nn.Module:
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
    return alive(lambda: transformers.SwinForImageClassification(config), 64)


def vit() -> nn.Module:
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
    return alive(lambda: transformers.ViTForImageClassification(config), 64)


def dinov2() -> nn.Module:
    """Ends in the class token beside the mean of the others: not decomposable either."""
    config = transformers.Dinov2Config(
        image_size=56,
        patch_size=14,
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_labels=CLASSES,
    )
    return alive(lambda: transformers.Dinov2ForImageClassification(config), 56)

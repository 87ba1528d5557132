"""Architectures of timm, transformers, torchvision and the paper, as their library has them.

Nothing is downloaded: weights are random. The libraries are imported where a network is built.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from exporter.source.torch_build import build
from exporter.source.torch_timm import build_timm

_PAPER = Path(__file__).parents[2] / "tests" / "support" / "paper_systems.py"


class Architecture(NamedTuple):
    """A network that a library builds.

    Attributes:
        name: For people.
        package: The library, as it is imported.
        make: Builds it, torch's or Keras' module; imports the library.
        size: Side of its images in pixels.
    """

    name: str
    package: str
    make: Callable[[], Any]
    size: int = 224


def _timm(name: str, size: int = 224, **options: Any) -> Architecture:
    shown = ", ".join([name, *(f"{key}={value}" for key, value in options.items())])
    return Architecture(shown, "timm", lambda: build_timm(name, {}, {"model_args": options}), size)


def _transformers(family: str, size: int = 224, **options: Any) -> Architecture:
    def make() -> nn.Module:
        import transformers

        config = getattr(transformers, f"{family}Config")(num_labels=1000, **options)
        network: nn.Module = getattr(transformers, f"{family}ForImageClassification")(config)
        return network

    shown = ", ".join([family, *(f"{key}={value}" for key, value in options.items())])
    return Architecture(shown, "transformers", make, size)


def _torchvision(name: str, size: int = 224) -> Architecture:
    def make() -> nn.Module:
        import torchvision

        network: nn.Module = torchvision.models.get_model(name, weights=None)
        return network

    return Architecture(name, "torchvision", make, size)


def _paper(shown: str, name: str, library: str) -> Architecture:
    return Architecture(f"{shown} (paper)", library, lambda: build(str(_PAPER), name))


NETWORKS = [
    _paper("ResNet-34", "resnet34", "timm"),
    _paper("ResNet-152", "resnet152", "timm"),
    _paper("VGG-19", "vgg19", "torch"),
    _paper("VGG-19, mean, one linear layer", "vgg19_mean", "torch"),
    _paper("DenseNet-121", "densenet121", "timm"),
    _paper("DenseNet-161", "densenet161", "timm"),
    _paper("ViT-B/32, class token", "vit_b32_token", "timm"),
    _paper("ViT-B/32, averaged tokens", "vit_b32_mean", "timm"),
    _paper("CoC-Tiny", "coc_tiny", "torch"),
    _timm("resnet50"),
    _timm("resnet18", global_pool="max"),
    _timm("resnet18", global_pool="catavgmax"),
    _timm("resnext50_32x4d"),
    _timm("resnetv2_50"),
    _timm("seresnet50"),
    _timm("res2net50_26w_4s"),
    _timm("cspdarknet53"),
    _timm("regnety_016"),
    _timm("nf_resnet50"),
    _timm("repvgg_a0"),
    _timm("vgg16_bn"),
    _timm("inception_v3", 299),
    _timm("xception41", 299),
    _timm("dpn68"),
    _timm("hrnet_w18"),
    _timm("mobilenetv2_100"),
    _timm("mobilenetv3_large_100"),
    _timm("mobilenetv4_conv_small"),
    _timm("ghostnet_100"),
    _timm("lcnet_100"),
    _timm("efficientnet_b0"),
    _timm("tf_efficientnetv2_b0"),
    _timm("convnext_tiny"),
    _timm("convnextv2_nano"),
    _timm("edgenext_small"),
    _timm("mobilevit_s", 256),
    _timm("fastvit_t8", 256),
    _timm("efficientformer_l1"),
    _timm("levit_128s"),
    _timm("poolformer_s12"),
    _timm("caformer_s18"),
    _timm("coatnet_0_rw_224"),
    _timm("maxvit_tiny_tf_224"),
    _timm("davit_tiny"),
    _timm("swin_tiny_patch4_window7_224"),
    _timm("swinv2_tiny_window8_256", 256),
    _timm("twins_svt_small"),
    _timm("pvt_v2_b0"),
    _timm("xcit_nano_12_p16_224"),
    _timm("cait_xxs24_224"),
    _timm("mixer_s32_224"),
    _timm("gmlp_s16_224"),
    _timm("resmlp_12_224"),
    _timm("vit_tiny_patch16_224"),
    _timm("vit_tiny_patch16_224", global_pool="avgmax"),
    _timm("vit_small_patch14_reg4_dinov2", 518, num_classes=1000),
    _timm("vit_base_patch16_siglip_224", num_classes=1000),
    _timm("vit_base_patch16_siglip_gap_224", num_classes=1000),
    _timm("vit_base_patch32_clip_224"),
    _timm("deit_tiny_distilled_patch16_224"),
    _timm("beit_base_patch16_224"),
    _timm("eva02_tiny_patch14_224", num_classes=1000),
    _timm("resnet50_clip"),
    _transformers("ResNet"),
    _transformers("RegNet"),
    _transformers("Bit"),
    _transformers("MobileNetV1"),
    _transformers("MobileNetV2"),
    _transformers("EfficientNet", 600),
    _transformers("ConvNext"),
    _transformers("PoolFormer"),
    _transformers("MobileViT", 256),
    _transformers("Levit"),
    _transformers("Cvt"),
    _transformers("Segformer"),
    _transformers("PvtV2"),
    _transformers("Swin"),
    _transformers("FocalNet"),
    _transformers("ViT"),
    _transformers("DeiT"),
    _transformers("Beit"),
    _transformers("Beit", use_mean_pooling=False),
    _transformers("Data2VecVision"),
    _transformers("Dinov2"),
    _transformers("Dinov2WithRegisters"),
    _transformers("IJepa"),
    _transformers("Siglip"),
    _transformers("CLIP"),
    _torchvision("alexnet"),
    _torchvision("squeezenet1_1"),
    _torchvision("googlenet"),
    _torchvision("shufflenet_v2_x1_0"),
    _torchvision("mnasnet1_0"),
    _torchvision("mobilenet_v3_large"),
    _torchvision("efficientnet_v2_s", 384),
    _torchvision("convnext_tiny"),
    _torchvision("swin_v2_t", 256),
    _torchvision("maxvit_t"),
    _torchvision("vit_b_32"),
    _torchvision("vgg19_bn"),
]

"""Which architecture stands for which family in the table of docs/heads.md."""

from __future__ import annotations

from typing import NamedTuple


class Representative(NamedTuple):
    """One architecture of a family, as one exporter writes it."""

    family: str
    name: str
    package: str
    exporter: str


FAMILIES = [
    Representative("ResNet", "resnet50", "timm", "torch.export"),
    Representative("ResNet, maximum", "resnet18, global_pool=max", "timm", "tracing"),
    Representative("RegNet", "regnety_016", "timm", "tracing"),
    Representative("DenseNet", "DenseNet-121 (paper)", "timm", "tracing"),
    Representative("VGG", "vgg16_bn", "timm", "tracing"),
    Representative("Inception", "inception_v3", "timm", "tracing"),
    Representative("MobileNetV3", "mobilenetv3_large_100", "timm", "torch.export"),
    Representative("EfficientNet", "efficientnet_b0", "timm", "torch.export"),
    Representative("ConvNeXt", "convnext_tiny", "timm", "torch.export"),
    Representative("MobileViT", "mobilevit_s", "timm", "tracing"),
    Representative("Swin", "swin_tiny_patch4_window7_224", "timm", "tracing"),
    Representative("PVT v2", "pvt_v2_b0", "timm", "tracing"),
    Representative("SegFormer", "Segformer", "transformers", "torch.export"),
    Representative("MaxViT", "maxvit_tiny_tf_224", "timm", "tracing"),
    Representative("CoAtNet", "coatnet_0_rw_224", "timm", "tracing"),
    Representative("PoolFormer", "poolformer_s12", "timm", "tracing"),
    Representative("CAFormer", "caformer_s18", "timm", "tracing"),
    Representative("EfficientFormer", "efficientformer_l1", "timm", "tracing"),
    Representative("LeViT", "levit_128s", "timm", "tracing"),
    Representative("MLP-Mixer", "mixer_s32_224", "timm", "tracing"),
    Representative("ViT, class token", "ViT", "transformers", "torch.export"),
    Representative("DeiT distilled", "deit_tiny_distilled_patch16_224", "timm", "tracing"),
    Representative("BEiT", "Beit, use_mean_pooling=False", "transformers", "torch.export"),
    Representative("DINOv2", "Dinov2", "transformers", "torch.export"),
    Representative(
        "SigLIP, a probe", "vit_base_patch16_siglip_224, num_classes=1000", "timm", "tracing"
    ),
    Representative("CLIP", "vit_base_patch32_clip_224", "timm", "tracing"),
    Representative("CLIP's ResNet", "resnet50_clip", "timm", "tracing"),
    Representative("EVA-02", "eva02_tiny_patch14_224, num_classes=1000", "timm", "tracing"),
    Representative("CaiT", "cait_xxs24_224", "timm", "tracing"),
    Representative("XCiT", "xcit_nano_12_p16_224", "timm", "tracing"),
    Representative("ResNet", "ResNet50V2", "keras", "tf2onnx"),
    Representative("EfficientNetV2", "EfficientNetV2B0", "keras", "tf2onnx"),
    Representative("MobileNetV3", "MobileNetV3Large", "keras", "tf2onnx"),
    Representative("ConvNeXt", "ConvNeXtTiny", "keras", "tf2onnx"),
    Representative("VGG", "VGG16", "keras", "tf2onnx"),
    Representative("MobileNetV2, fine-tuned", "MobileNetV2, Flatten, hidden", "keras", "tf2onnx"),
]

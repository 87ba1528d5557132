"""Which architectures are accepted, and why the others are not: a Markdown table.

    python -m benchmarks.architectures > table.md
    python -m benchmarks.architectures --only ViT --exporter torch.export

Each is built as its library has it, at the size it is used at, with random weights (nothing is
downloaded), and goes through ``inspect`` twice: as the module that it is, which is exported to ONNX
with torch.export (opset 18), and as the file that the exporter by tracing writes (opset 17). Each
row has a process of its own, one after the other, so memory is that of the largest. The
architectures of torchvision are left out where it is not installed beside this torch.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from exporter import ExporterError, inspect_model
from exporter.source.torch_build import build
from exporter.source.torch_timm import build_timm

_EXPORTERS = ("torch.export", "tracing")
_PAPER = Path(__file__).parents[1] / "tests" / "support" / "paper_systems.py"
_PATIENCE = 900.0


class Architecture(NamedTuple):
    """What is built, by which library; ``size`` is the side of its images in pixels."""

    name: str
    package: str
    make: Callable[[], nn.Module]
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


ARCHITECTURES = [
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
]
if importlib.util.find_spec("torchvision"):
    ARCHITECTURES += [
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


def _built(architecture: Architecture) -> nn.Module:
    """Its module, the same each time, with no branch that an initial zero would hide."""
    torch.manual_seed(0)
    network = architecture.make().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.01)
    return network


def _trace(network: nn.Module, size: int, path: Path) -> None:
    """Write the ONNX file of the older exporter, which runs the module once and notes it down."""

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


def row(architecture: Architecture, exporter: str) -> tuple[str, str]:
    """What ``inspect`` says of an architecture: a word, and the head or the reason."""
    try:
        network = _built(architecture)
    except Exception as error:  # whatever a library says of what it lacks
        return "not built", str(error)
    side = architecture.size
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        try:
            if exporter == "tracing":
                _trace(network, side, file)
                found = inspect_model(str(file))
            else:
                found = inspect_model(network, input_size=(side, side))
        except ExporterError as error:
            return "refused", str(error).removeprefix(f"{file}: ")
        except Exception as error:  # torch's own exporter raises what its many parts raise
            return "not exported", str(error)
    grid = "any grid" if found.grid is None else f"{found.grid[0]} x {found.grid[1]}"
    return "accepted", f"{found.channels} channels, {grid}, {found.layout}"


def _rows(only: str, exporters: list[str]) -> Iterator[tuple[str, str, str, str, str]]:
    """Name, library, exporter, outcome and reason, each from a process of its own."""
    for number, architecture in enumerate(ARCHITECTURES):
        if only.lower() not in architecture.name.lower():
            continue
        for exporter in exporters:
            command = [sys.executable, "-m", "benchmarks.architectures"]
            command += ["--row", str(number), "--exporter", exporter]
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, timeout=_PATIENCE, check=True
                )
                outcome, reason = json.loads(done.stdout.splitlines()[-1])
            except subprocess.TimeoutExpired:
                outcome, reason = "failed", f"took longer than {_PATIENCE:.0f} s"
            except subprocess.CalledProcessError as error:
                last = error.stderr.strip().splitlines()[-1:] or [""]
                outcome, reason = "failed", f"exit code {error.returncode}: {last[0]}"
            yield architecture.name, architecture.package, exporter, outcome, reason


def main() -> None:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="architectures with this in their name")
    parser.add_argument("--exporter", choices=_EXPORTERS, help="this one alone")
    parser.add_argument("--row", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row is not None:
        logging.disable()
        warnings.simplefilter("ignore")
        print(json.dumps(row(ARCHITECTURES[options.row], options.exporter)))
        return
    print("| name | library | exporter | outcome | head, or reason |")
    print("| --- | --- | --- | --- | --- |")
    for found in _rows(options.only, [options.exporter] if options.exporter else [*_EXPORTERS]):
        cells = [" ".join(cell.split()).replace("|", r"\|") for cell in found]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

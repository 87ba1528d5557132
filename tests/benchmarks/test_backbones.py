"""The preprocessing that the benchmarks' backbones are exported with."""

from __future__ import annotations

import json

import numpy as np
import pytest
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from places import ROOT

from exporter.source.presets import read_preprocessing
from serving.model.preprocess import to_tensor

LITE = (0, 1, 2)


@pytest.mark.parametrize("number", LITE)
def test_a_lite_network_gets_the_one_size_it_pads_for(number: int) -> None:
    found = read_preprocessing(ROOT / "benchmarks" / f"lite{number}.json")
    side = EfficientNet.get_image_size(f"efficientnet-lite{number}")
    assert found.size == (side, side)
    assert found.resize == side + 32  # as EfficientNets are evaluated


@pytest.mark.parametrize("number", LITE)
def test_a_lite_network_reads_a_pixel_less_127_over_128(number: int) -> None:
    found = read_preprocessing(ROOT / "benchmarks" / f"lite{number}.json")
    side = found.size[0]
    tensor = to_tensor(Image.new("RGB", (side, side), (0, 127, 255)), found)
    np.testing.assert_array_equal(tensor[:, 0, 0], [-127 / 128, 0, 1])


def test_opennsfw_reads_blue_first_less_the_means_channels_last() -> None:
    found = read_preprocessing(ROOT / "benchmarks" / "opennsfw.json")
    tensor = to_tensor(Image.new("RGB", (224, 224), (123, 118, 106)), found)
    assert tensor.shape == (224, 224, 3)
    np.testing.assert_array_equal(tensor[0, 0], [2, 1, 0])


def test_the_labels_of_imagenette_are_at_their_places_in_imagenet() -> None:
    labels = json.loads((ROOT / "benchmarks" / "lite_labels.json").read_text())
    assert list(labels) == ["0", "217", "482", "491", "497", "566", "569", "571", "574", "701"]
    assert list(labels.values()) == sorted(labels.values())

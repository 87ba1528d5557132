"""The classifiers of the paper, at their size: inspected, exported, verified."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import paper_systems
import pytest
from PIL import Image

from exporter import ExportConfig, export, inspect_model, verify
from exporter.source.onnx_file import load_source
from serving.artifact import Preprocessing

pytestmark = [pytest.mark.systems, pytest.mark.usefixtures("torchlib_once")]

_IMAGES = 4  # of each class

SYSTEMS = [
    # name, numbers that the linear layer reads, layout and grid of the places
    pytest.param("resnet34", 512, "NCHW", (7, 7), id="ResNet-34"),
    pytest.param("resnet152", 2048, "NCHW", (7, 7), id="ResNet-152"),
    pytest.param("vgg19", 4096, "NCHW", (7, 7), id="VGG-19"),
    pytest.param("vgg19_mean", 512, "NCHW", (7, 7), id="VGG-19, mean"),
    pytest.param("densenet121", 1024, "NCHW", (7, 7), id="DenseNet-121"),
    pytest.param("densenet161", 2208, "NCHW", (7, 7), id="DenseNet-161"),
    pytest.param("vit_b32_token", 768, "NLC", (7, 7), id="ViT-B/32, token"),
    pytest.param("vit_b32_mean", 768, "NLC", (7, 7), id="ViT-B/32, mean"),
    pytest.param("coc_tiny", 320, "NCHW", (7, 7), id="CoC-Tiny"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of pictures: on noise, a square in the colour and the place of the class."""
    folder = tmp_path_factory.mktemp("data")
    for label in range(paper_systems.CLASSES):
        (folder / str(label)).mkdir()
        for number in range(_IMAGES):
            generator = np.random.default_rng([label, number])
            pixels = generator.integers(0, 128, (96, 96, 3)).astype(np.uint8)
            x, y = 12 * label + generator.integers(0, 12, 2)
            pixels[y : y + 24, x : x + 24] = np.random.default_rng(label).integers(128, 256, 3)
            Image.fromarray(pixels).save(folder / str(label) / f"{number}.png")
    return folder


@pytest.mark.parametrize(("name", "channels", "layout", "grid"), SYSTEMS)
def test_a_system_of_the_paper_is_inspected_exported_and_verified(
    name: str, channels: int, layout: str, grid: tuple[int, int], data: Path, tmp_path: Path
) -> None:
    size = (paper_systems.SIZE, paper_systems.SIZE)
    source = load_source(f"paper_systems:{name}", input_size=size)
    ir.save(source.model, tmp_path / "model.onnx")
    found = inspect_model(str(tmp_path / "model.onnx"))
    assert (found.channels, found.classes) == (channels, paper_systems.CLASSES)
    assert (found.layout, found.grid) == (layout, grid)
    config = ExportConfig(
        model=str(tmp_path / "model.onnx"),
        data=data,
        out=tmp_path / "artifact",
        preprocessing=Preprocessing(resize=paper_systems.SIZE, crop=paper_systems.SIZE),
        prototypes=2,
        min_images=_IMAGES,
        jobs=2,
    )
    artifact = export(config)
    assert {record.state for record in artifact.manifest.classes} == {"decomposed"}
    gates = verify(config.out, source=source.model, images=sorted(data.rglob("*.png"))[:2])
    states = {gate.name: gate.state for gate in gates}
    # Random weights: behind 16 layers no cell of VGG's map tells one place from another.
    assert states.pop("grid") in ({"passed", "skipped"} if name == "vgg19" else {"passed"})
    assert set(states.values()) == {"passed"}

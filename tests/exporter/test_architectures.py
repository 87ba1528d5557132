"""The architectures people use go through: torch -> ONNX -> head, or are refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import architectures
import numpy as np
import onnx_ir as ir
import pytest
import tiny
import torch
from architectures import ARCHITECTURES, CLASSES, Architecture

from exporter import ExportConfig
from exporter import export as run_export
from exporter.head import Head, find_head
from exporter.source.onnx_file import load_source
from exporter.surgery import add_prototype_outputs, tap_features
from serving.artifact import Preprocessing
from serving.model.runtime import make_session

pytestmark = pytest.mark.usefixtures("torchlib_once")

# Convolutions, LayerNorm behind the pooling, tokens, a class token.
QUICK = {"resnet", "convnext", "swin", "vit"}
DECOMPOSABLE = [
    pytest.param(found, id=found.name, marks=() if found.name in QUICK else pytest.mark.slow)
    for found in ARCHITECTURES
]


def export(architecture: Architecture) -> ir.Model:
    size = (architecture.size, architecture.size)
    return load_source(f"architectures:{architecture.name}", input_size=size).model


@pytest.fixture(scope="module", params=DECOMPOSABLE)
def exported(request: pytest.FixtureRequest) -> tuple[Architecture, ir.Model]:
    """An architecture and its graph, exported once for all tests of it."""
    return request.param, export(request.param)


def mean_over_positions(features: np.ndarray, layout: str) -> np.ndarray:
    positions = tuple(axis for axis, letter in enumerate(layout) if letter in "HWL")
    return features.astype(np.float64).mean(axis=positions)  # (n, d)


def test_the_head_has_the_linear_layers_channels_and_classes(
    exported: tuple[Architecture, ir.Model],
) -> None:
    architecture, model = exported
    head = find_head(model)
    network = getattr(architectures, architecture.name)()
    linear = network.get_submodule(architecture.linear)
    assert head.weight.shape == (CLASSES, linear.in_features)
    assert head.layout == architecture.layout
    assert head.activation == "none"


def test_the_head_on_the_pooled_feature_map_gives_the_torch_models_logits(
    exported: tuple[Architecture, ir.Model],
) -> None:
    architecture, model = exported
    head = find_head(model)
    images = torch.randn(3, 3, architecture.size, architecture.size)
    if head.chain is not None:
        require_sums(architecture, model, head, images)
        return
    session = make_session(ir.to_proto(tap_features(model, head)).SerializeToString())
    (features,) = session.run([head.feature], {"image": images.numpy()})
    z = mean_over_positions(features, head.layout)
    if head.normalisation is not None:
        z = z / head.normalisation.of(z)[:, None]
    expected = torch_logits(architecture, images)
    assert (expected.std(axis=0) > 1e-3).all()  # the images matter
    # two runtimes' float32 rounding through the whole network: 2e-5 of the largest logit seen
    np.testing.assert_allclose(
        z @ head.weight.T + head.bias, expected, rtol=0, atol=1e-4 * abs(expected).max()
    )


def require_sums(
    architecture: Architecture, model: ir.Model, head: Head, images: torch.Tensor
) -> None:
    """What a chain places, what it does not and the bias are torch's logits."""
    rows = head.weight[:, None].astype(np.float32)
    graph = add_prototype_outputs(
        model, head, rows, reference=None, top=CLASSES, grid=head.grid or (0, 0)
    )
    session = make_session(ir.to_proto(graph).SerializeToString())
    names = ["contributions", "unplaced", "class_ids"]
    placed, unplaced, ids = session.run(names, {"image": images.numpy()})
    expected = np.take_along_axis(torch_logits(architecture, images), ids, axis=1)
    assert (expected.std(axis=0) > 1e-3).any()
    size = abs(placed).max() + abs(unplaced).max()
    np.testing.assert_allclose(
        placed[:, :, 0] + unplaced + head.bias[ids], expected, rtol=0, atol=1e-4 * size
    )


def torch_logits(architecture: Architecture, images: torch.Tensor) -> np.ndarray:
    network = getattr(architectures, architecture.name)()
    with torch.no_grad():
        output: Any = network(images)
    logits: np.ndarray = getattr(output, "logits", output).numpy()
    return logits


def test_the_whole_road_keeps_every_promise(
    exported: tuple[Architecture, ir.Model], tmp_path: Path
) -> None:
    architecture, model = exported
    ir.save(model, tmp_path / "model.onnx")
    for label in range(2):
        (tmp_path / "data" / str(label)).mkdir(parents=True)
        for number in range(5):
            tiny.image(label, number).save(tmp_path / "data" / str(label) / f"{number}.png")
    config = ExportConfig(
        model=str(tmp_path / "model.onnx"),
        data=tmp_path / "data",
        out=tmp_path / "artifact",
        preprocessing=Preprocessing(resize=architecture.size, crop=architecture.size),
        jobs=2,
    )
    artifact = run_export(config)  # raises when a gate fails
    states = {gate.name: gate.state for gate in artifact.manifest.verification}
    # Random weights: where each of the 2 x 2 cells sees the whole picture, no place is its own.
    unasked = {"mobilenet_v1", "mobilenet_v2", "efficientnet", "pvt_v2"}
    assert states.pop("grid") == ("skipped" if architecture.name in unasked else "passed")
    assert set(states.values()) == {"passed"}
    classes = [record.state for record in artifact.manifest.classes]
    assert classes == ["decomposed"] * 2 + ["whole"] * (CLASSES - 2)


def test_every_architecture_is_the_same_model_each_time_it_is_built(tmp_path: Path) -> None:
    images = torch.randn(1, 3, 64, 64)
    vit = next(a for a in ARCHITECTURES if a.name == "vit")  # random embeddings, besides weights
    np.testing.assert_array_equal(torch_logits(vit, images), torch_logits(vit, images))

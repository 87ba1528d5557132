"""A graph that takes 8-bit pixels prepares them as the exporter does: the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import GEMM, LINEAR, POOLED, classifier, run, serialised, with_weights
from onnx.parser import parse_model
from PIL import Image

from exporter.errors import SurgeryError
from exporter.surgery import require_tensor, take_pixels, take_tensor
from serving.artifact import Preprocessing
from serving.model.preprocess import to_tensor

SIZE = (8, 6)
PLAIN = f"{POOLED} {GEMM}"
PREPARED = {
    "mean and std": {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
    "BGR, a scale of 1": {
        "channels": "BGR",
        "scale": 1.0,
        "mean": (103.939, 116.779, 123.68),
        "std": (57.375, 57.12, 58.395),
    },
    "as they are": {},
    "channels last": {"layout": "NHWC", "mean": (0.5,) * 3, "std": (0.25,) * 3},
    "grey": {"channels": "L", "mean": (0.1307,), "std": (0.3081,)},
}


def preprocessing(name: str) -> Preprocessing:
    return Preprocessing(crop=SIZE, **PREPARED[name])


def model(prepared: Preprocessing):
    """A classifier whose input is what the preprocessing makes; the tensor is an output too."""
    channels = len(prepared.channels)
    sizes = f"{channels}, 8, 6" if prepared.layout == "NCHW" else f"8, 6, {channels}"
    turned = "turned = Transpose <perm = [0, 3, 1, 2]> (image)"
    first = "turned = Identity (image)" if prepared.layout == "NCHW" else turned
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
    classifier (float[b, {sizes}] image) => (float[b, 5] logits, float[b, {sizes}] tensor) {{
      [same] tensor = Identity (image)
      [first] {first}
      conv = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]> (turned, w0, b0)
      [relu] map = Relu (conv)
      {PLAIN}
    }}"""
    return with_weights(parse_model(text), {"w0": (6, channels, 3, 3), "b0": (6,), **LINEAR})


def views(count: int = 6) -> list[Image.Image]:
    pixels = np.random.default_rng(5).integers(0, 256, (count, *SIZE, 3), dtype=np.uint8)
    return [Image.fromarray(view) for view in pixels]


@pytest.mark.parametrize("optimise", [True, False])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("name", PREPARED)
def test_pixels_become_the_bits_of_the_tensor(name: str, layout: str, optimise: bool) -> None:
    prepared = preprocessing(name)
    source = model(prepared)
    tensors = np.stack([to_tensor(view, prepared) for view in views()])
    given = [view.convert("L") if prepared.channels == "L" else view for view in views()]
    pixels = np.stack([np.asarray(view).reshape(*SIZE, -1) for view in given])
    pixels = pixels if layout == "NHWC" else pixels.transpose(0, 3, 1, 2)
    changed = take_pixels(source, "image", prepared, layout)
    found = run(changed, {"pixels": pixels}, optimise=optimise)
    np.testing.assert_array_equal(found["tensor"], tensors)
    expected = run(source, {"image": tensors}, optimise=optimise)
    np.testing.assert_array_equal(found["logits"], expected["logits"])


@pytest.mark.parametrize("name", PREPARED)
def test_undoing_gives_the_bytes_back(name: str) -> None:
    source = model(preprocessing(name))
    changed = take_pixels(source, "image", preprocessing(name), "NHWC")
    assert take_tensor(changed)
    assert serialised(changed) == serialised(source)
    assert not take_tensor(changed)


def test_the_new_input_has_a_name_that_is_free() -> None:
    taken = classifier(f"[own] pixels = Identity (map) {PLAIN}")
    changed = take_pixels(taken, "image", Preprocessing(crop=SIZE), "NHWC")
    assert [value.name for value in changed.graph.inputs] == ["protohead_pixels"]


def test_a_model_that_takes_pixels_already_is_refused() -> None:
    with pytest.raises(SurgeryError, match="pixels as they are"):
        require_tensor("uint8")

"""Quantised classifiers: a body in 8 bits is as good as any, a head in 8 bits is refused."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import GEMM, GRID, LINEAR, POOLED, classifier, images, run, split_head
from onnxruntime.quantization import QuantType, quantize_dynamic
from quantised import FORMATS, quantised

from exporter.errors import HeadError
from exporter.head import find_head
from exporter.surgery import add_prototype_outputs, tap_features

BIRDS = Path(__file__).parents[3] / "models/toybirds/toybirds.onnx"
HEAD = ["pool", "flat", "linear"]
DEEP = "[second] c2 = Conv (map, w2) [last] m2 = Relu (c2)"
BODIES = {
    "ReLU before the pooling": f"{DEEP} {POOLED.replace('map', 'm2')} {GEMM}",
    "Conv before the pooling": (
        f"[second] m2 = Conv (map, w2) {POOLED.replace('map', 'm2')} {GEMM}"
    ),
    "a residual sum before the pooling": (
        f"[second] c2 = Conv (map, w2) [sum] m2 = Add (c2, map) {POOLED.replace('map', 'm2')} "
        f"{GEMM}"
    ),
    "ReduceMean": (
        f"{DEEP} [pool] z = ReduceMean <axes = [2, 3], keepdims = 0> (m2) [flat] y = Identity (z) "
        f"{GEMM.replace('(z', '(y')}"
    ),
}


def floats(body: str) -> onnx.ModelProto:
    """A classifier in float32, its nodes named."""
    return ir.to_proto(classifier(BODIES[body], {**LINEAR, "w2": (6, 6, 1, 1)}))


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("body", BODIES)
def test_a_quantised_body_keeps_every_bit_and_is_explained(
    body: str, form: str, per_channel: bool, tmp_path: Path
) -> None:
    proto = quantised(
        floats(body), images(16), tmp_path, form=form, exclude=HEAD, per_channel=per_channel
    )
    assert any("QLinear" in node.op_type or "Quantize" in node.op_type for node in proto.graph.node)
    model = ir.from_proto(proto)
    head = find_head(model)
    prototypes, reference = split_head(head.weight)
    explained = add_prototype_outputs(
        model, head, prototypes, reference=reference, top=5, grid=GRID
    )
    for count in (1, 8):
        feeds = {"image": images(count)}
        before, after = run(model, feeds), run(explained, feeds)
        np.testing.assert_array_equal(after["logits"], before["logits"])
        ids = after["class_ids"]
        total = after["contributions"].sum(axis=2, dtype=np.float64)
        total += head.bias[ids] + after["common"]
        logits = np.take_along_axis(after["logits"], ids, axis=1)
        # float32: 1e-5 of the largest logit is about 100 roundings
        np.testing.assert_allclose(total, logits, rtol=0, atol=1e-5 * np.abs(logits).max())


@pytest.mark.parametrize("form", FORMATS)
def test_the_toy_birds_quantised_keep_every_bit(form: str, tmp_path: Path) -> None:
    proto = onnx.load(BIRDS)
    pictures = np.random.default_rng(0).normal(size=(8, 3, 128, 128)).astype(np.float32)
    head = [node.name for node in proto.graph.node[-2:]]
    model = ir.from_proto(quantised(proto, pictures, tmp_path, form=form, exclude=head))
    tapped = tap_features(model, find_head(model))
    for count in (1, 8):
        feeds = {"image": pictures[:count]}
        np.testing.assert_array_equal(run(tapped, feeds)["logits"], run(model, feeds)["logits"])


def test_signed_activations_are_refused_where_reading_the_map_changes_bits(tmp_path: Path) -> None:
    model = floats("ReLU before the pooling")
    signed = {
        form: quantised(
            model, images(16), tmp_path, form=form, exclude=HEAD, activations=QuantType.QInt8
        )
        for form in FORMATS
    }
    with pytest.raises(HeadError, match=r"signed 8 bits.*QuantType\.QUInt8") as error:
        find_head(ir.from_proto(signed["QDQ"]))
    assert "\n" not in str(error.value)
    assert find_head(ir.from_proto(signed["QOperator"])).linear == "linear"


@pytest.mark.parametrize("exclude", [[], ["linear"]])
@pytest.mark.parametrize("form", FORMATS)
def test_what_a_quantised_head_is_told_to_exclude_is_what_makes_it_one_that_is_found(
    form: str, exclude: list[str], tmp_path: Path
) -> None:
    model = floats("ReLU before the pooling")
    refused = quantised(model, images(16), tmp_path, form=form, exclude=exclude)
    with pytest.raises(HeadError, match="the head is quantised") as error:
        find_head(ir.from_proto(refused))
    assert "\n" not in str(error.value)
    (named,) = re.findall(r"nodes_to_exclude=(\[.*?\])", str(error.value))
    assert ast.literal_eval(named) == HEAD
    found = quantised(model, images(16), tmp_path, form=form, exclude=ast.literal_eval(named))
    assert find_head(ir.from_proto(found)).linear == "linear"


def test_a_head_that_is_quantised_dynamically_is_told_what_to_exclude(tmp_path: Path) -> None:
    onnx.save(floats("ReLU before the pooling"), tmp_path / "float.onnx")

    def dynamic(exclude: list[str]) -> ir.Model:
        path = tmp_path / "8.onnx"
        quantize_dynamic(
            tmp_path / "float.onnx",
            path,
            weight_type=QuantType.QUInt8,
            nodes_to_exclude=exclude,
        )
        return ir.load(path)

    with pytest.raises(HeadError, match=r"The head is quantised.*of quantize_dynamic\.$") as error:
        find_head(dynamic([]))
    (named,) = re.findall(r"nodes_to_exclude=(\[.*?\])", str(error.value))
    model = dynamic(ast.literal_eval(named))
    tapped = tap_features(model, find_head(model))
    for count in (1, 8):
        feeds = {"image": images(count)}
        np.testing.assert_array_equal(run(tapped, feeds)["logits"], run(model, feeds)["logits"])

"""Quantised classifiers: a body in 8 bits is as good as any, of a head the rounding is told."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import GEMM, GRID, LINEAR, POOLED, classifier, images, run, split_head
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from quantised import FORMATS, quantised

from exporter import inspect_model
from exporter.errors import HeadError
from exporter.head import Head, find_head
from exporter.surgery import add_prototype_outputs, add_steering, features_of, tap_features

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
ROUNDING = [  # and what of the head stays in float32; a ReduceMean alone is not quantised
    (body, exclude)
    for body in BODIES
    for exclude in ([], ["linear"], ["pool", "flat"])
    if (body, exclude) != ("ReduceMean", ["linear"])
]


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


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("body", "exclude"), ROUNDING)
def test_a_quantised_head_is_summed_up_to_its_rounding(
    body: str, exclude: list[str], form: str, per_channel: bool, tmp_path: Path
) -> None:
    """Contributions sum to the logit before it is rounded, and the rounding is told."""
    model = ir.from_proto(
        quantised(
            floats(body), images(16), tmp_path, form=form, exclude=exclude, per_channel=per_channel
        )
    )
    head = find_head(model)
    assert len(head.roundings) == (1 if exclude == ["linear"] else 2)
    prototypes, reference = split_head(head.weight)
    explained = add_prototype_outputs(
        model, head, prototypes, reference=reference, top=5, grid=GRID
    )
    steerable = add_steering(model, head, prototypes, reference=reference, grid=GRID)
    mask = np.ones(prototypes.shape[:2], np.float32)
    for count in (1, 8):
        feeds = {"image": 2 * images(count)}  # some beyond what the scales were calibrated on
        before, after = run(model, feeds), run(explained, feeds)
        np.testing.assert_array_equal(after["logits"], before["logits"])
        ids = after["class_ids"]
        asked = run(steerable, {**feeds, "prototype_mask": mask, "classes": ids})
        np.testing.assert_array_equal(asked["logits"], before["logits"])
        np.testing.assert_array_equal(asked["rounding"], after["rounding"])
        logits = np.take_along_axis(after["logits"], ids, axis=1)
        total = after["contributions"].sum(axis=2, dtype=np.float64)
        total += head.bias[ids] + after["common"] + after["rounding"]
        np.testing.assert_allclose(total, logits, rtol=0, atol=1e-5 * np.abs(logits).max())
        pooled = pooled_of(model, head, feeds)
        unrounded = pooled @ head.weight.T + head.bias
        most = sum(rounding.most(pooled, unrounded) for rounding in head.roundings)
        off = np.abs(before["logits"] - unrounded)
        assert (off <= most + 1e-5 * np.abs(unrounded).max()).all()
        np.testing.assert_allclose(
            after["rounding"],
            np.take_along_axis(before["logits"] - unrounded, ids, axis=1),
            rtol=0,
            atol=1e-5 * np.abs(unrounded).max(),
        )


def pooled_of(model: ir.Model, head: Head, feeds: dict[str, Any]) -> NDArray[np.float64]:
    """The mean of the feature map, (b, d)."""
    features = run(tap_features(model, head), feeds)[features_of(head)]
    means: NDArray[np.float64] = features.mean(axis=(2, 3), dtype=np.float64)
    return means


@pytest.mark.parametrize("form", FORMATS)
def test_probabilities_in_8_bits_are_refused_by_the_node_to_leave_out(
    form: str, tmp_path: Path
) -> None:
    body = BODIES["ReLU before the pooling"].replace("logits = Gemm", "scores = Gemm")
    graph = ir.to_proto(
        classifier(f"{body} [soft] logits = Softmax (scores)", {**LINEAR, "w2": (6, 6, 1, 1)})
    )
    with pytest.raises(HeadError, match="probabilities that are rounded to 8 bits") as error:
        find_head(ir.from_proto(quantised(graph, images(16), tmp_path, form=form)))
    (named,) = re.findall(r"nodes_to_exclude=(\[.*?\])", str(error.value))
    model = ir.from_proto(
        quantised(graph, images(16), tmp_path, form=form, exclude=ast.literal_eval(named))
    )
    head = find_head(model)
    assert (head.activation, len(head.roundings)) == ("softmax", 2)


@pytest.mark.parametrize("form", FORMATS)
def test_a_quantised_layer_in_between_is_told_what_to_exclude(form: str, tmp_path: Path) -> None:
    deep = (
        f"{DEEP} {POOLED.replace('map', 'm2')} [hidden] h = Gemm <transB = 1> (z, wh, bh) "
        f"[gate] r = Relu (h) {GEMM.replace('(z', '(r')}"
    )
    graph = ir.to_proto(classifier(deep, {**LINEAR, "w2": (6, 6, 1, 1), "wh": (6, 6), "bh": (6,)}))
    with pytest.raises(HeadError, match="the head is quantised") as error:
        find_head(ir.from_proto(quantised(graph, images(16), tmp_path, form=form)))
    assert "\n" not in str(error.value)
    (named,) = re.findall(r"nodes_to_exclude=(\[.*?\])", str(error.value))
    found = quantised(graph, images(16), tmp_path, form=form, exclude=ast.literal_eval(named))
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


def test_inspect_says_what_a_quantised_head_rounds(tmp_path: Path) -> None:
    proto = quantised(floats("ReLU before the pooling"), images(16), tmp_path, form="QDQ")
    onnx.save(proto, tmp_path / "whole.onnx")
    rows = dict(inspect_model(str(tmp_path / "whole.onnx")).rows())
    assert re.fullmatch(
        r"the pooled vector to steps of \S+ from \S+ to \S+; the logits to steps of \S+ from \S+ to"
        r" \S+",
        rows["rounding"],
    )

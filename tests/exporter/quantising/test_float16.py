"""The body in float16, and nothing else of a graph."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graphs import classifier, images, ints, run, with_weights
from onnx.parser import parse_model

from exporter.errors import SourceError
from exporter.graph.write import find_value
from exporter.head import find_head
from exporter.quantising.body import body_of
from exporter.quantising.float16 import in_float16

LINEAR = """
  pooled = GlobalAveragePool (map)
  flat = Flatten (pooled)
  logits = Gemm <transB = 1> (flat, weight, bias)
"""
HEAD = {"weight": (5, 6), "bias": (5,)}


def narrowed(model: ir.Model) -> ir.Model:
    return in_float16(model, body_of(model, find_head(model, output="logits")))


def parsed(
    nodes: str, outputs: str = "float[b, 5] logits", behind: str = "", **weights
) -> ir.Model:
    """A classifier of 3 x 8 x 6 images whose body is given."""
    text = (
        '<ir_version: 8, opset_import: ["" : 17]> '
        f"g (float[b, 3, 8, 6] image) => ({outputs}) {{ {nodes} {LINEAR} {behind} }}"
    )
    stored = {"w0": (6, 3, 3, 3), "b0": (6,), **HEAD, **weights}
    return with_weights(parse_model(text), stored)


def require_close(model: ir.Model, share: float = 5e-3) -> ir.Model:
    """Hold what a narrowed classifier answers to what it was; float16 keeps 1e-3 of a number."""
    small = narrowed(model)
    feeds = {"image": images(4)}
    before, after = run(model, feeds), run(small, feeds)
    assert list(before) == list(after)
    for name, value in before.items():
        assert after[name].dtype == value.dtype == np.float32
        np.testing.assert_allclose(after[name], value, rtol=0, atol=share * np.abs(value).max())
    return small


def kinds(model: ir.Model) -> dict[str, str]:
    return {name: value.dtype.name for name, value in model.graph.initializers.items()}


def test_weights_of_the_body_are_halved_and_those_of_the_head_are_not():
    small = require_close(classifier(LINEAR, HEAD))
    assert kinds(small) == {
        "w0_float16": "FLOAT16",
        "b0_float16": "FLOAT16",
        "weight": "FLOAT",
        "bias": "FLOAT",
    }


def test_the_head_reads_float32_under_the_name_it_did():
    small = narrowed(classifier(LINEAR, HEAD))
    made = find_value(small, "map")
    assert (made.dtype, made.producer().op_type) == (ir.DataType.FLOAT, "Cast")
    assert find_head(small).feature == "map"


def test_the_classifier_that_is_given_is_not_changed():
    model = classifier(LINEAR, HEAD)
    before = ir.to_proto(model).SerializeToString()
    narrowed(model)
    assert ir.to_proto(model).SerializeToString() == before


def test_a_constant_that_the_head_shares_stays_in_float32_for_it():
    small = require_close(
        parsed(
            "c = Conv <pads = [1, 1, 1, 1]> (image, w0, b0) map = Add (c, one)",
            "float[b, 5] logits, float[b, 5] other",
            behind="other = Add (logits, one)",
            one=np.float32([1]),
        )
    )
    assert (kinds(small)["one"], kinds(small)["one_float16"]) == ("FLOAT", "FLOAT16")


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        (
            "c = Conv <pads = [1, 1, 1, 1]> (image, w0, b0) "
            "u = Resize <mode = \"linear\"> (c, , scales) map = Relu (u)",
            {"scales": np.float32([1, 1, 2, 2])},
        ),
        (
            "c = Conv <pads = [1, 1, 1, 1]> (image, w0, b0) "
            "half = Constant <value_float = 0.5> () m = Mul (c, half) map = Relu (m)",
            {},
        ),
        (
            "c = Conv <pads = [1, 1, 1, 1]> (image, w0, b0) "
            "shape = Shape (c) zeros = ConstantOfShape <value = float[1] {0.25}> (shape) "
            "map = Add (c, zeros)",
            {},
        ),
        (
            "c = Conv <pads = [1, 1, 1, 1]> (image, w0, b0) "
            "n = BatchNormalization (c, s, b0, mean, var) map = Clip (n, low, high)",
            {
                "s": (6,), "mean": (6,), "var": np.ones(6, np.float32),
                "low": np.float32(0), "high": np.float32(6),
            },
        ),
        (
            "whole = Cast <to = 7> (image) back = Cast <to = 1> (whole) "
            "map = Conv <pads = [1, 1, 1, 1]> (back, w0, b0)",
            {},
        ),
    ],
    ids=["Resize", "Constant", "ConstantOfShape", "BatchNormalization and Clip", "Cast"],
)  # fmt: skip
def test_nodes_with_types_of_their_own_answer_as_before(nodes, weights):
    require_close(parsed(nodes, **weights))


def test_outputs_in_the_body_stay_float32_under_their_names():
    model = parsed(
        "early = Conv <pads = [1, 1, 1, 1]> (image, w0, b0) map = Relu (early)",
        "float[b, 5] logits, float[b, 6, 8, 6] early, float[b, 6, 8, 6] map",
    )
    require_close(model)


def test_whole_numbers_stay_what_they_are():
    small = require_close(
        parsed(
            "c = Conv <pads = [1, 1, 1, 1]> (image, w0, b0) "
            "flat_map = Reshape (c, shape) map = Reshape (flat_map, back)",
            shape=ints(0, 6, 48), back=ints(0, 6, 8, 6),
        )
    )  # fmt: skip
    assert (kinds(small)["shape"], kinds(small)["back"]) == ("INT64", "INT64")


def test_a_weight_beyond_float16_is_refused_by_name():
    model = parsed(
        "c = Conv <pads = [1, 1, 1, 1]> (image, w0, b0) map = Mul (c, large)",
        large=np.float32([1e5]),
    )
    with pytest.raises(SourceError, match=r"large: holds 1e\+05, float16 ends at 65504.*`to` int8"):
        narrowed(model)


def test_a_node_with_graphs_of_its_own_is_refused_by_name():
    model = parsed(
        "c = Conv <pads = [1, 1, 1, 1]> (image, w0, b0) "
        "map = If <then_branch = t () => (x) { x = Identity (c) }, "
        "else_branch = e () => (y) { y = Identity (c) }> (yes)",
        yes=np.array(True),
    )
    body = [node for node in model.graph if node.op_type in ("Conv", "If")]
    with pytest.raises(SourceError, match=r"If .*graphs of their own"):
        in_float16(model, body)

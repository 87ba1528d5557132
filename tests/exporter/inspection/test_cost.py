"""Multiply-adds, counted by hand."""

import pytest
from graphs import GEMM, LINEAR, POOLED, classifier, with_weights
from onnx.parser import parse_model

from exporter.decompose import smoothing_of
from exporter.head import find_head
from exporter.inspection.cost import explanation_cost, multiply_adds

CONVOLUTION = (6 * 4 * 3) * (3 * 3 * 3)  # outputs, inputs of each
LAYER = 5 * 6


def graph(body, weights, image="float[b, 4, 6, 6]"):
    text = f'<ir_version: 8, opset_import: ["" : 17]> g ({image} image) => (float y) {{ {body} }}'
    return with_weights(parse_model(text), weights)


@pytest.mark.parametrize(
    ("body", "weights", "expected"),
    [
        ("y = Relu (image)", {}, 0),
        ("y = Conv <kernel_shape = [3, 3]> (image, w)", {"w": (8, 4, 3, 3)}, 8 * 16 * 4 * 9),
        (
            "y = Conv <kernel_shape = [3, 3], group = 4> (image, w)",
            {"w": (4, 1, 3, 3)},
            4 * 16 * 9,
        ),
        ("y = MatMul (image, w)", {"w": (6, 2)}, (4 * 6 * 2) * 6),
        ("f = Flatten (image) y = Gemm <transB = 1> (f, w)", {"w": (7, 144)}, 7 * 144),
        ("f = Flatten (image) y = Gemm <transA = 1> (w, f)", {"w": (1, 7)}, 7 * 144),
    ],
)
def test_products_and_convolutions_of_one_image_are_counted(body, weights, expected):
    assert multiply_adds(graph(body, weights)) == expected


def test_what_is_not_known_is_not_guessed():
    assert multiply_adds(graph("y = MatMul (image, w)", {"w": (6, 2)}, "float[b, 4, h, 6]")) is None
    product = 'y = Einsum <equation = "bchw, wk -> bchk"> (image, w)'
    assert multiply_adds(graph(product, {"w": (6, 2)})) is None


def test_the_explanation_of_a_plain_head_costs_its_prototypes():
    model = classifier(f"{POOLED} {GEMM}", LINEAR)
    head = find_head(model)
    assert multiply_adds(model) == CONVOLUTION + LAYER
    contributions, maps, common = 15 * 6, 15 * 6 * 12, 6
    assert smoothing_of("evidence", (4, 3)) == (0, 0)  # nor is anything smoothed
    expected = (contributions + maps + common) / (CONVOLUTION + LAYER)
    assert explanation_cost(model, head) == pytest.approx(expected)

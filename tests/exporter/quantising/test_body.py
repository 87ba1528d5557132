"""Which nodes may compute in fewer bits."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from chain_forms import FORMS
from graphs import GEMM, LINEAR, POOLED, classifier, with_weights
from onnx.parser import parse_model

from exporter.errors import SourceError
from exporter.head import find_head
from exporter.quantising.body import body_of

PLAIN = f"{POOLED} {GEMM}"


def body(model: ir.Model) -> list[str]:
    return [node.op_type for node in body_of(model, find_head(model))]


def test_all_that_feeds_the_feature_map_and_nothing_behind_it():
    assert body(classifier(PLAIN)) == ["Conv", "Relu"]


def test_weights_that_the_graph_computes_are_no_part_of_it():
    tail = f"{POOLED} row = Mul (weight, weight) {GEMM.replace('weight', 'row')}"
    assert body(classifier(tail)) == ["Conv", "Relu"]


@pytest.mark.parametrize("name", ["two layers, ReLU", "maximum", "squeeze-and-excitation"])
def test_a_chain_on_one_map_ends_it(name):
    form = FORMS[name]
    assert body(classifier(form.tail, form.stored, opset=form.opset)) == ["Conv", "Relu"]


def test_a_network_that_attention_makes_a_head_of_is_refused():
    form = FORMS["a class token over two blocks"]
    with pytest.raises(SourceError, match="attention feeds the head in every block"):
        body(classifier(form.tail, form.stored, opset=form.opset))


def test_a_head_right_behind_the_image_is_refused():
    model = with_weights(
        parse_model(
            '<ir_version: 8, opset_import: ["" : 17]> '
            "g (float[b, 3, 8, 6] image) => (float[b, 5] logits) "
            f"{{ map = Relu (image) {PLAIN} }}"
        ),
        {**LINEAR, "weight": (5, 3)},
    )
    with pytest.raises(SourceError, match="expected layers in front of the head, found none"):
        body(model)

"""A classifier of an old opset becomes one that the prototype outputs can be added to."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import GEMM, LINEAR, POOLED, classifier, images, run

from exporter.errors import SurgeryError
from exporter.surgery import raise_opset

TAILS = {
    "plain": (f"{POOLED} {GEMM}", {}),
    "Pad and Clip with attributes": (
        "padded = Pad <pads = [0, 0, 1, 1, 0, 0, 1, 1]> (map) "
        "clipped = Clip <min = 0.1, max = 0.9> (padded) "
        f"p = GlobalAveragePool (clipped) z = Flatten (p) {GEMM}",
        {},
    ),
    "Squeeze and Softmax": (
        "p = GlobalAveragePool (map) z = Squeeze <axes = [2, 3]> (p) "
        "raw = Gemm <transB = 1> (z, weight, bias) logits = Softmax <axis = 1> (raw)",
        {},
    ),
    "Upsample": (
        f"big = Upsample (map, scales) p = GlobalAveragePool (big) z = Flatten (p) {GEMM}",
        {"scales": np.array([1, 1, 2, 2], np.float32)},
    ),
    "a large weight": (
        "p = GlobalAveragePool (map) z = Flatten (p) wide = MatMul (z, first) "
        "logits = Gemm <transB = 1> (wide, second, bias)",
        {"first": (6, 512), "second": (5, 512)},
    ),
}


# Upsample takes its scales as an input in opset 9 alone.
@pytest.mark.parametrize(
    ("name", "opset"),
    [
        (name, opset)
        for name in TAILS
        for opset in (7, 8, 9, 10)
        if name != "Upsample" or opset == 9
    ],
)
def test_the_converted_graph_has_opset_11_and_the_same_bits(name: str, opset: int) -> None:
    tail, more = TAILS[name]
    old = classifier(tail, LINEAR | more, opset=opset, ir_version=4)
    raised = raise_opset(old)
    onnx.checker.check_model(ir.to_proto(raised), full_check=True)
    assert (raised.opset_imports[""], old.opset_imports[""]) == (11, opset)
    for count in (1, 3):
        feeds = {"image": images(count)}
        np.testing.assert_array_equal(run(raised, feeds)["logits"], run(old, feeds)["logits"])


def test_names_stay_and_weights_are_shared() -> None:
    tail, more = TAILS["a large weight"]
    old = classifier(f"[own] {tail}", LINEAR | more, opset=9, ir_version=4)
    raised = raise_opset(old)
    named = [[value.name for value in node.outputs] for node in raised.graph]
    assert named == [[value.name for value in node.outputs] for node in old.graph]
    assert [n.name for n in raised.graph] == [n.name for n in old.graph]
    assert raised.graph.initializers.keys() == old.graph.initializers.keys()
    weights = (m.graph.initializers["first"].const_value for m in (raised, old))
    assert next(weights) is next(weights)


def test_weights_that_old_files_repeat_as_inputs_are_inputs_no_more() -> None:
    old = classifier(f"{POOLED} {GEMM}", opset=9, ir_version=3)
    old.graph.inputs.extend(old.graph.initializers.values())
    raised = raise_opset(old)
    assert [value.name for value in raised.graph.inputs] == ["image"]
    assert raised.ir_version >= 4
    assert len(old.graph.inputs) == 5
    feeds = {"image": images(2)}
    np.testing.assert_array_equal(run(raised, feeds)["logits"], run(old, feeds)["logits"])


def test_a_new_opset_of_an_old_ir_version_is_kept() -> None:
    raised = raise_opset(classifier(f"{POOLED} {GEMM}", opset=17, ir_version=3))
    assert (raised.opset_imports[""], raised.ir_version) == (17, 4)


def test_what_is_new_enough_is_left_as_it_is() -> None:
    model = classifier(f"{POOLED} {GEMM}", opset=11, ir_version=4)
    assert raise_opset(model) is model


def test_a_node_that_cannot_be_converted_is_named() -> None:
    model = classifier(f"{POOLED} {GEMM} t = Scan <num_scan_inputs = 1> (z)", opset=7, ir_version=4)
    with pytest.raises(SurgeryError, match=r"opset 7 cannot be converted to opset 11: .* Scan$"):
        raise_opset(model)

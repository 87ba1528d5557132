"""What comes close to a head that can be decomposed, and computes something else."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graphs import GEMM, LINEAR, POOLED, Weights, classifier, ints
from refusals import require_refused

from exporter.errors import HeadError
from exporter.head import find_head

DIVIDED = GEMM.replace("(z", "(n")
BEHIND = GEMM.replace("logits", "y")
EPSILON: Weights = {"epsilon": np.float32(1e-5)}

# Tail, weights, what the message has to say

REFUSED: dict[str, tuple[str, Weights, tuple[str, ...]]] = {
    "an AveragePool whose padding goes beyond its window": (
        "[pool] p = AveragePool <kernel_shape = [4, 3], strides = [9, 9], pads = [1, 0, 1, 0]> "
        f"(map) z = Flatten (p) {GEMM}",
        {},
        ("AveragePool ('pool')", "padding beyond it"),
    ),
    "an Einsum that weighs positions": (
        f'[pool] z = Einsum <equation = "bchw,hw->bc"> (map, uneven) {GEMM}',
        {"uneven": (4, 3)},
        ("Einsum ('pool')", "expected"),
    ),
    "a ReLU between a 1x1 Conv and the pooling, as in SqueezeNet": (
        "c = Conv (map, w, bias) [act] r = Relu (c) [pool] p = GlobalAveragePool (r) "
        "logits = Flatten (p)",
        {"w": (5, 6, 1, 1)},
        ("GlobalAveragePool ('pool')", "In front of it lies Relu ('act')"),
    ),
    "a shift of each position between a 1x1 Conv and the pooling": (
        "c = Conv (map, w, bias) [shift] r = Add (c, place) [pool] p = GlobalAveragePool (r) "
        "logits = Flatten (p)",
        {"w": (5, 6, 1, 1), "place": (4, 3)},
        ("GlobalAveragePool ('pool')", "In front of it lies Add ('shift')"),
    ),
    "positions of a class map that are picked more than once": (
        "c = Conv (map, w, bias) [pick] r = Gather <axis = 3> (c, twice) "
        "[pool] p = GlobalAveragePool (r) logits = Flatten (p)",
        {"w": (5, 6, 1, 1), "twice": ints(0, 0, 1)},
        ("computes", "without a linear layer behind it"),
    ),
    "class maps of two maps": (
        "c = Conv (map, w, bias) o = Conv (conv, w, bias) s = Add (c, o) "
        "[pool] p = GlobalAveragePool (s) logits = Flatten (p)",
        {"w": (5, 6, 1, 1)},
        ("GlobalAveragePool ('pool')", "'conv', 'map'", "from one feature map"),
    ),
    "a MatMul that weighs positions": (
        f"q = Reshape (map, to) [pool] z = MatMul (q, uneven) {GEMM}",
        {"to": ints(0, 6, 12), "uneven": (12,)},
        ("MatMul ('pool')",),
    ),
    "logits less a part of their mean that is no mean": (
        f"{POOLED} {BEHIND} m = ReduceMean <axes = [0]> (y) [off] logits = Sub (y, m)",
        {},
        ("ReduceMean",),
    ),
    "a constant that tells rows of a repeated vector apart": (
        f"{POOLED} u = Unsqueeze (z, one) e = Expand (u, to) a = Add (e, place) "
        "n = ReduceL2 <axes = [2]> (a) v = Div (a, n) m = Mul (v, rows) "
        "[sum] logits = ReduceSum <keepdims = 0> (m, two)",
        {
            "one": ints(1),
            "two": ints(2),
            "to": ints(1, 5, 6),
            "place": (5, 1),
            "rows": (1, 5, 6),
        },
        ("ReduceSum ('sum')",),
    ),
    "a 1x1 Conv that pads": (
        "[c] c = Conv <pads = [1, 1, 1, 1]> (map, w, bias) [pool] p = GlobalAveragePool (c) "
        "logits = Flatten (p)",
        {"w": (5, 6, 1, 1)},
        ("GlobalAveragePool ('pool')", "In front of it lies Conv ('c')"),
    ),
    "heads on two feature maps": (
        f"{POOLED} {GEMM.replace('logits', 'a')} q = AveragePool <kernel_shape = [1, 2]> (map) "
        "[other] p2 = GlobalAveragePool (q) z2 = Flatten (p2) "
        "o = Gemm <transB = 1> (z2, weight) logits = Add (a, o)",
        {},
        ("GlobalAveragePool ('other')", "averages 'q'", "'pool' averages 'map'"),
    ),
    "classes overwritten by the double of another": (
        f"{POOLED} {BEHIND} c = Slice (y, one, two, one) d = Mul (c, double) sh = Shape (y) "
        "n = Slice (sh, zero, one) u = Concat <axis = 0> (n, one) i = Expand (place, u) "
        "[pick] logits = ScatterElements <axis = 1> (y, i, d)",
        {
            "zero": ints(0),
            "one": ints(1),
            "two": ints(2),
            "double": np.float32(2),
            "place": np.array([[3]], np.int64),
        },
        ("ScatterElements ('pick')", "behind the linear layer"),
    ),
    "a Slice of the images": (
        f"{POOLED} {BEHIND} [pick] logits = Slice (y, zero, one, zero)",
        {"zero": ints(0), "one": ints(1)},
        ("Slice ('pick')", "behind the linear layer", "part of a tensor"),
    ),
    "classes masked by infinity": (
        f"{POOLED} {BEHIND} [mask] logits = Add (y, mask)",
        {"mask": np.float32([0, 0, -np.inf, 0, 0])},
        ("Add ('mask')", "-inf at place 2", "by -1e9"),
    ),
    "classes replaced by infinity": (
        f"{POOLED} {BEHIND} [mask] logits = Where (masked, low, y)",
        {"masked": np.array([[False, True, False, False, True]]), "low": np.float32(-np.inf)},
        ("Where ('mask')", "-inf at place 1", "by -1e9"),
    ),
    "an AveragePool that pads by itself": (
        '[pool] p = AveragePool <kernel_shape = [6, 6], strides = [4, 3], auto_pad = "SAME_UPPER", '
        f"count_include_pad = 1> (map) z = Flatten (p) {GEMM}",
        {},
        ("AveragePool ('pool')", "without padding beyond it"),
    ),
    "a mean in double precision": (
        "h = Cast <to = 11> (map) p = GlobalAveragePool (h) z = Flatten (p) n = Cast <to = 1> (z) "
        + DIVIDED,
        {},
        ("the feature map, 'h', is double", "expected float32"),
    ),
    "bfloat16 between": (
        f"{POOLED} h = Cast <to = 16> (z) n = Cast <to = 1> (h) {DIVIDED}",
        {},
        ("Cast", "BFLOAT16", "Export the model in float32"),
    ),
    "a product from the left, which mixes the images": (
        f"{POOLED} [mix] n = MatMul (across, z) {DIVIDED}",
        {"across": (2, 2)},
        ("MatMul ('mix')", "as operand 0"),
    ),
    "a Transpose that tells no axes, which swaps batch and channels": (
        f"{POOLED} t = Transpose (z) m = MatMul (weight, t) [back] logits = Transpose (m)",
        {},
        ("Transpose ('back')", "moves the batch axis"),
    ),
    "a grouped Conv whose padded window makes up for the groups": (
        f"{POOLED} [linear] c = Conv <group = 2, pads = [1, 0, 0, 0]> (p, w) logits = Flatten (c)",
        {"w": (4, 3, 2, 1)},
        ("Conv ('linear')", "group 2"),
    ),
    "Dropout in a mode that is computed": (
        f"{POOLED} any = ReduceSum <keepdims = 0> (z) mode = Cast <to = 9> (any) "
        f"[drop] n = Dropout (z, ratio, mode) {DIVIDED}",
        {"ratio": np.float32(0.5)},
        ("Dropout ('drop')", "training mode"),
    ),
    "LayerNormalization over the batch as well": (
        f"{POOLED} [norm] n = LayerNormalization <axis = 0> (z, one) {DIVIDED}",
        {"one": (1,)},
        ("LayerNormalization ('norm')", "axes (0,)", "expected all channels"),
    ),
    "logits with a bias over the norm of the features": (
        f"{POOLED} {BEHIND} n = ReduceL2 <axes = [1], keepdims = 1> (z) [div] logits = Div (y, n)",
        {},
        ("Div ('div')", "divides a bias", "A bias behind the division would do"),
    ),
    "logits over their own norm": (
        f"{POOLED} {BEHIND} n = ReduceL2 <axes = [1], keepdims = 1> (y) [div] logits = Div (y, n)",
        {},
        ("Div ('div')", "normalises the logits"),
    ),
    "a LayerNormalization of the logits, spelled out": (
        f"{POOLED} {BEHIND} m = ReduceMean <axes = [-1]> (y) c = Sub (y, m) q = Mul (c, c) "
        "v = ReduceMean <axes = [-1]> (q) e = Add (v, epsilon) s = Sqrt (e) "
        "[div] logits = Div (c, s)",
        EPSILON,
        ("Div ('div')", "normalises the logits"),
    ),
    "a LayerNormalization by the covariance with something else": (
        f"{POOLED} o = Mul (z, beta) m = ReduceMean <axes = [-1]> (z) c = Sub (z, m) "
        "q = Mul (c, o) "
        "v = ReduceMean <axes = [-1]> (q) e = Add (v, epsilon) s = Sqrt (e) "
        f"[div] n = Div (c, s) {DIVIDED}",
        {**EPSILON, "beta": (6,)},
        ("Mul", "'q'", "expected one of the steps"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_only_looks_like_a_head_is_refused_by_name(name: str) -> None:
    require_refused(*REFUSED[name])


def test_in_a_batch_of_one_a_double_is_not_taken_for_another_class() -> None:
    tail, weights, _ = REFUSED["classes overwritten by the double of another"]
    model = classifier(tail, {**LINEAR, **weights})
    model.graph.inputs[0].shape = ir.Shape([1, 3, 8, 6])
    with pytest.raises(HeadError, match=r"ScatterElements \('pick'\)"):
        find_head(model)


@pytest.mark.parametrize("name", ["map", "logits"])
def test_a_shape_that_no_value_can_have_is_one_line(name: str) -> None:
    model = classifier(
        "c = Conv (map, kernel, bias) [pool] p = GlobalAveragePool (c) logits = Flatten (p) "
        "[soft] probabilities = Softmax <axis = 1> (logits)",
        {**LINEAR, "kernel": (5, 6, 1, 1)},
        outputs="float[b, 5] probabilities",
    )
    (value,) = (v for node in model.graph for v in node.outputs if v.name == name)
    value.type, value.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([])
    with pytest.raises(HeadError, match=r"does not fit what is around it") as refused:
        find_head(model)
    assert "\n" not in str(refused.value)


def test_a_mean_of_another_domain_is_none_of_onnx() -> None:
    model = classifier(f"{POOLED} {GEMM}")
    pooling = model.graph.node("pool")
    pooling.domain = "my.functions"
    model.graph.opset_imports["my.functions"] = 1
    pooling.outputs[0].shape = ir.Shape(["b", 6, 1, 1])
    with pytest.raises(HeadError, match=r"'pool'.*'my\.functions', not of ONNX"):
        find_head(model)

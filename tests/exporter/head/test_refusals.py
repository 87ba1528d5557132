"""Every refusal names the node in the way, says why, and what would do."""

from __future__ import annotations

import re

import numpy as np
import onnx_ir as ir
import pytest
from graphs import GEMM, LINEAR, POOLED, Weights, classifier, ints
from refusals import require_refused

from exporter.errors import HeadError
from exporter.head import find_head

# Tail, weights, what the message has to say

NLC = "fl = Reshape (map, to_bdl) tokens = Transpose <perm = [0, 2, 1]> (fl)"
TO_TOKENS = {"to_bdl": ints(0, 6, 12)}

REFUSED: dict[str, tuple[str, Weights, tuple[str, ...]]] = {
    "class token by Gather": (
        f"{NLC} [pick] z = Gather <axis = 1> (tokens, first) {GEMM}",
        {**TO_TOKENS, "first": np.array(0)},
        ("Conv", "'conv'", "one place of a map", "averages all places"),
    ),
    "class token by Slice": (
        f"{NLC} [pick] s = Slice (tokens, a, b, axis) z = Flatten (s) {GEMM}",
        {**TO_TOKENS, "a": ints(0), "b": ints(1), "axis": ints(1)},
        ("Conv", "one place of a map", "attends to them"),
    ),
    "mean over tokens with a class token among them": (
        f"{NLC} s = Slice (tokens, a, b, axis) all = Concat <axis = 1> (s, tokens) "
        f"[pool] z = ReduceMean <axes = [1], keepdims = 0> (all) {GEMM}",
        {**TO_TOKENS, "a": ints(0), "b": ints(1), "axis": ints(1)},
        ("'pool'", "13 tokens", "found none", "class token"),
    ),
    "a non-linearity behind the linear layer": (
        f"{POOLED} {GEMM.replace('logits', 'y')} [act] logits = Tanh (y)",
        {},
        ("Tanh ('act')", "behind the linear layer", "non-linearity"),
    ),
    "a 3x3 Conv before the pooling": (
        "c = Conv <pads = [1, 1, 1, 1]> (map, w, bias) [pool] p = GlobalAveragePool (c) "
        "logits = Flatten (p)",
        {"w": (5, 6, 3, 3)},
        ("GlobalAveragePool ('pool')", "without a linear layer behind it"),
    ),
    "pooling of the channels": (
        "[pool] q = ReduceMean <axes = [1, 3], keepdims = 0> (map) [linear] logits = MatMul (q, w)",
        {"w": (4, 5)},
        ("ReduceMean ('pool')", "averages axes [1, 3] of 'map'", "expected all positions"),
    ),
    "AveragePool that does not cover the map": (
        "[pool] p = AveragePool <kernel_shape = [4, 2], strides = [4, 2]> (map) "
        f"z = Flatten (p) {GEMM}",
        {},
        ("AveragePool ('pool')", "(4, 2)", "(?, 6, 4, 3)", "GlobalAveragePool would do"),
    ),
    "Dropout in training mode": (
        f"{POOLED} [drop] d = Dropout (z, ratio, training) " + GEMM.replace("(z", "(d"),
        {"ratio": np.float32(0.5), "training": np.array(True)},
        ("Dropout ('drop')", "training mode", "model.eval()"),
    ),
    "BatchNormalization in training mode": (
        f"{POOLED} [norm] n, m1, v1 = BatchNormalization <training_mode = 1> (z, g, g, g, v) "
        + GEMM.replace("(z", "(n"),
        {"g": (6,), "v": np.ones(6, np.float32)},
        ("BatchNormalization ('norm')", "training mode"),
    ),
    "the batch is not first": (
        f"{POOLED} t = Transpose <perm = [1, 0]> (z) [linear] m = MatMul (weight, t) "
        "logits = Transpose <perm = [1, 0]> (m)",
        {},
        ("Transpose", "batch"),
    ),
    "Gemm with transA on a value that is not transposed": (
        f"{POOLED} [linear] logits = Gemm <transA = 1> (z, w)",
        {"w": (1, 5)},
        ("Gemm ('linear')", "batch axis is not first"),
    ),
    "one bias an image": (
        f"{POOLED} [linear] logits = Gemm <transB = 1> (z, weight, per_image)",
        {"per_image": (2, 1)},
        ("Gemm ('linear')", "(2, 1)", "for the channels of every image"),
    ),
    "LogSoftmax before something else": (
        f"{POOLED} {GEMM.replace('logits', 'y')} [log] l = LogSoftmax (y) logits = Neg (l)",
        {},
        ("LogSoftmax ('log')", "Export the model without it"),
    ),
    "Softmax over the batch": (
        f"{POOLED} {GEMM.replace('logits', 'y')} [soft] logits = Softmax <axis = 0> (y)",
        {},
        ("Softmax ('soft')", "axis 0"),
    ),
    "division by something that depends on the image": (
        f"{POOLED} {GEMM.replace('logits', 'y')} [div] logits = Div (bias, y)",
        {},
        ("Div ('div')", "depends on the image"),
    ),
    "LayerNormalization of the logits": (
        f"{POOLED} {GEMM.replace('logits', 'y')} [norm] logits = LayerNormalization (y, bias)",
        {},
        ("LayerNormalization ('norm')", "normalises the logits"),
    ),
    "grouped 1x1 Conv": (
        f"{POOLED} [linear] c = Conv <group = 2> (p, w) logits = Flatten (c)",
        {"w": (4, 3, 1, 1)},
        ("Conv ('linear')", "group 2"),
    ),
    "a Conv of the pooled map that is not 1x1": (
        f"{POOLED} [linear] c = Conv <pads = [1, 1, 1, 1]> (p, w) logits = Flatten (c)",
        {"w": (5, 6, 3, 3)},
        ("Conv ('linear')", "(5, 6, 3, 3)", "1x1"),
    ),
    "a constant that tells images apart": (
        f"{POOLED} {GEMM.replace('logits', 'y')} [add] logits = Add (y, per_image)",
        {"per_image": (5, 1)},
        ("Add ('add')", "(5, 1)"),
    ),
    "a LayerNormalization that is not of the channels": (
        f"{POOLED} u = Unsqueeze (z, two) [norm] l = LayerNormalization <axis = -1> (u, one) "
        "n = Flatten (l) " + GEMM.replace("(z", "(n"),
        {"two": ints(2), "one": (1,)},
        ("LayerNormalization ('norm')", "axes (-1,)", "expected all channels"),
    ),
    "a mean over parts of several channels": (
        "q = Reshape (map, mixed) [pool] z = ReduceMean <axes = [2], keepdims = 0> (q) "
        "[linear] logits = MatMul (z, w)",
        {"mixed": ints(0, 12, 6), "w": (12, 5)},
        ("ReduceMean ('pool')", "averages axes [2] of 'q'", "(b, l, d)"),
    ),
    "control flow": (
        f"{POOLED} yes = Constant <value_ints = [1]> () ok = Cast <to = 9> (yes) "
        "s = Squeeze (ok) [branch] y = If (s) <then_branch = a () => (float[b, 6] t) "
        "{ t = Relu (z) }, else_branch = c () => (float[b, 6] e) { e = Abs (z) }> "
        + GEMM.replace("(z", "(y"),
        {},
        ("If ('branch')", "control flow"),
    ),
    "class numbers": (
        f"{POOLED} {GEMM.replace('logits', 'y')} [best] i = ArgMax <axis = 1> (y) "
        "logits = Cast <to = 1> (i)",
        {},
        ("ArgMax ('best')", "class numbers are not logits"),
    ),
    "LpNormalization of another p": (
        f"{POOLED} [odd] n = LpNormalization <p = 1> (z) " + GEMM.replace("(z", "(n"),
        {},
        ("LpNormalization ('odd')", "L2 norm", "would do"),
    ),
    "channels that are normalised one by one": (
        f"{POOLED} [odd] g = InstanceNormalization (p, unit, unit) n = Flatten (g) "
        + GEMM.replace("(z", "(n"),
        {"unit": (6,)},
        ("InstanceNormalization ('odd')", "axes (2, 3)", "expected all channels"),
    ),
    "a norm behind a BatchNormalization": (
        f"{POOLED} [norm] o = BatchNormalization (z, beta, beta, beta, one) "
        "u = LpNormalization (o) " + GEMM.replace("(z", "(u"),
        {"beta": (6,), "one": np.ones(6, np.float32)},
        ("BatchNormalization ('norm')", "nothing but reshaping"),
    ),
    "a product of integers, as dynamic quantisation writes it": (
        f"{POOLED} q, s, zp = DynamicQuantizeLinear (z) i = MatMulInteger (q, w8, zp) "
        "f = Cast <to = 1> (i) [scale] y = Mul (f, s) logits = Add (y, bias)",
        {"w8": np.ones((6, 5), np.int8)},
        ("Mul ('scale')", "head is quantised", "quantise all but its head"),
    ),
    "a weight that is drawn at random": (
        f"{POOLED} w = RandomNormal <shape = [6, 5]> () [linear] logits = MatMul (z, w)",
        {},
        ("MatMul ('linear')", "'z' and 'w'", "expected one of them to be a constant"),
    ),
    "a bias that takes more memory than any weight to compute": (
        f"{POOLED} e = ConstantOfShape (wide) g = ReduceMean <axes = [0, 1], keepdims = 0> (e) "
        "[linear] logits = Gemm <transB = 1> (z, weight, g)",
        {"wide": ints(10**6, 10**4, 5)},
        ("Gemm ('linear')", "its bias from 'g'"),
    ),
    "quantised weight": (
        f"{POOLED} w = DequantizeLinear (q, scale) [linear] logits = MatMul (z, w)",
        {"q": np.ones((6, 5), np.int8), "scale": np.float32(0.1)},
        ("MatMul ('linear')", "'w'", "in 8 bits", "Export the float model"),
    ),
    "quantised weight, transposed": (
        f"{POOLED} w = DequantizeLinear (q, scale) t = Transpose (w) [linear] m = MatMul (z, t) "
        "logits = Add (m, bias)",
        {"q": np.ones((5, 6), np.int8), "scale": np.float32(0.1)},
        ("MatMul ('linear')", "'w'", "in 8 bits"),
    ),
    "quantised Gemm weight": (
        f"{POOLED} w = DequantizeLinear (q, scale) [linear] logits = Gemm (z, w)",
        {"q": np.ones((6, 5), np.int8), "scale": np.float32(0.1)},
        ("Gemm ('linear')", "'w'", "in 8 bits"),
    ),
    "features dequantised by another scale than they were quantised by": (
        f"{POOLED} q = QuantizeLinear (z, scale, zero) [deq] x = DequantizeLinear (q, other, zero) "
        + GEMM.replace("(z", "(x"),
        {"scale": np.float32(0.1), "other": np.float32(0.2), "zero": np.uint8(0)},
        ("DequantizeLinear ('deq')", "quantised", "float model"),
    ),
    "half precision between": (
        f"{POOLED} h = Cast <to = 10> (z) [back] f = Identity (h) c = Cast <to = 1> (f) "
        + GEMM.replace("(z", "(c"),
        {},
        ("Cast", "FLOAT16", "Export the model in float32"),
    ),
    "an unknown operator": (
        f"{POOLED} [odd] n = Hardmax (z) " + GEMM.replace("(z", "(n"),
        {},
        ("Hardmax ('odd')", "not linear, or not known to be", "would do"),
    ),
    "half precision from the feature map on": (
        "h = Cast <to = 10> (map) p = GlobalAveragePool (h) z = Flatten (p) "
        "c = Cast <to = 1> (z) " + GEMM.replace("(z", "(c"),
        {},
        ("the feature map, 'h', is float16", "Export the model in float32"),
    ),
    "mean over everything": (
        "[pool] p = ReduceMean (map) z = Flatten (p) [linear] logits = MatMul (z, w)",
        {"w": (1, 5)},
        ("ReduceMean ('pool')", "averages over every axis"),
    ),
    "constant logits": (
        "logits = Identity (bias)",
        {"bias": (1, 5)},
        ("without a pooling",),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_a_head_is_refused_by_name_and_with_advice(name: str) -> None:
    require_refused(*REFUSED[name])


def test_groups_of_channels_that_are_normalised_apart_are_refused() -> None:
    model = classifier(
        f"{POOLED} [odd] g = GroupNormalization <num_groups = 2> (p, gamma, gamma) n = Flatten (g) "
        + GEMM.replace("(z", "(n"),
        {**LINEAR, "gamma": (6,)},
        opset=21,
        ir_version=10,
    )
    with pytest.raises(HeadError, match=r"GroupNormalization \('odd'\).*2 groups.*one group"):
        find_head(model)


def test_half_precision_logits_are_refused() -> None:
    model = classifier(
        f"{POOLED} {GEMM.replace('logits', 'y')} logits = Cast <to = 10> (y)",
        outputs="float16[b, 5] logits",
    )
    with pytest.raises(HeadError, match=r"the logits, 'logits', is float16.*in float32"):
        find_head(model)


def test_logits_of_another_rank_are_refused() -> None:
    model = classifier(
        "[linear] logits = Conv (map, w)",
        {"w": (5, 6, 1, 1)},
        outputs="float[b, 5, 4, 3] logits",
    )
    with pytest.raises(HeadError, match=r"\(\?, 5, 4, 3\): expected \(batch, classes\)"):
        find_head(model)


@pytest.mark.parametrize("soft", ["Softmax", "Softmax <axis = 2>", "LogSoftmax <axis = 3>"])
def test_a_softmax_over_an_axis_of_size_one_is_refused(soft: str) -> None:
    model = classifier(
        f"{POOLED} c = Conv (p, w) [soft] logits = {soft} (c)",
        {"w": (5, 6, 1, 1)},
        outputs="float[b, 5, 1, 1] logits",
    )
    with pytest.raises(HeadError, match=r"\('soft'\) has axis .* axis 1 of \(\?, 5, 1, 1\)"):
        find_head(model)


def test_a_weight_that_is_a_graph_input_is_refused() -> None:
    model = classifier(f"{POOLED} {GEMM}")
    weight = model.graph.initializers.pop("weight")
    model.graph.inputs.append(ir.Value(name="weight", type=weight.type, shape=weight.shape))
    gemm = model.graph.node("linear")
    gemm.replace_input_with(1, model.graph.inputs[-1])
    with pytest.raises(HeadError, match=r"Gemm \('linear'\) takes its matrix from 'weight'"):
        find_head(model)


def test_a_function_of_another_domain_is_refused_with_how_to_inline_it() -> None:
    model = classifier(f"{POOLED} {GEMM}")
    model.graph.node("flat").domain = "my.functions"
    with pytest.raises(HeadError, match=r"'my\.functions'.*inline_local_functions"):
        find_head(model)


@pytest.mark.parametrize(
    ("behind", "name"),
    [
        ("[best] logits = ArgMax <axis = 1> (y)", "ArgMax ('best')"),
        ("[best] i = ArgMax <axis = 1> (y) logits = Cast <to = 6> (i)", "ArgMax ('best')"),
        ("v, logits = TopK (y, one)", "TopK"),
        ("[sure] logits = Greater (y, bias)", "Greater ('sure')"),
    ],
)
def test_class_numbers_are_no_rounded_logits(behind: str, name: str) -> None:
    kind = "int32" if "Cast" in behind else "bool" if "Greater" in behind else "int64"
    model = classifier(
        f"{POOLED} {GEMM.replace('logits', 'y')} {behind}",
        {**LINEAR, "one": ints(1)},
        outputs=f"{kind}[b, k] logits",
    )
    with pytest.raises(HeadError, match=re.escape(name)) as error:
        find_head(model)
    assert "class numbers are not logits" in str(error.value)
    assert "rounded" not in str(error.value)


def test_what_a_runtime_has_fused_is_refused_with_the_model_before_it() -> None:
    model = classifier(f"{POOLED} {GEMM}")
    model.graph.node("linear").domain = "com.microsoft"
    model.graph.node("linear").op_type = "FusedGemm"
    with pytest.raises(HeadError, match=r"optimised by onnxruntime\. Pass the model as it was"):
        find_head(model)


@pytest.mark.parametrize("damage", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_a_head_that_is_not_finite_is_refused(name: str, damage: float) -> None:
    model = classifier(f"{POOLED} {GEMM}")
    value = model.graph.initializers[name]
    array = value.const_value.numpy().copy()
    array.flat[-1] = damage
    value.const_value = ir.tensor(array)
    if name == "bias" and damage == 1e30:
        assert find_head(model).bias[-1] == np.float32(1e30)  # one masked class more
    else:
        with pytest.raises(HeadError, match=r"'linear' hold .* for class 4: expected finite"):
            find_head(model)


@pytest.mark.parametrize(
    ("tail", "weights"),
    [
        (f"{POOLED} [bad] a = Mul (z, scale) " + GEMM.replace("(z", "(a"), {"scale": (3,)}),
        (
            f"{POOLED} [bad] n = BatchNormalization (z, g, g, g, h) " + GEMM.replace("(z", "(n"),
            {"g": (6,), "h": np.ones(3, np.float32)},
        ),
        (
            f"{POOLED} [bad] w = Reshape (weight, to) logits = MatMul (z, w)",
            {"to": ints(6, 7)},
        ),
    ],
)
def test_weights_that_do_not_fit_each_other_are_one_line(tail: str, weights: Weights) -> None:
    with pytest.raises(HeadError, match=r"\('bad'\)") as error:
        find_head(classifier(tail, {**LINEAR, **weights}))
    assert "\n" not in str(error.value)


def test_a_linear_layer_that_does_not_fit_the_pooled_map_is_refused() -> None:
    model = classifier(f"{POOLED} [linear] logits = MatMul (z, w)", {"w": (7, 5)})
    with pytest.raises(HeadError, match="maps 7 channels to 5 classes"):
        find_head(model)

"""Heads that a linear layer alone does not reach: the chain takes each, exactly."""

from __future__ import annotations

import numpy as np
import pytest
from chain_forms import require_sums, split_chain
from graphs import GEMM, LINEAR, POOLED, Weights, classifier, images, ints, run

from exporter.head import find_head
from exporter.surgery import add_prototype_outputs

NLC = "fl = Reshape (map, to_bdl) tokens = Transpose <perm = [0, 2, 1]> (fl)"
TO_TOKENS = {"to_bdl": ints(0, 6, 12)}
DIVIDED = GEMM.replace("(z", "(n")
EPSILON = {"epsilon": np.float32(1e-5)}

TAKEN: dict[str, tuple[str, Weights]] = {
    "a gate that is computed from another map": (
        f"{POOLED} other = GlobalMaxPool (conv) o = Flatten (other) g = Sigmoid (o) "
        "u = Mul (z, g) " + GEMM.replace("(z", "(u"),
        {},
    ),
    "GlobalMaxPool": (
        f"[pool] p = GlobalMaxPool (map) z = Flatten (p) {GEMM}",
        {},
    ),
    "ReduceMax": (
        f"[pool] z = ReduceMax <axes = [2, 3], keepdims = 0> (map) {GEMM}",
        {},
    ),
    "HardSwish between pooling and linear, as in MobileNetV3": (
        f"{POOLED} h = Gemm <transB = 1> (z, w1) [act] a = HardSwish (h) "
        + GEMM.replace("(z", "(a"),
        {"w1": (6, 6)},
    ),
    "ReLU between linear layers, as in VGG": (
        "z0 = Flatten (map) h = Gemm <transB = 1> (z0, w1) [act] a = Relu (h) "
        + GEMM.replace("(z", "(a"),
        {"w1": (6, 72)},
    ),
    "two pooled branches": (
        f"{POOLED} [max] m = GlobalMaxPool (map) mz = Flatten (m) a = Concat <axis = 1> (z, mz) "
        "[linear] logits = MatMul (a, w)",
        {"w": (12, 5)},
    ),
    "two added branches": (
        f"{POOLED} [max] m = GlobalMaxPool (map) mz = Flatten (m) a = Add (z, mz) "
        + GEMM.replace("(z", "(a"),
        {},
    ),
    "attention pooling": (
        f"{NLC} s = MatMul (tokens, q) w = Softmax <axis = 1> (s) "
        "wt = Transpose <perm = [0, 2, 1]> (w) [pool] p = MatMul (wt, tokens) z = Flatten (p) "
        + GEMM,
        {**TO_TOKENS, "q": (6, 1)},
    ),
    "no pooling": (
        "[flat] z = Flatten (map) [linear] logits = MatMul (z, w)",
        {"w": (72, 5)},
    ),
    "pooling of one axis": (
        "[pool] q = ReduceMean <axes = [3]> (map) s = Squeeze (q, axes) [linear] z = Flatten (s) "
        "logits = MatMul (z, w)",
        {"axes": ints(3), "w": (24, 5)},
    ),
    "a computation between pooling and LayerNormalization": (
        f"{POOLED} [add] a = Add (z, beta) n = LayerNormalization (a, beta, beta) "
        + GEMM.replace("(z", "(n"),
        {"beta": (6,)},
    ),
    "LayerNormalization without pooling": (
        "[norm] n = LayerNormalization <axis = 1> (map, g) z = Flatten (n) "
        "[linear] logits = MatMul (z, w)",
        {"g": (6, 4, 3), "w": (72, 5)},
    ),
    "a division that only looks like LayerNormalization": (
        f"{POOLED} m = ReduceMean <axes = [-1]> (z) c = Sub (z, m) q = Pow (c, four) "
        "v = ReduceMean <axes = [-1]> (q) e = Add (v, epsilon) s = Sqrt (e) [div] n = Div (c, s) "
        + GEMM.replace("(z", "(n"),
        {"four": np.float32(4), "epsilon": np.float32(1e-5)},
    ),
    "a deviation of something else": (
        f"{POOLED} m = ReduceMean <axes = [-1]> (z) c = Sub (z, m) o = Sub (z, beta) "
        "q = Mul (o, o) v = ReduceMean <axes = [-1]> (q) e = Add (v, epsilon) s = Sqrt (e) "
        "[div] n = Div (c, s) " + GEMM.replace("(z", "(n"),
        {"beta": (6,), "epsilon": np.float32(1e-5)},
    ),
    "features divided by their L1 norm": (
        f"{POOLED} n = ReduceL1 <axes = [1], keepdims = 1> (z) c = Clip (n, least) "
        "e = Expand (c, wide) [unit] u = Div (z, e) " + GEMM.replace("(z", "(u"),
        {"least": np.float32(1e-12), "wide": ints(1, 6)},
    ),
    "features divided by the norm of others": (
        f"{POOLED} o = Mul (z, beta) q = Mul (o, o) n = ReduceSum <keepdims = 1> (q, one) "
        "r = Sqrt (n) [unit] u = Div (z, r) " + GEMM.replace("(z", "(u"),
        {"one": ints(1), "beta": (6,)},
    ),
    "a gate that is computed from the same features": (
        f"{POOLED} h = Gemm <transB = 1> (z, w1) g = Sigmoid (h) [gate] u = Mul (z, g) "
        + GEMM.replace("(z", "(u"),
        {"w1": (6, 6)},
    ),
    "a LayerNormalization before one of two heads": (
        f"{POOLED} n = LayerNormalization (z, gamma) "
        f"{DIVIDED.replace('logits', 'a')} "
        "o = Gemm <transB = 1> (z, weight) logits = Add (a, o)",
        {"gamma": (6,)},
    ),
    "a LayerNormalization around the mean of something else": (
        f"{POOLED} o = Sub (z, beta) m = ReduceMean <axes = [-1]> (o) c = Sub (z, m) "
        "q = Mul (c, c) v = ReduceMean <axes = [-1]> (q) e = Add (v, epsilon) s = Sqrt (e) "
        f"[div] n = Div (c, s) {DIVIDED}",
        {**EPSILON, "beta": (6,)},
    ),
}


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.parametrize("batch", [1, 4])
def test_what_is_placed_and_what_is_not_sum_to_a_logit_that_keeps_its_bits(name, batch):
    tail, weights = TAKEN[name]
    model = classifier(tail, {**LINEAR, **weights})
    head = find_head(model)
    assert head.chain is not None
    prototypes, reference = split_chain(head)
    graph = add_prototype_outputs(
        model, head, prototypes, reference=reference, top=3, grid=head.grid
    )
    feeds = {"image": images(batch)}
    require_sums(run(graph, feeds), run(model, feeds)["logits"], head)

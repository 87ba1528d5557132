"""Chains in words."""

import numpy as np
import pytest
from graphs import GEMM, LINEAR, POOLED, classifier, ints

from exporter.head import find_head
from exporter.inspection.drawing import draw

TOKENS = """
    flat = Reshape (map, rows) first = Transpose <perm = [0, 2, 1]> (flat)
    batch = Shape <start = 0, end = 1> (map) to = Concat <axis = 0> (batch, one_row)
    token = Expand (class_token, to) joined = Concat <axis = 1> (token, first)
    x0 = Add (joined, where)
"""
BLOCK = """
    n{i} = LayerNormalization <axis = -1> (x{i}, gamma, beta)
    q{i} = MatMul (n{i}, wq) k{i} = MatMul (n{i}, wk) v{i} = MatMul (n{i}, wv)
    kt{i} = Transpose <perm = [0, 2, 1]> (k{i}) s{i} = MatMul (q{i}, kt{i})
    a{i} = Softmax <axis = -1> (s{i}) o{i} = MatMul (a{i}, v{i})
    p{i} = MatMul (o{i}, wo) y{i} = Add (x{i}, p{i})
    m{i} = LayerNormalization <axis = -1> (y{i}, gamma, beta)
    h{i} = MatMul (m{i}, w1) e{i} = Add (h{i}, b1) r{i} = Relu (e{i})
    u{i} = MatMul (r{i}, w2) x{n} = Add (y{i}, u{i})
"""
WEIGHTS = {
    **LINEAR,
    **dict.fromkeys(("wq", "wk", "wv", "wo"), (6, 6)),
    "gamma": (6,),
    "beta": (6,),
    "w1": (6, 8),
    "b1": (8,),
    "w2": (8, 6),
    "class_token": (1, 1, 6),
    "where": (1, 13, 6),
    "rows": ints(0, 6, 12),
    "one_row": ints(1, 6),
    "zero": np.array(0),
}


def transformer(blocks):
    written = "".join(BLOCK.format(i=i, n=i + 1) for i in range(blocks))
    tail = f"{TOKENS} {written} last = Gather <axis = 1> (x{blocks}, zero)"
    tail += f" z = LayerNormalization <axis = -1> (last, gamma, beta) {GEMM}"
    return classifier(tail, WEIGHTS)


def steps(tail, weights):
    return draw(find_head(classifier(tail, weights))).steps


def test_the_blocks_of_a_transformer_are_one_step():
    drawing = draw(find_head(transformer(4)))
    assert drawing.steps == (
        "patches 4 x 3",
        "4 x (LayerNorm, attention, sum, LayerNorm, MLP with Relu, sum)",
        "LayerNorm",
        "linear layer 'linear' (5 x 6)",
    )
    assert drawing.held == (
        "LayerNorm: its deviation",
        "attention: its weights",
        "Relu: its gate",
    )
    assert drawing.unplaced == ("biases", "stored vectors such as a class token")


def test_one_block_is_not_folded():
    drawing = draw(find_head(transformer(1)))
    assert drawing.steps[1:-1] == (
        "LayerNorm", "attention", "sum", "LayerNorm", "MLP with Relu", "sum", "LayerNorm",
    )  # fmt: skip


def test_a_plain_head_has_no_chain_to_draw():
    assert draw(find_head(classifier(f"{POOLED} {GEMM}"))).steps == ()


HIDDEN = {**LINEAR, "w1": (7, 6), "b1": (7,), "weight": (5, 7)}
SPELLED = """
    p = GlobalAveragePool (map) f = Flatten (p) m = ReduceMean <axes = [1]> (f) c = Sub (f, m)
    sq = Mul (c, c) var = ReduceMean <axes = [1]> (sq) sh = Add (var, epsilon) sigma = Sqrt (sh)
    d = Div (c, sigma) g = Mul (d, gamma) n = Add (g, beta)
    h = Gemm <transB = 1> (n, w1, b1) z = Relu (h)
"""
MLP = "h = Gemm <transB = 1> (p2, w1, b1) z = Relu (h)"


@pytest.mark.parametrize(
    ("head", "weights", "expected"),
    [
        (
            f"p = GlobalAveragePool (map) p2 = Flatten (p) {MLP}",
            HIDDEN,
            ("mean", "linear layer", "Relu"),
        ),
        ("p = GlobalMaxPool (map) z = Flatten (p)", LINEAR, ("maximum",)),
        (
            "p = GlobalMaxPool (map) m = GlobalAveragePool (map) "
            "j = Concat <axis = 1> (p, m) z = Flatten (j)",
            {**LINEAR, "weight": (5, 12)},
            ("maximum", "beside it mean", "joined"),
        ),
        (
            SPELLED,
            {**HIDDEN, "gamma": (6,), "beta": (6,), "epsilon": np.array(1e-5, np.float32)},
            ("mean", "LayerNorm", "linear layer", "Relu"),
        ),
        (
            "p = GlobalAveragePool (map) p2 = Flatten (p) h = Gemm <transB = 1> (p2, w1, b1) "
            "r = Relu (h) u = MatMul (r, w2) l = Mul (u, scale) s = Add (p2, l) z = Relu (s)",
            {**LINEAR, "w1": (7, 6), "b1": (7,), "w2": (7, 6), "scale": (6,)},
            ("mean", "MLP with Relu", "scale", "sum", "Relu"),
        ),
        ("z = Flatten (map)", {**LINEAR, "weight": (5, 72)}, ("all positions",)),
        (
            "p = GlobalAveragePool (map) f = Flatten (p) s = Gemm <transB = 1> (f, w1) "
            "g = Sigmoid (s) z = Mul (f, g)",
            {**LINEAR, "w1": (6, 6)},
            ("mean", "Sigmoid gate"),
        ),
    ],
)
def test_a_head_on_a_map_begins_at_it_and_ends_at_its_last_layer(head, weights, expected):
    length = dict(weights)["weight"][1]
    assert steps(f"{head} {GEMM}", weights) == (
        "feature map 'map' 4 x 3 x 6",
        *expected,
        f"linear layer 'linear' (5 x {length})",
    )

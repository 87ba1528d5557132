"""Heads that are more than a mean and a linear layer: as text, and as torch with numbers held.

Each torch form computes the logits of a feature map, with what the chain holds detached, so that
autograd's gradient with respect to what the head reads of each place, times that, is the evidence
of the place (docs/heads.md): of the map itself, or of the values that attention sums.

The map is the backbone's, (b, 6, 4, 3); tokens are its 12 positions, row by row.

Symbols: b images, d channels, p places, a heads of attention.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from graphs import GEMM, LINEAR, POOLED, Weights, ints, split_head
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from exporter.head import Head

Stored = Mapping[str, Tensor]
Floats = NDArray[np.float32]
BEHIND = GEMM.replace("(z", "(a")


@dataclass(frozen=True)
class Form:
    """One kind of head.

    Attributes:
        tail: Its nodes, from the value ``map`` to the logits.
        torch: The logits of a map (b, 6, 4, 3), with what is held detached, and what is read of
            places: leaves (b, p, m), or the map where there are none.
        weights: Of the tail, by shape or as they are.
        words: Steps that have to be named, from the logits upwards.
        whole: Whether all of its evidence has a place.
        opset: Of the text.
    """

    tail: str
    torch: Callable[[Tensor, Stored], tuple[Tensor, list[Tensor]]]
    words: tuple[str, ...]
    weights: Weights = field(default_factory=dict)
    whole: bool = False
    opset: int = 17

    @property
    def stored(self) -> Weights:
        """All weights of the tail."""
        return {**LINEAR, **self.weights}


def split_chain(head: Head, k: int = 3) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Random prototypes (c, k, d) and the mean row (d,) that together sum to a head with a chain.

    Behind the channels of the chain's map, if it has one, they are shares of the class's row.
    """
    prototypes, reference = split_head(head.weight, k)
    mapped = head.chain.mapped
    if mapped:
        rows = head.weight[:, None, mapped:] - reference[mapped:]
        shares = np.random.default_rng(4).normal(size=(len(rows), k - 1, 1))
        behind = prototypes[:, :, mapped:]
        behind[:, :-1] = shares * rows
        behind[:, -1] = rows[:, 0] - behind[:, :-1].sum(axis=1, dtype=np.float64)
    return prototypes, reference


def require_sums(found: Mapping[str, NDArray[np.generic]], logits: Floats, head: Head) -> None:
    """An explained graph keeps the bits of the logits (b, c), and its terms add up to them."""
    np.testing.assert_array_equal(found["logits"], logits)
    ids = found["class_ids"]
    unplaced = found.get("unplaced", np.zeros(ids.shape, np.float32))
    terms = (found["contributions"].sum(axis=2), unplaced, found["common"], head.bias[ids])
    size = np.abs(found["contributions"]).sum(axis=2) + sum(np.abs(term) for term in terms[1:])
    error = np.abs(sum(terms) - np.take_along_axis(logits, ids, axis=1))
    assert (error <= 1e-5 * size).all()


def held(function: Callable[[Tensor], Tensor], a: Tensor) -> Tensor:
    """f(a) as gate * a + f(0), the gate held."""
    zero = function(torch.zeros_like(a))
    gate = torch.where(a == 0, torch.zeros_like(a), (function(a) - zero) / a)
    return gate.detach() * a + zero


def linear(z: Tensor, w: Stored) -> Tensor:
    """The last layer."""
    return z @ w["weight"].T + w["bias"]


def mean(x: Tensor) -> Tensor:
    """(b, d) of a map."""
    return x.mean((2, 3))


def largest(x: Tensor) -> Tensor:
    """(b, d) of a map, the places held; torch's gradient of amax shares ties evenly too."""
    return x.amax((2, 3))


def normalised(z: Tensor, w: Stored) -> Tensor:
    """LayerNorm, its deviation held."""
    centred = z - z.mean(-1, keepdim=True)
    deviation = (z.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    return centred / deviation.detach() * w["gamma"] + w["beta"]


def two_layers(
    function: Callable[[Tensor], Tensor],
) -> Callable[[Tensor, Stored], tuple[Tensor, list[Tensor]]]:
    """mean -> linear -> f -> linear."""
    return lambda x, w: (linear(held(function, mean(x) @ w["w1"].T + w["b1"]), w), [])


def fastai(x: Tensor, w: Stored) -> tuple[Tensor, list[Tensor]]:
    """(maximum, mean) -> BatchNorm -> linear -> ReLU -> linear."""
    z = torch.cat([largest(x), mean(x)], 1)
    z = (z - w["bm"]) / (w["bv"] + 1e-5).sqrt() * w["bg"] + w["bb"]
    return linear(held(torch.relu, z @ w["w1"].T + w["b1"]), w), []


def gem(x: Tensor, w: Stored) -> tuple[Tensor, list[Tensor]]:
    """(mean of x^3)^(1/3)."""
    cubes = held(lambda a: a**3, x)
    return linear(held(lambda a: a ** (1 / 3), mean(cubes)), w), []


def gated(x: Tensor, w: Stored) -> tuple[Tensor, list[Tensor]]:
    """Squeeze-and-excitation of the pooled vector."""
    z = mean(x)
    gate = torch.sigmoid(z @ w["w1"].T + w["b1"])
    return linear(z * gate.detach(), w), []


def residual(x: Tensor, w: Stored) -> tuple[Tensor, list[Tensor]]:
    """z + f(W z)."""
    z = mean(x)
    return linear(z + held(torch.tanh, z @ w["w1"].T + w["b1"]), w), []


def tokens(x: Tensor) -> Tensor:
    """(b, p, d)."""
    return x.flatten(2).transpose(1, 2)


def probed(x: Tensor, w: Stored) -> tuple[Tensor, list[Tensor]]:
    """One stored query asks all places."""
    t = tokens(x)
    weights = torch.softmax(w["probe"] @ t.transpose(1, 2), -1).detach()  # (b, 1, p)
    values = (t @ w["wv"]).detach().requires_grad_()
    return linear((weights @ values)[:, 0], w), [values]


def class_token(x: Tensor, w: Stored) -> tuple[Tensor, list[Tensor]]:
    """A class token and two blocks of attention and MLP, each behind a LayerNorm."""
    t = torch.cat([w["cls"].expand(len(x), 1, 6), tokens(x)], 1) + w["place"]
    leaves = []
    for block in ("1", "2"):
        n = normalised(t, w)
        q, k = ((n @ w[name + block]).unflatten(2, (2, 3)).transpose(1, 2) for name in "qk")
        weights = torch.softmax(q @ k.transpose(2, 3), -1).detach()
        values = n @ w["v" + block]
        leaves.append(values[:, 1:].detach().requires_grad_())
        v = torch.cat([values[:, :1], leaves[-1]], 1).unflatten(2, (2, 3)).transpose(1, 2)
        t = t + (weights @ v).transpose(1, 2).flatten(2) @ w["o" + block]
        t = t + held(torch.relu, normalised(t, w) @ w["u" + block] + w["ub"]) @ w["d" + block]
        t = torch.cat([t[:, :1], t[:, 1:].detach()], 1)
    return linear(normalised(t[:, 0], w), w), leaves


def _norm(read: str, result: str) -> str:
    return f"{result} = LayerNormalization <axis = -1, epsilon = 1e-5> ({read}, gamma, beta)"


def _block(number: int, read: str, result: str) -> str:
    """One block of a transformer as text, tokens (b, 13, 6), two heads of three."""
    n = f"{number}"
    split = " ".join(
        f"{name}m{n} = MatMul (n{n}, {name}{n}) {name}r{n} = Reshape ({name}m{n}, to_heads) "
        f"{name}t{n} = Transpose <perm = [0, 2, 1, 3]> ({name}r{n})"
        for name in "qkv"
    )
    return (
        f"{_norm(read, 'n' + n)} {split} kk{n} = Transpose <perm = [0, 1, 3, 2]> (kt{n}) "
        f"sc{n} = MatMul (qt{n}, kk{n}) w{n} = Softmax <axis = -1> (sc{n}) "
        f"[attend{n}] av{n} = MatMul (w{n}, vt{n}) ab{n} = Transpose <perm = [0, 2, 1, 3]> (av{n}) "
        f"ar{n} = Reshape (ab{n}, to_tokens) ao{n} = MatMul (ar{n}, o{n}) "
        f"x{n} = Add ({read}, ao{n}) "
        f"{_norm(f'x{n}', 'm' + n)} hm{n} = MatMul (m{n}, u{n}) hb{n} = Add (hm{n}, ub) "
        f"ha{n} = Relu (hb{n}) hd{n} = MatMul (ha{n}, d{n}) {result} = Add (x{n}, hd{n})"
    )


FIRST = f"{POOLED} h = Gemm <transB = 1> (z, w1, b1)"
HIDDEN = {"w1": (6, 6), "b1": (6,)}
_TO_TOKENS = "fl = Reshape (map, to_bdp) tokens = Transpose <perm = [0, 2, 1]> (fl)"
_NORM = {"gamma": (6,), "beta": (6,)}
_BLOCKS = {
    **{f"{name}{block}": (6, 6) for name in "qkvo" for block in "12"},
    **{f"u{block}": (6, 8) for block in "12"},
    **{f"d{block}": (8, 6) for block in "12"},
}

FORMS: dict[str, Form] = {
    "two layers, ReLU": Form(
        f"{FIRST} a = Relu (h) {BEHIND}",
        two_layers(torch.relu),
        ("Relu", "linear layer", "mean of 'map'"),
        HIDDEN,
    ),
    "two layers, ReLU6": Form(
        f"{FIRST} a = Clip (h, zero, six) {BEHIND}",
        two_layers(functional.relu6),
        ("Clip", "linear layer"),
        {**HIDDEN, "zero": np.float32(0), "six": np.float32(6)},
    ),
    "two layers, HardSwish as Keras writes it": Form(
        f"{FIRST} s = Add (h, three) c = Clip (s, zero, six) g = Mul (c, sixth) a = Mul (h, g) "
        f"{BEHIND}",
        two_layers(functional.hardswish),
        ("gate (Clip)", "linear layer"),
        {
            **HIDDEN,
            "three": np.full((1, 1), 3, np.float32),
            "zero": np.float32(0),
            "six": np.float32(6),
            "sixth": np.float32(1 / 6),
        },
    ),
    "two layers, HardSwish": Form(
        f"{FIRST} a = HardSwish (h) {BEHIND}",
        two_layers(functional.hardswish),
        ("HardSwish", "linear layer"),
        HIDDEN,
    ),
    "two layers, sigmoid, whose f(0) is not zero": Form(
        f"{FIRST} a = Sigmoid (h) {BEHIND}",
        two_layers(torch.sigmoid),
        ("Sigmoid", "linear layer"),
        HIDDEN,
    ),
    "two layers, GELU spelled out": Form(
        f"{FIRST} s = Div (h, root) e = Erf (s) o = Add (e, one) y = Mul (h, o) "
        f"a = Mul (y, half) {BEHIND}",
        two_layers(functional.gelu),
        ("gate (Erf)",),
        {
            **HIDDEN,
            "root": np.array(np.sqrt(2), np.float32),
            "one": np.array(1, np.float32),
            "half": np.array(0.5, np.float32),
        },
    ),
    "LayerNorm between two layers": Form(
        f"{FIRST} {_norm('h', 'a')} {BEHIND}",
        lambda x, w: (linear(normalised(mean(x) @ w["w1"].T + w["b1"], w), w), []),
        ("LayerNorm", "linear layer"),
        {**HIDDEN, **_NORM},
    ),
    "a residual layer": Form(
        f"{FIRST} t = Tanh (h) a = Add (z, t) {BEHIND}",
        residual,
        ("Tanh", "linear layer", "mean of 'map'"),
        HIDDEN,
    ),
    "squeeze-and-excitation": Form(
        f"{FIRST} s = Sigmoid (h) a = Mul (z, s) {BEHIND}",
        gated,
        ("gate (Sigmoid)", "mean of 'map'"),
        HIDDEN,
        whole=True,
    ),
    "maximum": Form(
        f"m = GlobalMaxPool (map) z = Flatten (m) {GEMM}",
        lambda x, w: (linear(largest(x), w), []),
        ("maximum of 'map'",),
        whole=True,
    ),
    "maximum and mean, joined, as in fastai": Form(
        f"m = GlobalMaxPool (map) mz = Flatten (m) {POOLED} j = Concat <axis = 1> (mz, z) "
        f"n = BatchNormalization (j, bg, bb, bm, bv) h = Gemm <transB = 1> (n, w1, b1) "
        f"a = Relu (h) {BEHIND}",
        fastai,
        ("Relu", "joined", "maximum of 'map'", "mean of 'map'"),
        {
            "w1": (6, 12),
            "b1": (6,),
            "bg": (12,),
            "bb": (12,),
            "bm": (12,),
            "bv": np.linspace(0.5, 2, 12, dtype=np.float32),
        },
    ),
    "all positions, two layers, as in VGG": Form(
        f"f = Flatten (map) h = Gemm <transB = 1> (f, w1, b1) a = Relu (h) {BEHIND}",
        lambda x, w: (linear(held(torch.relu, x.flatten(1) @ w["w1"].T + w["b1"]), w), []),
        ("Relu", "all positions of 'map'"),
        {"w1": (6, 72), "b1": (6,)},
    ),
    "all positions, channels last, as Keras flattens": Form(
        "t = Transpose <perm = [0, 2, 3, 1]> (map) f = Flatten (t) m = MatMul (f, w1) "
        f"h = Add (m, b1) a = Relu (h) {BEHIND}",
        lambda x, w: (
            linear(held(torch.relu, x.permute(0, 2, 3, 1).flatten(1) @ w["w1"] + w["b1"]), w),
            [],
        ),
        ("Relu", "all positions of 'map'"),
        {"w1": (72, 6), "b1": (6,)},
    ),
    "LayerNorm behind a ReLU, as Keras writes it": Form(
        f"{FIRST} y = Relu (h) m = ReduceMean <axes = [1], keepdims = 1> (y) d = Sub (y, m) "
        "q = Mul (d, d) v = ReduceMean <axes = [1], keepdims = 1> (q) e = Add (v, epsilon) "
        "r = Sqrt (e) i = Reciprocal (r) g = Mul (i, gamma) n = Neg (m) c = Mul (n, g) "
        f"o = Add (c, beta) s = Mul (y, g) a = Add (s, o) {BEHIND}",
        lambda x, w: (
            linear(normalised(held(torch.relu, mean(x) @ w["w1"].T + w["b1"]), w), w),
            [],
        ),
        ("sum", "Relu"),
        {**HIDDEN, "epsilon": np.float32(1e-5), "gamma": (1, 6), "beta": (1, 6)},
    ),
    "generalised mean": Form(
        f"c = Pow (map, three) p = GlobalAveragePool (c) r = Pow (p, third) z = Flatten (r) {GEMM}",
        gem,
        ("Pow", "mean of 'c'"),
        {"three": np.array(3, np.float32), "third": np.array(1 / 3, np.float32)},
        whole=True,
    ),
    "attention pooling by a stored query": Form(
        f"{_TO_TOKENS} tt = Transpose <perm = [0, 2, 1]> (tokens) s = MatMul (probe, tt) "
        "w = Softmax <axis = -1> (s) v = MatMul (tokens, wv) [attend] p = MatMul (w, v) "
        f"z = Flatten (p) {GEMM}",
        probed,
        ("attention",),
        {"to_bdp": ints(0, 6, 12), "probe": (1, 1, 6), "wv": (6, 6)},
        whole=True,
    ),
    "a class token over two blocks": Form(
        f"{_TO_TOKENS} shape = Shape <start = 0, end = 1> (tokens) "
        "to = Concat <axis = 0> (shape, one_token) first = Expand (cls, to) "
        f"all = Concat <axis = 1> (first, tokens) x0 = Add (all, place) {_block(1, 'x0', 'y1')} "
        f"{_block(2, 'y1', 'y2')} {_norm('y2', 'last')} "
        f"z = Gather <axis = 1> (last, zero) {GEMM}",
        class_token,
        ("LayerNorm", "sum", "Relu", "attention"),
        {
            **_NORM,
            **_BLOCKS,
            "cls": (1, 1, 6),
            "place": (1, 13, 6),
            "ub": (8,),
            "to_bdp": ints(0, 6, 12),
            "one_token": ints(1, 6),
            "to_heads": ints(0, 13, 2, 3),
            "to_tokens": ints(0, 13, 6),
            "zero": np.array(0),
        },
    ),
}

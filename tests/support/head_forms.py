"""Every form of head that can be decomposed, as text (see ``tests.graphs``)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir
from graphs import GEMM, LINEAR, POOLED, Weights, classifier, ints


class Form(NamedTuple):
    """A tail, and what has to be found in it besides the linear map."""

    tail: str
    weights: Weights = MappingProxyType({})
    options: Mapping[str, Any] = MappingProxyType({})
    feature: str = "map"
    layout: str = "NCHW"
    activation: str = "none"

    def model(self) -> ir.Model:
        """The classifier."""
        return classifier(self.tail, {**LINEAR, **self.weights}, **self.options)


def _pool(pooling: str, **fields: Any) -> Form:
    """A pooling that computes z (b, d), in front of a Gemm."""
    return Form(f"{pooling} {GEMM}", **fields)


def _linear(layers: str, **fields: Any) -> Form:
    """Layers that read the pooled z, or the pooled map p, and compute the logits."""
    return Form(f"{POOLED} {layers}", **fields)


_NHWC = "t = Transpose <perm = [0, 2, 3, 1]> (map) r = Relu (t)"  # (b, 4, 3, 6)
_TOKENS = "fl = Reshape (map, to_bdl) t = Transpose <perm = [0, 2, 1]> (fl) r = Relu (t)"
_TO_TOKENS = {"to_bdl": ints(0, 6, 12)}  # r (b, 12, 6)
_NORMS = {"gamma": (6,), "beta": (6,)}
_OPSET_18 = {"opset": 18}

POOLINGS = {
    "GlobalAveragePool, Flatten": _pool(POOLED),
    "GlobalAveragePool, Reshape": _pool(
        "[pool] p = GlobalAveragePool (map) z = Reshape (p, to)", weights={"to": ints(0, -1)}
    ),
    "GlobalAveragePool, Squeeze": _pool(
        "[pool] p = GlobalAveragePool (map) z = Squeeze (p, axes)", weights={"axes": ints(2, 3)}
    ),
    "GlobalAveragePool, Squeeze of opset 11": _pool(
        "[pool] p = GlobalAveragePool (map) z = Squeeze <axes = [2, 3]> (p)",
        options={"opset": 11, "ir_version": 6},
    ),
    "Identity, Dropout, Cast, Unsqueeze between": _pool(
        "[pool] p = GlobalAveragePool (map) f = Flatten (p) i = Identity (f) d = Dropout (i) "
        "e = Cast <to = 11> (d) c = Cast <to = 1> (e) u = Unsqueeze (c, one) "
        "z = Squeeze (u, one)",
        weights={"one": ints(1)},
    ),
    "a shape computed from the batch, as TorchScript writes it": _pool(
        "[pool] p = GlobalAveragePool (map) s = Shape (p) n = Gather (s, zero) "
        "u = Unsqueeze (n, axis) to = Concat <axis = 0> (u, rest) z = Reshape (p, to)",
        weights={"zero": np.array(0), "axis": ints(0), "rest": ints(-1)},
    ),
    "ReduceMean": _pool("[pool] z = ReduceMean <axes = [2, 3], keepdims = 0> (map)"),
    "ReduceMean of negative axes, keepdims": _pool(
        "[pool] p = ReduceMean <axes = [-1, -2]> (map) z = Flatten (p)"
    ),
    "ReduceMean with axes as input": _pool(
        "[pool] z = ReduceMean <keepdims = 0> (map, axes)",
        weights={"axes": ints(2, 3)},
        options=_OPSET_18,
    ),
    "ReduceMean of one axis after another": _pool(
        "[pool] q = ReduceMean <axes = [3], keepdims = 0> (map) "
        "z = ReduceMean <axes = [2], keepdims = 0> (q)"
    ),
    "ReduceMean of one axis after another, keepdims": _pool(
        "[pool] q = ReduceMean <axes = [2]> (map) p = ReduceMean <axes = [3]> (q) z = Flatten (p)"
    ),
    "ReduceMean of the first spatial axis, then of the other": _pool(
        "[pool] q = ReduceMean <axes = [2], keepdims = 0> (map) "
        "z = ReduceMean <axes = [2], keepdims = 0> (q)"
    ),
    "AveragePool of the whole map": _pool(
        "[pool] p = AveragePool <kernel_shape = [4, 3]> (map) z = Flatten (p)"
    ),
    "AveragePool of a window larger than the map": _pool(
        "[pool] p = AveragePool <kernel_shape = [6, 6], strides = [6, 6], ceil_mode = 1, "
        "count_include_pad = 1> (map) z = Flatten (p)"
    ),
    "two poolings in a row": _pool(
        "[pool] q = AveragePool <kernel_shape = [4, 3]> (map) p = GlobalAveragePool (q) "
        "z = Flatten (p)"
    ),
    "a smaller AveragePool before the global one": _pool(
        "q = AveragePool <kernel_shape = [1, 2]> (map) [pool] p = GlobalAveragePool (q) "
        "z = Flatten (p)",
        feature="q",
    ),
    "flattened positions": _pool(
        "q = Reshape (map, to_bdl) [pool] z = ReduceMean <axes = [2], keepdims = 0> (q)",
        weights=_TO_TOKENS,
    ),
    "NHWC": _pool(
        f"{_NHWC} [pool] z = ReduceMean <axes = [1, 2], keepdims = 0> (r)",
        feature="r",
        layout="NHWC",
    ),
    "NHWC, transposed to be pooled": _pool(
        f"{_NHWC} n = Transpose <perm = [0, 3, 1, 2]> (r) {POOLED.replace('map', 'n')}",
        feature="r",
        layout="NHWC",
    ),
    "NCHW, transposed to be pooled": _pool(
        "t = Transpose <perm = [0, 2, 3, 1]> (map) "
        "[pool] z = ReduceMean <axes = [1, 2], keepdims = 0> (t)"
    ),
    "tokens": _pool(
        f"{_TOKENS} [pool] z = ReduceMean <axes = [1], keepdims = 0> (r)",
        weights=_TO_TOKENS,
        feature="r",
        layout="NLC",
    ),
    "tokens, normalised before the pooling": _pool(
        f"{_TOKENS} l = LayerNormalization (r, gamma, beta) "
        "[pool] z = ReduceMean <axes = [1], keepdims = 0> (l)",
        weights={**_TO_TOKENS, **_NORMS},
        feature="l",
        layout="NLC",
    ),
    "tokens without their class token": _pool(
        f"{_TOKENS} cls = Slice (r, start, stop, axis) all = Concat <axis = 1> (cls, r) "
        "s = Slice (all, stop, end, axis) [pool] z = ReduceMean <axes = [1], keepdims = 0> (s)",
        weights={
            **_TO_TOKENS,
            "start": ints(0),
            "stop": ints(1),
            "end": ints(99),
            "axis": ints(1),
        },
        feature="s",
        layout="NLC",
    ),
    "tokens, pooled as AdaptiveAvgPool1d is exported": _pool(
        f"{_TOKENS} n = Transpose <perm = [0, 2, 1]> (r) u = Unsqueeze (n, axis) "
        "[pool] p = ReduceMean <axes = [-1, -2]> (u) z = Flatten (p)",
        weights={**_TO_TOKENS, "axis": ints(-2)},
        feature="r",
        layout="NLC",
    ),
}

LAYERS = {
    "Gemm with alpha and beta": _linear(
        "[linear] logits = Gemm <transB = 1, alpha = 0.5, beta = 2.0> (z, weight, bias)"
    ),
    "Gemm without transB": _linear(
        "[linear] logits = Gemm (z, weight, bias)", weights={"weight": (6, 5)}
    ),
    "Gemm with transA": _linear(
        "zt = Transpose <perm = [1, 0]> (z) [linear] logits = Gemm <transA = 1> (zt, weight)",
        weights={"weight": (6, 5)},
    ),
    "Gemm without bias": _linear("[linear] logits = Gemm <transB = 1> (z, weight)"),
    "Gemm with one bias for all classes": _linear(GEMM, weights={"bias": (1, 1)}),
    "MatMul": _linear("[linear] logits = MatMul (z, weight)", weights={"weight": (6, 5)}),
    "MatMul, Add": _linear(
        "[linear] m = MatMul (z, weight) logits = Add (m, bias)", weights={"weight": (6, 5)}
    ),
    "MatMul, Add of the bias first": _linear(
        "[linear] m = MatMul (z, weight) logits = Add (bias, m)",
        weights={"weight": (6, 5), "bias": (1, 5)},
    ),
    "Sub, Mul and Div behind the linear layer": _linear(
        "[linear] m = MatMul (z, weight) s = Sub (bias, m) q = Mul (s, scale) r = Sub (q, bias) "
        "logits = Div (r, temperature)",
        weights={"weight": (6, 5), "scale": (5,), "temperature": np.float32([0.7])},
    ),
    "BatchNormalization between": _linear(
        "n = BatchNormalization <epsilon = 0.01> (z, gamma, beta, mean, variance) "
        + GEMM.replace("(z", "(n"),
        weights={**_NORMS, "mean": (6,), "variance": np.linspace(0.5, 2, 6, dtype=np.float32)},
    ),
    "two linear layers with nothing between": _linear(
        "h = Gemm <transB = 1> (z, w1, b1) [linear] logits = Gemm <transB = 1> (h, weight, bias)",
        weights={"w1": (7, 6), "b1": (7,), "weight": (5, 7)},
    ),
    "1x1 Conv": _linear(
        "[linear] c = Conv (p, weight, bias) logits = Flatten (c)",
        weights={"weight": (5, 6, 1, 1)},
    ),
    "1x1 Conv without bias, Squeeze": _linear(
        "[linear] c = Conv (p, weight) logits = Squeeze (c, axes)",
        weights={"weight": (5, 6, 1, 1), "axes": ints(2, 3)},
    ),
}

NORMALISED = {
    "LayerNormalization": _linear(
        "n = LayerNormalization <epsilon = 0.01> (z, gamma, beta) " + GEMM.replace("(z", "(n"),
        weights=_NORMS,
    ),
    "LayerNormalization without shift": _linear(
        "n = LayerNormalization (z, gamma) " + GEMM.replace("(z", "(n"), weights=_NORMS
    ),
    "LayerNormalization of the pooled map, as torchvision's ConvNeXt has it": _linear(
        "t = Transpose <perm = [0, 2, 3, 1]> (p) l = LayerNormalization (t, gamma, beta) "
        "u = Transpose <perm = [0, 3, 1, 2]> (l) n = Flatten (u) " + GEMM.replace("(z", "(n"),
        weights=_NORMS,
    ),
    "LayerNormalization spelled out": _linear(
        "m = ReduceMean <axes = [-1]> (z) c = Sub (z, m) q = Pow (c, two) "
        "v = ReduceMean <axes = [-1]> (q) e = Add (v, epsilon) s = Sqrt (e) y = Div (c, s) "
        "g = Mul (y, gamma) n = Add (g, beta) " + GEMM.replace("(z", "(n"),
        weights={**_NORMS, "two": np.float32(2), "epsilon": np.float32(1e-5)},
    ),
    "LayerNormalization spelled out with Mul and two Subs": _linear(
        "m = ReduceMean <axes = [1]> (z) c = Sub (z, m) c2 = Sub (z, m) q = Mul (c2, c2) "
        "v = ReduceMean <axes = [1]> (q) e = Add (epsilon, v) s = Sqrt (e) n = Div (c, s) "
        + GEMM.replace("(z", "(n"),
        weights={"epsilon": np.float32([1e-5])},
    ),
}

CONSTANTS = {
    "weight behind Transpose, Identity and Cast": _linear(
        "a = Cast <to = 1> (w64) t = Transpose <perm = [1, 0]> (a) i = Identity (t) "
        "[linear] logits = MatMul (z, i)",
        weights={"w64": np.random.default_rng(2).normal(size=(5, 6))},
    ),
    "weight behind Reshape and Mul": _linear(
        "a = Reshape (w0, to) m = Mul (a, half) s = Slice (m, start, stop, axis) "
        "[linear] logits = MatMul (z, s)",
        weights={
            "to": ints(6, 27),
            "half": np.float32(0.5),
            "start": ints(0),
            "stop": ints(5),
            "axis": ints(1),
        },
    ),
    "Constant nodes": _linear(
        "[linear] m = MatMul (z, weight) c = Constant <value_floats = [1.0, 2.0, 3.0, 4.0, 5.0]> "
        "() logits = Add (m, c)",
        weights={"weight": (6, 5)},
    ),
}

ACTIVATIONS = {
    "Softmax": _linear(
        GEMM + " probabilities = Softmax (logits)",
        options={"outputs": "float[b, 5] probabilities"},
        activation="softmax",
    ),
    "Softmax of opset 11, Identity": _linear(
        GEMM + " s = Softmax <axis = 1> (logits) probabilities = Identity (s)",
        options={"outputs": "float[b, 5] probabilities", "opset": 11, "ir_version": 6},
        activation="softmax",
    ),
    "Sigmoid": _linear(
        GEMM + " probabilities = Sigmoid (logits)",
        options={"outputs": "float[b, 5] probabilities"},
        activation="sigmoid",
    ),
    "logits and probabilities": _linear(
        GEMM + " probabilities = Softmax (logits)",
        options={"outputs": "float[b, 5] probabilities, float[b, 5] logits"},
    ),
}

FORMS = {**POOLINGS, **LAYERS, **NORMALISED, **CONSTANTS, **ACTIVATIONS}

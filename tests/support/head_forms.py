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
    linear: str = "linear"

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
    "products with stored weights that are summed": _linear(
        "u = Unsqueeze (z, one) m = Mul (weight, u) [linear] logits = ReduceSum <keepdims = 0> "
        "(m, two)",
        weights={"weight": (5, 6), "one": ints(1), "two": ints(2)},
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
    "LayerNormalization before two heads": _linear(
        "n = LayerNormalization (z, gamma, beta) "
        "[linear] a = Gemm <transB = 1> (n, weight, bias) o = Gemm <transB = 1> (n, w2, b2) "
        "logits = Add (a, o)",
        weights={**_NORMS, "w2": (5, 6), "b2": (5,)},
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

_UNIT = GEMM.replace("(z", "(u")
_SCALED = GEMM.replace("(z", "(n")
_SMALL = {"least": np.float32(1e-12), "one": ints(1), "half": np.float32(0.5)}
_LIFTED = {"epsilon": np.float32(2.0), "floor": np.float32(1.5)}  # large enough to be seen

NORMALISED |= {
    "LayerNormalization as Keras and tf2onnx write it": _linear(
        "mu = ReduceMean <axes = [1]> (z) nm = Neg (mu) c = Sub (z, mu) q = Mul (c, c) "
        "v = ReduceMean <axes = [1]> (q) e = Add (v, epsilon) sd = Sqrt (e) r = Reciprocal (sd) "
        "s = Mul (r, gamma) a = Mul (z, s) o = Mul (nm, s) n = Add (a, o) " + _SCALED,
        weights={**_NORMS, "epsilon": np.float32(0.5)},
    ),
    "LayerNormalization as a batch normalisation with shift": _linear(
        "mu = ReduceMean <axes = [1]> (z) c = Sub (z, mu) q = Mul (c, c) "
        "v = ReduceMean <axes = [1]> (q) e = Add (v, epsilon) sd = Sqrt (e) r = Reciprocal (sd) "
        "s = Mul (r, gamma) m = Mul (mu, s) o = Sub (beta, m) a = Mul (z, s) n = Add (a, o) "
        + _SCALED,
        weights={**_NORMS, "epsilon": np.float32(0.5)},
    ),
    "LayerNormalization by the mean of squares less the squared mean, as Flax has it": _linear(
        "mu = ReduceMean <axes = [-1]> (z) q = Mul (z, z) m2 = ReduceMean <axes = [-1]> (q) "
        "mm = Mul (mu, mu) d = Sub (m2, mm) v = Max (d, nought) e = Add (v, epsilon) "
        "sd = Sqrt (e) r = Reciprocal (sd) w = Mul (r, gamma) c = Sub (z, mu) a = Mul (c, w) "
        "n = Add (a, beta) " + _SCALED,
        weights={**_NORMS, "epsilon": np.float32(0.5), "nought": np.float32(0)},
    ),
    "LayerNormalization without kept axes, by sums": _linear(
        "t = ReduceSum <keepdims = 0> (z, one) mu = Div (t, six) mk = Unsqueeze (mu, one) "
        "c = Sub (z, mk) t2 = ReduceSumSquare <axes = [1], keepdims = 0> (c) v = Div (t2, six) "
        "e = Add (v, epsilon) sd = Sqrt (e) sk = Unsqueeze (sd, one) n = Div (c, sk) " + _SCALED,
        weights={"one": ints(1), "six": np.float32(6), "epsilon": np.float32(0.5)},
    ),
    "LayerNormalization by the covariance with itself": _linear(
        "m = ReduceMean <axes = [-1]> (z) c = Sub (z, m) q = Mul (c, z) "
        "v = ReduceMean <axes = [-1]> (q) e = Add (v, epsilon) s = Sqrt (e) n = Div (c, s) "
        + _SCALED,
        weights={"epsilon": np.float32(0.5)},
    ),
    "LayerNormalization with the power -0.5": _linear(
        "mu = ReduceMean <axes = [1]> (z) c = Sub (z, mu) q = Pow (c, two) "
        "v = ReduceMean <axes = [1]> (q) e = Add (v, epsilon) r = Pow (e, root) n = Mul (r, c) "
        + _SCALED,
        weights={"two": np.float32(2), "root": np.float32(-0.5), "epsilon": np.float32(0.5)},
    ),
    "LayerNormalization by the variance of d - 1 channels, as TorchScript counts them": _linear(
        "m = ReduceMean <axes = [1]> (z) c = Sub (z, m) q = Mul (c, c) "
        "a = ReduceMean <axes = [1]> (q) sh = Shape (z) d = Gather (sh, one) "
        "df = Cast <to = 1> (d) l = Sub (df, unit) t = Mul (a, df) v = Div (t, l) "
        "e = Add (v, epsilon) s = Sqrt (e) "
        "n = Div (c, s) " + _SCALED,
        weights={"one": np.array(1), "unit": np.float32(1), "epsilon": np.float32(0.5)},
    ),
    "GroupNormalization with one group": _linear(
        "g = GroupNormalization <num_groups = 1, epsilon = 0.5> (p, gamma, beta) n = Flatten (g) "
        + _SCALED,
        weights=_NORMS,
        options={"opset": 21, "ir_version": 10},
    ),
    "GroupNormalization of one group, as InstanceNormalization": _linear(
        "r = Reshape (p, flat3) i = InstanceNormalization <epsilon = 0.5> (r, unit, nil) "
        "k = Reshape (i, flat4) s = Mul (k, column) a = Add (s, column) n = Flatten (a) " + _SCALED,
        weights={
            "flat3": ints(0, 1, -1),
            "flat4": ints(0, 6, 1, 1),
            "unit": np.ones(1, np.float32),
            "nil": np.zeros(1, np.float32),
            "column": (6, 1, 1),
        },
    ),
}

DIVIDED = {
    "LpNormalization": _linear("u = LpNormalization <axis = 1> (z) " + _UNIT),
    "LpNormalization of the pooled map": _linear(
        "l = LpNormalization <axis = 1, p = 2> (p) u = Flatten (l) " + _UNIT
    ),
    "an L2 norm as torch writes it": _linear(
        "n = ReduceL2 <axes = [1], keepdims = 1> (z) c = Clip (n, floor) sh = Shape (z) "
        "e = Expand (c, sh) u = Div (z, e) " + _UNIT,
        weights=_LIFTED,
    ),
    "an L2 norm of opset 18": _linear(
        "n = ReduceL2 <keepdims = 1> (z, one) c = Max (n, floor) u = Div (z, c) " + _UNIT,
        weights={**_SMALL, **_LIFTED},
        options=_OPSET_18,
    ),
    "an L2 norm as TensorFlow writes it": _linear(
        "q = Mul (z, z) s = ReduceSum (q, one) m = Max (s, floor) r = Sqrt (m) "
        "i = Reciprocal (r) u = Mul (z, i) " + _UNIT,
        weights={**_SMALL, **_LIFTED},
    ),
    "an L2 norm as Keras' UnitNormalization writes it": _linear(
        "q = Mul (z, z) s = ReduceSum (q, one) r = Sqrt (s) i = Reciprocal (r) "
        "l = Min (i, most) u = Mul (z, l) " + _UNIT,
        weights={**_SMALL, "most": np.float32(1 / 1.5)},  # small enough to be seen
    ),
    "an L2 norm of squares by Pow, without kept axes": _linear(
        "q = Pow (z, two) s = ReduceSum <keepdims = 0> (q, one) r = Pow (s, half) "
        "k = Unsqueeze (r, one) u = Div (z, k) " + _UNIT,
        weights={**_SMALL, "two": np.float32(2)},
    ),
    "an L2 norm by ReduceSumSquare, of opset 11": _linear(
        "s = ReduceSumSquare <axes = [1], keepdims = 1> (z) r = Sqrt (s) u = Div (z, r) " + _UNIT,
        options={"opset": 11, "ir_version": 6},
    ),
    "an L2 norm with a number added to it": _linear(
        "n = ReduceL2 <axes = [1], keepdims = 1> (z) c = Add (n, floor) u = Div (z, c) " + _UNIT,
        weights=_LIFTED,
    ),
    "an L2 norm with a number under its root": _linear(
        "q = Mul (z, z) s = ReduceSum (q, one) m = Add (epsilon, s) r = Sqrt (m) u = Div (z, r) "
        + _UNIT,
        weights={**_SMALL, **_LIFTED},
    ),
    "a clipped sum of squares with a number added under the root": _linear(
        "q = Mul (z, z) s = ReduceSum (q, one) m = Clip (s, floor) e = Add (m, epsilon) "
        "r = Sqrt (e) u = Div (z, r) " + _UNIT,
        weights={**_SMALL, "epsilon": np.float32(2), "floor": np.float32(40)},
    ),
    "a cosine with a temperature": _linear(
        "n = ReduceL2 <axes = [1], keepdims = 1> (z) c = Clip (n, least) u = Div (z, c) "
        "wq = Mul (weight, weight) ws = ReduceSum (wq, one) wr = Sqrt (ws) wn = Div (weight, wr) "
        "wt = Transpose <perm = [1, 0]> (wn) [linear] y = MatMul (u, wt) t = Exp (half) "
        "logits = Mul (t, y)",
        weights=_SMALL,
    ),
    "a cosine that is divided by both norms at last": _linear(
        "[linear] y = MatMul (z, weight) n = ReduceL2 <axes = [1], keepdims = 1> (z) "
        "wn = ReduceL2 <axes = [0], keepdims = 1> (weight) d = Mul (n, wn) c = Div (y, d) "
        "logits = Div (c, half)",
        weights={**_SMALL, "weight": (6, 5)},
    ),
    "logits times the inverse of a norm": _linear(
        "[linear] y = Gemm <transB = 1> (z, weight) q = Mul (z, z) s = ReduceSum (q, one) "
        "m = Max (s, floor) r = Sqrt (m) i = Reciprocal (r) l = Mul (i, y) logits = Add (l, bias)",
        weights={**_SMALL, **_LIFTED},
    ),
    "F.cosine_similarity as TorchScript exports it": _linear(
        "u = Unsqueeze (z, one) m = Mul (u, weight) [linear] y = ReduceSum <keepdims = 0> (m, two) "
        "uu = Mul (u, u) us = ReduceSum <keepdims = 0> (uu, two) w2 = Mul (weight, weight) "
        "ws = ReduceSum <keepdims = 0> (w2, two) q = Mul (us, ws) r = Sqrt (q) n = Max (r, least) "
        "logits = Div (y, n)",
        weights={"weight": (1, 5, 6), "one": ints(1), "two": ints(2), "least": np.float32(1e-8)},
    ),
    "F.cosine_similarity as torch.export exports it": _linear(
        "u = Unsqueeze (z, one) s = Shape <end = 1> (image) to = Concat <axis = 0> (s, five, six) "
        "we = Expand (weight, to) e = Expand (u, to) n = ReduceL2 (e, two) wn = ReduceL2 (we, two) "
        "c = Clip (n, least) wc = Clip (wn, least) ww = Div (we, wc) v = Div (e, c) "
        "m = Mul (v, ww) [linear] logits = ReduceSum <keepdims = 0> (m, two)",
        weights={
            "weight": (1, 5, 6),
            "one": ints(1),
            "two": ints(2),
            "five": ints(5),
            "six": ints(6),
            "least": np.float32(1e-8),
        },
        options=_OPSET_18,
    ),
    "RMSNormalization": _linear(
        "n = RMSNormalization <epsilon = 0.5> (z, gamma) " + _SCALED,
        weights=_NORMS,
        options={"opset": 23, "ir_version": 11},
    ),
    "an RMSNorm spelled out": _linear(
        "q = Pow (z, two) v = ReduceMean <axes = [-1]> (q) e = Add (v, epsilon) s = Sqrt (e) "
        "i = Div (one, s) x = Mul (z, i) n = Mul (gamma, x) " + _SCALED,
        weights={**_NORMS, **_LIFTED, "two": np.float32(2), "one": np.float32(1)},
    ),
    "an RMSNorm whose scale comes before its number": _linear(
        "g = Mul (z, gamma) q = Mul (z, z) v = ReduceMean <axes = [-1]> (q) e = Add (v, epsilon) "
        "s = Sqrt (e) n = Div (g, s) " + _SCALED,
        weights={**_NORMS, **_LIFTED},
    ),
    "a deviation with a number added, from d - 1 channels": _linear(
        "m = ReduceMean <axes = [-1]> (z) c = Sub (z, m) q = Mul (c, c) s = ReduceSum (q, one) "
        "v = Div (s, five) r = Sqrt (v) e = Add (r, floor) n = Div (c, e) " + _SCALED,
        weights={**_SMALL, **_LIFTED, "five": np.float32(5)},
    ),
}

SUMS = {
    "ReduceSum, Div by the number of positions": _pool(
        "[pool] s = ReduceSum <keepdims = 0> (map, axes) z = Div (s, twelve)",
        weights={"axes": ints(2, 3), "twelve": np.float32(12)},
    ),
    "ReduceSum of one axis, ReduceMean of the other": _pool(
        "[pool] s = ReduceSum (map, rows) p = ReduceMean <axes = [3]> (s) z = Flatten (p)",
        weights={"rows": ints(2)},
    ),
    "ReduceSum of opset 11": _pool(
        "[pool] z = ReduceSum <axes = [2, 3], keepdims = 0> (map)",
        options={"opset": 11, "ir_version": 6},
    ),
    "ReduceSum of tokens": _pool(
        f"{_TOKENS} [pool] z = ReduceSum <keepdims = 0> (r, one)",
        weights={**_TO_TOKENS, "one": ints(1)},
        feature="r",
        layout="NLC",
    ),
    "Einsum over the positions": _pool('[pool] z = Einsum <equation = "bchw->bc"> (map)'),
    "Einsum with the same weight for every position": _pool(
        '[pool] z = Einsum <equation = "hw, bchw -> bc"> (even, map)',
        weights={"even": np.full((4, 3), 1 / 12, np.float32)},
    ),
    "Einsum over positions and channels": Form(
        '[pool] logits = Einsum <equation = "bchw,kc->bk"> (map, weight)', linear="pool"
    ),
    "AveragePool with padding that does not count": _pool(
        "[pool] p = AveragePool <kernel_shape = [6, 5], pads = [1, 1, 1, 1]> (map) z = Flatten (p)"
    ),
    "AveragePool with padding that counts": _pool(
        "[pool] p = AveragePool <kernel_shape = [6, 5], pads = [1, 1, 1, 1], "
        "count_include_pad = 1> (map) z = Flatten (p)"
    ),
    "MatMul with the same weight for every position": _pool(
        "q = Reshape (map, to_bdl) [pool] z = MatMul (q, even)",
        weights={**_TO_TOKENS, "even": np.full(12, 1 / 12, np.float32)},
    ),
    "MatMul with a column of the same weight": _pool(
        "q = Reshape (map, to_bdl) [pool] p = MatMul (q, even) z = Flatten (p)",
        weights={**_TO_TOKENS, "even": np.full((12, 1), 1 / 12, np.float32)},
    ),
    "MatMul of a row of the same weight with tokens": _pool(
        f"{_TOKENS} [pool] p = MatMul (even, r) z = Flatten (p)",
        weights={**_TO_TOKENS, "even": np.full((1, 1, 12), 0.5, np.float32)},
        feature="r",
        layout="NLC",
    ),
    "Slice of all positions": _pool(
        "s = Slice (map, start, end, axes) [pool] p = GlobalAveragePool (s) z = Flatten (p)",
        weights={"start": ints(0, 0), "end": ints(99, 99), "axes": ints(2, 3)},
        feature="s",
    ),
}

_KERNEL = {"weight": (5, 6, 1, 1)}
_MATRIX = {"weight": (6, 5)}
CLASS_MAPS = {
    "1x1 Conv before the pooling": Form(
        "[linear] c = Conv (map, weight, bias) [pool] p = GlobalAveragePool (c) "
        "logits = Flatten (p)",
        weights=_KERNEL,
    ),
    "1x1 Conv, BatchNormalization, scale, shift, Dropout before the pooling": Form(
        "[linear] c = Conv (map, weight) n = BatchNormalization (c, g, h, m, v) "
        "s = Mul (n, scale) t = Sub (shift, s) u = Div (t, half) d = Dropout (u) "
        "[pool] q = ReduceMean <axes = [2, 3], keepdims = 0> (d) logits = Add (q, bias)",
        weights={
            **_KERNEL,
            "g": (5,),
            "h": (5,),
            "m": (5,),
            "v": np.linspace(0.5, 2, 5, dtype=np.float32),
            "scale": (5, 1, 1),
            "shift": (1, 5, 1, 1),
            "half": np.float32(0.5),
        },
    ),
    "1x1 Conv before a sum": Form(
        "[linear] c = Conv (map, weight, bias) [pool] logits = ReduceSum <keepdims = 0> (c, axes)",
        weights={**_KERNEL, "axes": ints(2, 3)},
    ),
    "1x1 Conv before the pooling, Softmax": Form(
        "[linear] c = Conv (map, weight, bias) [pool] p = GlobalAveragePool (c) "
        "logits = Flatten (p) probabilities = Softmax (logits)",
        weights=_KERNEL,
        options={"outputs": "float[b, 5] probabilities"},
        activation="softmax",
    ),
    "Conv of flattened positions": Form(
        "f = Reshape (map, to_bdl) [linear] c = Conv (f, weight, bias) "
        "[pool] logits = ReduceMean <axes = [2], keepdims = 0> (c)",
        weights={**_TO_TOKENS, "weight": (5, 6, 1)},
    ),
    "MatMul and Add of tokens": Form(
        f"{_TOKENS} [linear] m = MatMul (r, weight) a = Add (bias, m) "
        "[pool] logits = ReduceMean <axes = [1], keepdims = 0> (a)",
        weights={**_TO_TOKENS, **_MATRIX},
        feature="r",
        layout="NLC",
    ),
    "MatMul of an NHWC map, transposed to be pooled": Form(
        f"{_NHWC} [linear] m = MatMul (r, weight) a = Add (m, bias) "
        "t2 = Transpose <perm = [0, 3, 1, 2]> (a) [pool] p = GlobalAveragePool (t2) "
        "logits = Flatten (p)",
        weights=_MATRIX,
        feature="r",
        layout="NHWC",
    ),
    "classes of a class map picked, and shifted": Form(
        "[linear] c = Conv (map, weight, bias) s = Slice (c, one, six, one) "
        "g = Gather <axis = 1> (s, wanted) a = Add (g, shift) [pool] p = GlobalAveragePool (a) "
        "logits = Flatten (p)",
        weights={
            "weight": (6, 6, 1, 1),
            "bias": (6,),
            "one": ints(1),
            "six": ints(6),
            "wanted": ints(4, 0, 2, 2, -4),
            "shift": (1, 5, 1, 1),
        },
    ),
    "classes of tokens picked": Form(
        f"{_TOKENS} [linear] m = MatMul (r, weight) s = Slice (m, one, six, last) "
        "[pool] logits = ReduceMean <axes = [1], keepdims = 0> (s)",
        weights={
            **_TO_TOKENS,
            "weight": (6, 6),
            "one": ints(1),
            "six": ints(6),
            "last": ints(-1),
        },
        feature="r",
        layout="NLC",
    ),
    "two class maps of one map, subtracted": Form(
        "[linear] c = Conv (map, weight, bias) o = Conv (map, w2, b2) s = Sub (o, c) "
        "[pool] p = GlobalAveragePool (s) logits = Flatten (p)",
        weights={**_KERNEL, "w2": (5, 6, 1, 1), "b2": (5,)},
    ),
    "two class maps of one map, joined": Form(
        "[linear] c = Conv (map, weight, bias) o = Conv (map, w2, b2) "
        "s = Concat <axis = 1> (o, c) [pool] p = GlobalAveragePool (s) logits = Flatten (p)",
        weights={"weight": (2, 6, 1, 1), "bias": (2,), "w2": (3, 6, 1, 1), "b2": (3,)},
    ),
    "a class map less its mean over the classes": Form(
        "[linear] c = Conv (map, weight, bias) m = ReduceMean <axes = [1]> (c) s = Sub (c, m) "
        "[pool] p = GlobalAveragePool (s) logits = Flatten (p)",
        weights=_KERNEL,
    ),
    "a residual class map": Form(
        "[linear] h = Conv (map, weight, bias) r = Add (map, h) c = Conv (r, w2, b2) "
        "[pool] p = GlobalAveragePool (c) logits = Flatten (p)",
        weights={"weight": (6, 6, 1, 1), "bias": (6,), "w2": (5, 6, 1, 1), "b2": (5,)},
        feature="r",
        linear="-> c",
    ),
    "Einsum of the map": Form(
        '[linear] c = Einsum <equation = "bchw,kc->bkhw"> (map, weight) '
        "[pool] p = GlobalAveragePool (c) logits = Flatten (p)",
    ),
}

_SIX = {"weight": (6, 6), "bias": (6,)}
_Y = GEMM.replace("logits", "y")
_TWO = "[linear] a = Gemm <transB = 1> (z, weight, bias) o = Gemm <transB = 1> (z, w2, b2)"
_SECOND = {"w2": (5, 6), "b2": (5,)}
JOINED = {
    "Slice of the classes": _linear(
        f"{_Y} logits = Slice (y, one, six, one)",
        weights={**_SIX, "one": ints(1), "six": ints(6)},
    ),
    "Slice backwards": _linear(
        f"{_Y} logits = Slice (y, last, before, one, back)",
        weights={"last": ints(-1), "before": ints(-9), "one": ints(1), "back": ints(-1)},
    ),
    "Gather of classes": _linear(
        f"{_Y} logits = Gather <axis = 1> (y, wanted)",
        weights={**_SIX, "wanted": ints(5, 0, 2, 2, -2)},
    ),
    "Slice of the channels": _linear(
        "s = Slice (z, one, four, one) [linear] logits = Gemm <transB = 1> (s, weight, bias)",
        weights={"weight": (5, 3), "one": ints(1), "four": ints(4)},
    ),
    "a part of a Split": _linear(
        f"{_Y} first, logits = Split <axis = 1> (y, parts)",
        weights={"weight": (7, 6), "bias": (7,), "parts": ints(2, 5)},
    ),
    "both parts of a Split": _linear(
        f"{_Y} first, second = Split <axis = 1> (y, parts) "
        "logits = Concat <axis = 1> (second, first)",
        weights={"parts": ints(2, 3)},
    ),
    "Pad": _linear(
        f"{_Y} logits = Pad (y, pads, low)",
        weights={
            "weight": (3, 6),
            "bias": (3,),
            "pads": ints(0, 1, 0, 1),
            "low": np.float32(-2),
        },
    ),
    "Concat of two heads": _linear(
        "[linear] a = Gemm <transB = 1> (z, weight, bias) o = Gemm <transB = 1> (z, w2, b2) "
        "logits = Concat <axis = 1> (a, o)",
        weights={"weight": (2, 6), "bias": (2,), "w2": (3, 6), "b2": (3,)},
    ),
    "two heads added": _linear(f"{_TWO} logits = Add (a, o)", weights=_SECOND),
    "two heads subtracted": _linear(f"{_TWO} logits = Sub (a, o)", weights=_SECOND),
    "Sum of heads and a constant": _linear(f"{_TWO} logits = Sum (a, bias, o)", weights=_SECOND),
    "Mean of heads": _linear(f"{_TWO} logits = Mean (a, o)", weights=_SECOND),
    "heads stacked in front of the batch, averaged": _linear(
        f"{_TWO} ua = Unsqueeze (a, zero) uo = Unsqueeze (o, zero) "
        "s = Concat <axis = 0> (ua, uo) logits = ReduceMean <axes = [0], keepdims = 0> (s)",
        weights={**_SECOND, "zero": ints(0)},
    ),
    "heads stacked behind the batch, summed": _linear(
        f"{_TWO} ua = Unsqueeze (a, one) uo = Unsqueeze (o, one) "
        "s = Concat <axis = 1> (ua, uo) logits = ReduceSum <keepdims = 0> (s, one)",
        weights={**_SECOND, "one": ints(1)},
    ),
    "the same head behind several Dropouts": _linear(
        "d = Dropout (z) e = Dropout (z) [linear] a = Gemm <transB = 1> (d, weight, bias) "
        "o = Gemm <transB = 1> (e, weight, bias) s = Add (a, o) logits = Div (s, two)",
        weights={"two": np.float32(2)},
    ),
    "heads that pool for themselves": _linear(
        "[linear] a = Gemm <transB = 1> (z, weight, bias) p2 = ReduceMean <axes = [2, 3]> (map) "
        "z2 = Flatten (p2) o = Gemm <transB = 1> (z2, w2, b2) logits = Add (o, a)",
        weights=_SECOND,
    ),
    "one value for all classes added to each": _linear(
        "[linear] a = Gemm <transB = 1> (z, weight, bias) v = Gemm <transB = 1> (z, w2, b2) "
        "logits = Add (v, a)",
        weights={"w2": (1, 6), "b2": (1,)},
    ),
    "a residual linear layer": _linear(
        "h = Gemm <transB = 1> (z, w1, b1) r = Add (h, z) " + GEMM.replace("(z", "(r"),
        weights={"w1": (6, 6), "b1": (6,)},
    ),
    "Where that masks a class": _linear(
        f"{_Y} logits = Where (masked, low, y)",
        weights={"masked": np.array([[False, True, False, False, True]]), "low": np.float32(-20)},
    ),
    "Where between two heads": _linear(
        f"{_TWO} logits = Where (chosen, a, o)",
        weights={**_SECOND, "chosen": np.array([True, True, False, False, True])},
    ),
    "a mask that is added": _linear(
        f"{_Y} logits = Add (y, mask)", weights={"mask": np.float32([0, 0, -20, 0, 0])}
    ),
    "classes picked with the batch behind, as torch exports a list of them": _linear(
        f"{_Y} t = Transpose <perm = [1, 0]> (y) g = Gather <axis = 0> (t, wanted) "
        "logits = Transpose <perm = [1, 0]> (g)",
        weights={**_SIX, "wanted": ints(0, 2, 3, 4, 5)},
    ),
    "a class overwritten, as torch exports an assignment": _linear(
        f"{_Y} s = Shape (y) n = Slice (s, zero, one) u = Concat <axis = 0> (n, one) "
        "i = Expand (place, u) f = Expand (low, u) logits = ScatterElements <axis = 1> (y, i, f)",
        weights={
            "zero": ints(0),
            "one": ints(1),
            "place": np.array([[3]], np.int64),
            "low": np.float32([[-20]]),
        },
    ),
    "a Slice whose ends are computed from the shape": _linear(
        f"{_Y} s = Shape (y) n = Gather (s, axis) half = Div (n, two) "
        "logits = Slice (y, zero, half, axis)",
        weights={
            "weight": (10, 6),
            "bias": (10,),
            "axis": ints(1),
            "two": ints(2),
            "zero": ints(0),
        },
    ),
    "Neg": _linear(f"{_Y} logits = Neg (y)"),
    "logits less their mean": _linear(f"{_Y} m = ReduceMean <axes = [-1]> (y) logits = Sub (y, m)"),
    "logits less their mean, by a sum, before they are flattened": _linear(
        "[linear] c = Conv (p, weight, bias) s = ReduceSum (c, one) m = Div (s, five) "
        "d = Sub (c, m) logits = Flatten (d)",
        weights={"weight": (5, 6, 1, 1), "one": ints(1), "five": np.float32(5)},
    ),
    "a constant class in front, one for each image": _linear(
        f"{_Y} s = Shape (y) n = Slice (s, zero, one) u = Concat <axis = 0> (n, one) "
        "e = ConstantOfShape (u) logits = Concat <axis = 1> (e, y)",
        weights={"weight": (4, 6), "bias": (4,), "zero": ints(0), "one": ints(1)},
    ),
    "a constant class behind, expanded": _linear(
        f"{_Y} s = Shape <end = 1> (image) u = Concat <axis = 0> (s, one) "
        "e = Expand (fixed, u) logits = Concat <axis = 1> (y, e)",
        weights={"weight": (4, 6), "bias": (4,), "one": ints(1), "fixed": (1, 1)},
    ),
    "pooled features joined with constants": _linear(
        "s = Shape <end = 1> (image) u = Concat <axis = 0> (s, three) e = Expand (fixed, u) "
        "j = Concat <axis = 1> (e, z) " + GEMM.replace("(z", "(j"),
        weights={"weight": (5, 9), "three": ints(3), "fixed": (1, 3)},
    ),
    "a bias that is expanded": _linear(
        f"{_Y} s = Shape (y) e = Expand (fixed, s) logits = Add (e, y)", weights={"fixed": (5,)}
    ),
    "Einsum": _linear(
        '[linear] m = Einsum <equation = "bc,kc->bk"> (z, weight) logits = Add (m, bias)'
    ),
    "Einsum of a transposed matrix": _linear(
        '[linear] logits = Einsum <equation = "ck, bc -> bk"> (weight, z)', weights=_MATRIX
    ),
}

CONSTANTS = {
    "weight norm in the graph": _linear(
        "n = ReduceL2 <axes = [1], keepdims = 1> (weight) v = Div (weight, n) w = Mul (v, g) "
        "[linear] logits = Gemm <transB = 1> (z, w, bias)",
        weights={"g": (5, 1)},
    ),
    "weight standardised in the graph": _linear(
        "m = ReduceMean <axes = [1]> (weight) c = Sub (weight, m) q = Pow (c, two) "
        "v = ReduceMean <axes = [1]> (q) e = Max (v, small) s = Sqrt (e) w = Div (c, s) "
        "[linear] logits = Gemm <transB = 1> (z, w, bias)",
        weights={"two": np.float32(2), "small": np.float32(1e-6)},
    ),
    "weight of a 1x1 Conv stored in 8 bits": _linear(
        "w = DequantizeLinear (w8, scale) [linear] c = Conv (p, w, bias) logits = Flatten (c)",
        weights={
            "w8": np.random.default_rng(2).integers(-128, 128, (5, 6, 1, 1)).astype(np.int8),
            "scale": np.float32(0.02),
        },
        options={"opset": 19, "ir_version": 9},
    ),
    "weight stored in 8 bits, a scale a class": _linear(
        "w = DequantizeLinear <axis = 0> (w8, scale, zero) "
        "[linear] logits = Gemm <transB = 1> (z, w, bias)",
        weights={
            "w8": np.random.default_rng(2).integers(-128, 128, (5, 6)).astype(np.int8),
            "scale": np.linspace(0.01, 0.05, 5, dtype=np.float32),
            "zero": np.arange(5, dtype=np.int8),
        },
        options={"opset": 19, "ir_version": 9},
    ),
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
    "LogSoftmax": _linear(
        GEMM + " l = LogSoftmax <axis = 1> (logits)",
        options={"outputs": "float[b, 5] l"},
        activation="softmax",
    ),
    "Log of Softmax": _linear(
        GEMM + " s = Softmax <axis = 1> (logits) l = Log (s)",
        options={"outputs": "float[b, 5] l"},
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

FORMS = {
    **POOLINGS,
    **SUMS,
    **CLASS_MAPS,
    **LAYERS,
    **JOINED,
    **NORMALISED,
    **DIVIDED,
    **CONSTANTS,
    **ACTIVATIONS,
}

# Surgery sees layout, normalisation and activation; the spellings of each are for the finder.
_GROUPS = (SUMS, CLASS_MAPS, LAYERS, JOINED, NORMALISED, DIVIDED, CONSTANTS)
VARIETY = {
    **POOLINGS,
    **{name: form for group in _GROUPS for name, form in list(group.items())[:2]},
    **ACTIVATIONS,
}

# Logits with other axes than (b, c): output, and what flattening it takes.

_UNSQUEEZED = {"ends": ints(2, 3), "one": ints(1), "last": ints(2), "ahead": ints(1, 2)}
_CONV = "[linear] logits = Conv (p, weight, bias)"
_ON_CONV = {"outputs": "float[b, 5, 1, 1] probabilities"}
SHAPES = {
    "(b, c, 1, 1)": _linear(
        _CONV, weights=_KERNEL, options={"outputs": "float[b, 5, 1, 1] logits"}
    ),
    "(b, 1, 1, c)": _linear(
        f"{_Y} logits = Unsqueeze (y, ahead)",
        weights=_UNSQUEEZED,
        options={"outputs": "float[b, 1, 1, 5] logits"},
    ),
    "(b, 1, c)": _linear(
        "u = Unsqueeze (z, one) [linear] logits = MatMul (u, weight)",
        weights={**_UNSQUEEZED, **_MATRIX},
        options={"outputs": "float[b, 1, 5] logits"},
    ),
    "(b, c, 1)": _linear(
        f"{_Y} logits = Unsqueeze (y, last)",
        weights=_UNSQUEEZED,
        options={"outputs": "float[b, 5, 1] logits"},
    ),
    "class map, (b, c, 1, 1)": Form(
        "[linear] c = Conv (map, weight, bias) [pool] logits = GlobalAveragePool (c)",
        weights=_KERNEL,
        options={"outputs": "float[b, 5, 1, 1] logits"},
    ),
    "(b, c, 1, 1), Softmax": _linear(
        f"{_CONV} probabilities = Softmax <axis = 1> (logits)",
        weights=_KERNEL,
        options=_ON_CONV,
        activation="softmax",
    ),
    "(b, c, 1, 1), Softmax of opset 11": _linear(
        f"{_CONV} probabilities = Softmax (logits)",
        weights=_KERNEL,
        options={**_ON_CONV, "opset": 11, "ir_version": 6},
        activation="softmax",
    ),
    "(b, c, 1, 1), Softmax, Flatten": _linear(
        f"{_CONV} s = Softmax <axis = -3> (logits) probabilities = Flatten (s)",
        weights=_KERNEL,
        options={"outputs": "float[b, 5] probabilities"},
        activation="softmax",
    ),
    "(b, c, 1, 1), Sigmoid, Squeeze": _linear(
        f"{_CONV} s = Sigmoid (logits) probabilities = Squeeze (s, ends)",
        weights={**_KERNEL, **_UNSQUEEZED},
        options={"outputs": "float[b, 5] probabilities"},
        activation="sigmoid",
    ),
}

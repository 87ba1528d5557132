"""Small classifiers written as text: one backbone, any tail.

The backbone turns images (b, 3, 8, 6) into the feature map ``map`` (b, 6, 4, 3); a tail turns
that into outputs, usually 5 logits. Weights are given by shape and drawn from a fixed seed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray
from onnx.numpy_helper import from_array
from onnx.parser import parse_model

CHANNELS, GRID, CLASSES = 6, (4, 3), 5
Weights = Mapping[str, tuple[int, ...] | NDArray[np.generic]]

GEMM = "[linear] logits = Gemm <transB = 1> (z, weight, bias)"
LINEAR = {"weight": (CLASSES, CHANNELS), "bias": (CLASSES,)}
POOLED = "[pool] p = GlobalAveragePool (map) [flat] z = Flatten (p)"

BACKBONE = """
<ir_version: {ir_version}, opset_import: ["" : {opset}]>
classifier (float[b, 3, 8, 6] image) => ({outputs}) {{
  conv = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]> (image, w0, b0)
  [relu] map = Relu (conv)
  {tail}
}}
"""


def classifier(
    tail: str,
    weights: Weights = LINEAR,
    *,
    outputs: str = "float[b, 5] logits",
    opset: int = 17,
    ir_version: int = 8,
) -> ir.Model:
    """The backbone with a tail."""
    text = BACKBONE.format(tail=tail, outputs=outputs, opset=opset, ir_version=ir_version)
    return with_weights(parse_model(text), {"w0": (6, 3, 3, 3), "b0": (6,), **weights})


def with_weights(proto: onnx.ModelProto, weights: Weights) -> ir.Model:
    """A parsed model with its initializers."""
    generator = np.random.default_rng(0)
    for name, weight in weights.items():
        if isinstance(weight, tuple):
            weight = generator.normal(size=weight).astype(np.float32)
        proto.graph.initializer.append(from_array(weight, name))
    return ir.from_proto(proto)


def ints(*values: int) -> NDArray[np.int64]:
    """An initializer for axes and shapes."""
    return np.array(values, np.int64)


def images(count: int) -> NDArray[np.float32]:
    """(count, 3, 8, 6)."""
    return np.random.default_rng(1).normal(size=(count, 3, 8, 6)).astype(np.float32)


def run(
    model: ir.Model, feeds: Mapping[str, NDArray[np.generic]], *, optimise: bool = True
) -> dict[str, NDArray[np.generic]]:
    """Every output of a model in onnxruntime, by name."""
    levels = ort.GraphOptimizationLevel
    options = ort.SessionOptions()
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimise else levels.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = ort.InferenceSession(serialised(model), options)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def serialised(model: ir.Model) -> bytes:
    """The model's bytes."""
    proto: onnx.ModelProto = ir.to_proto(model)
    return proto.SerializeToString(deterministic=True)


def split_head(
    weight: NDArray[np.float64], k: int = 3
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Random prototypes (c, k, d) and the mean row (d,) that together sum to a head (c, d)."""
    reference = weight.mean(axis=0).astype(np.float32)
    shape = (weight.shape[0], k, weight.shape[1])
    prototypes = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    prototypes[:, -1] = weight - reference - prototypes[:, :-1].sum(axis=1, dtype=np.float64)
    return prototypes, reference

"""The tiny classifier with a head of two layers, part of whose logits comes from no place.

Its body, images and labels are those of ``tiny``; mean -> Gemm -> Relu -> Gemm, 24 hidden numbers.
The biases of the first layer reach the logits through the gates of the Relu, from no place.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import tiny
from onnx.helper import make_node
from onnx.numpy_helper import from_array
from reference import by_reference

from exporter.config import ExportConfig

HIDDEN = 24


@cache
def model() -> onnx.ModelProto:
    """The classifier, its last layer fitted by ridge regression. Copy it before you change it."""
    generator = np.random.default_rng(11)
    first = generator.normal(size=(HIDDEN, 16)) / 4
    labels = np.repeat(np.arange(3), 40)
    pictures = [tiny.image(label, 100 + n) for n, label in enumerate(labels)]
    batch = np.stack([tiny.tensor(picture) for picture in pictures])
    body = onnx.ModelProto.FromString(tiny.model().SerializeToString())
    body.graph.output[0].CopyFrom(onnx.ValueInfoProto(name="flat"))
    (pooled,) = by_reference(body, {"image": batch}, ["flat"])
    bias = generator.normal(size=HIDDEN) / 2
    hidden = np.maximum(pooled @ first.T + bias, 0)
    rows = np.hstack([hidden, np.ones((len(hidden), 1))])
    gram = rows.T @ rows
    ridge = gram + 1e-3 * np.trace(gram) * np.eye(len(gram))
    fitted = np.linalg.solve(ridge, rows.T @ (30.0 * np.eye(3)[labels]))
    common = generator.normal(size=HIDDEN) * 0.3
    weights = {
        "first": first,
        "first_bias": bias,
        "weight": fitted[:-1].T + common,
        "bias": fitted[-1],
    }
    return _graph(weights)


def _graph(weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    graph = onnx.ModelProto.FromString(tiny.model().SerializeToString()).graph
    kept = [tensor for tensor in graph.initializer if tensor.name not in weights]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    graph.initializer.extend(
        from_array(np.ascontiguousarray(value, dtype=np.float32), name)
        for name, value in weights.items()
    )
    graph.node.pop()
    graph.node.extend(
        [
            make_node("Gemm", ["flat", "first", "first_bias"], ["before"], "hidden", transB=1),
            make_node("Relu", ["before"], ["hidden"], "gate"),
            make_node("Gemm", ["hidden", "weight", "bias"], ["logits"], "head", transB=1),
        ]
    )
    whole = onnx.ModelProto.FromString(tiny.model().SerializeToString())
    whole.graph.CopyFrom(graph)
    return whole


def write(folder: Path, images: int = 8) -> ExportConfig:
    """Write model and data into a folder; the config exports them to ``folder/artifact``."""
    config = tiny.write(folder, images)
    onnx.save(model(), config.model)
    return config

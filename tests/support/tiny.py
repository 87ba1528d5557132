"""A classifier and a dataset small enough to export in a second.

Three classes of 24 x 24 images, told apart by coloured squares; the network is two random
convolutions, global average pooling and a fitted linear head on D = 16 channels, grid 12 x 12.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
from onnx.numpy_helper import from_array
from onnx.parser import parse_graph, parse_model
from PIL import Image
from reference import by_reference

from exporter.config import ExportConfig
from serving.artifact import Preprocessing

LABELS = ("red", "green", "blue")
SIZE = 24

_GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (float[N, 3, 24, 24] image) => (float[N, 3] logits) {
  a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (image, w1, b1)
  b = Relu (a)
  c = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (b)
  d = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (c, w2, b2)
  feature = Relu (d)
  pooled = GlobalAveragePool (feature)
  flat = Flatten (pooled)
  logits = Gemm <transB = 1> (flat, weight, bias)
}
"""


@cache
def model() -> onnx.ModelProto:
    """The classifier; its head is fitted by ridge regression. Copy it before you change it."""
    generator = np.random.default_rng(7)
    shapes = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (16, 8, 3, 3), "b2": (16,)}
    weights = {
        name: (generator.normal(size=shape) * 0.4).astype(np.float32)
        for name, shape in shapes.items()
    }
    labels = np.repeat(np.arange(3), 40)
    batch = np.stack([tensor(image(label, 100 + n)) for n, label in enumerate(labels)])
    body = _graph(weights | {"weight": np.zeros((3, 16)), "bias": np.zeros(3)})
    body.graph.output[0].CopyFrom(onnx.ValueInfoProto(name="flat"))
    (pooled,) = by_reference(body, {"image": batch}, ["flat"])
    rows = np.hstack([pooled, np.ones((len(pooled), 1))])
    # Ridge: float32 could not hold the sums of a head whose large weights cancel each other.
    gram = rows.T @ rows
    ridge = gram + 1e-3 * np.trace(gram) * np.eye(len(gram))
    fitted = np.linalg.solve(ridge, rows.T @ (30.0 * np.eye(3)[labels]))
    # What is common to all classes, as every trained head has it.
    common = generator.normal(size=16) * 0.3
    return _graph(weights | {"weight": fitted[:-1].T + common, "bias": fitted[-1]})


def _graph(weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    graph = parse_model(_GRAPH)
    graph.graph.initializer.extend(
        from_array(np.ascontiguousarray(value, dtype=np.float32), name)
        for name, value in weights.items()
    )
    return graph


def tensor(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, dtype=np.float32).transpose(2, 0, 1) / 255


def image(label: int, number: int) -> Image.Image:
    """A grey image with two squares of the class's colour and one of another."""
    generator = np.random.default_rng([label, number])
    pixels = generator.integers(60, 160, (SIZE, SIZE, 3)).astype(np.uint8)
    for channel in (label, label, (label + 1) % 3):
        x, y = generator.integers(0, SIZE - 6, 2)
        pixels[y : y + 6, x : x + 6, channel] = 255
    return Image.fromarray(pixels)


def write(folder: Path, images: int = 8) -> ExportConfig:
    """Write model and data into a folder; the config exports them to ``folder/artifact``."""
    onnx.save(model(), folder / "tiny.onnx")
    for index, label in enumerate(LABELS):
        (folder / "data" / label).mkdir(parents=True)
        for number in range(images):
            image(index, number).save(folder / "data" / label / f"{number:03d}.png")
    return ExportConfig(
        model=str(folder / "tiny.onnx"),
        data=folder / "data",
        out=folder / "artifact",
        preprocessing=Preprocessing(crop=SIZE),
        labels=LABELS,
        prototypes=2,
        top=2,
        jobs=1,
    )


def scale_pixels(graph: onnx.GraphProto) -> None:
    """The graph itself scales pixels, channels last."""
    text = parse_graph(
        "g (uint8[N, 24, 24, 3] image) => (float[N, 3, 24, 24] scaled) "
        "<float white = {255.0}> "
        "{ f = Cast <to = 1> (image) t = Transpose <perm = [0, 3, 1, 2]> (f) "
        "scaled = Div (t, white) }"
    )
    nodes = list(graph.node)
    nodes[0].input[0] = "scaled"
    del graph.node[:], graph.input[:]
    graph.node.extend([*text.node, *nodes])
    graph.input.extend(text.input)
    graph.initializer.extend(text.initializer)

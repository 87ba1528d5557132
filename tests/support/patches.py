"""A classifier that sees each patch of a picture on its own, in every layout of feature maps.

Two classes and D = 8 channels; the grid is the picture's size over that of a patch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
from graphs import Weights, ints, with_weights
from onnx.parser import parse_model
from PIL import Image

from exporter.config import ExportConfig
from serving.artifact import Preprocessing

NORM = "LayerNormalization <axis = -1> (t, gamma, beta)"
TAILS = {
    "NCHW": "z = ReduceMean <axes = [2, 3], keepdims = 0> (r)",
    "NHWC": f"""
      t = Transpose <perm = [0, 2, 3, 1]> (r)
      n = {NORM}
      z = ReduceMean <axes = [1, 2], keepdims = 0> (n)""",
    "NLC": f"""
      f = Reshape (r, to_bdl)
      t = Transpose <perm = [0, 2, 1]> (f)
      n = {NORM}
      z = ReduceMean <axes = [1], keepdims = 0> (n)""",
}
_GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
patches (float[{batch}, 3, {size[0]}, {size[1]}] image) => (float[{batch}, 2] logits) {{
  c = Conv <strides = [{patch[0]}, {patch[1]}]> (image, kernel)
  r = Relu (c)
  {tail}
  logits = Gemm <transB = 1> (z, weight, bias)
}}
"""


def write(
    folder: Path,
    size: tuple[int, int] = (64, 64),
    patch: tuple[int, int] = (4, 16),
    *,
    tail: str = TAILS["NLC"],
    weights: Weights | None = None,
    batch: int | str = "b",
) -> ExportConfig:
    """Write a model and data for it into a folder; the config exports them."""
    text = _GRAPH.format(size=size, patch=patch, tail=tail, batch=batch)
    given: Weights = {
        "kernel": (8, 3, *patch),
        "to_bdl": ints(0, 8, -1),
        "gamma": np.ones(8, np.float32),
        "beta": (8,),
        "weight": (2, 8),
        "bias": (2,),
        **(weights or {}),
    }
    ir.save(with_weights(parse_model(text), given), folder / "model.onnx")
    generator = np.random.default_rng(0)
    for label in "ab":
        (folder / "data" / label).mkdir(parents=True)
        for number in range(5):
            pixels = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "data" / label / f"{number}.png")
    return ExportConfig(
        model=str(folder / "model.onnx"),
        data=folder / "data",
        out=folder / "artifact",
        preprocessing=Preprocessing(resize=size),
        prototypes=2,
        jobs=1,
    )

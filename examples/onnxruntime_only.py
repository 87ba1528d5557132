"""Explain a prediction with onnxruntime and NumPy alone, without protohead installed.

    python examples/onnxruntime_only.py demo/artifact

Runs the artifact's golden batch; in your program the tensor comes from your own preprocessing, as
manifest.json describes it.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort

folder = Path(sys.argv[1])
manifest = json.loads((folder / "manifest.json").read_text())
labels = [record["label"] for record in manifest["classes"]]
session = ort.InferenceSession(folder / "model.onnx")
name = manifest["input"]["name"]
with np.load(folder / "golden.npz") as golden:
    batch = golden[f"inputs/{name}"]

names = [output.name for output in session.get_outputs()]
outputs = dict(zip(names, session.run(names, {name: batch}), strict=True))
logits = outputs[manifest["head"]["logits"]].reshape(1, -1)  # (1, c), whatever its axes
prefix = manifest.get("prefix", "")  # where the classifier had one of these names itself
for image in range(len(batch)):
    best = outputs[f"{prefix}class_ids"][image, 0]
    print(f"image {image}: {labels[best]}, logit {logits[image, best]:.3f}")
    for number, heatmap in enumerate(outputs[f"{prefix}heatmaps"][image, 0]):
        row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
        contribution = outputs[f"{prefix}contributions"][image, 0, number]
        print(f"  prototype {number}: {contribution:+.3f}, strongest at cell ({row}, {column})")

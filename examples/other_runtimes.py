"""Does another runtime give the recorded answers? OpenVINO, OpenCV and ONNX's reference evaluator.

    pip install openvino opencv-python-headless onnx
    python examples/other_runtimes.py demo/artifact

Prints, for each runtime that is installed, the largest difference from golden.npz over the largest
value of each output.
"""

import importlib.util
import sys
from collections.abc import Callable

import numpy as np

Run = Callable[[str, np.ndarray, list[str]], list[np.ndarray]]


def openvino(model: str, batch: np.ndarray, names: list[str]) -> list[np.ndarray]:
    """OpenVINO; on some CPUs it computes in bfloat16 unless float32 is asked for."""
    import openvino

    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(model, "CPU", options)
    found = compiled([batch])
    return [found[compiled.output(name)] for name in names]


def opencv(model: str, batch: np.ndarray, names: list[str]) -> list[np.ndarray]:
    """OpenCV's dnn module."""
    import cv2

    network = cv2.dnn.readNetFromONNX(model)
    network.setInput(batch)
    return list(network.forward(names))


def reference(model: str, batch: np.ndarray, names: list[str]) -> list[np.ndarray]:
    """ONNX's reference evaluator, slow and plain."""
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(model)
    return evaluator.run(names, {evaluator.input_names[0]: batch})


RUNTIMES: dict[str, Run] = {"openvino": openvino, "cv2": opencv, "onnx": reference}

with np.load(f"{sys.argv[1]}/golden.npz") as golden:
    (batch,) = [golden[name] for name in golden.files if name.startswith("inputs/")]
    expected = {n.removeprefix("outputs/"): golden[n] for n in golden.files if n[0] == "o"}
for module, run in RUNTIMES.items():
    if importlib.util.find_spec(module) is None:
        print(f"{module}: not installed")
        continue
    found = run(f"{sys.argv[1]}/model.onnx", batch, list(expected))
    for value, (name, wanted) in zip(found, expected.items(), strict=True):
        difference = np.abs(np.reshape(value, wanted.shape) - wanted).max() / np.abs(wanted).max()
        print(f"{module:10} {name:14} {difference:.1e}")

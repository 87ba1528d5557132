"""From an image file to an overlay in Python, without protohead installed.

    pip install numpy pillow onnxruntime
    python examples/embed/python/explain.py ARTIFACT IMAGE OUT.png

Prints the explanation as JSON. `--runtime openvino`, `opencv` or `reference` (ONNX's own, slow and
plain) takes another runtime: pip install openvino, opencv-python-headless or onnx.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from port import Artifact, decode, overlay

Outputs = dict[str, np.ndarray]


def onnxruntime(model: str, name: str, tensor: np.ndarray) -> Outputs:
    """Whatever onnxruntime finds to run on."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {name: tensor}), strict=True))


def openvino(model: str, name: str, tensor: np.ndarray) -> Outputs:
    """OpenVINO; on some CPUs it computes in bfloat16 unless float32 is asked for."""
    import openvino

    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled({name: tensor})
    return {known: found[port] for port in compiled.outputs for known in port.names}


def opencv(model: str, name: str, tensor: np.ndarray) -> Outputs:
    """OpenCV's dnn module."""
    import cv2

    network = cv2.dnn.readNetFromONNX(model)
    network.setInput(tensor, name)
    names = network.getUnconnectedOutLayersNames()
    return dict(zip(names, network.forward(names), strict=True))


def reference(model: str, name: str, tensor: np.ndarray) -> Outputs:
    """ONNX's reference evaluator."""
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(model)
    return dict(zip(evaluator.output_names, evaluator.run(None, {name: tensor}), strict=True))


RUNTIMES: dict[str, Callable[[str, str, np.ndarray], Outputs]] = {
    run.__name__: run for run in (onnxruntime, openvino, opencv, reference)
}


def main() -> None:
    """Read the arguments, run the graph, write the picture, print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--runtime", choices=RUNTIMES, default="onnxruntime")
    asked = parser.parse_args()
    try:
        artifact = Artifact(asked.artifact)
        view, tensor = artifact.prepare(decode(asked.image))
        name, model = artifact.input["name"], asked.artifact / "model.onnx"
        outputs = RUNTIMES[asked.runtime](str(model), name, tensor)
        classes = artifact.explain(outputs, view.size)
        overlay(view, classes[0]).save(asked.out)
    except Exception as error:  # each runtime has its own, of several lines
        raise SystemExit(f"explain.py: {str(error).splitlines()[0]}") from error
    for prototype in (prototype for explained in classes for prototype in explained["prototypes"]):
        del prototype["heatmap"]
    print(json.dumps(classes))


if __name__ == "__main__":
    main()

"""Heads and inputs of other forms than the usual: the whole road, to an answer of the server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import tiny
from http_server import listening
from onnx.numpy_helper import from_array, to_array
from onnx.parser import parse_graph

from exporter import edit, export
from exporter.errors import SourceError
from exporter.verification.run import passed, verify
from serving.artifact import Artifact, Preprocessing
from serving.model.predictor import Predictor
from serving.process.settings import Settings

RAW = Preprocessing(crop=tiny.SIZE, scale=1.0)


class Form(NamedTuple):
    """A change of the tiny classifier: its type and nodes, and the shape of an image's logits."""

    change: Callable[[onnx.GraphProto], None]
    shape: tuple[int, ...] = (3,)
    preprocessing: Preprocessing = Preprocessing(crop=tiny.SIZE)


def _tail(nodes: str, outputs: str = "float[N, 3] logits") -> Callable[[onnx.GraphProto], None]:
    """Other nodes behind the feature map."""

    def change(graph: onnx.GraphProto) -> None:
        text = parse_graph(f"g (float[N, 16, 12, 12] feature) => ({outputs}) {{ {nodes} }}")
        del graph.node[-3:], graph.output[:]
        graph.node.extend(text.node)
        graph.output.extend(text.output)
        (weight,) = (each for each in graph.initializer if each.name == "weight")
        graph.initializer.append(from_array(to_array(weight)[:, :, None, None], "kernel"))
        graph.initializer.append(from_array(np.array([2, 0, 1]), "order"))

    return change


CONV = "pooled = GlobalAveragePool (feature) logits = Conv (pooled, kernel, bias)"
CAM = "maps = Conv (feature, kernel, bias) p = GlobalAveragePool (maps) logits = Flatten (p)"
PICK = (
    "pooled = GlobalAveragePool (feature) flat = Flatten (pooled) "
    "y = Gemm <transB = 1> (flat, weight, bias) logits = Gather <axis = 1> (y, order)"
)
FORMS = {
    "logits (b, c, 1, 1)": Form(_tail(CONV, "float[N, 3, 1, 1] logits"), shape=(3, 1, 1)),
    "class map": Form(_tail(CAM)),
    "picked classes": Form(_tail(PICK)),
    "log-probabilities": Form(_tail(CAM + " l = LogSoftmax <axis = 1> (logits)", "float[N, 3] l")),
    "pixels as whole numbers, channels last": Form(
        tiny.scale_pixels, preprocessing=RAW.model_copy(update={"layout": "NHWC"})
    ),
}


@pytest.fixture(scope="module", params=FORMS)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Form, Path, Artifact]:
    form, folder = FORMS[request.param], tmp_path_factory.mktemp("form")
    config = tiny.write(folder)
    model = onnx.ModelProto()
    model.CopyFrom(tiny.model())
    form.change(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, config.model)
    config = config.model_copy(update={"preprocessing": form.preprocessing})
    return form, folder, export(config)


def test_every_promise_is_kept_and_the_manifest_says_the_shape(
    exported: tuple[Form, Path, Artifact],
) -> None:
    form, _, artifact = exported
    assert passed(verify(artifact.folder))
    assert artifact.manifest.logits_shape == form.shape
    assert (artifact.manifest.head.logits_shape is None) == (len(form.shape) == 1)


def test_logits_and_probabilities_are_those_of_onnxruntime_alone(
    exported: tuple[Form, Path, Artifact],
) -> None:
    _, folder, artifact = exported
    manifest, predictor = artifact.manifest, Predictor(artifact, threads=1)
    pictures = [tiny.image(label, 500) for label in range(3)]
    tensors = np.stack([predictor.preprocess(picture)[1] for picture in pictures])
    session = ort.InferenceSession(folder / "tiny.onnx")
    (expected,) = session.run(
        [manifest.head.output], {"image": tensors.astype(manifest.input.dtype)}
    )
    outputs = predictor.run(tensors)
    np.testing.assert_array_equal(outputs.source[manifest.head.output], expected)
    explained = predictor.explain(pictures[0], classes=[0, 1, 2]).classes
    logits = predictor.predict(pictures[:1]).astype(np.float64)[0]
    assert logits.shape == (3,)
    shares = np.exp(logits - logits.max())
    found = [each.probability for each in explained]
    np.testing.assert_allclose(found, shares / shares.sum(), rtol=1e-6)  # one pass in float64
    if manifest.head.output != manifest.head.logits:  # their logarithms, in float32
        np.testing.assert_allclose(np.log(found), expected[0], atol=1e-4)


def test_a_muted_prototype_is_gone_for_good_and_can_come_back(
    exported: tuple[Form, Path, Artifact], tmp_path: Path
) -> None:
    artifact = exported[2]
    edited = edit(artifact.folder, tmp_path / "edited", mute=[(0, 1)], reason="a test")
    assert passed(verify(edited.folder))
    before, after = (Predictor(each, threads=1) for each in (artifact, edited))
    picture = [tiny.image(0, 500)]
    assert (before.predict(picture)[0, 1:] == after.predict(picture)[0, 1:]).all()
    assert before.predict(picture)[0, 0] != after.predict(picture)[0, 0]


def test_the_server_explains_it_and_gives_the_outputs_as_they_are(
    exported: tuple[Form, Path, Artifact], tmp_path: Path
) -> None:
    form, _, artifact = exported
    log = tmp_path / "audit.jsonl"
    settings = Settings(artifact=artifact.folder, provider="cpu", threads=1, audit=log)
    manifest, inputs = artifact.manifest, np.load(artifact.path("golden.npz"))["inputs/image"]
    kind = {"float32": "FP32", "uint8": "UINT8"}[manifest.input.dtype]
    body = {
        "inputs": [
            {
                "name": "image",
                "shape": list(inputs.shape),
                "datatype": kind,
                "data": inputs.ravel().tolist(),
            }
        ],
        "outputs": [{"name": manifest.head.logits}],
    }
    with listening(settings) as server:
        response = server.post("/v2/models/tiny/infer", json=body)
    (output,) = response.json()["outputs"]
    assert output["shape"] == [len(inputs), *form.shape]
    logits = np.array(output["data"], np.float32).reshape(len(inputs), -1)
    np.testing.assert_array_equal(logits, Predictor(artifact, threads=1).run(inputs).logits)
    records = [json.loads(line) for line in log.read_text().splitlines()]
    best = [record["classes"][0]["id"] for record in records]
    assert best == logits.argmax(axis=1).tolist()


def test_what_scales_itself_is_not_scaled_before(tmp_path: Path) -> None:
    config = tiny.write(tmp_path)
    model = onnx.ModelProto()
    model.CopyFrom(tiny.model())
    tiny.scale_pixels(model.graph)
    onnx.save(model, config.model)
    with pytest.raises(SourceError, match=r"takes uint8.*`preset` raw would do"):
        export(config.model_copy(update={"preprocessing": "unit"}))

"""Sources that are older than the outputs, or have their names: the whole road."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import tiny
from http_server import listening

from exporter import edit, export, inspect_model
from exporter.config import ExportConfig
from exporter.errors import SurgeryError
from exporter.source.onnx_file import load_source
from exporter.verification.run import passed, verify
from serving import load_artifact
from serving.artifact import Artifact, Manifest
from serving.model.predictor import Predictor
from serving.process.settings import Settings

OURS = ("contributions", "common", "class_ids", "heatmaps", "prototype_mask", "classes")


def write(folder: Path, model: onnx.ModelProto) -> ExportConfig:
    """A config that exports this classifier on the tiny pictures."""
    config = tiny.write(folder)
    onnx.save(model, config.model)
    return config


def copy() -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.CopyFrom(tiny.model())
    return model


def old(ir_version: int) -> onnx.ModelProto:
    """The tiny classifier in opset 9; before IR 4 its weights are inputs, as they had to be."""
    model = copy()
    model.opset_import[0].version, model.ir_version = 9, ir_version
    if ir_version < 4:
        for weight in model.graph.initializer:
            found = onnx.helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
            model.graph.input.append(found)
    return model


def renamed(before: str, after: str) -> onnx.ModelProto:
    """The tiny classifier with another name for one of its values."""
    model = copy()
    graph = model.graph
    for found in (*graph.input, *graph.output, *graph.initializer):
        found.name = after if found.name == before else found.name
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [after if name == before else name for name in names]
    return model


@pytest.mark.parametrize("ir_version", [3, 4, 8])
def test_an_artifact_of_an_old_classifier_is_held_to_the_file(
    tmp_path: Path, ir_version: int
) -> None:
    config = write(tmp_path, old(ir_version))
    artifact = export(config)
    assert {gate.state for gate in artifact.manifest.verification} == {"passed"}
    source = load_source(config.model).original
    assert (source.opset_imports[""], source.ir_version) == (9, ir_version)
    assert passed(verify(config.out, source=source))


def test_an_old_classifier_with_another_bit_is_another(tmp_path: Path) -> None:
    config = write(tmp_path, old(4))
    export(config)
    model = old(4)
    bias = onnx.numpy_helper.to_array(model.graph.initializer[-1]).copy()
    bias[0] = np.nextafter(bias[0], np.float32(99))
    model.graph.initializer[-1].CopyFrom(onnx.numpy_helper.from_array(bias, "bias"))
    onnx.save(model, config.model)
    gates = verify(config.out, source=load_source(config.model).original)
    assert [gate.state for gate in gates if gate.name == "logits, batch 8"] == ["failed"]


@pytest.mark.parametrize(
    ("place", "name"),
    [
        *(("logits", name) for name in OURS),
        ("image", "classes"),
        ("feature", "heatmaps"),
        ("weight", "common"),
    ],
)
def test_a_taken_name_is_left_to_the_source(tmp_path: Path, place: str, name: str) -> None:
    config = write(tmp_path, renamed(place, name))
    artifact = export(config)
    assert {gate.state for gate in artifact.manifest.verification} == {"passed"}
    assert artifact.manifest.prefix == "protohead_"
    session = ort.InferenceSession(artifact.path("steerable.onnx"))
    names = {value.name for value in (*session.get_inputs(), *session.get_outputs())}
    assert {f"protohead_{name}" for name in OURS} <= names


def test_a_prefix_that_is_taken_too_grows(tmp_path: Path) -> None:
    model = renamed("logits", "heatmaps")
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = "protohead_common"
    assert export(write(tmp_path, model)).manifest.prefix == "protohead_protohead_"


@pytest.fixture(scope="module")
def plain_and_taken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, Artifact]:
    """The tiny artifact, and the same of a classifier whose logits are named heatmaps."""
    folder = tmp_path_factory.mktemp("taken")
    config = write(folder, renamed("logits", "heatmaps"))
    taken = export(config)
    onnx.save(tiny.model(), config.model)
    return export(config.model_copy(update={"out": folder / "plain"})), taken


def test_what_reads_an_artifact_reads_the_names_that_it_records(
    plain_and_taken: tuple[Artifact, Artifact],
) -> None:
    picture = tiny.image(0, 200)
    answers = [
        Predictor(artifact).explain(picture, classes=[1, 0], mute=[(0, 1)])
        for artifact in plain_and_taken
    ]
    first, second = ([(c.logit, c.common) for c in answer.classes] for answer in answers)
    assert first == second
    for one, other in zip(answers[0].classes, answers[1].classes, strict=True):
        for here, there in zip(one.prototypes, other.prototypes, strict=True):
            assert here.contribution == there.contribution
            np.testing.assert_array_equal(here.heatmap, there.heatmap)
    batch = np.zeros((1, 3, tiny.SIZE, tiny.SIZE), np.float32)
    assert Predictor(plain_and_taken[1]).run(batch).source.keys() == {"heatmaps"}


def test_an_artifact_with_a_prefix_can_be_edited(
    plain_and_taken: tuple[Artifact, Artifact], tmp_path: Path
) -> None:
    edited = edit(plain_and_taken[1].folder, tmp_path / "edited", reason="a try", mute=[("red", 1)])
    assert edited.manifest.prefix == "protohead_"
    explained = Predictor(edited).explain(tiny.image(0, 200), classes=["red"]).classes[0]
    assert explained.prototypes[1].contribution == 0


def test_a_server_puts_contributions_with_a_prefix_on_record(
    plain_and_taken: tuple[Artifact, Artifact], tmp_path: Path
) -> None:
    kept = tmp_path / "audit.jsonl"
    folder = plain_and_taken[1].folder
    settings = Settings(artifact=folder, provider="cpu", threads=1, audit=kept)
    shape = [1, 3, tiny.SIZE, tiny.SIZE]
    tensor = {"name": "image", "shape": shape, "datatype": "FP32", "data": [0.5] * math.prod(shape)}
    with listening(settings) as address, address.client() as client:
        name = client.get("/v1/model").json()["name"]
        answer = client.post(f"/v2/models/{name}/infer", json={"inputs": [tensor]}).json()
    given = {output["name"]: output["data"] for output in answer["outputs"]}
    classes = json.loads(kept.read_text())["classes"]
    assert [found["id"] for found in classes] == given["protohead_class_ids"]
    told = [share for found in classes for share in found["contributions"]]
    # The answer writes the fewest digits that give the same float32.
    np.testing.assert_array_equal(
        np.float32(told), np.float32(given["protohead_contributions"]), strict=True
    )


def test_a_manifest_without_taken_names_says_nothing_of_them(tmp_path: Path) -> None:
    artifact = export(tiny.write(tmp_path))
    assert artifact.manifest.prefix == ""
    assert '"prefix"' not in artifact.path("manifest.json").read_text()
    assert isinstance(load_artifact(artifact.folder).manifest, Manifest)


def test_a_graph_that_was_extended_before_is_refused_before_the_work(tmp_path: Path) -> None:
    config = tiny.write(tmp_path)
    model = str(export(config).path("model.onnx"))
    with pytest.raises(SurgeryError, match="it was extended before"):
        inspect_model(model)
    nowhere = config.model_copy(update={"model": model, "data": tmp_path / "nowhere"})
    with pytest.raises(SurgeryError, match="it was extended before"):
        export(nowhere)

"""What an artifact stores of the head, which files lie beside it, and whose model it is."""

import json
import shutil
from xml.etree import ElementTree

import numpy as np
import onnx
import onnxruntime
import pytest
import tiny
from manifests import write_manifest
from onnx.numpy_helper import from_array, to_array
from safetensors.numpy import load_file, save

from exporter import export, verify
from exporter.source.onnx_file import load_source
from exporter.verification.run import passed
from serving.artifact import sha256_of


@pytest.fixture
def artifact(tiny_export, tmp_path):
    return shutil.copytree(tiny_export[1].folder, tmp_path / "artifact")


def failed(gates):
    return {gate.name: gate.detail for gate in gates if gate.state == "failed"}


def store(artifact, **changes):
    """Write other arrays beside the graphs, hashes and all."""
    path = artifact / "prototypes.safetensors"
    path.write_bytes(save(load_file(path) | changes))
    content = json.loads((artifact / "manifest.json").read_bytes())
    content["files"][path.name] = sha256_of(path)
    write_manifest(artifact, content)


def test_files_that_the_manifest_does_not_list_are_named(artifact):
    (artifact / "evidence" / "holiday.jpg").write_bytes(b"mine")
    (artifact / "notes.txt").write_text("mine")
    assert failed(verify(artifact)) == {
        "integrity": "2 files are here that the manifest does not list: "
        "evidence/holiday.jpg, notes.txt"
    }


def test_what_a_file_manager_leaves_is_no_file_of_the_artifact(artifact):
    (artifact / ".DS_Store").write_bytes(b"finder")
    (artifact / "evidence" / "Thumbs.db").write_bytes(b"explorer")
    assert passed(verify(artifact))


def test_an_artifact_from_before_manifests_had_a_hash_still_verifies(artifact):
    (artifact / "manifest.sha256").unlink()
    gates = verify(artifact)
    assert passed(gates)
    assert "no hash" in gates[0].detail


def test_prototypes_in_another_order_are_found_though_their_sum_is_the_same(artifact):
    prototypes = load_file(artifact / "prototypes.safetensors")["prototypes"]
    store(artifact, prototypes=np.ascontiguousarray(prototypes[:, ::-1]))
    found = failed(verify(artifact))
    assert "prototypes sum to head" not in found
    assert (
        "the prototypes of model.onnx, the prototypes of steerable.onnx"
        in (found["stored prototypes"])
    )


@pytest.mark.parametrize("name", ["bias", "reference"])
def test_one_bit_of_what_is_stored_is_found(artifact, name):
    values = load_file(artifact / "prototypes.safetensors")[name]
    values[0] = np.nextafter(values[0], np.float32(np.inf))
    store(artifact, **{name: values})
    assert "stored prototypes" in failed(verify(artifact))


def test_a_scale_that_no_sum_tells_is_held_to_the_graphs(artifact):
    scale = load_file(artifact / "prototypes.safetensors")["scale"]
    scale[0, 0] = np.nextafter(scale[0, 0], np.float32(np.inf))
    store(artifact, scale=scale)
    found = failed(verify(artifact))["stored prototypes"]
    assert "the scale of model.onnx, the scale of steerable.onnx" in found


def swap_labels(artifact):
    content = json.loads((artifact / "manifest.json").read_bytes())
    first, second = content["classes"][:2]
    first["label"], second["label"] = second["label"], first["label"]
    write_manifest(artifact, content)


def test_labels_in_another_order_are_found(artifact):
    swap_labels(artifact)
    found = failed(verify(artifact))
    assert found.keys() == {"stored prototypes"}
    assert "the labels of model.onnx, the labels of steerable.onnx" in found["stored prototypes"]


@pytest.mark.parametrize("graph", ["model.onnx", "steerable.onnx"])
def test_whoever_holds_a_graph_alone_reads_its_labels_there(artifact, graph):
    session = onnxruntime.InferenceSession(artifact / graph)
    noted = session.get_modelmeta().custom_metadata_map["protohead/labels"]
    content = json.loads((artifact / "manifest.json").read_bytes())
    assert json.loads(noted) == [entry["label"] for entry in content["classes"]]


def test_an_artifact_from_before_graphs_had_labels_still_verifies(artifact):
    content = json.loads((artifact / "manifest.json").read_bytes())
    for graph in ("model.onnx", "steerable.onnx"):
        model = onnx.load(artifact / graph)
        kept = [entry for entry in model.metadata_props if "added" in entry.key]
        del model.metadata_props[:]
        model.metadata_props.extend(kept)
        onnx.save(model, artifact / graph)
        content["files"][graph] = sha256_of(artifact / graph)
    write_manifest(artifact, content)
    gates = verify(artifact)
    assert passed(gates)
    (stored,) = (gate for gate in gates if gate.name == "stored prototypes")
    assert "older version" in stored.detail


@pytest.mark.parametrize("note", ["scale", "source", "prototypes"])
def test_a_graph_that_lost_one_of_its_notes_is_not_taken_for_an_older_one(artifact, note):
    model = onnx.load(artifact / "model.onnx")
    kept = [entry for entry in model.metadata_props if entry.key != f"protohead/{note}_sha256"]
    assert len(kept) == len(model.metadata_props) - 1
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    onnx.save(model, artifact / "model.onnx")
    content = json.loads((artifact / "manifest.json").read_bytes())
    content["files"]["model.onnx"] = sha256_of(artifact / "model.onnx")
    write_manifest(artifact, content)
    assert f"the {note} of model.onnx" in failed(verify(artifact))["stored prototypes"]


def renamed_output(model):
    model.graph.output[0].name = "scores"
    model.graph.node[-1].output[0] = "scores"


def renamed_input(model):
    model.graph.input[0].name = "pixels"
    model.graph.node[0].input[0] = "pixels"


def other_classes(model):
    weights = {weight.name: weight for weight in model.graph.initializer}
    for name in ("weight", "bias"):
        weights[name].CopyFrom(from_array(to_array(weights[name])[:2].copy(), name))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 2


def fewer_channels(model):
    for tensor in model.graph.initializer:
        values = to_array(tensor)
        if tensor.name in ("w2", "b2"):
            tensor.CopyFrom(from_array(values[:8].copy(), tensor.name))
        if tensor.name == "weight":
            tensor.CopyFrom(from_array(values[:, :8].copy(), tensor.name))


def no_classifier(model):
    model.graph.node[-1].op_type = "MatMul"
    del model.graph.node[-1].attribute[:]
    model.graph.node[-1].input[:] = ["flat", "flat"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (renamed_output, "expected the output 'logits', found 'scores'"),
        (renamed_input, "expected the input 'image', found 'pixels'"),
        (other_classes, "expected 3 classes and 16 channels, found 2 and 16"),
        (fewer_channels, "expected 3 classes and 16 channels, found 3 and 8"),
        (no_classifier, "another model's"),
    ],
)
def test_the_model_of_another_artifact_fails_a_gate_and_ci_hears_of_it(
    run, artifact, tmp_path, change, words
):
    model = onnx.ModelProto()
    model.CopyFrom(tiny.model())
    change(model)
    onnx.save(model, tmp_path / "other.onnx")
    junit = tmp_path / "verify.xml"
    code, out, err = run("verify", artifact, "--model", tmp_path / "other.onnx", "--junit", junit)
    assert (code, err) == (1, "")
    assert words in out
    suite = ElementTree.parse(junit).getroot()
    assert suite.attrib["failures"] == "1"


def test_a_graph_from_which_the_source_cannot_be_taken_fails_a_gate(artifact):
    model = onnx.load(artifact / "model.onnx")
    (heat,) = (node for node in model.graph.node if "heatmaps" in node.output)
    heat.name = "not ours"
    onnx.save(model, artifact / "model.onnx")
    content = json.loads((artifact / "manifest.json").read_bytes())
    content["files"]["model.onnx"] = sha256_of(artifact / "model.onnx")
    write_manifest(artifact, content)
    assert "cannot be taken out" in failed(verify(artifact))["source"]


@pytest.mark.parametrize("activation", ["Sigmoid", "Softmax"])
def test_probabilities_that_saturate_rank_the_classes_by_their_logits(tmp_path, activation):
    """Of many classes at exactly 1.0, or all but one at 0.0, the largest logit is the best."""
    config = tiny.write(tmp_path)
    model = onnx.load(config.model)
    for weight in model.graph.initializer:
        if weight.name in ("weight", "bias"):
            shift = 300.0 if weight.name == "bias" else 0.0
            weight.CopyFrom(from_array(to_array(weight) + np.float32(shift), weight.name))
    model.graph.output[0].name = "probabilities"
    model.graph.node.append(onnx.helper.make_node(activation, ["logits"], ["probabilities"]))
    onnx.save(model, config.model)
    made = export(config.model_copy(update={"out": tmp_path / "saturated"}))
    gates = verify(made.folder, source=load_source(config.model).model)
    assert passed(gates)
    with np.load(made.folder / "golden.npz") as golden:
        saturated = golden["outputs/probabilities"] == 1.0
    assert saturated.sum(axis=1).max() >= (2 if activation == "Sigmoid" else 1)

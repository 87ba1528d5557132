"""Further graphs of an artifact, from its files to the gates that hold them."""

from __future__ import annotations

import json
import shutil
from dataclasses import astuple

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import tiny
import two_layers
from manifests import write_manifest

from exporter import Form, convert, edit, export, quantize, undo_edit, verify
from exporter.errors import EditError, OutputError
from serving import Predictor
from serving.artifact import sha256_of
from serving.model.runtime import make_session, output_names, run

DENSE, PIXELS = Form("dense"), Form("explained", "uint8")


@pytest.fixture(scope="module")
def converted(tiny_export, tmp_path_factory):
    """The tiny artifact with a dense graph and one that takes pixels."""
    folder = tmp_path_factory.mktemp("converted")
    dense = convert(tiny_export[1].folder, folder / "dense", DENSE)
    return convert(dense.folder, folder / "both", PIXELS)


@pytest.fixture
def artifact(converted, tmp_path):
    return shutil.copytree(converted.folder, tmp_path / "artifact")


def failed(gates):
    return {gate.name for gate in gates if gate.state == "failed"}


def store(folder, model, name):
    """Write another graph in the place of one, its hash in the manifest."""
    onnx.save(model, folder / name)
    content = json.loads((folder / "manifest.json").read_bytes())
    content["files"][name] = sha256_of(folder / name)
    write_manifest(folder, content)


def test_the_other_files_stay_what_they_are(tiny_export, converted):
    before, after = tiny_export[1].manifest, converted.manifest
    assert after.files.items() >= before.files.items()
    assert after.files.keys() - before.files.keys() == {"dense.onnx", "model_uint8.onnx"}
    apart = {"graphs", "files", "verification"}
    assert after.model_dump(exclude=apart) == before.model_dump(exclude=apart)
    assert "graphs" not in json.loads((tiny_export[1].folder / "manifest.json").read_bytes())


def test_the_manifest_describes_every_graph(converted):
    for record in converted.manifest.graphs:
        session = make_session(converted.path(record.file))
        for told, given in (
            (record.inputs, session.get_inputs()),
            (record.outputs, session.get_outputs()),
        ):
            assert [value.name for value in told] == [value.name for value in given]
            for value, found in zip(told, given, strict=True):
                assert len(value.shape) == len(found.shape)
                assert all(a in (None, b) for a, b in zip(value.shape, found.shape, strict=True))
                assert value.meaning
    kinds = {record.file: record.variant for record in converted.manifest.graphs}
    assert kinds == {
        "model.onnx": "explained",
        "steerable.onnx": "steerable",
        "dense.onnx": "dense",
        "model_uint8.onnx": "explained",
    }
    picture = converted.manifest.graphs[-1].inputs[0]
    assert (picture.dtype, picture.layout, picture.channels) == ("uint8", "NHWC", "RGB")
    assert picture.shape == (None, tiny.SIZE, tiny.SIZE, 3)


def test_what_the_manifest_says_of_a_value_is_its_doc_string(converted):
    for record in converted.manifest.graphs:
        graph = onnx.load(converted.path(record.file)).graph
        found = {value.name: value.doc_string for value in (*graph.input, *graph.output)}
        assert found == {v.name: v.meaning for v in (*record.inputs, *record.outputs)}


def test_a_dense_graph_sums_to_every_logit(converted):
    predictor = Predictor(converted)
    tensors = np.stack([tiny.tensor(tiny.image(label, 50)) for label in range(3)])
    tensors = tensors.astype(np.float32)
    session = make_session(converted.path("dense.onnx"))
    found = run(session, output_names(session), {"image": tensors})
    k = converted.manifest.prototypes
    total = found["contributions"].reshape(3, 3, k).sum(2) + found["common"] + predictor.bias
    largest = np.abs(found["contributions"]).max()
    np.testing.assert_allclose(total, found["logits"], rtol=0, atol=1e-5 * largest)
    assert found["logits"].tobytes() == predictor.logits(tensors).tobytes()


def test_the_same_inputs_give_the_same_bytes(tiny_export, converted, tmp_path):
    again = convert(tiny_export[1].folder, tmp_path / "dense", DENSE)
    again = convert(again.folder, tmp_path / "both", PIXELS)
    assert again.manifest == converted.manifest


def test_an_export_writes_the_graph_that_convert_would(converted, tmp_path):
    config = tiny.write(tmp_path).model_copy(update={"variant": "dense"})
    made = export(config)
    assert made.manifest.files["dense.onnx"] == converted.manifest.files["dense.onnx"]
    assert {"dense.onnx: logits", "dense.onnx: heatmaps"} <= {
        gate.name for gate in made.manifest.verification
    }


def test_what_comes_from_no_place_has_its_output(tmp_path):
    config = two_layers.write(tmp_path).model_copy(update={"variant": "dense"})
    made = export(config)
    assert "unplaced" in [value.name for value in made.manifest.graphs[-1].outputs]
    assert not failed(verify(made.folder))


def test_a_graph_that_is_there_is_not_written_again(converted, tmp_path):
    for form in (DENSE, PIXELS, Form()):
        with pytest.raises(OutputError, match="it has one"):
            convert(converted.folder, tmp_path / "out", form)
    assert not list(tmp_path.iterdir())


def test_a_muted_prototype_is_muted_in_a_graph_made_later(tiny_export, tmp_path):
    edited = edit(tiny_export[1].folder, tmp_path / "edited", reason="test", mute=[(0, 1)])
    for form in (DENSE, Form("dense", "uint8", "NCHW")):
        made = convert(edited.folder, tmp_path / form.file, form)
        assert not failed(verify(made.folder))
    undone = undo_edit(made.folder, tmp_path / "undone")
    assert undone.manifest == tiny_export[1].manifest


def test_a_prototype_of_a_head_of_two_layers_is_muted_in_a_dense_graph(tmp_path):
    made = export(two_layers.write(tmp_path))
    edited = edit(made.folder, tmp_path / "edited", reason="test", mute=[(0, 1)])
    dense = convert(edited.folder, tmp_path / "dense", DENSE)
    assert not failed(verify(dense.folder))
    assert undo_edit(dense.folder, tmp_path / "undone").manifest == made.manifest


def test_an_edit_that_would_not_reach_every_graph_is_refused(converted, tmp_path):
    with pytest.raises(EditError, match="before `protohead convert`"):
        edit(converted.folder, tmp_path / "edited", reason="test", mute=[(0, 1)])
    named = edit(converted.folder, tmp_path / "named", reason="test", names=[((0, 1), "wing")])
    assert not failed(verify(named.folder))


@pytest.mark.parametrize(
    ("file", "constant", "gate"),
    [
        ("dense.onnx", "protohead/prototypes", "contributions"),
        ("dense.onnx", "protohead/smoothing", "heatmaps"),
        ("dense.onnx", "weight", "logits"),
        ("model_uint8.onnx", "protohead/pixels/shift", "pixels"),
    ],
)
def test_a_graph_of_other_numbers_fails_its_gates(artifact, file, constant, gate):
    model = onnx.load(artifact / file)
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == constant]
    values = onnx.numpy_helper.to_array(tensor).copy()
    values.flat[0] += 0.5
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, constant))
    store(artifact, model, file)
    assert f"{file}: {gate}" in failed(verify(artifact))


def test_a_graph_that_is_not_as_described_fails(artifact):
    model = onnx.load(artifact / "dense.onnx")
    model.graph.output[1].doc_string = "something else"
    model.graph.output[1].name = "more"
    next(n for n in model.graph.node if "contributions" in n.output).output[0] = "more"
    store(artifact, model, "dense.onnx")
    assert failed(verify(artifact)) == {"dense.onnx: description"}


def test_an_operator_that_converters_lack_fails(artifact):
    model = onnx.load(artifact / "dense.onnx")
    node = next(node for node in model.graph.node if "heatmaps" in node.output)
    node.output[0] = "whole"
    node = onnx.helper.make_node("Shape", ["whole"], ["size"], name="protohead/size")
    again = onnx.helper.make_node("Reshape", ["whole", "size"], ["heatmaps"], name="protohead/heat")
    model.graph.node.extend([node, again])
    store(artifact, model, "dense.onnx")
    assert failed(verify(artifact)) == {"dense.onnx: operators"}


@pytest.mark.parametrize("file", ["dense.onnx", "model_uint8.onnx"])
def test_a_further_graph_is_hashed(artifact, file):
    (artifact / file).write_bytes((artifact / file).read_bytes() + b" ")
    gate = verify(artifact)[0]
    assert gate.state == "failed"
    assert file in gate.detail


def test_metadata_names_what_the_graph_is_made_of(converted):
    manifest = converted.manifest
    for record in manifest.graphs:
        props = ir.load(converted.path(record.file)).metadata_props
        assert json.loads(props["protohead/labels"]) == list(tiny.LABELS)
        assert props["protohead/source_sha256"] == manifest.source.sha256
        assert json.loads(props["protohead/method"])["name"] == manifest.method.name
        prepared = json.loads(props["protohead/preprocessing"])
        assert prepared["crop"] == tiny.SIZE
        # Intel's Model API would prepare pixels a second time.
        assert ("model_info labels" in props) == (record.inputs[0].dtype == "float32")


def test_a_file_is_named_after_what_it_is():
    files = {astuple(form)[:2]: form.file for form in (Form(), DENSE, PIXELS)}
    assert list(files.values()) == ["model.onnx", "dense.onnx", "model_uint8.onnx"]


def test_quantising_leaves_further_graphs_out(tiny_export, converted, tmp_path):
    data = tiny_export[0].data
    made = quantize(converted.folder, tmp_path / "float16", data=data, to="float16")
    assert not made.manifest.graphs
    assert not failed(verify(made.folder))

"""Every gate passes on a sound artifact and fails when its promise is broken."""

import hashlib
import json
import shutil

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from manifests import write_manifest
from onnx.numpy_helper import from_array, to_array
from safetensors.numpy import load_file, save

from exporter import verify
from exporter.source.onnx_file import load_source
from exporter.verification.report import to_markdown
from exporter.verification.run import passed


@pytest.fixture
def artifact(tiny_export, tmp_path):
    return shutil.copytree(tiny_export[1].folder, tmp_path / "artifact")


def rehash(artifact, name):
    """Write the file's new hash into the manifest, as an attacker or a broken tool would."""
    content = json.loads((artifact / "manifest.json").read_text())
    content["files"][name] = hashlib.sha256((artifact / name).read_bytes()).hexdigest()
    write_manifest(artifact, content)


def edit_constant(artifact, graph, name, change):
    model = onnx.load(artifact / graph)
    for tensor in model.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(from_array(change(to_array(tensor).copy()), name))
            break
    else:
        raise AssertionError(f"no constant {name}")
    onnx.save(model, artifact / graph)
    rehash(artifact, graph)


def failed(gates):
    return {gate.name for gate in gates if gate.state == "failed"}


@pytest.mark.parametrize("with_source", [True, False])
def test_a_sound_artifact_passes_every_gate(tiny_export, with_source):
    config, artifact = tiny_export
    source = load_source(config.model).model if with_source else None
    images = sorted(config.data.rglob("*.png"))
    gates = verify(artifact.folder, source=source, images=images)
    assert passed(gates)
    assert [gate.state for gate in gates] == ["passed"] * 14


def test_the_limits_of_the_gates_are_those_that_are_documented(tiny_export):
    limits = {gate.name: gate.limit for gate in verify(tiny_export[1].folder)}
    assert limits["completeness"] == limits["completeness, all"] == limits["heatmap means"] == 1e-5
    assert limits["golden batch"] == 1e-4
    assert limits["top-1 agreement"] == 0
    # float32 rounding of a sum of two prototypes and the reference.
    assert limits["prototypes sum to head"] == pytest.approx(3 * 2**-23)


def test_a_changed_file_stops_at_the_first_gate(artifact):
    with (artifact / "model.onnx").open("ab") as file:
        file.write(b"\0")
    first, *others = verify(artifact)
    assert (first.name, first.state) == ("integrity", "failed")
    assert {gate.state for gate in others} == {"skipped"}
    assert "model.onnx has changed" in first.detail


def test_a_folder_that_is_no_artifact_fails_without_an_exception(tmp_path):
    assert failed(verify(tmp_path)) == {"integrity"}


def test_a_file_that_is_no_model_fails_without_an_exception(artifact):
    (artifact / "model.onnx").write_bytes(b"\x08\x08garbage")
    rehash(artifact, "model.onnx")
    assert failed(verify(artifact)) == {"integrity"}


def test_other_weights_are_not_the_sources_logits(artifact, tiny_export):
    source = load_source(tiny_export[0].model).model
    edit_constant(artifact, "model.onnx", "w2", lambda w: w * np.float32(1 + 1e-6))
    assert {"logits, batch 1", "logits, batch 8"} <= failed(verify(artifact, source=source))


def test_prototypes_that_do_not_sum_to_the_head_are_found(artifact):
    edit_constant(artifact, "model.onnx", "protohead/prototypes", lambda p: p * np.float32(1.001))
    assert "completeness" in failed(verify(artifact))


def test_a_lost_reference_is_found(artifact):
    edit_constant(artifact, "model.onnx", "protohead/reference", lambda r: r * 0)
    assert {"completeness", "golden batch"} <= failed(verify(artifact))


def test_a_wrong_table_of_prototypes_is_found(artifact):
    tensors = load_file(artifact / "prototypes.safetensors")
    tensors["prototypes"][1, 0, 3] += np.float32(1e-4)
    (artifact / "prototypes.safetensors").write_bytes(save(tensors))
    rehash(artifact, "prototypes.safetensors")
    assert failed(verify(artifact)) == {"prototypes sum to head", "stored prototypes"}


def test_a_wrong_bias_is_found(artifact):
    tensors = load_file(artifact / "prototypes.safetensors")
    tensors["bias"][2] += np.float32(0.01)
    (artifact / "prototypes.safetensors").write_bytes(save(tensors))
    rehash(artifact, "prototypes.safetensors")
    assert "completeness, all" in failed(verify(artifact))


def test_a_steerable_graph_of_another_model_is_found(artifact):
    edit_constant(artifact, "steerable.onnx", "weight", lambda w: w + np.float32(0.01))
    assert "neutral mask" in failed(verify(artifact))


def test_a_recorded_answer_that_is_not_reproduced_is_found(artifact):
    with np.load(artifact / "golden.npz") as golden:
        arrays = dict(golden)
    arrays["outputs/heatmaps"] = arrays["outputs/heatmaps"] * np.float32(1.01)
    np.savez(artifact / "golden.npz", **arrays)
    rehash(artifact, "golden.npz")
    assert failed(verify(artifact)) == {"golden batch"}


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY"])
def test_a_golden_batch_that_cannot_be_read_fails_without_an_exception(artifact, content):
    (artifact / "golden.npz").write_bytes(content)
    rehash(artifact, "golden.npz")
    assert failed(verify(artifact)) == {"golden batch", "golden pictures"}


def test_values_that_are_not_numbers_fail(artifact):
    edit_constant(artifact, "model.onnx", "protohead/prototypes", lambda p: np.full_like(p, np.nan))
    assert {"completeness", "heatmap means", "golden batch"} <= failed(verify(artifact))


def test_another_source_model_is_found(artifact, tiny_export, tmp_path):
    model = onnx.load(tiny_export[0].model)
    for tensor in model.graph.initializer:
        if tensor.name == "bias":
            tensor.CopyFrom(from_array(to_array(tensor) + np.float32(0.5), "bias"))
    other = ir.from_proto(model)
    assert "logits, batch 8" in failed(verify(artifact, source=other))


def test_another_best_class_is_found(artifact, tiny_export):
    model = onnx.load(tiny_export[0].model)
    for tensor in model.graph.initializer:
        if tensor.name == "bias":  # far above the others: the best class of every image
            tensor.CopyFrom(from_array(to_array(tensor) + np.float32([1000, 0, 0]), "bias"))
    images = [path for path in tiny_export[0].data.rglob("*.png") if path.parent.name != "red"]
    gates = verify(artifact, source=ir.from_proto(model), images=images)
    (gate,) = (gate for gate in gates if gate.name == "top-1 agreement")
    assert (gate.state, gate.value >= len(images) / (len(images) + 8)) == ("failed", True)


def test_one_heatmap_in_many_whose_mean_is_not_its_contribution_is_found(artifact):
    model = onnx.load(artifact / "model.onnx")
    (node,) = (node for node in model.graph.node if "heatmaps" in node.output)
    node.output[0] = "protohead/right"
    wrong = np.array([1, 1.01], np.float32).reshape(1, 1, 2, 1, 1)  # of two prototypes the second
    model.graph.initializer.append(from_array(wrong, "protohead/wrong"))
    names = ["protohead/right", "protohead/wrong"]
    model.graph.node.append(onnx.helper.make_node("Mul", names, ["heatmaps"], "protohead/last"))
    onnx.save(model, artifact / "model.onnx")
    rehash(artifact, "model.onnx")
    assert "heatmap means" in failed(verify(artifact))


@pytest.mark.parametrize("name", ["outputs/heatmaps", "outputs/logits"])
def test_a_golden_batch_that_lacks_an_output_is_found(artifact, name):
    with np.load(artifact / "golden.npz") as golden:
        arrays = dict(golden)
    del arrays[name]
    np.savez(artifact / "golden.npz", **arrays)
    rehash(artifact, "golden.npz")
    assert failed(verify(artifact)) == {"golden batch"}


@pytest.mark.parametrize("count", [0, 1, 8, 9])
def test_every_image_is_compared_beside_eight_of_noise(tiny_export, count):
    images = sorted(tiny_export[0].data.rglob("*.png"))[:count]
    gates = verify(tiny_export[1].folder, images=images)
    (gate,) = (gate for gate in gates if gate.name == "top-1 agreement")
    assert f"of {8 + count} images differ" in gate.detail


def test_the_markdown_names_what_failed(artifact):
    (artifact / "golden.npz").unlink()
    text = to_markdown(verify(artifact), "birds")
    assert text.startswith("### birds: 1 of 14 gates failed")
    assert "**FAIL**" in text

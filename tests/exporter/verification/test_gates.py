"""What a gate measures against: the size of what is summed, not the sum."""

import json

import numpy as np
import onnx
import pytest
import tiny
from manifests import write_manifest
from onnx.numpy_helper import from_array, to_array

from exporter import export, verify
from exporter.surgery import PREFIX
from exporter.verification.gates import summands
from serving.artifact import sha256_of
from serving.model.outputs import Outputs
from serving.model.predictor import Predictor


def outputs(contributions, common, unplaced=0.0):
    values = np.array(contributions, np.float32)
    ids = np.tile(np.arange(values.shape[1]), (len(values), 1))
    empty = np.zeros((len(values), values.shape[1]), np.float32)
    nowhere = np.full(ids.shape, unplaced, np.float32)
    rest = nowhere, np.zeros(ids.shape, np.float32)
    return Outputs({}, empty, values, np.array(common, np.float32), ids, empty, *rest)


def test_summands_add_up_without_their_signs():
    found = summands(outputs([[[3.0, -4.0]]], [[0.5]], -0.25), np.array([-7.0], np.float32))
    assert found.tolist() == [[3 + 4 + 0.5 + 0.25 + 7]]


def test_a_masked_class_leaves_the_others_their_size():
    bias = np.array([0.0, -1e9, 0.0], np.float32)
    found = summands(outputs([[[3.0], [1.0], [2.0]]], [[0.0]]), bias)
    assert found.tolist() == [[3.0, 1e9 + 1, 2.0]]


def test_a_class_that_is_near_zero_by_chance_counts_as_the_median():
    found = summands(outputs([[[3.0], [1e-9], [2.0]]], [[0.0]]), np.zeros(3, np.float32))
    assert found.tolist() == [[3.0, 2.0, 2.0]]


def test_nothing_to_sum_divides_by_no_zero():
    assert summands(outputs([[[0.0]]], [[0.0]]), np.zeros(1, np.float32)).min() > 0


def with_head(config, weight, bias, *, activation=False):
    """The tiny classifier with another head of any number of classes."""
    model = onnx.load(config.model)
    graph = model.graph
    kept = [tensor for tensor in graph.initializer if tensor.name not in ("weight", "bias")]
    del graph.initializer[:]
    graph.initializer.extend([*kept, from_array(weight, "weight"), from_array(bias, "bias")])
    graph.output[0].type.tensor_type.shape.dim[1].dim_value = len(bias)
    if activation:
        graph.node[-1].output[0] = "before"
        graph.node.append(onnx.helper.make_node("Sigmoid", ["before"], ["logits"]))
    onnx.save(model, config.model)


def head(config):
    tensors = {t.name: to_array(t) for t in onnx.load(config.model).graph.initializer}
    return tensors["weight"], tensors["bias"]


def centred(config, rows):
    """A head whose logits are near zero on the very images that are verified."""
    with_head(config, rows, np.zeros(len(rows), np.float32))
    predictor = Predictor(export(config.model_copy(update={"labels": None, "multilabel": True})))
    images = sorted(config.data.rglob("*.png"))
    logits = predictor.logits(np.stack([predictor.preprocess(path)[1] for path in images]))
    return -logits.mean(axis=0)


@pytest.mark.parametrize("spread", [1.0, 1e-2, 1e-4])
def test_one_logit_on_its_own_boundary_is_exported(tmp_path, spread):
    config = tiny.write(tmp_path)
    for name in tiny.LABELS[1:]:
        (config.data / name).rename(tmp_path / name)
    weight, _ = head(config)
    bias = centred(config, weight[:1])
    rows = (weight[:1] * np.float32(spread)).astype(np.float32)
    with_head(config, rows, bias * np.float32(spread), activation=True)
    changes = {"labels": None, "overwrite": True}
    gates = export(config.model_copy(update=changes)).manifest.verification
    assert {gate.state for gate in gates} <= {"passed", "skipped"}


def test_a_masked_class_hides_no_error_of_another(tmp_path):
    config = tiny.write(tmp_path)
    weight, bias = head(config)
    with_head(config, weight, np.where(np.arange(3) == 2, np.float32(-1e9), bias))
    folder = export(config).folder
    assert not failed(folder)
    model = onnx.load(folder / "model.onnx")
    (stored,) = (t for t in model.graph.initializer if t.name == PREFIX + "prototypes")
    stored.CopyFrom(from_array(to_array(stored) * np.float32(1.001), stored.name))
    onnx.save(model, folder / "model.onnx")
    content = json.loads((folder / "manifest.json").read_text())
    content["files"]["model.onnx"] = sha256_of(folder / "model.onnx")
    write_manifest(folder, content)
    assert "completeness" in failed(folder)


def failed(folder):
    return {gate.name for gate in verify(folder) if gate.state == "failed"}

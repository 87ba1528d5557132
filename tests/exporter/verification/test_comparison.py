"""What is asked of the source beside the artifact: images must not change each other's logits."""

import onnx
import pytest
import tiny

from exporter import export, verify
from exporter.errors import VerificationError


def with_batch(model, size):
    """The tiny classifier with a batch size that its graph fixes."""
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = size


def mix(model):
    """Each image has the mean of its batch taken off."""
    model.graph.node[0].input[0] = "apart"
    mean = onnx.helper.make_node("ReduceMean", ["image"], ["mean"], axes=[0], keepdims=1)
    apart = onnx.helper.make_node("Sub", ["image", "mean"], ["apart"])
    for node in (apart, mean):
        model.graph.node.insert(0, node)


def written(tmp_path, *changes):
    config = tiny.write(tmp_path)
    model = onnx.load(config.model)
    for change in changes:
        change(model)
    onnx.save(model, config.model)
    return config


def gate(gates):
    (found,) = (gate for gate in gates if gate.name == "batch independence")
    return found


@pytest.mark.parametrize("size", [None, 2, 3])
def test_logits_that_depend_on_the_rest_of_the_batch_are_not_exported(tmp_path, size):
    changes = [mix] if size is None else [mix, lambda model: with_batch(model, size)]
    config = written(tmp_path, *changes)
    with pytest.raises(VerificationError, match="batch independence"):
        export(config)
    assert not config.out.exists()


@pytest.mark.parametrize("size", [None, 2])
def test_images_that_leave_each_other_alone_pass_at_any_batch_size(tmp_path, size):
    changes = [] if size is None else [lambda model: with_batch(model, size)]
    artifact = export(written(tmp_path, *changes))
    found = gate(artifact.manifest.verification)
    assert (found.state, found.limit) == ("passed", 1e-4)


def test_a_graph_that_takes_one_image_has_no_others(tmp_path):
    artifact = export(written(tmp_path, lambda model: with_batch(model, 1)))
    assert gate(artifact.manifest.verification).state == "skipped"
    assert gate(verify(artifact.folder)).state == "skipped"

"""Logits with other axes than (b, c) stay as they are, and are explained class by class."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import CLASSES, GRID, images, run, serialised, split_head
from head_forms import SHAPES
from numpy.typing import NDArray

from exporter.head import Head, find_head
from exporter.surgery import (
    add_edit,
    add_prototype_outputs,
    add_steering,
    remove_edit,
    remove_prototype_outputs,
    tap_features,
)

K = 3
MUTED = ((1, 0), (3, 2))
Outputs = dict[str, NDArray[np.generic]]


def graphs(name: str) -> tuple[ir.Model, Head, ir.Model, ir.Model]:
    """The source, its head, the explained and the steerable graph."""
    source = SHAPES[name].model()
    head = find_head(source)
    prototypes, reference = split_head(head.weight, K)
    options = {"reference": reference, "grid": GRID}
    explained = add_prototype_outputs(source, head, prototypes, top=CLASSES, **options)
    steerable = add_steering(source, head, prototypes, **options)
    return source, head, *(ir.from_proto(ir.to_proto(each)) for each in (explained, steerable))


def steer(model: ir.Model, mask: NDArray[np.float32]) -> Outputs:
    classes = np.full((4, CLASSES), -1, np.int64)
    return run(model, {"image": images(4), "prototype_mask": mask, "classes": classes})


def flat(outputs: Outputs, head: Head) -> NDArray[np.generic]:
    return outputs[head.logits].reshape(4, CLASSES)


def assert_complete(outputs: Outputs, head: Head) -> None:
    ids, logits = outputs["class_ids"], flat(outputs, head)
    total = outputs["contributions"].sum(axis=2, dtype=np.float64) + outputs["common"]
    total += head.bias[ids]
    # float32 throughout; the random prototypes are larger than the head they sum to
    scale = np.abs(outputs["contributions"]).max()
    np.testing.assert_allclose(
        total, np.take_along_axis(logits, ids, axis=1), rtol=0, atol=1e-5 * scale
    )


@pytest.mark.parametrize("name", SHAPES)
def test_the_head_computes_the_logits_of_another_shape(name: str) -> None:
    source, head, _, _ = graphs(name)
    found = run(tap_features(source, head), {"image": images(4)})
    z = found[head.feature].astype(np.float64).mean(axis=(2, 3))
    logits = flat(found, head)
    assert (head.activation, found[head.logits].shape[1:]) == (
        SHAPES[name].activation,
        head.logits_shape,
    )
    np.testing.assert_allclose(
        z @ head.weight.T + head.bias, logits, rtol=0, atol=1e-5 * np.abs(logits).max()
    )


@pytest.mark.parametrize("optimise", [True, False])
@pytest.mark.parametrize("name", SHAPES)
def test_no_bit_and_no_axis_of_the_outputs_changes(name: str, optimise: bool) -> None:
    source, _, explained, steerable = graphs(name)
    expected = run(source, {"image": images(4)}, optimise=optimise)
    neutral = steer(steerable, np.ones((CLASSES, K), np.float32))
    for found in (run(explained, {"image": images(4)}, optimise=optimise), neutral):
        for output, values in expected.items():
            if found is not neutral or optimise:
                np.testing.assert_array_equal(found[output], values)


@pytest.mark.parametrize("name", SHAPES)
def test_contributions_sum_to_the_logit_and_the_best_classes_come_first(name: str) -> None:
    _, head, explained, steerable = graphs(name)
    onnx.checker.check_model(ir.to_proto(explained), full_check=True)
    onnx.checker.check_model(ir.to_proto(steerable), full_check=True)
    mask = np.ones((CLASSES, K), np.float32)
    mask[tuple(np.transpose(MUTED))] = 0
    for outputs in (run(explained, {"image": images(4)}), steer(steerable, mask)):
        assert_complete(outputs, head)
        order = np.argsort(-flat(outputs, head), axis=1, kind="stable")
        np.testing.assert_array_equal(outputs["class_ids"], order)


@pytest.mark.parametrize("name", SHAPES)
def test_an_edit_reaches_the_logits_in_their_own_shape_and_comes_out_again(name: str) -> None:
    source, head, explained, _ = graphs(name)
    edited = add_edit(
        explained,
        head.logits,
        MUTED,
        shape=(CLASSES, K, head.weight.shape[1]),
        logits_shape=head.logits_shape,
    )
    before, after = (run(graph, {"image": images(4)}) for graph in (explained, edited))
    assert after[head.logits].shape == before[head.logits].shape
    assert_complete(after, head)
    np.testing.assert_array_equal(flat(after, head)[:, [0, 2, 4]], flat(before, head)[:, [0, 2, 4]])
    assert (flat(after, head)[:, [1, 3]] != flat(before, head)[:, [1, 3]]).all()
    remove_edit(edited)
    assert serialised(edited) == serialised(explained)
    remove_prototype_outputs(edited)
    assert serialised(edited) == serialised(source)

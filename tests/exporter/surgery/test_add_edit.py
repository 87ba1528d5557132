"""What an edit does to the explained graphs, what it leaves alone, and that it comes out again."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import (
    CLASSES,
    GEMM,
    GRID,
    POOLED,
    classifier,
    images,
    run,
    serialised,
    split_head,
)
from head_forms import ACTIVATIONS, FORMS, VARIETY
from numpy.typing import NDArray
from reference import by_reference

from exporter.errors import SurgeryError
from exporter.head import Head, find_head
from exporter.surgery import (
    add_edit,
    add_prototype_outputs,
    add_steering,
    remove_edit,
    remove_prototype_outputs,
)

K = 3
PLAIN = f"{POOLED} {GEMM}"
MUTED = ((1, 0), (3, 2), (3, 0))  # one prototype of class 1, two of class 3
MORE = ((1, 2), (4, 1))
TOUCHED = [1, 3]
EVERY = np.tile(np.arange(CLASSES), (4, 1))
Outputs = dict[str, NDArray[np.generic]]


def reread(model: ir.Model) -> ir.Model:
    """As read back from a file."""
    return ir.from_proto(ir.to_proto(model))


def graphs(source: ir.Model) -> tuple[Head, ir.Model, ir.Model]:
    """The head, the explained and the steerable graph."""
    head = find_head(source)
    prototypes, reference = split_head(head.weight, K)
    grid = head.grid or GRID
    explained = add_prototype_outputs(
        source, head, prototypes, reference=reference, top=CLASSES, grid=grid
    )
    steerable = add_steering(source, head, prototypes, reference=reference, grid=grid)
    return head, reread(explained), reread(steerable)


def edit(model: ir.Model, head: Head, muted: tuple[tuple[int, int], ...] = MUTED) -> ir.Model:
    shape = (CLASSES, K, head.weight.shape[1])
    return add_edit(model, head.logits, muted, shape=shape, logits_shape=head.logits_shape)


def steer(model: ir.Model, mask: NDArray[np.float32] | None = None) -> Outputs:
    if mask is None:
        mask = np.ones((CLASSES, K), np.float32)
    return run(model, {"image": images(4), "prototype_mask": mask, "classes": EVERY})


def by_class(outputs: Outputs, name: str) -> NDArray[np.generic]:
    """An output of the explained graph with its classes in their own order."""
    order = np.argsort(outputs["class_ids"], axis=1)
    return np.take_along_axis(outputs[name], order[:, :, None], axis=1)


@pytest.mark.parametrize("optimise", [True, False])
@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("name", VARIETY)
def test_logits_of_classes_without_a_muted_prototype_keep_their_bits(
    name: str, count: int, optimise: bool
) -> None:
    head, explained, _ = graphs(FORMS[name].model())
    before = run(explained, {"image": images(count)}, optimise=optimise)[head.logits]
    after = run(edit(explained, head), {"image": images(count)}, optimise=optimise)[head.logits]
    others = [index for index in range(CLASSES) if index not in TOUCHED]
    np.testing.assert_array_equal(after[:, others], before[:, others])
    assert (after[:, TOUCHED] != before[:, TOUCHED]).all()


@pytest.mark.parametrize("name", VARIETY)
def test_edited_logits_are_the_logits_minus_the_muted_contributions(name: str) -> None:
    head, explained, _ = graphs(FORMS[name].model())
    before, after = (
        run(graph, {"image": images(4)}) for graph in (explained, edit(explained, head))
    )
    mask = np.ones((CLASSES, K))
    mask[tuple(np.transpose(MUTED))] = 0
    contributions = by_class(before, "contributions").astype(np.float64)
    expected = before[head.logits] - (contributions * (1 - mask)).sum(axis=2)
    # Float32 sums of the same products, by two kernels.
    scale = np.abs(contributions).max()
    np.testing.assert_allclose(after[head.logits], expected, rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("name", VARIETY)
def test_what_is_left_sums_to_the_edited_logit_in_both_graphs(name: str) -> None:
    head, explained, steerable = graphs(FORMS[name].model())
    for outputs in (
        run(edit(explained, head), {"image": images(4)}),
        steer(edit(steerable, head)),
    ):
        ids, logits = outputs["class_ids"], outputs[head.logits]
        total = outputs["contributions"].sum(axis=2, dtype=np.float64)
        total += head.bias[ids] + outputs["common"]
        scale = np.abs(steer(steerable)[head.logits]).max()
        np.testing.assert_allclose(
            total, np.take_along_axis(logits, ids, axis=1), rtol=0, atol=1e-5 * scale
        )


def test_a_muted_prototype_is_zero_in_contributions_and_heatmaps_and_no_other_changes() -> None:
    head, explained, _ = graphs(classifier(PLAIN))
    before, after = (
        run(graph, {"image": images(4)}) for graph in (explained, edit(explained, head))
    )
    mask = np.ones((CLASSES, K), np.float32)
    mask[tuple(np.transpose(MUTED))] = 0
    np.testing.assert_array_equal(
        by_class(after, "contributions"), by_class(before, "contributions") * mask
    )
    order = [np.argsort(outputs["class_ids"], axis=1) for outputs in (before, after)]
    maps = [
        np.take_along_axis(outputs["heatmaps"], found[:, :, None, None, None], axis=1)
        for outputs, found in zip((before, after), order, strict=True)
    ]
    np.testing.assert_array_equal(maps[1], maps[0] * mask[None, :, :, None, None])
    np.testing.assert_array_equal(after["common"], before["common"])


@pytest.mark.parametrize("name", VARIETY)
def test_both_graphs_give_the_same_edited_bits(name: str) -> None:
    head, explained, steerable = graphs(FORMS[name].model())
    plain = run(edit(explained, head), {"image": images(4)})
    np.testing.assert_array_equal(steer(edit(steerable, head))[head.logits], plain[head.logits])


def test_a_mask_mutes_on_top_of_an_edit_and_brings_nothing_back() -> None:
    head, _, steerable = graphs(classifier(PLAIN))
    edited = edit(steerable, head)
    free = steer(edited)
    mask = np.ones((CLASSES, K), np.float32)
    mask[2, 1] = 0
    mask[1, 0] = 7  # muted for good
    masked = steer(edited, mask)
    np.testing.assert_array_equal(masked["logits"][:, 1], free["logits"][:, 1])
    expected = free["logits"][:, 2] - free["contributions"][:, 2, 1]
    scale = np.abs(free["contributions"]).max()  # of which float32 keeps 1e-6
    np.testing.assert_allclose(masked["logits"][:, 2], expected, rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("name", ["Softmax", "Softmax of opset 11, Identity", "Sigmoid"])
def test_probabilities_and_the_classes_explained_follow_the_edited_logits(name: str) -> None:
    head, explained, _ = graphs(ACTIVATIONS[name].model())
    outputs = run(edit(explained, head), {"image": images(8)})
    logits = outputs[head.logits].astype(np.float64)
    expected = 1 / (1 + np.exp(-logits))
    if "Softmax" in name:
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    # onnxruntime's exponential is good to a few float32 roundings of 1.
    np.testing.assert_allclose(outputs["probabilities"], expected, rtol=0, atol=1e-6)
    order = np.argsort(-outputs[head.logits], axis=1, kind="stable")
    np.testing.assert_array_equal(outputs["class_ids"], order)


def test_an_infinite_contribution_does_not_reach_other_classes() -> None:
    head, explained, _ = graphs(classifier(PLAIN))
    edited = edit(explained, head)
    rows = edited.graph.initializers["protohead/edit1/rows"]
    rows.const_value = ir.tensor(np.full_like(rows.const_value.numpy(), np.inf), name=rows.name)
    before, after = (run(graph, {"image": images(4)})["logits"] for graph in (explained, edited))
    np.testing.assert_array_equal(after[:, [0, 2, 4]], before[:, [0, 2, 4]])


# Undo


@pytest.mark.parametrize("name", VARIETY)
def test_edits_come_out_one_by_one_with_the_bytes_before(name: str) -> None:
    head, *both = graphs(FORMS[name].model())
    for model in both:
        once = reread(edit(model, head))
        twice = reread(edit(once, head, MORE))
        assert remove_edit(twice)
        assert serialised(twice) == serialised(once)
        assert remove_edit(twice)
        assert serialised(twice) == serialised(model)
        assert not remove_edit(twice)


@pytest.mark.parametrize("name", VARIETY)
def test_the_source_comes_out_of_an_edited_graph(name: str) -> None:
    source = FORMS[name].model()
    head, explained, _ = graphs(source)
    twice = reread(edit(reread(edit(explained, head)), head, MORE))
    assert remove_prototype_outputs(twice)
    assert serialised(twice) == serialised(source)


def test_two_edits_do_what_one_edit_of_all_does() -> None:
    head, explained, _ = graphs(classifier(PLAIN))
    twice = run(edit(edit(explained, head), head, MORE), {"image": images(4)})
    once = run(edit(explained, head, MUTED + MORE), {"image": images(4)})
    for name, values in once.items():
        # One float32 subtraction after another, or of their sum.
        scale = max(np.abs(once["contributions"]).max(), np.abs(values).max())
        np.testing.assert_allclose(twice[name], values, rtol=0, atol=1e-6 * scale, err_msg=name)


@pytest.mark.parametrize(
    "note",
    ["", "[]", "{}", "[1]", '[{"muted": [[9, 9]], "logits": "logits", "moved": {}}]', "[[[["],
)
def test_a_note_that_does_not_fit_is_refused(note: str) -> None:
    head, explained, _ = graphs(classifier(PLAIN))
    edited = edit(explained, head)
    edited.metadata_props["protohead/edits"] = note
    with pytest.raises(SurgeryError, match="was changed since"):
        remove_edit(edited)


# What is written


@pytest.mark.parametrize(
    "name", sorted(VARIETY.keys() - {"AveragePool of a window larger than the map"})
)
def test_the_graph_is_valid_and_the_reference_evaluator_agrees(name: str) -> None:
    # The form left out: ONNX's reference evaluator divides by the window, runtimes by the map.
    head, explained, steerable = graphs(FORMS[name].model())
    onnx.checker.check_model(ir.to_proto(edit(steerable, head)), full_check=True)
    proto = ir.to_proto(edit(explained, head))
    onnx.checker.check_model(proto, full_check=True)
    outputs = run(edit(explained, head), {"image": images(2)})
    expected = by_reference(proto, {"image": images(2)})
    for (output, found), values in zip(outputs.items(), expected, strict=True):
        scale = max(np.abs(values).max(), np.abs(outputs["contributions"]).max())
        np.testing.assert_allclose(found, values, rtol=0, atol=1e-5 * scale, err_msg=output)


@pytest.mark.parametrize("opset", [11, 12, 13, 17, 21])
def test_opset_and_ir_version_stay_and_the_graph_runs(opset: int) -> None:
    version = 6 if opset < 13 else 10
    head, explained, _ = graphs(classifier(PLAIN, opset=opset, ir_version=version))
    edited = edit(explained, head)
    assert (edited.opset_imports, edited.ir_version) == ({"": opset}, version)
    onnx.checker.check_model(ir.to_proto(edited), full_check=True)
    run(edited, {"image": images(2)})


@pytest.mark.parametrize("name", VARIETY)
def test_only_operators_that_load_everywhere_are_added(name: str) -> None:
    head, explained, _ = graphs(FORMS[name].model())
    added = {node.op_type for node in edit(explained, head).graph if "/edit1/" in (node.name or "")}
    assert added == {"MatMul", "Reshape", "Sub", "Where"}


def test_inputs_and_outputs_are_those_of_the_graph_before() -> None:
    head, *both = graphs(ACTIVATIONS["Softmax"].model())
    for model in both:
        edited = edit(model, head)
        for values in ("inputs", "outputs"):
            old, new = (getattr(graph.graph, values) for graph in (model, edited))
            assert [(v.name, v.dtype, str(v.shape)) for v in new] == [
                (v.name, v.dtype, str(v.shape)) for v in old
            ]


def test_only_the_muted_rows_are_multiplied() -> None:
    head, explained, _ = graphs(classifier(PLAIN))
    rows = edit(explained, head).graph.initializers["protohead/edit1/rows"]
    assert tuple(rows.shape) == (len(MUTED), head.weight.shape[1])


def test_the_same_inputs_give_the_same_bytes_and_the_graph_before_is_left_alone() -> None:
    head, explained, _ = graphs(classifier(PLAIN))
    before = serialised(explained)
    assert serialised(edit(explained, head)) == serialised(edit(explained, head))
    assert serialised(explained) == before


def test_a_graph_without_prototypes_of_this_shape_is_refused() -> None:
    head, explained, _ = graphs(classifier(PLAIN))
    with pytest.raises(SurgeryError, match="5 x 4 prototypes of 6 channels"):
        add_edit(explained, head.logits, MUTED, shape=(CLASSES, 4, 6), logits_shape=(CLASSES,))
    with pytest.raises(SurgeryError, match="3 x 5 prototypes of 6 channels"):  # as many numbers
        add_edit(explained, head.logits, MUTED[:1], shape=(3, CLASSES, 6), logits_shape=(CLASSES,))
    with pytest.raises(SurgeryError, match="that protohead exported"):
        edit(classifier(PLAIN), head)


def test_edited_notes_name_prototypes() -> None:
    head, explained, _ = graphs(classifier(PLAIN))
    (note,) = json.loads(edit(explained, head).metadata_props["protohead/edits"])
    assert note["muted"] == [[1, 0], [3, 2], [3, 0]]

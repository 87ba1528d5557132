"""What the prototype outputs add to a graph, and what they leave alone, for every form of head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import (
    GEMM,
    GRID,
    LINEAR,
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
from exporter.surgery import add_prototype_outputs, remove_prototype_outputs, tap_features

EXPLANATION = ("contributions", "common", "class_ids", "heatmaps")
OPSETS = (11, 12, 13, 16, 17, 18, 20, 21)
PLAIN = f"{POOLED} {GEMM}"


def explain(model: ir.Model, *, top: int = 3) -> tuple[ir.Model, Head]:
    """The model with the outputs of random prototypes, and its head."""
    head = find_head(model)
    prototypes, reference = split_head(head.weight)
    return add_prototype_outputs(
        model, head, prototypes, reference=reference, top=top, grid=head.grid or GRID
    ), head


def residual(outputs: dict[str, NDArray[np.generic]], head: Head) -> float:
    """|contributions + bias + common - logit|, relative to the largest logit."""
    ids, logits = outputs["class_ids"], outputs[head.logits]
    total = outputs["contributions"].sum(axis=2, dtype=np.float64)
    total += head.bias[ids] + outputs["common"]
    return float(
        np.abs(total - np.take_along_axis(logits, ids, axis=1)).max() / np.abs(logits).max()
    )


@pytest.mark.parametrize("optimise", [True, False])
@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("name", FORMS)
def test_no_bit_of_the_source_outputs_changes(name: str, count: int, optimise: bool) -> None:
    source = FORMS[name].model()
    feeds = {"image": images(count)}
    expected = run(source, feeds, optimise=optimise)
    for changed in (explain(source)[0], tap_features(source, find_head(source))):
        found = run(changed, feeds, optimise=optimise)
        for output, values in expected.items():
            np.testing.assert_array_equal(found[output], values)


@pytest.mark.parametrize("name", FORMS)
def test_contributions_bias_and_common_sum_to_the_logit(name: str) -> None:
    explained, head = explain(FORMS[name].model())
    outputs = run(explained, {"image": images(8)})
    # float32 throughout; the random prototypes are several times larger than the head they sum to
    assert residual(outputs, head) <= 1e-5


@pytest.mark.parametrize("name", VARIETY)
def test_the_mean_of_a_heatmap_is_its_contribution(name: str) -> None:
    outputs = run(explain(FORMS[name].model())[0], {"image": images(8)})
    means = outputs["heatmaps"].mean(axis=(3, 4), dtype=np.float64)
    largest = np.abs(outputs["contributions"]).max()
    np.testing.assert_allclose(means, outputs["contributions"], rtol=0, atol=1e-5 * largest)


@pytest.mark.parametrize("name", ["GlobalAveragePool, Flatten", "NHWC", "tokens"])
def test_a_heatmap_is_the_product_of_feature_map_and_prototype(name: str) -> None:
    source = FORMS[name].model()
    explained, head = explain(source)
    features = run(tap_features(source, head), {"image": images(2)})[head.feature]
    if head.layout == "NCHW":
        features = features.transpose(0, 2, 3, 1)
    features = features.reshape(2, *GRID, -1).astype(np.float64)
    outputs = run(explained, {"image": images(2)})
    prototypes, _ = split_head(head.weight)
    chosen = prototypes[outputs["class_ids"]].astype(np.float64)
    expected = np.einsum("bhwd,btkd->btkhw", features, chosen)
    largest = np.abs(expected).max()  # of which float32 keeps 1e-6
    np.testing.assert_allclose(outputs["heatmaps"], expected, rtol=0, atol=1e-6 * largest)


@pytest.mark.parametrize("name", VARIETY)
def test_the_explained_classes_are_the_best_ones_first(name: str) -> None:
    explained, head = explain(FORMS[name].model())
    outputs = run(explained, {"image": images(8)})
    order = np.argsort(-outputs[head.logits], axis=1, kind="stable")
    np.testing.assert_array_equal(outputs["class_ids"], order[:, :3])


@pytest.mark.parametrize("optimise", [True, False])
@pytest.mark.parametrize("name", VARIETY)
def test_an_image_is_explained_with_the_same_bits_in_any_batch(name: str, optimise: bool) -> None:
    explained, _ = explain(FORMS[name].model())
    together = run(explained, {"image": images(8)}, optimise=optimise)
    for index, image in enumerate(images(8)):
        alone = run(explained, {"image": image[None]}, optimise=optimise)
        for output in EXPLANATION:
            np.testing.assert_array_equal(alone[output][0], together[output][index])


@pytest.mark.parametrize(
    "name", sorted(VARIETY.keys() - {"AveragePool of a window larger than the map"})
)
def test_the_graph_is_valid_and_the_reference_evaluator_agrees(name: str) -> None:
    # The form left out: ONNX's reference evaluator divides by the window, runtimes by the map.
    explained, _ = explain(FORMS[name].model())
    proto = ir.to_proto(explained)
    onnx.checker.check_model(proto, full_check=True)
    outputs = run(explained, {"image": images(2)})
    expected = by_reference(proto, {"image": images(2)})
    for (output, found), values in zip(outputs.items(), expected, strict=True):
        largest = np.abs(values).max()
        np.testing.assert_allclose(found, values, rtol=0, atol=1e-5 * largest, err_msg=output)


@pytest.mark.parametrize("opset", OPSETS)
def test_opset_and_ir_version_stay_and_the_graph_runs(opset: int) -> None:
    version = 6 if opset < 13 else 10
    source = classifier(PLAIN, opset=opset, ir_version=version)
    explained, head = explain(source)
    assert (explained.opset_imports, explained.ir_version) == ({"": opset}, version)
    onnx.checker.check_model(ir.to_proto(explained), full_check=True)
    assert residual(run(explained, {"image": images(2)}), head) <= 1e-5


# What is written


def added_nodes(source: ir.Model, explained: ir.Model) -> list[ir.Node]:
    return list(explained.graph)[len(source.graph) :]


@pytest.mark.parametrize("name", VARIETY)
def test_the_source_nodes_come_first_and_new_names_are_set_apart(name: str) -> None:
    source = FORMS[name].model()
    explained, _ = explain(source)
    kept = list(explained.graph)[: len(source.graph)]
    assert [(n.op_type, n.name) for n in kept] == [(n.op_type, n.name) for n in source.graph]
    for node in added_nodes(source, explained):
        assert (node.name or "").startswith("protohead/")
    new = explained.graph.initializers.keys() - source.graph.initializers.keys()
    assert new >= {"protohead/prototypes", "protohead/reference"}
    assert all(constant.startswith("protohead/") for constant in new)


@pytest.mark.parametrize("name", VARIETY)
def test_only_operators_that_load_everywhere_are_added(name: str) -> None:
    source = FORMS[name].model()
    explained, _ = explain(source)
    plain = {"GlobalAveragePool", "Reshape", "TopK", "Gather", "MatMul", "Transpose"}
    normalised = {"Sub", "Mul", "Add", "Sqrt", "Max", "Div"}
    allowed = plain | normalised if find_head(source).normalisation else plain
    assert {node.op_type for node in added_nodes(source, explained)} <= allowed


def test_no_constant_can_be_overridden_and_there_is_one_input() -> None:
    explained, _ = explain(classifier(PLAIN))
    assert [value.name for value in explained.graph.inputs] == ["image"]


def test_the_outputs_have_the_shapes_of_the_format() -> None:
    explained, _ = explain(classifier(PLAIN), top=2)
    shapes = {value.name: str(value.shape) for value in explained.graph.outputs}
    assert shapes == {
        "logits": "[b,5]",
        "contributions": "[b,2,3]",
        "common": "[b,1]",
        "class_ids": "[b,2]",
        "heatmaps": "[b,2,3,4,3]",
    }


def test_the_same_inputs_give_the_same_bytes() -> None:
    first, second = (serialised(explain(classifier(PLAIN))[0]) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", VARIETY)
def test_the_source_is_left_alone(name: str) -> None:
    source = FORMS[name].model()
    before = serialised(source)
    explain(source)
    tap_features(source, find_head(source))
    assert serialised(source) == before


def test_probabilities_get_their_logits_as_an_output_beside_them() -> None:
    explained, _ = explain(ACTIVATIONS["Softmax"].model())
    names = [value.name for value in explained.graph.outputs]
    assert names == ["probabilities", "logits", *EXPLANATION]


def test_more_classes_than_there_are_explains_them_all() -> None:
    explained, _ = explain(classifier(PLAIN), top=99)
    assert run(explained, {"image": images(2)})["class_ids"].shape == (2, 5)


def test_without_a_reference_common_is_zero_and_contributions_sum_to_the_logit() -> None:
    model = classifier(PLAIN)
    head = find_head(model)
    prototypes, reference = split_head(head.weight)
    prototypes[:, -1] += reference
    explained = add_prototype_outputs(model, head, prototypes, reference=None, top=3, grid=GRID)
    outputs = run(explained, {"image": images(4)})
    np.testing.assert_array_equal(outputs["common"], 0)
    assert residual(outputs, head) <= 1e-5


def test_a_batch_size_that_the_source_fixes_is_kept() -> None:
    model = classifier(PLAIN)
    model.graph.inputs[0].shape = ir.Shape([2, 3, 8, 6])
    model.graph.outputs[0].shape = ir.Shape([2, 5])
    explained, head = explain(model)
    assert {value.shape[0] for value in explained.graph.outputs if value.shape} == {2}
    assert residual(run(explained, {"image": images(2)}), head) <= 1e-5


# Undo


@pytest.mark.parametrize("name", VARIETY)
def test_removing_the_outputs_gives_back_the_bytes_of_the_source(name: str) -> None:
    source = FORMS[name].model()
    explained = ir.from_proto(ir.to_proto(explain(source)[0]))  # as read back from a file
    assert remove_prototype_outputs(explained)
    assert serialised(explained) == serialised(source)


def test_removing_from_a_graph_without_prototypes_changes_nothing() -> None:
    source = classifier(PLAIN)
    before = serialised(source)
    assert not remove_prototype_outputs(source)
    assert serialised(source) == before


# Refusals


def test_a_graph_that_was_extended_before_is_refused() -> None:
    explained, head = explain(classifier(PLAIN))
    prototypes, _ = split_head(head.weight)
    with pytest.raises(SurgeryError, match="extended before"):
        add_prototype_outputs(explained, head, prototypes, reference=None, top=1, grid=GRID)


@pytest.mark.parametrize(
    ("opset", "ir_version", "message"),
    [(10, 5, r"opset 11 or newer, got 10.*convert_version"), (17, 3, r"IR version 4 .* got 3")],
)
def test_a_graph_too_old_is_refused_with_how_to_convert_it(
    opset: int, ir_version: int, message: str
) -> None:
    with pytest.raises(SurgeryError, match=message):
        explain(classifier(PLAIN, opset=opset, ir_version=ir_version))


@pytest.mark.parametrize("shape", [(4, 3, 6), (5, 3, 7), (5, 6)])
def test_prototypes_that_do_not_fit_the_head_are_refused(shape: tuple[int, ...]) -> None:
    model = classifier(PLAIN)
    with pytest.raises(SurgeryError, match=r"prototypes \(5, k, 6\) in float32"):
        add_prototype_outputs(
            model,
            find_head(model),
            np.zeros(shape, np.float32),
            reference=None,
            top=1,
            grid=GRID,
        )


def test_prototypes_in_float64_are_refused() -> None:
    model = classifier(PLAIN)
    with pytest.raises(SurgeryError, match="in float64"):
        add_prototype_outputs(
            model, find_head(model), np.zeros((5, 3, 6)), reference=None, top=1, grid=GRID
        )


def test_a_reference_of_another_length_is_refused() -> None:
    model = classifier(PLAIN)
    head = find_head(model)
    prototypes, _ = split_head(head.weight)
    with pytest.raises(SurgeryError, match=r"reference of shape \(6,\)"):
        add_prototype_outputs(
            model, head, prototypes, reference=np.zeros(5, np.float32), top=1, grid=GRID
        )


def test_a_reference_in_float64_is_refused() -> None:
    model = classifier(PLAIN)
    head = find_head(model)
    prototypes, reference = split_head(head.weight)
    with pytest.raises(SurgeryError, match="and float64"):
        add_prototype_outputs(
            model, head, prototypes, reference=reference.astype(np.float64), top=1, grid=GRID
        )


def test_a_grid_is_held_against_a_map_whose_size_is_known_alone() -> None:
    head = find_head(classifier(PLAIN))
    prototypes, reference = split_head(head.weight)
    model = classifier(PLAIN)
    model.graph.node("relu").outputs[0].shape = ir.Shape(["b", 6, None, 3])
    explained = add_prototype_outputs(
        model, head, prototypes, reference=reference, top=1, grid=GRID
    )
    assert run(explained, {"image": images(1)})["heatmaps"].shape == (1, 1, 3, *GRID)


def test_a_grid_of_another_size_is_refused() -> None:
    head = find_head(classifier(PLAIN))
    prototypes, _ = split_head(head.weight)
    model = classifier(PLAIN)
    model.graph.node("relu").outputs[0].shape = ir.Shape(["b", 6, 4, 3])
    with pytest.raises(SurgeryError, match=r"12 positions for 'map', got 3 x 3"):
        add_prototype_outputs(model, head, prototypes, reference=None, top=1, grid=(3, 3))


def test_no_class_to_explain_is_refused() -> None:
    with pytest.raises(SurgeryError, match="top=0"):
        explain(classifier(PLAIN), top=0)


def test_a_head_of_another_model_is_refused() -> None:
    head = replace(find_head(classifier(PLAIN)), feature="elsewhere")
    with pytest.raises(SurgeryError, match=r"a value 'elsewhere' in the graph.*another model"):
        tap_features(classifier(PLAIN, LINEAR), head)

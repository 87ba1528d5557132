"""What a mask over prototypes and a choice of classes do to the outputs."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import (
    CLASSES,
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

from exporter.head import Head, find_head
from exporter.surgery import add_prototype_outputs, add_steering

K = 3
PLAIN = f"{POOLED} {GEMM}"
EXPLANATION = ("contributions", "common", "class_ids", "heatmaps")
EVERY = np.tile(np.arange(CLASSES), (4, 1))
Outputs = dict[str, NDArray[np.generic]]


def steerable(model: ir.Model) -> tuple[ir.Model, Head]:
    head = find_head(model)
    prototypes, reference = split_head(head.weight, K)
    grid = head.grid or GRID
    return add_steering(model, head, prototypes, reference=reference, grid=grid), head


def steer(
    model: ir.Model,
    *,
    mask: NDArray[np.float32] | None = None,
    classes: NDArray[np.int64] | None = None,
    count: int = 4,
    optimise: bool = True,
) -> Outputs:
    """Run a steerable graph; a mask of ones and the three best classes unless told otherwise."""
    if mask is None:
        mask = np.ones((CLASSES, K), np.float32)
    if classes is None:
        classes = np.full((count, 3), -1, np.int64)
    feeds = {"image": images(count), "prototype_mask": mask, "classes": classes}
    return run(model, feeds, optimise=optimise)


def random_mask() -> NDArray[np.float32]:
    """Mutes some prototypes, never a whole class: those would tie at their bias."""
    mask = np.random.default_rng(0).integers(0, 2, (CLASSES, K)).astype(np.float32)
    mask[:, 0] = 1
    return mask


@pytest.mark.parametrize("optimise", [True, False])
@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("name", FORMS)
def test_a_mask_of_ones_changes_no_bit(name: str, count: int, optimise: bool) -> None:
    source = FORMS[name].model()
    expected = run(source, {"image": images(count)}, optimise=optimise)
    found = steer(steerable(source)[0], count=count, optimise=optimise)
    for output, values in expected.items():
        np.testing.assert_array_equal(found[output], values)


@pytest.mark.parametrize("name", VARIETY)
def test_a_mask_of_ones_explains_as_the_plain_graph_does(name: str) -> None:
    source = FORMS[name].model()
    graph, head = steerable(source)
    prototypes, reference = split_head(head.weight, K)
    plain = add_prototype_outputs(
        source, head, prototypes, reference=reference, top=3, grid=head.grid or GRID
    )
    expected, found = run(plain, {"image": images(4)}), steer(graph)
    for output in EXPLANATION:
        np.testing.assert_array_equal(found[output], expected[output])


@pytest.mark.parametrize("name", VARIETY)
def test_muted_contributions_leave_the_logits_and_the_rest_still_sums_to_them(name: str) -> None:
    graph, head = steerable(FORMS[name].model())
    outputs = steer(graph, mask=random_mask())
    ids, logits = outputs["class_ids"], outputs[head.logits]
    total = outputs["contributions"].sum(axis=2, dtype=np.float64)
    total += head.bias[ids] + outputs["common"]
    scale = np.abs(steer(graph)[head.logits]).max()  # the logits that float32 subtracts from
    np.testing.assert_allclose(
        total, np.take_along_axis(logits, ids, axis=1), rtol=0, atol=1e-5 * scale
    )


def test_a_muted_prototype_is_zero_in_contributions_and_heatmaps_and_no_other_changes() -> None:
    graph, _ = steerable(classifier(PLAIN))
    mask = random_mask()
    free, masked = steer(graph, classes=EVERY), steer(graph, mask=mask, classes=EVERY)
    np.testing.assert_array_equal(masked["contributions"], free["contributions"] * mask)
    np.testing.assert_array_equal(
        masked["heatmaps"], free["heatmaps"] * mask[None, :, :, None, None]
    )
    np.testing.assert_array_equal(masked["common"], free["common"])


def test_the_steered_logits_are_the_logits_minus_what_is_muted() -> None:
    graph, _ = steerable(classifier(PLAIN))
    mask = random_mask()
    free = steer(graph, classes=EVERY)
    removed = ((1 - mask) * free["contributions"]).sum(axis=2)
    # Two float32 sums of the same three products, in the order of two different kernels.
    np.testing.assert_allclose(
        steer(graph, mask=mask)["logits"],
        free["logits"] - removed,
        rtol=0,
        atol=1e-6 * np.abs(free["contributions"]).max(),
    )


def test_a_class_that_is_not_muted_keeps_its_bits() -> None:
    graph, _ = steerable(classifier(PLAIN))
    mask = np.ones((CLASSES, K), np.float32)
    mask[2] = 0
    free, masked = steer(graph)["logits"], steer(graph, mask=mask)["logits"]
    others = np.arange(CLASSES) != 2
    np.testing.assert_array_equal(masked[:, others], free[:, others])
    assert (masked[:, 2] != free[:, 2]).all()


@pytest.mark.parametrize(
    ("name", "activation"),
    [
        ("Softmax", lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)),
        ("Sigmoid", lambda z: 1 / (1 + np.exp(-z))),
        ("logits and probabilities", lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)),
    ],
)
def test_probabilities_follow_the_steered_logits(name: str, activation: object) -> None:
    graph, _ = steerable(ACTIVATIONS[name].model())
    outputs = steer(graph, mask=random_mask())
    expected = activation(outputs["logits"].astype(np.float64))  # type: ignore[operator]
    # onnxruntime's exponential is good to a few float32 roundings of 1, not of small values.
    np.testing.assert_allclose(outputs["probabilities"], expected, rtol=0, atol=1e-6)
    assert (outputs["probabilities"] != steer(graph)["probabilities"]).any()


# Choice of classes


def chosen(logits: NDArray[np.generic], classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The classes that have to be explained, entry by entry."""
    rows = []
    for row, asked in zip(logits, classes, strict=True):
        rest = iter([i for i in np.argsort(-row, kind="stable") if i not in asked])
        rows.append([entry if entry >= 0 else next(rest) for entry in asked])
    return np.array(rows)


@pytest.mark.parametrize("optimise", [True, False])
@pytest.mark.parametrize(
    "asked",
    [
        [0],
        [-1],
        [4, 0, 2],
        [-1, -1, -1, -1, -1],
        [-1, 3, -1],
        [3, -1, 0, -1],
        [1, 1, -1],
        [-7, 2],
        [4, 3, 2, 1, 0],
    ],
)
def test_entries_are_the_classes_asked_for_or_the_next_best(
    asked: list[int], optimise: bool
) -> None:
    graph, _ = steerable(classifier(PLAIN))
    classes = np.tile(np.array(asked, np.int64), (4, 1))
    outputs = steer(graph, mask=random_mask(), classes=classes, optimise=optimise)
    np.testing.assert_array_equal(outputs["class_ids"], chosen(outputs["logits"], classes))


def test_the_next_best_class_may_have_a_logit_far_below_zero() -> None:
    far = np.linspace(-1e30, -2e30, CLASSES, dtype=np.float32)
    graph, _ = steerable(classifier(PLAIN, {**LINEAR, "bias": far}))
    outputs = steer(graph, classes=np.tile(np.array([0, -1, -1, -1, -1], np.int64), (4, 1)))
    np.testing.assert_array_equal(outputs["class_ids"], EVERY)


def test_each_image_may_ask_for_classes_of_its_own() -> None:
    graph, _ = steerable(classifier(PLAIN))
    classes = np.array([[-1, -1], [0, -1], [-1, 4], [3, 3]], np.int64)
    outputs = steer(graph, classes=classes)
    np.testing.assert_array_equal(outputs["class_ids"], chosen(outputs["logits"], classes))


def test_the_next_best_class_is_the_best_by_steered_logit() -> None:
    graph, _ = steerable(classifier(PLAIN))
    before = steer(graph)["class_ids"][0]
    mask = np.ones((CLASSES, K), np.float32)
    mask[before[0]] = -9  # turns the prototypes of the best class against it, tenfold
    after = steer(graph, mask=mask)
    np.testing.assert_array_equal(
        after["class_ids"], np.argsort(-after["logits"], axis=1, kind="stable")[:, :3]
    )
    assert after["class_ids"][0, 0] != before[0]


# What is written


@pytest.mark.parametrize(
    "name", sorted(VARIETY.keys() - {"AveragePool of a window larger than the map"})
)
def test_the_graph_is_valid_and_the_reference_evaluator_agrees(name: str) -> None:
    # The form left out: ONNX's reference evaluator divides by the window, runtimes by the map.
    graph, _ = steerable(FORMS[name].model())
    proto = ir.to_proto(graph)
    onnx.checker.check_model(proto, full_check=True)
    classes = np.array([[3, -1], [-1, -1]], np.int64)
    outputs = steer(graph, mask=random_mask(), classes=classes, count=2)
    feeds = {"image": images(2), "prototype_mask": random_mask(), "classes": classes}
    expected = by_reference(proto, feeds)
    for (output, found), values in zip(outputs.items(), expected, strict=True):
        largest = np.abs(values).max()
        np.testing.assert_allclose(found, values, rtol=0, atol=1e-5 * largest, err_msg=output)


@pytest.mark.parametrize("opset", [11, 12, 13, 16, 17, 18, 20, 21])
def test_every_opset_since_11_is_kept_and_runs(opset: int) -> None:
    version = 6 if opset < 13 else 10
    graph, _ = steerable(classifier(PLAIN, opset=opset, ir_version=version))
    assert (graph.opset_imports, graph.ir_version) == ({"": opset}, version)
    onnx.checker.check_model(ir.to_proto(graph), full_check=True)
    classes = np.array([[3, -1, -1]], np.int64)
    outputs = steer(graph, mask=random_mask(), classes=classes, count=1)
    np.testing.assert_array_equal(outputs["class_ids"], chosen(outputs["logits"], classes))


def test_mask_and_classes_are_required_inputs_without_a_default() -> None:
    graph, _ = steerable(classifier(PLAIN))
    inputs = {value.name: (value.dtype, str(value.shape)) for value in graph.graph.inputs}
    assert inputs == {
        "image": (ir.DataType.FLOAT, "[b,3,8,6]"),
        "prototype_mask": (ir.DataType.FLOAT, "[5,3]"),
        "classes": (ir.DataType.INT64, "[b,explained]"),
    }
    assert not any(value.is_initializer() for value in graph.graph.inputs)


@pytest.mark.parametrize(
    ("name", "own"), [("Softmax", ["probabilities", "logits"]), ("1x1 Conv", ["logits"])]
)
def test_the_outputs_are_named_as_in_the_plain_graph(name: str, own: list[str]) -> None:
    graph, _ = steerable(FORMS[name].model())
    assert [value.name for value in graph.graph.outputs] == [*own, *EXPLANATION]


def test_the_outputs_have_as_many_classes_as_are_asked_for() -> None:
    graph, _ = steerable(classifier(PLAIN))
    shapes = {value.name: str(value.shape) for value in graph.graph.outputs}
    assert shapes == {
        "logits": "[b,5]",
        "contributions": "[b,explained,3]",
        "common": "[b,1]",
        "class_ids": "[b,explained]",
        "heatmaps": "[b,explained,3,4,3]",
    }


@pytest.mark.parametrize("name", VARIETY)
def test_no_operator_that_some_runtimes_lack_is_added(name: str) -> None:
    source = FORMS[name].model()
    own = {node.op_type for node in source.graph}
    graph, _ = steerable(source)
    missing = {"Einsum", "GatherElements", "GatherND", "ScatterElements", "Loop", "Scan", "If"}
    assert not {node.op_type for node in graph.graph} - own & missing


def test_the_same_inputs_give_the_same_bytes_and_the_source_is_left_alone() -> None:
    source = classifier(PLAIN)
    before = serialised(source)
    first, second = (serialised(steerable(source)[0]) for _ in range(2))
    assert first == second
    assert serialised(source) == before


def test_no_class_number_is_cast_which_tract_would_take_for_the_size_of_an_axis() -> None:
    graph, _ = steerable(classifier(PLAIN))
    casts = [node.attributes["to"].as_int() for node in graph.graph if node.op_type == "Cast"]
    assert set(casts) == {ir.DataType.FLOAT}

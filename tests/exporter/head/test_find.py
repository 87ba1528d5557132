from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graphs import (
    GEMM,
    GRID,
    LINEAR,
    POOLED,
    classifier,
    images,
    ints,
    run,
    serialised,
)
from head_forms import ACTIVATIONS, DIVIDED, FORMS, NORMALISED

from exporter.errors import HeadError
from exporter.head import Head, find_head
from exporter.surgery import fix_input_size, tap_features


def linear_map(head: Head, features: np.ndarray) -> np.ndarray:
    """The logits (b, c) that a head promises for a feature map, in float64."""
    axes = {"NCHW": (2, 3), "NHWC": (1, 2), "NLC": (1,)}[head.layout]
    z = features.astype(np.float64).mean(axis=axes)  # (b, d)
    products = z @ head.weight.T
    return products / number(head, z) + head.bias


def number(head: Head, z: np.ndarray) -> np.ndarray:
    """What a head divides the pooled vectors (b, d) by, (b, 1)."""
    found = head.normalisation
    if found is None:
        return np.ones((len(z), 1))
    moment = z.var(axis=1) if found.centred else (z * z).mean(axis=1)
    squares = moment * (z.shape[1] if found.reduction == "sum" else 1)
    root = np.sqrt(squares + found.epsilon)
    return (np.maximum(root, found.floor) + found.offset)[:, None]


def assert_head_computes_the_logits(model: ir.Model, head: Head) -> None:
    found = run(tap_features(model, head), {"image": images(4)})
    logits = found[head.logits]
    assert head.bias.shape == logits.shape[1:]  # one for each class, however the graph stores it
    # The graph computes in float32: 1e-5 of the largest logit is about 100 roundings.
    np.testing.assert_allclose(
        linear_map(head, found[head.feature]), logits, rtol=0, atol=1e-5 * np.abs(logits).max()
    )


@pytest.mark.parametrize("name", FORMS)
def test_the_head_found_computes_the_logits_from_the_feature_map(name: str) -> None:
    model = FORMS[name].model()
    assert_head_computes_the_logits(model, find_head(model))


@pytest.mark.parametrize("name", FORMS)
def test_feature_layout_and_activation_are_found(name: str) -> None:
    form = FORMS[name]
    head = find_head(form.model())
    assert (head.feature, head.layout) == (form.feature, form.layout)
    assert (head.linear, head.pooling, head.activation) == (form.linear, "pool", form.activation)


@pytest.mark.parametrize("name", FORMS)
def test_the_grid_is_the_feature_maps(name: str) -> None:
    grid = (4, 2) if FORMS[name].feature == "q" else GRID
    assert find_head(FORMS[name].model()).grid == grid


@pytest.mark.parametrize("name", FORMS)
def test_finding_the_head_changes_no_byte_of_the_model(name: str) -> None:
    model = FORMS[name].model()
    before = serialised(model)
    find_head(model)
    assert serialised(model) == before


def test_only_a_normalisation_behind_the_pooling_is_reported() -> None:
    found = {name: find_head(form.model()).normalisation for name, form in FORMS.items()}
    assert {name for name, number in found.items() if number} == {*NORMALISED, *DIVIDED}
    assert {name for name, number in found.items() if number and number.is_layer_norm} == set(
        NORMALISED
    )


@pytest.mark.parametrize(
    ("name", "epsilon"),
    [
        ("LayerNormalization", 0.01),
        ("LayerNormalization without shift", 1e-5),  # what ONNX takes where the node tells none
        ("LayerNormalization spelled out", 0.5),
    ],
)
def test_epsilon_is_the_one_that_the_graph_adds(name: str, epsilon: float) -> None:
    form = NORMALISED[name]
    model = classifier(form.tail, {**LINEAR, **form.weights, "epsilon": np.float32(0.5)})
    found = find_head(model).normalisation
    assert found is not None
    assert found.epsilon == pytest.approx(epsilon)


def test_axes_that_are_averaged_one_after_another_may_be_counted_from_the_end() -> None:
    model = classifier(
        "[pool] q = ReduceMean <axes = [-1], keepdims = 0> (map) "
        f"z = ReduceMean <axes = [-1], keepdims = 0> (q) {GEMM}"
    )
    assert_head_computes_the_logits(model, find_head(model))


def test_the_image_tells_rows_from_columns_where_a_convolution_sees_them_swapped() -> None:
    model = classifier(
        "i = Transpose <perm = [0, 1, 3, 2]> (image) "
        "c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (i, w0, b0) "
        f"y = Transpose <perm = [0, 1, 3, 2]> (c) {POOLED.replace('map', 'y')} {GEMM}"
    )
    assert find_head(model).grid == GRID


@pytest.mark.parametrize("name", ["Softmax", "Sigmoid"])
def test_the_logits_lie_before_the_activation(name: str) -> None:
    head = find_head(ACTIVATIONS[name].model())
    assert (head.output, head.logits) == ("probabilities", "logits")


def test_a_node_without_a_name_is_named_by_what_it_computes() -> None:
    head = find_head(classifier("p = GlobalAveragePool (map) z = Flatten (p) " + GEMM[9:]))
    assert (head.pooling, head.linear) == ("-> p", "-> logits")


def test_a_weight_that_is_an_input_with_a_default_counts_as_a_constant() -> None:
    model = classifier(f"{POOLED} {GEMM}")
    model.graph.inputs.append(model.graph.initializers["weight"])
    assert_head_computes_the_logits(model, find_head(model))


def test_an_open_image_size_leaves_the_grid_open_until_it_is_fixed() -> None:
    model = classifier(f"{POOLED} {GEMM}")
    image = model.graph.inputs[0]
    image.shape = ir.Shape(["b", 3, "height", "width"])
    assert find_head(model).grid is None
    fix_input_size(model, (8, 6))
    assert find_head(model).grid == GRID


def test_the_grid_of_tokens_is_that_of_the_map_they_were_flattened_from() -> None:
    model = classifier(
        "q = AveragePool <kernel_shape = [2, 1], strides = [2, 1]> (map) f = Reshape (q, to) "
        "t = Transpose <perm = [0, 2, 1]> (f) "
        f"[pool] z = ReduceMean <axes = [1], keepdims = 0> (t) {GEMM}",
        {**LINEAR, "to": ints(0, 6, 6)},
    )
    assert find_head(model).grid == (2, 3)  # not of the image's 8:6


def test_an_average_pool_on_a_map_of_open_size_is_refused_until_the_size_is_fixed() -> None:
    model = classifier(
        f"[pool] p = AveragePool <kernel_shape = [4, 3]> (map) z = Flatten (p) {GEMM}"
    )
    model.graph.inputs[0].shape = ir.Shape(["b", 3, None, None])
    with pytest.raises(HeadError, match=r"shape \(\?, 6, \?, \?\).*a fixed image size"):
        find_head(model)
    fix_input_size(model, (8, 6))
    assert_head_computes_the_logits(model, find_head(model))


# Several outputs


TWO_HEADS = f"{POOLED} {GEMM} [other] extra = Gemm <transB = 1> (z, weight)"


def test_the_only_output_with_a_head_is_taken() -> None:
    model = classifier(
        f"{POOLED} {GEMM} m = GlobalMaxPool (map) extra = Flatten (m)",
        outputs="float[b, 6] extra, float[b, 5] logits",
    )
    assert find_head(model).output == "logits"


def test_several_heads_are_refused_until_one_is_chosen() -> None:
    model = classifier(TWO_HEADS, outputs="float[b, 5] logits, float[b, 5] extra")
    with pytest.raises(HeadError, match=r"'logits', 'extra' have a head each.*`output`"):
        find_head(model)
    assert find_head(model, output="extra").linear == "other"


def test_an_output_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(HeadError, match=r"got 'score': it has 'logits'"):
        find_head(classifier(f"{POOLED} {GEMM}"), output="score")


def test_outputs_without_a_head_are_refused_with_a_reason_each() -> None:
    model = classifier(
        "[max] m = GlobalMaxPool (map) extra = Flatten (m) [r] logits = Relu (extra)",
        outputs="float[b, 6] extra, float[b, 6] logits",
    )
    with pytest.raises(HeadError) as error:
        find_head(model)
    assert "'extra': GlobalMaxPool ('max')" in str(error.value)
    assert "'logits': Relu ('r')" in str(error.value)

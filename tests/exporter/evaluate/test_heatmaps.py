"""The metrics that compare heatmaps with heatmaps, on hand-made cases."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graphs import GEMM, LINEAR, POOLED, classifier, images, run, with_weights
from onnx.parser import parse_model

from exporter.evaluate.metrics.robustness.equivariance import (
    mirror_equivariance,
    shift_equivariance,
)
from exporter.evaluate.metrics.robustness.randomisation import shuffle_weights, similarity
from exporter.evaluate.metrics.robustness.seed_overlap import seed_overlap

SIZE = (224, 224)


@pytest.fixture
def heatmaps():
    return np.random.default_rng(0).normal(size=(3, 2, 5, 6)).astype(np.float32)


def test_heatmaps_that_follow_the_mirror_are_equivariant(heatmaps):
    assert mirror_equivariance(heatmaps, heatmaps[..., ::-1]) == pytest.approx(1)


def test_heatmaps_that_stay_are_not(heatmaps):
    ramp = np.broadcast_to(np.arange(6.0), heatmaps.shape)
    assert mirror_equivariance(ramp, ramp) == pytest.approx(-1)


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (1, 0), (0, 2), (-1, 1), (2, -3), (-4, -4)])
def test_heatmaps_that_follow_a_shift_are_equivariant(heatmaps, rows, columns):
    shifted = np.roll(heatmaps, (rows, columns), axis=(2, 3))
    # What enters at the border is anything.
    if rows:
        shifted[:, :, slice(0, rows) if rows > 0 else slice(rows, None)] = 99
    if columns:
        shifted[..., slice(0, columns) if columns > 0 else slice(columns, None)] = -99
    found = shift_equivariance(heatmaps, shifted, rows=rows, columns=columns)
    assert found == pytest.approx(1)


def test_a_shift_the_other_way_is_not_equivariant(heatmaps):
    shifted = np.roll(heatmaps, -1, axis=3)
    assert shift_equivariance(heatmaps, shifted, columns=1) < 0.5


@pytest.mark.parametrize(("rows", "columns"), [(5, 0), (0, -6), (7, 9), (4, 5)])
def test_a_shift_that_leaves_fewer_than_two_cells_has_no_answer(heatmaps, rows, columns):
    assert shift_equivariance(heatmaps, heatmaps, rows=rows, columns=columns) is None


def test_constant_heatmaps_have_no_equivariance(heatmaps):
    flat = np.ones_like(heatmaps)
    assert mirror_equivariance(flat, heatmaps) is None
    assert shift_equivariance(heatmaps, flat, rows=1) is None
    assert mirror_equivariance(heatmaps[:0], heatmaps[:0]) is None


def test_the_same_prototypes_in_another_order_overlap_fully(heatmaps):
    found = seed_overlap(heatmaps, 2 * heatmaps[:, ::-1] + 1, SIZE)
    assert found.correlation == pytest.approx(1)
    assert found.same_place == 1
    np.testing.assert_array_equal(found.matches, [[0, 1], [1, 0]])


def test_the_matching_is_the_best_in_sum_not_the_first_found():
    a, b = np.eye(9).reshape(9, 3, 3)[:2]
    first = np.stack([a + b, a])[None]  # greedily a + b would take a, and leave 0 for the other
    second = np.stack([a, 0.4 * a + b])[None]
    found = seed_overlap(first, second, SIZE)
    np.testing.assert_array_equal(found.matches, [[0, 1], [1, 0]])


def test_pairs_at_other_places_do_not_overlap():
    corner, other = np.eye(49).reshape(49, 7, 7)[[0, -1]]
    found = seed_overlap(np.stack([[corner]] * 2), np.stack([[corner], [other]]), SIZE)
    assert found.same_place == 0.5
    assert found.correlation == pytest.approx((1 - 1 / 48) / 2)  # two dots on 49 cells: -1 / 48


@pytest.mark.parametrize(("apart", "same"), [(23, 1), (24, 0)])
def test_boxes_that_share_more_than_half_are_at_the_same_place(apart, same):
    first, second = np.zeros((2, 1, 1, *SIZE))  # a grid as fine as the view
    first[..., 100, 100] = second[..., 100, 100 + apart] = 1
    # Boxes of 72 px that are 24 px apart share 48 of 96.
    assert seed_overlap(first, second, SIZE).same_place == same


def test_what_one_run_has_more_stays_unmatched(heatmaps):
    more = np.concatenate([-heatmaps[:, :1], heatmaps], axis=1)
    found = seed_overlap(heatmaps, more, SIZE)
    np.testing.assert_array_equal(found.matches, [[0, 1], [1, 2]])
    assert found.correlation == pytest.approx(1)


def test_constant_heatmaps_are_left_out_of_the_correlation(heatmaps):
    flat = heatmaps.copy()
    flat[:, 1] = 7
    found = seed_overlap(heatmaps, flat, SIZE)
    np.testing.assert_array_equal(found.matches, [[0, 0], [1, 1]])
    assert found.correlation == pytest.approx(1)
    assert seed_overlap(np.zeros_like(heatmaps), heatmaps, SIZE).correlation is None


def test_an_image_with_a_constant_heatmap_does_not_count(heatmaps):
    flat = heatmaps[:, :1].copy()
    flat[0] = 0
    assert seed_overlap(heatmaps[:, :1], flat, SIZE).correlation == pytest.approx(1)


def test_without_images_there_is_no_overlap(heatmaps):
    assert seed_overlap(heatmaps[:0], heatmaps[:0], SIZE) is None


def test_similarity_is_of_ranks(heatmaps):
    assert similarity(heatmaps, np.exp(heatmaps)) == pytest.approx(1)
    assert similarity(heatmaps, -heatmaps) == pytest.approx(-1)


def test_similarity_leaves_out_constant_heatmaps(heatmaps):
    after = heatmaps.copy()
    after[:, 0] = 0
    assert similarity(heatmaps, after) == pytest.approx(1)
    assert similarity(heatmaps, np.zeros_like(heatmaps)) is None
    assert similarity(heatmaps[:0], heatmaps[:0]) is None


LAYERS = ("w0", "b0"), ("weight", "bias")  # of the small classifier, from the bottom up


def changed(model, other):
    """The names of the initialisers that differ."""
    pairs = [
        (name, value.const_value.numpy(), other.graph.initializers[name].const_value.numpy())
        for name, value in model.graph.initializers.items()
    ]
    return {name for name, before, after in pairs if not np.array_equal(before, after)}


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, ()),
        (0.1, LAYERS[1]),
        (0.5, LAYERS[1]),
        (0.51, sum(LAYERS, ())),
        (1.0, sum(LAYERS, ())),
    ],
)
def test_weights_are_shuffled_from_the_top_layer_down(share, expected):
    model = classifier(f"{POOLED} {GEMM}", {"weight": (5, 6), "bias": (5,)})
    assert changed(model, shuffle_weights(model, 0, share=share)) == set(expected)


def test_a_shuffled_model_has_the_same_numbers_in_other_places_and_runs():
    model = classifier(f"{POOLED} {GEMM}", LINEAR)
    before = {name: v.const_value.numpy().copy() for name, v in model.graph.initializers.items()}
    logits = run(model, {"image": images(2)})["logits"]
    other = shuffle_weights(model, 0)
    for name, value in other.graph.initializers.items():
        after = value.const_value.numpy()
        assert (after.dtype, after.shape) == (before[name].dtype, before[name].shape)
        np.testing.assert_array_equal(np.sort(after, axis=None), np.sort(before[name], axis=None))
        np.testing.assert_array_equal(
            model.graph.initializers[name].const_value.numpy(), before[name]
        )
    assert not np.allclose(run(other, {"image": images(2)})["logits"], logits)


def test_the_seed_decides_and_a_larger_share_begins_alike():
    model = classifier(f"{POOLED} {GEMM}", LINEAR)
    assert not changed(shuffle_weights(model, 3), shuffle_weights(model, 3))
    assert changed(shuffle_weights(model, 3), shuffle_weights(model, 4))
    half = shuffle_weights(model, 3, share=0.5)
    assert changed(half, shuffle_weights(model, 3)) == set(LAYERS[0])


def test_names_to_keep_stay():
    model = classifier(f"{POOLED} {GEMM}", LINEAR)
    assert changed(model, shuffle_weights(model, 0, keep={"weight"})) == {"w0", "b0", "bias"}


SETTINGS = """
<ir_version: 8, opset_import: ["" : 17]>
network (float[b, 3, 4, 4] image) => (float[b, 5] logits) {
  normal = BatchNormalization (image, gamma, beta, mean, variance)
  large = Resize (normal, nothing, scales)
  scaled = Mul (large, factor)
  pooled = GlobalAveragePool (scaled)
  flat = Reshape (pooled, shape)
  turned = Transpose <perm = [1, 0]> (weight)
  logits = MatMul (flat, turned)
}
"""


def test_settings_single_numbers_and_integers_stay_and_the_variance_is_positive():
    weights = {
        "gamma": (3,),
        "beta": (3,),
        "mean": (3,),
        "variance": np.array([0.5, 1, 2], np.float32),
        "nothing": np.zeros(0, np.float32),
        "scales": np.array([1, 1, 2, 3], np.float32),
        "factor": np.array([7], np.float32),
        "shape": np.array([-1, 3], np.int64),
        "weight": (5, 3),
    }
    model = with_weights(parse_model(SETTINGS), weights)
    top = shuffle_weights(model, 1, share=0.5)  # two layers; a transposed weight is the MatMul's
    assert changed(model, top) == {"weight"}
    found = shuffle_weights(model, 1)
    assert changed(model, found) >= {"weight"}
    assert changed(model, found) <= {"weight", "gamma", "beta", "mean", "variance"}
    variance = found.graph.initializers["variance"].const_value.numpy()
    np.testing.assert_array_equal(np.sort(variance), [0.5, 1, 2])
    tensors = np.ones((1, 3, 4, 4), np.float32)
    assert np.isfinite(run(found, {"image": tensors})["logits"]).all()


def test_half_precision_stays_half_precision():
    model = classifier(f"{POOLED} {GEMM}", LINEAR)
    weight = model.graph.initializers["weight"]
    weight.const_value = ir.Tensor(weight.const_value.numpy().astype(np.float16), name="weight")
    found = shuffle_weights(model, 0).graph.initializers["weight"].const_value
    assert found.dtype == ir.DataType.FLOAT16

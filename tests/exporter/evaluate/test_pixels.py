"""Insertion, deletion, Grad-CAM and RISE, on networks whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax

from exporter.evaluate.arithmetic.pixels import class_probability
from exporter.evaluate.baselines.grad_cam import grad_cam
from exporter.evaluate.baselines.rise import GRID, random_masks, rise
from exporter.evaluate.metrics.sums.insertion_deletion import (
    Curves,
    blurred,
    mean_colour,
    pixel_curves,
    prototype_curves,
)

SIZE = 28


def curves_on(ground, *arguments, **options):
    """The curves with one ground for both, deletion and insertion."""
    return pixel_curves(*arguments, deleted_to=ground, inserted_into=ground, **options)


def corner_logits(tensors):
    """Two classes; the first looks at the top left quarter, its first channel alone."""
    half = tensors.shape[2] // 2
    evidence = tensors[:, 0, :half, :half].mean(axis=(1, 2))
    return np.stack([10 * evidence - 5, np.zeros(len(tensors))], axis=1)


def quarter(value=1.0):
    """A class map that is bright where corner_logits looks."""
    return np.array([[[value, 0], [0, 0]]], np.float32)


ONES = np.ones((1, 3, SIZE, SIZE), np.float32)
BLACK = np.zeros((1, 1, 1, 1), np.float32)


def test_prototype_curves_by_hand():
    contributions, logits = np.array([[1.0, 3.0]]), np.array([[0.5, 5.0, 1.0]])
    found = prototype_curves(contributions, logits, 1)

    def probability(logit):
        return softmax([0.5, logit, 1.0])[1]

    np.testing.assert_allclose(found.deletion, [probability(5 - drop) for drop in (0, 3, 4)])
    np.testing.assert_allclose(found.insertion, [probability(1 + rise_) for rise_ in (0, 3, 4)])
    p = found.deletion
    assert found.deletion_area == pytest.approx((p[0] / 2 + p[1] + p[2] / 2) / 2)


def test_evidence_in_one_prototype_falls_and_rises_earlier_than_shared_evidence():
    logits = np.array([[4.0, 0.0]])
    one = prototype_curves(np.array([[0.0, 4.0, 0.0]]), logits, 0)
    shared = prototype_curves(np.full((1, 3), 4 / 3), logits, 0)
    assert one.deletion_area < shared.deletion_area
    assert one.insertion_area > shared.insertion_area
    np.testing.assert_allclose(one.deletion[[0, -1]], shared.deletion[[0, -1]])


def test_prototype_curves_average_images_and_begin_where_the_other_ends():
    generator = np.random.default_rng(0)
    contributions, logits = generator.normal(size=(4, 3)), generator.normal(size=(4, 6))
    found = prototype_curves(contributions, logits, 2)
    assert found.deletion[0] == pytest.approx(class_probability(logits, 2).mean())
    assert found.deletion[0] == pytest.approx(found.insertion[-1])
    assert found.deletion[-1] == pytest.approx(found.insertion[0])


def test_prototype_curves_of_one_prototype_one_class_and_no_image():
    single = prototype_curves(np.array([[2.0]]), np.array([[2.0, 0.0]]), 0)
    assert len(single.deletion) == 2
    assert single.deletion_area == single.insertion_area
    assert prototype_curves(np.array([[2.0]]), np.array([[2.0]]), 0).deletion_area == 1
    assert prototype_curves(np.zeros((0, 2)), np.zeros((0, 3)), 0) is None


def test_no_contribution_leaves_a_level_curve():
    found = prototype_curves(np.zeros((2, 3)), np.zeros((2, 4)), 1)
    assert found.deletion_area == found.insertion_area == pytest.approx(0.25)


def test_a_huge_logit_is_no_overflow():
    found = prototype_curves(np.array([[1e4, -1e4]]), np.array([[1e4, 0.0]]), 0)
    np.testing.assert_allclose(found.deletion, [1, 0.5, 1])


def test_areas_are_shares_of_what_is_taken():
    assert Curves(np.array([1.0, 1.0]), np.array([0.0, 1.0])).deletion_area == 1
    assert Curves(np.array([1.0, 1.0]), np.array([0.0, 0.5, 1.0])).insertion_area == 0.5


def test_the_map_that_points_right_deletes_early_and_inserts_early():
    right = curves_on(BLACK, ONES, quarter(), corner_logits, 0, steps=4)
    wrong = curves_on(BLACK, ONES, -quarter(), corner_logits, 0, steps=4)
    high, low = softmax([5, 0])[0], softmax([-5, 0])[0]
    # A quarter of the pixels is all the network looks at; bicubic keeps their order.
    np.testing.assert_allclose(right.deletion, [high, low, low, low, low], atol=0.02)
    np.testing.assert_allclose(right.insertion, [low, high, high, high, high], atol=0.02)
    assert wrong.deletion_area > 0.7 > 0.3 > right.deletion_area
    assert wrong.insertion_area < 0.3 < 0.7 < right.insertion_area


def test_curves_run_from_the_image_to_the_baseline_and_back():
    generator = np.random.default_rng(0)
    tensors = generator.random((3, 3, SIZE, SIZE), dtype=np.float32)
    baseline = blurred(tensors)
    found = curves_on(baseline, tensors, generator.random((3, 7, 7)), corner_logits, 0, steps=5)
    whole = class_probability(corner_logits(tensors), 0).mean()
    empty = class_probability(corner_logits(baseline), 0).mean()
    assert len(found.deletion) == len(found.insertion) == 6
    np.testing.assert_allclose(found.deletion[[0, -1]], [whole, empty])
    np.testing.assert_allclose(found.insertion[[0, -1]], [empty, whole])


def test_deletion_ends_at_its_own_ground_and_insertion_starts_at_its_own():
    found = pixel_curves(
        ONES, quarter(), corner_logits, 0, deleted_to=BLACK, inserted_into=0.5 * ONES, steps=2
    )
    grey, blur, whole = (
        class_probability(corner_logits(value * ONES), 0).mean() for value in (0, 0.5, 1)
    )
    np.testing.assert_allclose(found.deletion[[0, -1]], [whole, grey])
    np.testing.assert_allclose(found.insertion[[0, -1]], [blur, whole])


def test_channels_last_gives_the_same_curves():
    def logits_of(tensors):
        return corner_logits(np.moveaxis(tensors, -1, 1))

    tensors = np.random.default_rng(0).random((2, 3, SIZE, SIZE), dtype=np.float32)
    maps = np.random.default_rng(1).random((2, 4, 4))
    first = curves_on(mean_colour(tensors), tensors, maps, corner_logits, 0, steps=3)
    last = np.moveaxis(tensors, 1, -1)
    second = curves_on(mean_colour(last, "NHWC"), last, maps, logits_of, 0, steps=3, layout="NHWC")
    np.testing.assert_allclose(first.deletion, second.deletion, rtol=1e-6)
    np.testing.assert_allclose(first.insertion, second.insertion, rtol=1e-6)


def test_a_constant_map_takes_pixels_row_by_row():
    seen = []

    def logits_of(tensors):
        seen.append(tensors[:, 0])
        return np.zeros((len(tensors), 2))

    curves_on(BLACK, np.ones((1, 1, 4, 4), np.float32), np.ones((1, 2, 2)), logits_of, 0, steps=4)
    np.testing.assert_array_equal(seen[0][1], np.repeat([[0], [1], [1], [1]], 4, axis=1))


def test_no_image_has_no_curve():
    assert curves_on(BLACK, ONES[:0], quarter()[:0], corner_logits, 0) is None


def test_a_blur_keeps_a_constant_and_flattens_a_dot_within_its_channel():
    np.testing.assert_allclose(blurred(ONES), 1, rtol=1e-6)
    dot = np.zeros_like(ONES)
    dot[0, 1, 14, 14] = 1
    for tensors, layout in ((dot, "NCHW"), (np.moveaxis(dot, 1, -1), "NHWC")):
        found = blurred(tensors, layout)
        channels = found if layout == "NCHW" else np.moveaxis(found, -1, 1)
        assert channels[0, 1].max() < 0.5
        np.testing.assert_allclose(channels[0].sum(axis=(1, 2)), [0, 1, 0], atol=1e-5)


def test_the_blur_deviates_by_5_pixels_at_224_whatever_the_long_side():
    dot = np.zeros((1, 1, 112, 224), np.float32)
    dot[0, 0, 56, 112] = 1
    rows, columns = blurred(dot)[0, 0].sum(axis=1), blurred(dot)[0, 0].sum(axis=0)
    for found, centre in ((rows, 56), (columns, 112)):
        variance = (found * (np.arange(len(found)) - centre) ** 2).sum()
        assert variance == pytest.approx(2.5**2, rel=0.01)  # the kernel is cut at four deviations


def test_the_mean_colour_is_one_number_a_channel():
    tensors = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 2, 2)
    assert mean_colour(tensors).shape == (2, 3, 1, 1)
    np.testing.assert_allclose(mean_colour(tensors)[0, :, 0, 0], [1.5, 5.5, 9.5])


def test_grad_cam_equals_the_gradient_of_torch():
    torch.manual_seed(0)
    body = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.ReLU())
    head = torch.nn.Linear(8, 4)
    features = body(torch.randn(5, 3, 15, 13))
    features.retain_grad()
    head(features.mean(dim=(2, 3)))[:, 2].sum().backward()
    weights = features.grad.mean(dim=(2, 3), keepdim=True)
    expected = torch.relu((weights * features).sum(dim=1)).detach().numpy()
    found = grad_cam(features.detach().numpy(), head.weight[2].detach().numpy())
    assert found.shape == (5, 7, 6)
    assert found.max() > 0
    np.testing.assert_allclose(found, expected, atol=1e-7)  # float32 sums of order 0.01


def test_grad_cam_of_evidence_against_the_class_is_empty():
    features = np.ones((1, 2, 3, 3), np.float32)
    np.testing.assert_array_equal(grad_cam(features, np.array([-1.0, 0.5])), np.zeros((1, 3, 3)))
    np.testing.assert_allclose(grad_cam(features, np.array([1.0, 2.0])), 1 / 3)


def test_rise_finds_where_the_network_looks():
    saliency = rise(ONES, corner_logits, 0, masks=300, seed=0)[0]
    assert saliency.shape == (SIZE, SIZE)
    assert saliency.dtype == np.float32
    half = SIZE // 2
    inside, below = saliency[:half, :half].mean(), saliency[half:, :half].mean()
    assert inside > 1.1 * below
    row, column = np.unravel_index(saliency.argmax(), saliency.shape)
    assert (row < half, column < half) == (True, True)


def test_rise_of_a_network_that_looks_nowhere_is_level():
    def level(tensors):
        return np.zeros((len(tensors), 4))

    saliency = rise(ONES, level, 1, masks=2000, batch=500)
    # 0.25 everywhere, as every pixel is kept half of the time: four deviations of 2000 draws.
    np.testing.assert_allclose(saliency, 0.25, atol=4 * 0.25 / np.sqrt(2000))


def test_rise_does_not_depend_on_the_batch_and_runs_no_more_at_once():
    counts = []

    def logits_of(tensors):
        counts.append(len(tensors))
        return corner_logits(tensors)

    first = rise(ONES, logits_of, 0, masks=10, batch=4)
    assert counts == [4, 4, 2]
    second = rise(ONES, corner_logits, 0, masks=10, batch=10)
    np.testing.assert_allclose(first, second, rtol=1e-6)
    assert not np.allclose(first, rise(ONES, corner_logits, 0, masks=10, seed=1))


def test_rise_explains_every_image_with_the_same_masks():
    tensors = np.concatenate([ONES, 0 * ONES])
    found = rise(tensors, corner_logits, 0, masks=8)
    assert found.shape == (2, SIZE, SIZE)
    np.testing.assert_allclose(found[0], rise(ONES, corner_logits, 0, masks=8)[0], rtol=1e-6)


def test_rise_with_channels_last():
    def logits_of(tensors):
        return corner_logits(np.moveaxis(tensors, -1, 1))

    last = np.ascontiguousarray(np.moveaxis(ONES, 1, -1))
    found = rise(last, logits_of, 0, masks=8, layout="NHWC")
    np.testing.assert_allclose(found, rise(ONES, corner_logits, 0, masks=8), rtol=1e-6)


def test_rise_keeps_all_with_probability_1():
    found = rise(ONES, corner_logits, 0, masks=3, keep=1.0)
    np.testing.assert_allclose(found, softmax([5, 0])[0], rtol=1e-6)


def test_masks_are_the_paper_s_upsampled_grid():
    generator = np.random.default_rng(0)
    size = (30, 23)  # cells of 5 and 4 pixels, enlarged to 40 and 32
    grids = generator.random((4, GRID, GRID), dtype=np.float32)
    places = np.array([[0, 0], [4, 3], [2, 1], [4, 0]])
    large = torch.nn.functional.interpolate(
        torch.from_numpy(grids)[:, None], (40, 32), mode="bilinear", align_corners=False
    )[:, 0].numpy()
    found = random_masks(grids, places, size)
    for mask, whole, (row, column) in zip(found, large, places, strict=True):
        expected = whole[row : row + 30, column : column + 23]
        np.testing.assert_allclose(mask, expected, atol=1e-5)  # float32 positions up to 7

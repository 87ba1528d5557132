"""Where a heatmap points, and the metrics that need only that, on hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from exporter.evaluate.arithmetic.localization import boxes, hits, min_max, overlap, visible
from exporter.evaluate.metrics.pointing.consistency import (
    consistency,
    distinct_best_parts,
    distinct_parts,
    hit_rates,
)
from exporter.evaluate.metrics.pointing.distinctiveness import distinctiveness
from exporter.evaluate.metrics.pointing.stability import stability
from exporter.evaluate.trial.alterations import noisy
from serving.artifact import Preprocessing
from serving.drawing.peaks import peaks, upsample

SIZE = (224, 224)


def dot(row, column, grid=(7, 7)):
    """A heatmap with one bright cell."""
    heatmap = np.zeros(grid, np.float32)
    heatmap[row, column] = 1
    return heatmap


@pytest.mark.parametrize("size", [(224, 224), (224, 160), (20, 33), (7, 5), (3, 4)])
def test_upsampling_equals_torch(size):
    heatmaps = np.random.default_rng(0).normal(size=(2, 3, 7, 5)).astype(np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(heatmaps).double(), size, mode="bicubic", align_corners=False
    ).numpy()
    # Sums of float32 products of order 1; torch in float32 is further from float64 than this.
    np.testing.assert_allclose(upsample(heatmaps, size), expected, atol=1e-6)


def test_upsampling_keeps_a_constant_and_a_single_cell():
    # The weights of a row sum to 1, but for the rounding of four float32.
    np.testing.assert_allclose(upsample(np.full((1, 1), 3.0), (5, 6)), 3.0, rtol=1e-6)
    np.testing.assert_allclose(upsample(np.full((7, 7), -2.0), SIZE), -2.0, rtol=1e-6)


def test_the_peak_is_in_the_bright_cell():
    heatmaps = np.stack([dot(0, 0), dot(2, 5), dot(6, 3)])[None]
    cells = peaks(heatmaps, SIZE)[0] // 32  # x and y
    np.testing.assert_array_equal(cells, [[0, 0], [5, 2], [3, 6]])


def test_the_first_of_equal_peaks_counts():
    heatmaps = np.zeros((1, 2, 4, 4), np.float32)  # the first map is constant
    heatmaps[0, 1, 1, 3] = heatmaps[0, 1, 3, 0] = 1
    np.testing.assert_array_equal(peaks(heatmaps, (4, 4)), [[[0, 0], [3, 1]]])


def test_peaks_do_not_depend_on_how_many_are_upsampled_at_once(monkeypatch):
    heatmaps = np.random.default_rng(0).normal(size=(3, 4, 7, 7))
    together = peaks(heatmaps, SIZE)
    monkeypatch.setattr("serving.drawing.peaks._BYTES", 1)
    np.testing.assert_array_equal(peaks(heatmaps, SIZE), together)


def test_boxes_are_72_pixels_wide_and_end_at_the_border():
    found = boxes(np.array([[100, 120], [0, 223], [10, 0]]), SIZE)
    np.testing.assert_array_equal(found, [[64, 84, 136, 156], [0, 187, 36, 224], [0, 0, 46, 36]])


def test_boxes_scale_with_the_short_side_of_the_view():
    np.testing.assert_array_equal(boxes(np.array([56, 100]), (112, 300)), [38, 82, 74, 112])


def test_a_part_is_hit_inside_the_box_and_on_its_edge_but_not_outside_or_hidden():
    centres = np.array([[[100, 100]]])
    points = np.array([[[100, 100], [136, 64], [136.5, 100], [np.nan, np.nan]]])
    np.testing.assert_array_equal(hits(centres, points, SIZE), [[[True, True, False, False]]])
    np.testing.assert_array_equal(visible(points), [[True, True, True, False]])
    assert not visible(np.array([[[np.nan, 5.0]]])).any()  # half a point is none


def test_overlap_of_boxes():
    first = np.array([[0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 2, 2], [1, 1, 1, 1]], float)
    second = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6], [1, 1, 1, 1]], float)
    np.testing.assert_allclose(overlap(first, second), [1, 1 / 3, 0, 0])


def test_min_max_scales_each_heatmap_and_empties_a_constant_one():
    heatmaps = np.array([[[-1.0, 3.0]], [[5.0, 5.0]]])
    np.testing.assert_allclose(min_max(heatmaps), [[[0, 1]], [[0, 0]]])


def test_a_dot_on_a_keypoint_is_consistent():
    heatmaps = np.stack([[dot(row, 3)] for row in range(5)])  # it moves with its part
    points = np.stack([[[3 * 32 + 16, row * 32 + 16]] for row in range(5)]).astype(float)
    found = hits(peaks(heatmaps, SIZE), points, SIZE)
    assert consistency(found, visible(points)) == 1
    assert distinct_parts(found, visible(points)) == 1


def test_a_dot_that_stays_while_the_part_moves_is_not_consistent():
    heatmaps = np.stack([[dot(0, 3)] for _ in range(5)])
    points = np.stack([[[3 * 32 + 16, row * 32 + 16]] for row in range(5)]).astype(float)
    assert consistency(hits(peaks(heatmaps, SIZE), points, SIZE), visible(points)) == 0


@pytest.mark.parametrize(("found", "expected"), [(4, 1.0), (3, 0.0)])
def test_exactly_four_of_five_images_are_enough(found, expected):
    hit = np.zeros((5, 1, 1), bool)
    hit[:found] = True
    assert consistency(hit, np.ones((5, 1), bool)) == expected


@pytest.mark.parametrize("shown", [5, 10, 15, 20, 25, 30])
def test_four_fifths_count_whatever_the_number_of_images(shown):
    hit = np.zeros((shown, 1, 1), bool)
    hit[: shown * 4 // 5] = True
    assert consistency(hit, np.ones((shown, 1), bool)) == 1


def test_only_images_that_show_the_part_count():
    hit = np.array([True, True, False, False]).reshape(4, 1, 1)
    shown = np.array([True, True, False, False]).reshape(4, 1)
    assert consistency(hit, shown) == 1
    assert hit_rates(hit, shown) == 1


def test_a_part_that_is_never_visible_is_never_hit():
    hit = np.ones((3, 2, 1), bool)
    shown = np.zeros((3, 1), bool)
    np.testing.assert_array_equal(hit_rates(hit, shown), [[0], [0]])
    assert consistency(hit, shown) == 0
    assert distinct_parts(hit, shown) == 0


def test_no_part_at_all_is_not_consistent():
    assert consistency(np.zeros((3, 2, 0), bool), np.zeros((3, 0), bool)) == 0


def test_one_image_is_enough():
    assert consistency(np.ones((1, 1, 1), bool), np.ones((1, 1), bool)) == 1


def test_two_prototypes_on_one_part_count_once():
    hit = np.zeros((1, 2, 2), bool)
    hit[:, :, 0] = True
    shown = np.ones((1, 2), bool)
    assert consistency(hit, shown) == 1
    assert distinct_parts(hit, shown) == 0.5


def test_a_prototype_on_two_parts_leaves_one_to_the_other():
    hit = np.array([[[True, True], [True, False]]])  # greedily the first would take the only one
    assert distinct_parts(hit, np.ones((1, 2), bool)) == 1
    assert distinct_parts(hit[:, ::-1], np.ones((1, 2), bool)) == 1


def test_by_the_part_hit_most_often_two_may_be_one_where_a_matching_finds_two():
    # Both hit both parts often enough; the first part is the one that both hit most.
    hit = np.ones((10, 2, 2), bool)
    hit[0, :, 1] = False
    shown = np.ones((10, 2), bool)
    assert distinct_parts(hit, shown) == 1
    assert distinct_best_parts(hit, shown) == 0.5
    hit[:3, 1] = False  # the second is consistent on nothing
    assert distinct_best_parts(hit, shown) == 0.5
    assert distinct_best_parts(np.zeros_like(hit), shown) == 0


def test_prototypes_at_one_place_are_not_distinct():
    assert distinctiveness(np.full((2, 3, 2), 100), SIZE) == 0


def test_prototypes_far_apart_are_distinct():
    assert distinctiveness(np.array([[[40, 40], [180, 180]]]), SIZE) == 1


def test_distinctiveness_is_the_mean_over_pairs_and_images():
    # Boxes of 72 px, 36 px apart in one direction: 36 of 108 shared.
    peaks_ = np.array([[[50, 100], [86, 100], [186, 100]], [[100, 100]] * 3])
    assert distinctiveness(peaks_, SIZE) == pytest.approx(1 - (1 / 9 + 1) / 2)


def test_the_boxes_of_distinctiveness_are_not_cut_at_the_border():
    # Two peaks in a corner, 36 px apart: whole boxes share a third. Cut at the border they would
    # share a half, 36 of 72 px wide, and prototypes that meet in a corner would count as closer.
    corner = np.array([[[0, 0], [36, 0]]])
    assert distinctiveness(corner, SIZE) == pytest.approx(1 - 1 / 3)


def test_a_single_prototype_has_no_distinctiveness():
    assert distinctiveness(np.array([[[1, 2]]]), SIZE) is None


def test_stability_is_the_share_of_equal_part_vectors():
    before = np.zeros((2, 2, 3), bool)
    after = before.copy()
    assert stability(before, after) == 1
    after[0, 0, 2] = True  # one part more is another vector
    assert stability(before, after) == 0.75


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_noise_is_that_of_imagenet_in_pixels_whatever_the_normalisation(layout, channels):
    std = (0.5, 0.25, 0.125)
    preprocessing = Preprocessing(
        crop=32, mean=(0.5, 0.5, 0.5), std=std, layout=layout, channels=channels
    )
    shape = (4, 3, 32, 32) if layout == "NCHW" else (4, 32, 32, 3)
    found = noisy(np.zeros(shape, np.float32), preprocessing, np.random.default_rng(0))
    planes = found if layout == "NCHW" else np.moveaxis(found, -1, 1)
    pixels = planes * np.reshape(std, (3, 1, 1))  # shares of the range of pixels
    assert found.dtype == np.float32
    imagenet = {"R": 0.229, "G": 0.224, "B": 0.225}
    units = pixels / np.reshape([imagenet[channel] for channel in channels], (3, 1, 1))
    np.testing.assert_allclose(np.abs(units).max(axis=(0, 2, 3)), 0.25, rtol=1e-5)
    # Clipped at 1.25 deviations, a normal keeps 0.787 of its deviation; 4096 draws a channel.
    np.testing.assert_allclose(units.std(axis=(0, 2, 3)), 0.787 * 0.2, rtol=0.05)


def test_noise_of_a_grey_input_has_one_channel():
    grey = Preprocessing(crop=8, mean=(0.0,), std=(1.0,), channels="L")
    found = noisy(np.zeros((2, 1, 8, 8), np.float32), grey, np.random.default_rng(0))
    assert np.abs(found).max() == pytest.approx(0.25 * 0.226)


def test_noise_for_pixels_that_are_not_scaled_moves_a_pixel_as_far():
    plain = Preprocessing(crop=8, scale=1.0, mean=(127.0,) * 3, std=(128.0,) * 3)
    unit = Preprocessing(crop=8)
    tensors = np.zeros((1, 3, 8, 8), np.float32)
    first = noisy(tensors, plain, np.random.default_rng(3)) * 128 / 255
    second = noisy(tensors, unit, np.random.default_rng(3))
    np.testing.assert_allclose(first, second, rtol=1e-5)

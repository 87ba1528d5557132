"""The metrics that compare heatmaps with masks, on hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.evaluate.metrics.pointing.comprehensiveness import (
    comprehensiveness,
    intersection_over_union,
)
from exporter.evaluate.metrics.truth.background import background_independence, background_share
from exporter.evaluate.metrics.truth.part_deletion import deletion_correlation, right_share
from exporter.evaluate.metrics.truth.part_iou import part_iou
from exporter.evaluate.metrics.truth.part_purity import NO_PART, part_mass, part_purity

# Grids of the size of the view, so that upsampling changes nothing; float32 sums of a few cells.
ROUNDING = 1e-6
NAN = np.nan


def cells(*found, grid=(4, 4), value=1.0):
    """A heatmap that is bright on some cells."""
    heatmap = np.zeros(grid, np.float32)
    for row, column in found:
        heatmap[row, column] = value
    return heatmap


def mask(*found, grid=(4, 4)):
    return cells(*found, grid=grid) > 0


TOP = [(0, column) for column in range(4)]
LEFT = [(row, 0) for row in range(4)]


def test_prototypes_that_cover_the_foreground_together_are_comprehensive():
    heatmaps = np.stack([cells((0, 0), (0, 1)), cells((0, 2), (0, 3))])[None]
    assert comprehensiveness(heatmaps, mask(*TOP)[None]) == 1


def test_comprehensiveness_is_intersection_over_union():
    heatmaps = cells((0, 0), (1, 0))[None, None]
    assert comprehensiveness(heatmaps, mask((0, 0), (0, 1))[None]) == pytest.approx(1 / 3)


def test_sixty_percent_of_the_range_is_covered_and_less_is_not():
    heatmap = np.array([[0.0, 10.0, 6.0, 5.9]], np.float32)
    assert comprehensiveness(heatmap[None, None], np.array([[[False, True, True, False]]])) == 1


def test_heatmaps_are_upsampled_to_the_mask():
    heatmaps = np.zeros((1, 1, 2, 2), np.float32)
    heatmaps[0, 0, 0, 0] = 1
    foreground = np.zeros((1, 64, 64), bool)
    foreground[:, :32, :32] = True
    # Bicubic: the bright cell's 0.6 contour lies a little inside its edge.
    assert 0.6 < comprehensiveness(heatmaps, foreground) < 1


def test_a_constant_heatmap_covers_nothing():
    assert comprehensiveness(np.full((1, 2, 4, 4), 3.0), mask(*TOP)[None]) == 0


def test_images_without_foreground_are_left_out():
    heatmaps = np.stack([cells(*TOP), cells((3, 3))])[:, None]
    foreground = np.stack([mask(*TOP), mask()])
    assert comprehensiveness(heatmaps, foreground) == 1
    assert comprehensiveness(heatmaps, np.zeros_like(foreground)) is None
    assert comprehensiveness(heatmaps[:0], foreground[:0]) is None


def test_two_empty_masks_do_not_overlap():
    assert intersection_over_union(mask(), mask()) == 0


def test_a_prototype_on_one_part_is_pure():
    heatmaps = np.stack([cells(*TOP), cells((3, 3), value=2)])[None]
    masks = np.stack([mask((3, 3)), mask(*TOP)])[None]
    found = part_purity(part_mass(heatmaps, masks))
    assert found.value == pytest.approx(1, abs=ROUNDING)
    np.testing.assert_array_equal(found.parts, [1, 0])


def test_purity_is_the_share_on_the_best_part_of_all_images():
    # Image 1: 3 of 4 on part 0. Image 2: all 4 on part 1, twice as bright.
    heatmaps = np.stack([cells(*TOP), cells(*LEFT, value=2)])[:, None]
    masks = np.stack([[mask(*TOP[:3]), mask()], [mask(), mask(*LEFT)]])
    found = part_purity(part_mass(heatmaps, masks))
    assert found.value == pytest.approx(8 / 12, abs=ROUNDING)
    np.testing.assert_array_equal(found.parts, [1])


def test_negative_evidence_is_no_evidence():
    heatmap = cells((0, 0)) - cells((3, 3), value=5)
    found = part_purity(part_mass(heatmap[None, None], mask((0, 0))[None, None]))
    assert found.value == pytest.approx(1, abs=ROUNDING)


def test_a_pixel_of_two_parts_belongs_to_the_smaller_one():
    eye, head = mask((0, 0)), mask(*TOP)
    masks = np.stack([head, eye])[None]
    on_eye = part_purity(part_mass(cells((0, 0))[None, None], masks))
    assert (on_eye.value, on_eye.parts.tolist()) == (pytest.approx(1, abs=ROUNDING), [1])
    on_head = part_purity(part_mass(cells(*TOP)[None, None], masks))
    assert (on_head.value, on_head.parts.tolist()) == (pytest.approx(0.75, abs=ROUNDING), [0])


def test_a_pixel_of_two_equal_parts_belongs_to_the_first():
    masks = np.stack([mask((0, 0)), mask((0, 0))])[None]
    mass = part_mass(cells((0, 0))[None, None], masks)
    np.testing.assert_allclose(mass.parts, [[[1, 0]]], atol=ROUNDING)


def test_no_mass_is_counted_twice_or_lost():
    generator = np.random.default_rng(0)
    heatmaps = generator.normal(size=(3, 2, 4, 4)).astype(np.float32)
    masks = generator.random((3, 5, 4, 4)) < 0.4
    mass = part_mass(heatmaps, masks)
    expected = np.maximum(heatmaps, 0).sum(axis=(2, 3))
    np.testing.assert_allclose(mass.parts.sum(axis=2) + mass.outside, expected, rtol=1e-5)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_prototype_without_positive_evidence_has_no_part_and_purity_0(value):
    heatmaps = np.stack([cells(*TOP), np.full((4, 4), value, np.float32)])[None]
    found = part_purity(part_mass(heatmaps, mask(*TOP)[None, None]))
    np.testing.assert_array_equal(found.parts, [0, NO_PART])
    np.testing.assert_allclose(found.each, [1, 0], atol=ROUNDING)
    assert found.value == pytest.approx(0.5, abs=ROUNDING)


def test_a_prototype_beside_all_parts_has_no_part():
    found = part_purity(part_mass(cells((3, 3))[None, None], mask(*TOP)[None, None]))
    assert (found.value, found.parts.tolist()) == (0, [NO_PART])


def test_a_constant_map_has_the_purity_of_the_largest_part():
    masks = np.stack([mask((3, 3)), mask(*TOP)])[None]
    found = part_purity(part_mass(np.ones((1, 1, 4, 4)), masks))
    assert (found.value, found.parts.tolist()) == (pytest.approx(4 / 16, abs=ROUNDING), [1])


@pytest.mark.parametrize("parts", [0, 2])
def test_without_any_part_there_is_no_purity(parts):
    found = part_purity(part_mass(np.ones((2, 1, 4, 4)), np.zeros((2, parts, 4, 4), bool)))
    assert found.value is None
    np.testing.assert_array_equal(found.parts, [NO_PART])


def test_attribution_sums_the_prototypes_and_is_undefined_for_hidden_parts():
    heatmaps = np.stack([cells(*TOP), cells((0, 0))])[None]
    mass = part_mass(heatmaps, np.stack([mask(*TOP), mask()])[None])
    np.testing.assert_allclose(mass.attribution, [[5, NAN]], atol=ROUNDING)


def test_part_iou_compares_each_prototype_with_its_part():
    heatmaps = np.stack([cells(*TOP), cells((3, 3), (3, 2))])[None]
    masks = np.stack([mask(*TOP), mask((3, 3))])[None]
    assert part_iou(heatmaps, masks, np.array([0, 1])) == pytest.approx((1 + 0.5) / 2)


def test_part_iou_counts_only_images_that_show_the_part():
    heatmaps = np.stack([cells(*TOP), cells((3, 3))])[:, None]
    masks = np.stack([[mask(*TOP)], [mask()]])
    assert part_iou(heatmaps, masks, np.array([0])) == 1


def test_part_iou_is_the_mean_over_prototypes_of_the_mean_over_images():
    # Prototype 0 has its part in both images, prototype 1 in the second alone, which it misses.
    heatmaps = np.stack([[cells(*TOP), cells((3, 3))]] * 2)
    masks = np.stack([[mask(*TOP), mask()], [mask(*TOP), mask((2, 2))]])
    assert part_iou(heatmaps, masks, np.array([0, 1])) == 0.5


def test_part_iou_without_parts():
    heatmaps = np.stack([cells(*TOP), cells((3, 3))])[None]
    masks = np.stack([mask(*TOP), mask()])[None]
    assert part_iou(heatmaps, masks, np.array([0, NO_PART])) == 0.5  # stands for nothing
    assert part_iou(heatmaps, masks, np.array([0, 1])) == 1  # its part is never shown
    assert part_iou(heatmaps, masks, np.array([1, 1])) is None
    assert part_iou(heatmaps, np.zeros_like(masks), np.array([NO_PART, NO_PART])) is None


def test_a_constant_map_has_no_part_iou():
    assert part_iou(np.ones((1, 1, 4, 4)), mask(*TOP)[None, None], np.array([0])) == 0


def test_attribution_in_the_order_of_the_drops_correlates():
    without = np.array([[4.0, 3.0, 1.0]])  # drops 1, 2, 4
    logits = np.array([5.0])
    assert deletion_correlation(np.array([[0.1, 5.0, 6.0]]), logits, without) == pytest.approx(1)
    assert deletion_correlation(np.array([[6.0, 5.0, 0.1]]), logits, without) == pytest.approx(-1)
    assert deletion_correlation(np.array([[5.0, 0.1, 6.0]]), logits, without) == pytest.approx(0.5)


def test_hidden_parts_and_images_with_two_parts_are_left_out():
    logits = np.array([5.0, 5.0])
    without = np.array([[4.0, NAN, 3.0, 1.0], [1.0, 2.0, NAN, NAN]])
    attribution = np.array([[1.0, NAN, 2.0, 3.0], [1.0, 2.0, NAN, NAN]])
    assert deletion_correlation(attribution, logits, without) == pytest.approx(1)
    assert deletion_correlation(attribution[1:], logits[1:], without[1:]) is None


def test_an_explanation_that_ranks_no_part_counts_0_and_equal_drops_do_not_count():
    logits, ranked = np.array([5.0]), np.array([[1.0, 2.0, 3.0]])
    assert deletion_correlation(np.zeros((1, 3)), logits, 5 - ranked) == 0
    assert deletion_correlation(ranked, logits, np.full((1, 3), 2.0)) is None
    assert deletion_correlation(np.zeros((0, 3)), np.zeros(0), np.zeros((0, 3))) is None


def test_all_of_the_drop_in_the_right_prototype():
    contributions = np.array([[3.0, 2.0]])
    without = np.array([[[0.0, 2.0], [3.0, 1.0]]])  # (n, q, k)
    assert right_share(contributions, without, np.array([0, 1])) == 1
    assert right_share(contributions, without, np.array([1, 0])) == 0


def test_what_the_other_prototypes_move_lowers_the_share():
    without = np.array([[[1.0, 3.0]]])  # the right one falls by 2, the other rises by 1
    assert right_share(np.array([[3.0, 2.0]]), without, np.array([0, NO_PART])) == pytest.approx(
        2 / 3
    )


def test_a_part_for_which_no_prototype_stands_lowers_the_share():
    contributions, without = np.array([[2.0, 2.0]]), np.array([[[1.0, 1.0], [1.0, 1.0]]])
    assert right_share(contributions, without, np.array([0, 0])) == 0.5


def test_a_right_prototype_that_rises_is_not_right():
    assert right_share(np.array([[1.0]]), np.array([[[3.0]]]), np.array([0])) == 0


def test_hidden_parts_do_not_count_for_the_share():
    without = np.array([[[1.0], [NAN]]])
    assert right_share(np.array([[2.0]]), without, np.array([0])) == 1
    assert right_share(np.array([[2.0]]), np.full((1, 2, 1), NAN), np.array([0])) is None
    assert right_share(np.array([[2.0]]), np.full((1, 2, 1), 2.0), np.array([0])) is None


def test_background_that_moves_nothing_is_independent():
    contributions = np.array([[2.0, -1.0]])
    assert background_independence(contributions, np.repeat(contributions[:, None], 3, 1)) == 1


def test_independence_falls_by_what_moves():
    contributions = np.array([[2.0, 2.0]])
    elsewhere = np.array([[[1.0, 2.0], [2.0, 4.0]]])  # 1 and 2 of 4
    assert background_independence(contributions, elsewhere) == pytest.approx(1 - 3 / 8)
    assert background_independence(contributions, -3 * elsewhere[:, :1]) < 0


def test_independence_without_backdrops_or_contributions():
    contributions = np.array([[2.0, 2.0]])
    elsewhere = np.array([[[1.0, 2.0], [NAN, NAN]]])
    assert background_independence(contributions, elsewhere) == pytest.approx(0.75)
    assert background_independence(contributions, elsewhere[:, :0]) is None
    half_known = np.array([[[1.0, 2.0], [0.0, NAN]]])  # is left out whole
    assert background_independence(contributions, half_known) == pytest.approx(0.75)
    assert background_independence(contributions, elsewhere[:, 1:]) is None
    assert background_independence(np.zeros((1, 2)), np.ones((1, 1, 2))) is None


def test_background_share_is_the_mean_over_prototypes():
    heatmaps = np.stack([cells(*TOP), cells((3, 3)), -cells((3, 3))])[None]
    found = background_share(heatmaps, mask(*TOP[:3])[None])
    assert found == pytest.approx((0.25 + 1) / 2, abs=ROUNDING)  # the third has no evidence


def test_background_share_of_empty_maps_is_undefined():
    assert background_share(np.zeros((1, 2, 4, 4)), mask(*TOP)[None]) is None


def test_without_foreground_everything_is_background():
    assert background_share(cells(*TOP)[None, None], mask()[None]) == 1

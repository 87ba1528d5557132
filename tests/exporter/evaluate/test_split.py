"""The metrics of contributions and prototypes alone, on hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.evaluate.metrics.robustness.redundancy import heatmap_correlation, prototype_cosine
from exporter.evaluate.metrics.sums.cancellation import cancelled_heat, negative_share, sum_of_norms
from exporter.evaluate.metrics.sums.completeness import (
    axioms,
    completeness_residual,
    head_linearity,
)

EPS = np.finfo(np.float32).eps


@pytest.fixture
def features():
    """(n, p, d) float32."""
    return np.random.default_rng(0).random((4, 6, 5), dtype=np.float32)


@pytest.fixture
def row():
    return np.array([1.0, -2.0, 0.5, 3.0, -0.5])


def test_what_is_missing_is_the_residual():
    contributions, constant = np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([0.5, 0.5])
    assert completeness_residual(contributions, constant, np.array([3.5, 2.5])) == 0
    assert completeness_residual(contributions, 0.5, np.array([3.5, 2.5])) == 0
    assert completeness_residual(contributions, 0.0, np.array([3.5, 2.5])) == 0.5 / 4
    assert completeness_residual(contributions, 0.0, np.array([3.0, -4.0])) == 6 / 4


def test_a_residual_is_of_what_is_summed_and_not_of_logits_that_cancel():
    contributions, constant = np.array([[1.0, 2.0]]), np.array([-2.75])
    assert completeness_residual(contributions, constant, np.array([0.0])) == 0.25 / 5.75


def test_a_residual_needs_something_to_sum():
    assert completeness_residual(np.zeros((2, 3)), 0.0, np.zeros(2)) is None
    assert completeness_residual(np.zeros((0, 3)), 0.0, np.zeros(0)) is None


@pytest.mark.parametrize("k", [1, 3])
def test_a_complete_split_meets_all_axioms(features, row, k):
    prototypes = np.random.default_rng(1).normal(size=(k, 5))
    prototypes[-1] = row - prototypes[:-1].sum(axis=0)
    found = axioms(features.astype(np.float64), row, prototypes)
    # Sums of a few float64 products of order 1.
    for violation in (found.completeness, found.sensitivity, found.linearity, found.symmetry):
        assert violation < 1e-13


def test_what_is_served_meets_them_up_to_float32(features, row):
    prototypes = np.stack([0.3 * row, 0.7 * row]).astype(np.float32)
    found = axioms(features, row, prototypes)
    assert max(found.completeness, found.sensitivity, found.linearity, found.symmetry) < 50 * EPS
    assert found.linearity > 0  # rounding is seen; that of other axioms may be none


def test_a_part_of_the_head_is_neither_complete_nor_sensitive(features, row):
    found = axioms(features.astype(np.float64), row, row[None] / 4)
    assert found.completeness == pytest.approx(0.75)
    assert found.sensitivity > 0.1
    assert found.linearity < 1e-13
    assert found.symmetry < 1e-13


def test_sensitivity_is_measured_at_each_position(row):
    features = np.zeros((1, 2, 5))
    features[0, 0, 3] = features[0, 1, 1] = 1  # f = (3 - 2) / 2
    found = axioms(features, row, row[None] * [[1, 1, 1, 0, 1]])  # blind at the first position
    assert found.completeness == pytest.approx(1.5 / 0.5)
    assert found.sensitivity == pytest.approx(1.5 / 0.5)


def test_axioms_of_one_image_with_one_position():
    found = axioms(np.ones((1, 1, 2)), np.array([1.0, 2.0]), np.array([[1.0, 2.0]]))
    assert (found.completeness, found.sensitivity, found.linearity, found.symmetry) == (0, 0, 0, 0)


def test_axioms_need_a_logit(features, row):
    assert axioms(np.zeros_like(features), row, row[None]) is None
    assert axioms(features[:0], row, row[None]) is None


def test_linearity_in_the_heads_holds_for_a_complete_method_alone(features, row):
    other = row[::-1] + 1
    halves = head_linearity(features, row, other, lambda v: np.stack([v / 2, v / 2]))
    assert halves < 100 * EPS
    signs = head_linearity(features, row, other, lambda v: np.abs(v)[None])
    assert signs > 0.1
    assert head_linearity(0 * features, row, other, lambda v: v[None]) is None


def test_copies_have_cosine_1_whatever_their_sign_and_length():
    assert prototype_cosine(np.array([[1.0, 2.0], [-2.0, -4.0]])) == pytest.approx(1)
    assert prototype_cosine(np.array([[1.0, 0.0], [0.0, 3.0]])) == 0


def test_cosine_is_the_mean_over_pairs():
    prototypes = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert prototype_cosine(prototypes) == pytest.approx(1 / 3)


def test_cosine_of_one_prototype_or_of_zeros_is_undefined():
    assert prototype_cosine(np.ones((1, 3))) is None
    assert prototype_cosine(np.array([[0.0, 0.0], [1.0, 1.0]])) is None
    assert prototype_cosine(np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]])) == pytest.approx(1)


def test_heatmaps_that_are_copies_correlate():
    heatmap = np.arange(9.0).reshape(1, 1, 3, 3)
    assert heatmap_correlation(np.concatenate([heatmap, 2 * heatmap + 1], 1)) == pytest.approx(1)
    assert heatmap_correlation(np.concatenate([heatmap, -heatmap], axis=1)) == pytest.approx(-1)


def test_heatmap_correlation_is_the_mean_over_images_and_pairs():
    line, up = np.arange(4.0).reshape(2, 2), np.array([[1.0, -1.0], [-1.0, 1.0]])  # uncorrelated
    assert heatmap_correlation(np.stack([[line, line], [line, up]])) == pytest.approx(0.5)


def test_constant_heatmaps_and_a_single_one_have_no_correlation():
    line, flat = np.arange(4.0).reshape(2, 2), np.full((2, 2), 3.0)
    assert heatmap_correlation(np.stack([[line, flat]])) is None
    assert heatmap_correlation(np.stack([[line]])) is None
    assert heatmap_correlation(np.zeros((0, 2, 2, 2))) is None
    assert heatmap_correlation(np.stack([[line, flat], [line, line]])) == pytest.approx(1)


def test_prototypes_of_one_direction_do_not_cancel():
    assert sum_of_norms(np.array([[1.0, 1.0], [2.0, 2.0]])) == pytest.approx(1)


def test_prototypes_that_cancel_have_more_norm_than_their_sum():
    assert sum_of_norms(np.array([[3.0, 0.0], [-2.0, 0.0]])) == pytest.approx(5)
    assert sum_of_norms(np.array([[3.0, 0.0], [0.0, 4.0]])) == pytest.approx(7 / 5)
    assert sum_of_norms(np.array([[3.0, 0.0], [-3.0, 0.0]])) is None


def test_negative_share():
    assert negative_share(np.array([[1.0, -1.0], [3.0, -1.0]])) == pytest.approx(2 / 6)
    assert negative_share(np.array([[1.0, 2.0]])) == 0
    assert negative_share(np.array([[-1.0]])) == 1
    assert negative_share(np.zeros((2, 3))) is None
    assert negative_share(np.zeros((0, 3))) is None


def test_cancelled_heat():
    # One image, two prototypes on two positions: +3 -1 leave 2 of 4, and 1 + 1 stay.
    assert cancelled_heat(np.array([[[[3.0, 1.0]], [[-1.0, 1.0]]]])) == pytest.approx(2 / 6)
    assert cancelled_heat(np.array([[[[3.0, -1.0]], [[2.0, -4.0]]]])) == 0  # nowhere opposed
    assert cancelled_heat(np.array([[[[2.0]], [[-2.0]]]])) == 1
    assert cancelled_heat(np.zeros((2, 3, 1, 1))) is None
    assert cancelled_heat(np.zeros((0, 3, 1, 1))) is None

"""Means, correlations and intervals, on cases with a known answer."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from exporter.evaluate.arithmetic.statistics import (
    correlation,
    mean_defined,
    mean_interval,
    over_seeds,
    paired_difference,
    rank_correlation,
)

NAN = np.nan


def test_the_interval_holds_the_mean_and_is_that_of_students_t_for_normal_values():
    # 40 quantiles of a normal distribution; the bootstrap's own quantiles are off by 1 to 2 %.
    values = stats.norm.ppf((np.arange(40) + 0.5) / 40)
    found = paired_difference(values + 3, np.ones(40))
    half = stats.t.ppf(0.975, 39) * values.std(ddof=1) / np.sqrt(40)
    assert found.mean == pytest.approx(2)
    assert found.count == 40
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), abs=0.05 * half)


def test_pairs_are_differences_of_the_same_class():
    spread = np.array([0.0, 10.0, 20.0, 30.0])
    found = paired_difference(spread + 1, spread)
    assert (found.mean, found.low, found.high) == (1, 1, 1)


def test_a_pair_with_an_undefined_value_is_dropped():
    found = paired_difference([1.0, NAN, 3.0, 9.0], [0.0, 5.0, 2.0, None])
    assert (found.mean, found.count) == (1, 2)


@pytest.mark.parametrize("second", [[NAN, NAN], [1.0, NAN], [None, None]])
def test_fewer_than_two_pairs_have_no_difference(second):
    assert paired_difference([1.0, 2.0], second) is None
    assert paired_difference([], []) is None


def test_two_pairs_have_the_widest_interval_there_is():
    found = paired_difference([1.0, 5.0], [0.0, 0.0])
    assert (found.mean, found.low, found.high) == (3, 1, 5)


def test_the_seed_decides_the_interval():
    values = np.random.default_rng(0).normal(size=12)
    zeros = np.zeros(12)
    assert paired_difference(values, zeros, seed=1) == paired_difference(values, zeros, seed=1)
    assert paired_difference(values, zeros, seed=1) != paired_difference(values, zeros, seed=2)


def test_the_interval_of_a_mean_is_that_of_its_difference_from_zero():
    values = np.random.default_rng(0).normal(size=12)
    found = paired_difference(values, np.zeros(12))
    assert mean_interval(values) == (found.low, found.high)
    assert mean_interval([2.0, NAN]) == (2.0, 2.0)
    assert np.isnan(mean_interval([NAN])).all()


def test_the_interval_of_few_classes_is_expanded():
    # All 6^6 resamples, at Phi(z) with z = sqrt(6 / 5) times 2.571, the quantile of t on 5. Without
    # the root, or on 6, the upper end would be 12 or less. A million draws meet it within a step.
    values = [0.0, 1.0, 2.0, 4.0, 8.0, 16.0]
    means = np.array(list(product(values, repeat=6))).mean(axis=1)
    z = np.sqrt(6 / 5) * 2.571
    found = mean_interval(values, draws=1_000_000)
    assert found == pytest.approx(np.quantile(means, stats.norm.cdf([-z, z])))


def test_mean_and_deviation_over_seeds():
    found = over_seeds([1.0, 2.0, 3.0, NAN])
    assert (found.mean, found.deviation, found.count) == (2.0, 1.0, 3)
    assert over_seeds([4.0]).deviation is None
    assert over_seeds([4.0]).mean == 4.0
    assert over_seeds([NAN, None]) is None


def test_the_mean_of_defined_values():
    assert mean_defined([1.0, NAN, None, 3.0]) == 2.0
    assert mean_defined([NAN]) is None
    assert mean_defined([]) is None


def test_correlations_equal_scipys():
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(2, 5, 30)).round(1)  # rounded, so that ranks tie
    pearson = [stats.pearsonr(a, b).statistic for a, b in zip(first, second, strict=True)]
    spearman = [stats.spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(correlation(first, second), pearson, atol=1e-12)
    np.testing.assert_allclose(rank_correlation(first, second), spearman, atol=1e-12)


def test_correlations_of_a_constant_are_undefined():
    line = np.arange(4.0)
    for constant in (np.zeros(4), np.full(4, 0.1), np.full(4, -7e5)):
        assert np.isnan(correlation(line, constant))
        assert np.isnan(rank_correlation(constant, line))
    nearly = np.full(4, 0.1, np.float32)
    nearly[0] = np.nextafter(nearly[0], 1, dtype=np.float32)  # what a product rounds to
    assert np.isnan(correlation(line, nearly))


def test_one_position_has_no_correlation():
    assert np.isnan(correlation(np.ones((2, 1)), np.ones((2, 1)))).all()


def test_correlations_broadcast():
    first, second = np.random.default_rng(0).normal(size=(2, 3, 8))
    table = correlation(first[:, None], second[None])
    assert table.shape == (3, 3)
    np.testing.assert_allclose(np.diag(table), correlation(first, second))

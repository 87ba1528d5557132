import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.decompose.refinement import (
    Heatmaps,
    equal_split,
    first_shares,
    naive_split,
    nelder_mead_split,
    z_score,
)
from exporter.decompose.solution import Ending
from exporter.errors import DecompositionError

seeds = st.integers(0, 2**32 - 1)


def random_problem(seed, k=3, channels=4):
    random = np.random.default_rng(seed)
    features = random.random((5, 9, channels)).astype(np.float32)
    return features, random.random((k, channels)), random.normal(size=channels)


@settings(max_examples=20)
@given(seed=seeds, k=st.integers(2, 4), start=st.sampled_from(["zeros", "even", "naive"]))
def test_nelder_mead_is_never_worse_than_its_start(seed, k, start):
    features, prototypes, residual = random_problem(seed, k)
    shares = first_shares(start, np.arange(1.0, k + 1), residual)
    solution = nelder_mead_split(features, prototypes, residual, shares)
    assert solution.objective <= Heatmaps(features, prototypes).mismatch(shares)
    assert Heatmaps(features, prototypes).mismatch(solution.value) == solution.objective


@settings(max_examples=20)
@given(seed=seeds, k=st.integers(1, 4))
def test_the_shares_sum_to_the_residual(seed, k):
    features, prototypes, residual = random_problem(seed, k)
    found = nelder_mead_split(features, prototypes, residual, equal_split(k, residual)).value
    for shares in (found, equal_split(k, residual), naive_split(np.arange(1.0, k + 1), residual)):
        # Rounding of the largest share: Norm forgets scale, so Nelder-Mead may let two shares
        # grow against each other without bound.
        atol = 1e-15 * k * np.abs(shares).max()
        np.testing.assert_allclose(shares.sum(axis=0), residual, rtol=1e-14, atol=atol)


def test_nelder_mead_improves_a_problem_that_is_small_enough():
    # Two channels, two prototypes: two unknowns, which 100 iterations do solve.
    features, prototypes, residual = random_problem(0, k=2, channels=2)
    start = Heatmaps(features, prototypes).mismatch(equal_split(2, residual))
    shares = equal_split(2, residual)
    assert nelder_mead_split(features, prototypes, residual, shares).objective < 0.9 * start


def test_nelder_mead_that_reaches_its_limit_says_so():
    features, prototypes, residual = random_problem(0, k=3, channels=20)
    solution = nelder_mead_split(features, prototypes, residual, equal_split(3, residual))
    assert solution.iterations == 100
    assert solution.ending is Ending.LIMIT


def test_a_simplex_that_fits_no_memory_is_refused_at_once():
    features = np.ones((4, 9, 2048), dtype=np.float32)
    with pytest.raises(DecompositionError, match=r"63488 unknowns needs 60 GiB.*another method"):
        nelder_mead_split(features, np.ones((32, 2048)), np.ones(2048), np.ones((32, 2048)))


def test_the_solver_may_begin_where_a_user_says():
    alpha, residual = np.array([1.0, 3.0]), np.array([2.0, 4.0])
    for start, expected in (
        ("zeros", [[0, 0], [2, 4]]),
        ("even", [[1, 2], [1, 2]]),
        ("naive", [[0.5, 1], [1.5, 3]]),
    ):
        np.testing.assert_allclose(first_shares(start, alpha, residual), expected)
    # Where the scales cancel there is no naive split.
    np.testing.assert_allclose(first_shares("naive", np.array([1.0, -1]), residual), [[1, 2]] * 2)


def test_the_naive_split_is_proportional_to_the_scales():
    shares = naive_split(np.array([3.0, -1.0]), np.array([2.0, 4.0]))
    np.testing.assert_allclose(shares, [[3, 6], [-1, -2]])


@pytest.mark.parametrize("alpha", [[0.0, 0.0], [0.1 + 0.2, -0.3]])
def test_the_naive_split_does_not_exist_where_the_scales_cancel(alpha):
    assert naive_split(np.array(alpha), np.ones(2)) is None


@given(seed=seeds)
def test_heatmaps_of_any_scale_and_offset_are_the_same_to_norm(seed):
    heatmaps = np.random.default_rng(seed).normal(size=(4, 9, 3))
    np.testing.assert_allclose(z_score(5 * heatmaps + 3), z_score(heatmaps), atol=1e-9)


@given(seed=seeds)
def test_norm_is_over_the_positions_of_each_image_and_prototype(seed):
    heatmaps = np.random.default_rng(seed).normal(2, 3, size=(4, 9, 3))
    normal = z_score(heatmaps)
    np.testing.assert_allclose(normal.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(normal.std(axis=1), 1, rtol=1e-12)


@given(seed=seeds)
def test_the_objective_is_the_papers_equation_6(seed):
    features, prototypes, _ = random_problem(seed)
    shares = np.random.default_rng(seed).normal(size=prototypes.shape)
    expected = 0.0
    for image in features.astype(np.float64):
        for prototype, share in zip(prototypes, shares, strict=True):
            one, other = image @ prototype, image @ share
            expected += np.sum(
                ((one - one.mean()) / one.std() - (other - other.mean()) / other.std()) ** 2
            )
    assert Heatmaps(features, prototypes).mismatch(shares) == pytest.approx(expected, rel=1e-9)
    # Norm forgets scale, so the prototypes themselves are a perfect answer.
    assert Heatmaps(features, prototypes).mismatch(2 * prototypes) == pytest.approx(0, abs=1e-9)


@given(value=st.floats(-1e6, 1e6))
def test_a_flat_heatmap_has_no_pattern(value):
    for dtype in (np.float32, np.float64):
        np.testing.assert_array_equal(z_score(np.full((2, 49, 3), value, dtype=dtype)), 0)

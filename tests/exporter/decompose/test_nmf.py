import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import plant

from exporter.decompose import Ending, multiplicative, nmf

# The objective is a difference of float32 products, |F|^2 - 2 F.EP + |EP|^2, each relative to
# |F|^2: a step may seem to rise by a few of its last digits (6e-8).
ROUNDING = 2e-6

sizes = st.tuples(st.integers(2, 40), st.integers(2, 30))
seeds = st.integers(0, 2**32 - 1)


def random_features(size, seed):
    """Sparse nonnegative features, (n * p, d), like those behind a ReLU."""
    random = np.random.default_rng(seed)
    return np.maximum(random.normal(-0.3, 1, size), 0).astype(np.float32) + np.float32(1e-3)


def squared_error(features, presence, prototypes):
    return np.sum((features - presence.astype(np.float64) @ prototypes) ** 2)


def relative_error(features, factors):
    residual = features - factors.presence.astype(np.float64) @ factors.prototypes
    return np.linalg.norm(residual) / np.linalg.norm(features.astype(np.float64))


@pytest.mark.parametrize("solver", [nmf, multiplicative])
@given(size=sizes, k=st.integers(1, 6), seed=seeds)
def test_factors_are_nonnegative_and_the_objective_is_theirs(solver, size, k, seed):
    features = random_features(size, seed)
    k = min(k, *size)
    solution = solver.factorize(features, k, seed=0)
    factors = solution.value
    assert factors.presence.shape == (size[0], k)
    assert factors.prototypes.shape == (k, size[1])
    assert (factors.presence >= 0).all()
    assert (factors.prototypes >= 0).all()
    assert solution.objective == solution.trace[-1]
    assert solution.objective == pytest.approx(relative_error(features, factors) ** 2, abs=ROUNDING)


@pytest.mark.parametrize("solver", [nmf, multiplicative])
@given(size=sizes, k=st.integers(1, 6), seed=seeds)
def test_the_objective_never_rises(solver, size, k, seed):
    features = random_features(size, seed)
    trace = solver.factorize(features, min(k, *size), seed=0).trace
    assert (np.diff(trace) <= ROUNDING).all()


@given(size=sizes, k=st.integers(1, 6), seed=seeds)
def test_no_sweep_raises_the_objective(size, k, seed):
    random = np.random.default_rng(seed)
    features = random_features(size, seed)
    presence = random.random((k, size[0]), dtype=np.float32)
    rows = random.random((k, size[1]), dtype=np.float32)
    for _ in range(5):
        before = squared_error(features, presence.T, rows)
        nmf.sweep(rows, presence @ features, presence @ presence.T)
        after = squared_error(features, presence.T, rows)
        assert after <= before + ROUNDING * np.sum(features**2)
        nmf.sweep(presence, rows @ features.T, rows @ rows.T)


@given(size=sizes, k=st.integers(1, 6), seed=seeds)
def test_no_multiplicative_update_raises_the_objective(size, k, seed):
    random = np.random.default_rng(seed)
    features = random_features(size, seed)
    presence = random.random((size[0], k), dtype=np.float32)
    rows = random.random((k, size[1]), dtype=np.float32)
    for _ in range(5):
        before = squared_error(features, presence, rows)
        multiplicative.update(features, presence, rows)
        assert squared_error(features, presence, rows) <= before + ROUNDING * np.sum(features**2)


def test_a_sweep_sets_a_single_row_to_its_exact_minimiser():
    # With one row the minimiser is max(0, x'M / x'x), channel by channel.
    features = np.float32([[1, -2], [3, 4]])
    presence = np.float32([[1, 1]])
    rows = np.float32([[9, 9]])
    nmf.sweep(rows, presence @ features, presence @ presence.T)
    np.testing.assert_allclose(rows, [[2, 1]])


@given(seed=seeds, rank=st.integers(1, 8))
def test_compression_loses_nothing_of_a_matrix_of_low_rank(seed, rank):
    random = np.random.default_rng(seed)
    features = (random.random((30, rank)) @ random.random((rank, 25))).astype(np.float32)
    compressed = nmf.compress(features, 10, seed=0)
    identity = np.eye(30, dtype=np.float32)
    # The power step squares the spectrum, so of the weakest direction half of the digits stay.
    atol = np.sqrt(np.finfo(np.float32).eps) * features.max()
    np.testing.assert_allclose(compressed.back(identity), features, atol=atol)
    identity = np.eye(25, dtype=np.float32)
    np.testing.assert_allclose(compressed.onto(identity), features.T, atol=atol)
    assert compressed.squared_norm == pytest.approx(np.sum(features**2), rel=1e-4)


def test_compression_finds_the_leading_singular_triplets():
    random = np.random.default_rng(0)
    features = (random.random((30, 6)) @ random.random((6, 25))).astype(np.float32)
    compressed = nmf.compress(features, 10, seed=0)
    values, right = np.linalg.svd(features)[1:]
    # Values are roots of eigenvalues found in float32: the small ones keep fewer digits.
    np.testing.assert_allclose(compressed.values[:6], values[:6], atol=1e-3 * values[0])
    alignment = np.abs((compressed.right[:6] * right[:6]).sum(axis=1))
    np.testing.assert_allclose(alignment, 1, atol=1e-3)


def test_of_few_rows_compression_looks_at_every_one():
    features = np.zeros((27, 12), dtype=np.float32)
    features[1::3, 7] = 1  # nothing at every third row, which would be the sample of many
    compressed = nmf.compress(features, 1, seed=0)
    np.testing.assert_allclose(compressed.back(np.eye(27, dtype=np.float32)), features, atol=1e-6)


def test_of_many_rows_every_third_shows_the_leading_direction():
    features = np.zeros((300, 12), dtype=np.float32)
    features[:, 0] = 1
    features[::10] = np.eye(12, dtype=np.float32)[1]  # every tenth row looks different
    compressed = nmf.compress(features, 1, seed=0)
    # One power step from a random start; the second value is a third of the first.
    assert abs(compressed.right[0, 0]) > 0.9


def test_the_papers_solver_stops_where_ten_iterations_gain_less_than_a_ten_thousandth():
    solution = multiplicative.factorize(random_features((40, 30), 0), 4, seed=0)
    errors = np.sqrt(solution.trace)
    gains = -np.diff(errors) / errors[0]
    assert solution.ending is Ending.SETTLED
    assert gains[-1] < 1e-4
    assert (gains[:-1] >= 1e-4).all()
    assert solution.iterations == 10 * len(gains)


@given(seed=seeds)
def test_the_start_is_exact_for_one_part_whatever_its_sign(seed):
    random = np.random.default_rng(seed)
    left, right = random.random((2, 20), dtype=np.float32) + np.float32(0.5)
    right /= np.linalg.norm(right)
    value = np.linalg.norm(left)
    for sign in (1, -1):  # the sign of a singular pair is arbitrary
        matrix = nmf.LowRank(sign * left[None], np.float32([value]), sign * right[None])
        presence, rows = nmf.starting_factors(matrix, 1)
        np.testing.assert_allclose(presence.T @ rows, np.outer(left, right), rtol=1e-5)


def test_a_multiplicative_update_is_that_of_lee_and_seung():
    random = np.random.default_rng(0)
    features = random.random((6, 5), dtype=np.float32)
    presence, rows = random.random((6, 2), np.float32), random.random((2, 5), np.float32)
    expected = presence * (features @ rows.T) / (presence @ rows @ rows.T)
    then = rows * (expected.T @ features) / (expected.T @ expected @ rows)
    multiplicative.update(features, presence, rows)
    np.testing.assert_allclose(presence, expected, rtol=1e-5)
    np.testing.assert_allclose(rows, then, rtol=1e-5)


@pytest.mark.parametrize("solver", [nmf, multiplicative])
def test_separable_parts_are_found(solver):
    planted = plant()
    flat = planted.features.reshape(-1, planted.features.shape[2])
    factors = solver.factorize(flat, 3, seed=0).value
    # Rows of F of one part differ in strength only: k exact factors exist.
    assert relative_error(flat, factors) < 0.02
    strongest = factors.presence.argmax(axis=1)
    for part in range(3):
        assert len(np.unique(strongest[planted.part.ravel() == part])) == 1


@pytest.mark.parametrize("k", [3, 10])
def test_the_fast_solver_is_no_worse_than_the_paper(k):
    # Blurred parts and noise, more rows than channels, as real feature maps have.
    random = np.random.default_rng(1)
    parts = np.maximum(random.normal(-0.5, 1, (12, 80)), 0)
    mixture = random.dirichlet(np.full(12, 0.3), 400)
    noise = np.maximum(random.normal(-0.5, 0.6, (400, 80)), 0)
    features = (mixture @ parts + 0.3 * noise).astype(np.float32)
    ours = nmf.factorize(features, k, seed=0).value
    papers = [multiplicative.factorize(features, k, seed).value for seed in range(3)]
    best = min(relative_error(features, factors) for factors in papers)
    # Both find local minima; the paper's own seeds differ by 0.4 % (k = 3) and 4 % (k = 10).
    assert relative_error(features, ours) <= 1.002 * best


@pytest.mark.parametrize("solver", [nmf, multiplicative])
def test_a_seed_fixes_every_bit(solver):
    features = random_features((40, 30), 0)
    first, second = (solver.factorize(features, 4, seed=7) for _ in range(2))
    np.testing.assert_array_equal(first.value.presence, second.value.presence)
    np.testing.assert_array_equal(first.value.prototypes, second.value.prototypes)
    assert first.trace == second.trace


@pytest.mark.parametrize("solver", [nmf, multiplicative])
def test_scaling_the_features_by_a_power_of_two_scales_the_reconstruction(solver):
    features = random_features((40, 30), 0)
    plain = solver.factorize(features, 4, seed=0)
    larger = solver.factorize(16 * features, 4, seed=0)
    expected = 16 * plain.value.presence @ plain.value.prototypes
    # Powers of two are exact, but square roots of the scale are not always: last digits differ.
    np.testing.assert_allclose(larger.value.presence @ larger.value.prototypes, expected, atol=1e-3)
    assert larger.objective == pytest.approx(plain.objective, abs=ROUNDING)


def test_constant_features_are_factorised_exactly():
    features = np.full((20, 15), 2, dtype=np.float32)
    for k in (1, 3):
        solution = nmf.factorize(features, k, seed=0)
        assert solution.objective < 1e-6
        assert np.isfinite(solution.value.prototypes).all()


def test_descent_that_reaches_its_limit_says_so():
    features = random_features((40, 30), 0)
    presence, rows = np.ones((3, 40), np.float32), np.ones((3, 30), np.float32)
    rows[:, :3] += np.eye(3, dtype=np.float32)
    solution = nmf.descend(nmf.Dense(features), presence, rows, 0, 2, 1)
    assert solution.iterations == 2
    assert solution.ending is Ending.LIMIT

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.decompose import scaling
from exporter.decompose.scaling import scale
from exporter.decompose.solution import Ending

seeds = st.integers(0, 2**32 - 1)
counts = st.sampled_from([1, 2, 3, 10])  # a few sizes: each compiles a problem of its own


def random_problem(k, seed, channels=24):
    random = np.random.default_rng(seed)
    return random.random((k, channels)), random.normal(size=channels)


@given(k=counts, seed=seeds)
def test_scaling_is_the_closed_form_of_least_squares(k, seed):
    prototypes, row = random_problem(k, seed)
    solution = scale(prototypes, row)
    expected = np.linalg.lstsq(prototypes.T, row, rcond=None)[0]
    # Clarabel stops at a relative gap of 1e-8; alpha is of order 1 here.
    np.testing.assert_allclose(solution.value, expected, atol=1e-5)
    residual = row - expected @ prototypes
    assert solution.objective == pytest.approx(residual @ residual, rel=1e-7)
    assert solution.ending is Ending.SETTLED


@given(k=counts, seed=seeds)
def test_the_residual_is_orthogonal_to_every_prototype(k, seed):
    prototypes, row = random_problem(k, seed)
    residual = row - scale(prototypes, row).value @ prototypes
    np.testing.assert_allclose(prototypes @ residual, 0, atol=1e-5)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_scale_of_prototypes_and_row_does_not_change_the_solution(factor):
    prototypes, row = random_problem(3, 0)
    alpha = scale(prototypes, row).value
    # The problem is normalised before it is solved, so only rounding differs.
    np.testing.assert_allclose(scale(factor * prototypes, row).value * factor, alpha, rtol=1e-6)
    np.testing.assert_allclose(scale(prototypes, factor * row).value / factor, alpha, rtol=1e-6)


def test_a_row_made_of_the_prototypes_leaves_no_residual():
    prototypes, _ = random_problem(3, 0)
    row = np.array([2.0, -1.0, 0.5]) @ prototypes  # scales may be negative
    solution = scale(prototypes, row)
    np.testing.assert_allclose(solution.value, [2, -1, 0.5], atol=1e-6)
    assert solution.objective < 1e-12 * (row @ row)


def test_a_prototype_of_zeros_gets_no_weight():
    prototypes, row = random_problem(3, 0)
    prototypes[1] = 0
    solution = scale(prototypes, row)
    assert solution.value[1] == 0
    others = scale(prototypes[[0, 2]], row)
    assert solution.objective == pytest.approx(others.objective, rel=1e-7)


def test_a_row_of_zeros_has_no_parts():
    prototypes, row = random_problem(3, 0)
    solution = scale(prototypes, 0 * row)
    np.testing.assert_array_equal(solution.value, 0)
    assert solution.objective == 0


def test_equal_prototypes_still_have_a_solution():
    prototypes, row = random_problem(1, 0)
    single = scale(prototypes, row)
    twice = scale(np.vstack([prototypes, prototypes]), row)
    assert twice.ending is Ending.SETTLED
    assert twice.objective == pytest.approx(single.objective, rel=1e-7)


def test_a_problem_solved_before_changes_no_bit():
    first, row = random_problem(3, 0)
    other, another = random_problem(3, 1)
    scaling._problem.cache_clear()  # as in a fresh process; a warm start differs from then on
    alone = scale(first, row).value
    scale(other, another)
    np.testing.assert_array_equal(scale(first, row).value, alone)


def test_a_solver_that_misses_its_tolerances_has_not_settled(monkeypatch):
    prototypes, row = random_problem(3, 0)
    scale(prototypes, row)  # compiled, so that only the solve is replaced
    solve = cp.Problem.solve

    def inaccurate(problem, **options):
        solve(problem, **options)
        problem._status = cp.OPTIMAL_INACCURATE

    monkeypatch.setattr(cp.Problem, "solve", inaccurate)
    assert scale(prototypes, row).ending is Ending.LIMIT

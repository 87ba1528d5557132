import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import plant

from exporter.decompose import pointing
from exporter.decompose.pointing import MASS, WEIGHT, Pointing, point
from exporter.decompose.ridge import fit
from exporter.decompose.shares import peak_shares, positive_shares
from exporter.decompose.solution import Ending

seeds = st.integers(0, 2**32 - 1)
IMAGES, POSITIONS, CHANNELS = 6, 9, 12


def random_class(seed, k=3):
    """Features of any sign (n, p, d), a head row (d,) and a presence (n * p, k)."""
    random = np.random.default_rng(seed)
    features = random.normal(0.2, 1, (IMAGES, POSITIONS, CHANNELS)).astype(np.float32)
    presence = np.maximum(random.normal(size=(IMAGES * POSITIONS, k)), 0).astype(np.float32)
    return features, random.normal(size=CHANNELS), presence


@settings(max_examples=10)  # noise has no parts that settle
@given(seed=seeds, k=st.integers(2, 6), value=st.sampled_from([1.0, 100.0]))
def test_the_prototypes_sum_to_the_row_whatever_lambda_is(seed, k, value):
    features, row, presence = random_class(seed, k)
    found = point(features, row, presence, value).value
    # The weights are float32; the corrections sum to zero in float64.
    np.testing.assert_allclose(found.sum(axis=0), row, atol=5e-6)


def objective(features, row, presence, corrections, value):
    """(e) as it is written, in float64 and one image and part at a time."""
    flat = features.reshape(-1, CHANNELS).astype(np.float64)
    shares = peak_shares(presence, IMAGES).astype(np.float64)
    targets = shares * (flat @ row)[:, None]
    prototypes = np.outer(positive_shares(targets), row) + corrections
    heatmaps = flat @ prototypes.T
    penalty = value * np.sum(flat**2) / CHANNELS * np.sum(corrections**2)
    total = (np.sum((heatmaps - targets) ** 2) + penalty) / np.sum(targets**2)
    for i in range(presence.shape[1]):
        maps = [column[:, i].reshape(IMAGES, POSITIONS) for column in (presence, shares)]
        heat, target = (column[:, i].reshape(IMAGES, POSITIONS) for column in (heatmaps, targets))
        positive = np.maximum(target, 0)
        held = positive.sum(axis=1) / positive.sum()
        peak = held @ positive.max(axis=1)
        for n in range(IMAGES):
            place = maps[1][n] * (maps[0][n] / maps[0][n].max()) ** 4
            scores = np.log(MASS * POSITIONS) * heat[n] / peak
            chances = np.exp(scores) / np.exp(scores).sum()
            total += WEIGHT * held[n] * -(place / place.sum()) @ np.log(chances)
    return total


@given(seed=seeds, k=st.integers(2, 4))
def test_the_objective_is_the_one_that_is_documented(seed, k):
    features, row, presence = random_class(seed, k)
    presence += 0.1  # every part shows in every image, so that nothing divides by zero
    problem = Pointing(features, row, 2.0)
    free = 0.1 * np.random.default_rng(seed).normal(size=(k, CHANNELS))
    corrections = free - free.mean(axis=0)
    value, _ = problem.value(problem.read(presence)[1], free)
    assert value == pytest.approx(objective(features, row, presence, corrections, 2.0), rel=1e-3)


@given(seed=seeds, k=st.integers(2, 4))
def test_the_gradient_is_that_of_the_objective(seed, k):
    features, row, presence = random_class(seed, k)
    problem = Pointing(features, row, 2.0)
    _, parts = problem.read(presence)
    random = np.random.default_rng(seed)
    free, way = 0.1 * random.normal(size=(2, k, CHANNELS))
    _, gradient = problem.value(parts, free)
    step = 0.05  # heatmaps are float32, and (e) bends little over this
    ahead, behind = (problem.value(parts, free + sign * step * way)[0] for sign in (1, -1))
    slope = (ahead - behind) / (2 * step)
    size = np.linalg.norm(gradient) * np.linalg.norm(way)
    assert np.vdot(gradient, way) == pytest.approx(slope, abs=0.02 * size)


def test_positions_without_any_chance_have_a_finite_objective():
    features, row, presence = random_class(0)
    problem = Pointing(features, row, 1.0)
    value, gradient = problem.value(problem.read(presence)[1], 1e3 * np.eye(3, CHANNELS))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@settings(max_examples=30)
@given(seed=seeds)
def test_a_solve_goes_downhill_and_keeps_the_sum(seed):
    features, row, presence = random_class(seed)
    problem = Pointing(features, row, 1.0)
    _, parts = problem.read(presence)
    start = np.outer(parts.weights, row)
    before, _ = problem.value(parts, np.zeros_like(start))
    found, after = problem.solve(parts, start)
    assert after <= before
    np.testing.assert_allclose(found.sum(axis=0), start.sum(axis=0), atol=1e-12)


def test_a_solve_mends_the_sum_of_where_it_begins():
    features, row, presence = random_class(0)
    problem = Pointing(features, row, 1.0)
    _, parts = problem.read(presence)
    found, _ = problem.solve(parts, np.outer(parts.weights, row) + 0.1)
    np.testing.assert_allclose(found.sum(axis=0), row, atol=5e-6)  # the weights are float32


def weak_beside_strong():
    """Two parts, of which one holds little evidence and shares its main channel with the other.

    Returns features (n, p, d), a head row (d,), and which positions hold the weak part (n, p).
    """
    random = np.random.default_rng(0)
    weak = np.stack([random.permutation(POSITIONS) < 3 for _ in range(40)])
    strong_look, weak_look = np.float32([3, 1.5, 0, 0]), np.float32([1, 1, 0, 0])
    features = np.where(weak[:, :, None], weak_look, strong_look)
    noise = 0.05 * random.normal(size=features.shape)
    return (features + noise).astype(np.float32), np.array([1.0, 0.1, 0, 0]), weak


def test_a_weak_part_peaks_on_itself_where_squares_peak_on_the_strong_one():
    features, row, weak = weak_beside_strong()
    presence = np.stack([~weak, weak], axis=2).reshape(-1, 2).astype(np.float32)
    flat = features.reshape(-1, features.shape[2])
    evidence = flat @ row.astype(np.float32)
    targets = presence * evidence[:, None]
    weights = positive_shares(targets)
    rest = targets - np.outer(evidence, weights)
    squares = np.outer(weights, row) + fit(flat, rest, 0.3)
    pointed = point(features, row, presence, 0.3).value

    def on_itself(prototypes):
        peaks = (features @ prototypes[1]).argmax(axis=1)
        return weak[np.arange(len(weak)), peaks].mean()

    assert on_itself(squares) < 0.1
    assert on_itself(pointed) > 0.9


def test_planted_parts_keep_their_places():
    planted = plant()
    presence = np.eye(3, dtype=np.float32)[planted.part.ravel()]
    solution = point(planted.features, planted.row, presence, 1.0)
    heatmaps = planted.features @ solution.value.T
    assert solution.ending is Ending.SETTLED
    np.testing.assert_array_equal(heatmaps.argmax(axis=2), planted.part)


def test_a_part_without_any_heat_is_left_out_of_the_pointing():
    features, row, presence = random_class(0)
    presence[:, 1] = 0
    found = point(features, row, presence, 1.0).value
    np.testing.assert_allclose(found.sum(axis=0), row, atol=5e-6)


@given(seed=seeds)
def test_no_evidence_at_all_still_sums_to_the_row(seed):
    features, _, presence = random_class(seed)
    np.testing.assert_array_equal(point(features, np.zeros(CHANNELS), presence, 1.0).value, 0)


def test_turns_that_run_out_end_at_their_limit(monkeypatch):
    features, row, presence = random_class(0)
    monkeypatch.setattr(pointing, "TURNS", 1)
    solution = point(features, row, presence, 1.0)
    assert (solution.iterations, solution.ending) == (1, Ending.LIMIT)

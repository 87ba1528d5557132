import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from planted import opposed_parts, plant

from exporter.decompose import regression
from exporter.decompose.regression import (
    BUDGET,
    FIRST_TURNS,
    LARGEST,
    SMALLEST,
    Alternation,
    discovery_weights,
    sum_of_norms,
)
from exporter.decompose.ridge import Ridge
from exporter.decompose.shares import peak_shares
from exporter.decompose.solution import Ending

seeds = st.integers(0, 2**32 - 1)
lambdas = st.sampled_from([1.0, 2.0, 10.0, 128.0])
POSITIONS = 9


def random_class(seed, images=6, channels=20, k=3):
    """Features of any sign (n, p, d), a head row (d,) and a presence (n * p, k)."""
    random = np.random.default_rng(seed)
    features = random.normal(0.2, 1, (images, POSITIONS, channels)).astype(np.float32)
    presence = np.maximum(random.normal(size=(images * POSITIONS, k)), 0).astype(np.float32)
    return features, random.normal(size=channels), presence


def evidence_of(features, row):
    """What a linear head says at each position, (n * p,) float32."""
    return (features.reshape(-1, len(row)) @ row).astype(np.float32)


def turns_of(features, row):
    """The turns of a class whose head is linear."""
    return Alternation(features, evidence_of(features, row), row)


def shares_of(features, presence):
    return peak_shares(presence, len(features))


def settled(features, row, presence):
    """The split that turns settle to within the budget, and the turns."""
    turns = turns_of(features, row)
    return turns.settle(presence), turns


def regress_with(value, features, row, presence):
    """The split that turns settle to with one lambda and no budget."""
    return turns_of(features, row).at(value, shares_of(features, presence), FIRST_TURNS)


@given(seed=seeds, k=st.integers(2, 6), value=lambdas)
def test_the_prototypes_sum_to_the_row_whatever_lambda_is(seed, k, value):
    features, row, presence = random_class(seed, k=k)
    found = regress_with(value, features, row, presence)
    assert found.regularization == value
    # Completeness is exact in real numbers; here k corrections are solved in float32 with a
    # condition of at most 1 + d / lambda = 21.
    np.testing.assert_allclose(found.parts.prototypes(row).sum(axis=0), row, atol=2e-5)


@given(seed=seeds, value=lambdas, rows=st.integers(4, 60))
def test_the_ridge_is_its_closed_form_with_few_rows_and_with_many(seed, value, rows):
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, 20)).astype(np.float32)
    targets = random.normal(size=(rows, 3)).astype(np.float32)
    system = Ridge(features)
    system.fit(targets, 2 * value)  # which another lambda does not remember
    # Float32 and a condition of at most 1 + d / lambda = 21.
    expected = closed_form(features, targets, value)
    np.testing.assert_allclose(system.fit(targets, value), expected, atol=2e-5)


def closed_form(features, targets, value):
    """(F'F + lambda tr(F'F)/d I)^-1 F'Y in float64, as (k, d)."""
    f = features.astype(np.float64)
    gram = f.T @ f
    shift = value * np.trace(gram) / len(gram) * np.eye(len(gram))
    return np.linalg.solve(gram + shift, f.T @ targets).T


def test_the_ridge_of_features_of_zeros_is_zero():
    system = Ridge(np.zeros((5, 3), dtype=np.float32))
    np.testing.assert_array_equal(system.fit(np.ones((5, 2), np.float32), 1.0), 0)


def test_separable_parts_are_recovered_exactly():
    planted = plant()
    presence = np.eye(3, dtype=np.float32)[planted.part.ravel()]
    evidence = planted.features @ planted.row
    shares = np.array([evidence[planted.part == part].sum() for part in range(3)])
    shares = shares / shares.sum()
    # lambda towards 0: no shrinkage.
    split = regress_with(1e-4, planted.features, planted.row, presence)
    found = split.parts.prototypes(planted.row)
    heatmaps = planted.features @ found.T
    # Every heatmap is the evidence where its part is, and zero elsewhere. Shrinkage by 1e-4 is
    # what remains, on evidence of about 4.
    for part in range(3):
        expected = np.where(planted.part == part, evidence, 0)
        np.testing.assert_allclose(heatmaps[:, :, part], expected, atol=5e-3)


@given(seed=seeds)
def test_discovery_weights_grow_with_evidence_from_one(seed):
    features, row, _ = random_class(seed)
    evidence = evidence_of(features, row)
    weights = discovery_weights(evidence)
    assert (weights[evidence <= 0] == 1).all()
    order = np.argsort(evidence)
    assert (np.diff(weights[order]) >= 0).all()
    # The squares average to two by construction, up to float32.
    assert np.mean(weights.astype(np.float64) ** 2) == pytest.approx(2, rel=1e-5)


def test_no_evidence_weighs_every_position_alike():
    np.testing.assert_array_equal(discovery_weights(-np.ones(5, dtype=np.float32)), 1)


@given(seed=seeds, noise=st.floats(0.05, 0.1))
def test_lambda_is_the_least_that_stays_within_the_budget_of_cancellation(seed, noise):
    features, row, presence = opposed_parts(images=4, noise=noise, seed=seed)
    turns, shares = turns_of(features, row), shares_of(features, presence)
    assume(not turns.at(SMALLEST, shares, 0).within)  # but once in ten thousand
    found = turns.fit(shares)
    assert found.shares is shares
    assert found.within
    assert sum_of_norms(found.parts.prototypes(row)) <= BUDGET * np.linalg.norm(row) * (1 + 1e-6)
    octaves = np.log2(found.regularization / SMALLEST)
    assert octaves * 4 == pytest.approx(round(octaves * 4))
    # For the same shares the next weaker step cancels more than allowed.
    assert not turns.at(found.regularization / 2**0.25, shares, 0).within


@given(seed=seeds)
def test_turns_on_the_way_to_the_budget_end_within_it(seed):
    features, row, presence = opposed_parts(images=4, noise=0.1, seed=seed)
    assume(not regress_with(SMALLEST, features, row, presence).within)
    found, _ = settled(features, row, presence)
    assert found.within
    assert sum_of_norms(found.parts.prototypes(row)) <= BUDGET * np.linalg.norm(row) * (1 + 1e-6)
    octaves = np.log2(found.regularization / SMALLEST)
    assert octaves >= 1
    assert octaves == round(octaves)


def test_each_lambda_begins_with_the_shares_of_the_one_below(monkeypatch):
    # Heatmaps that a large lambda once made alike would not part again.
    features, row, presence = opposed_parts(images=4, noise=0.1)
    ended = [(0.0, None)]
    at = Alternation.at

    def spied(self, regularization, shares, limit):
        assert regularization > ended[-1][0]
        assert ended[-1][1] is None or shares is ended[-1][1]
        found = at(self, regularization, shares, limit)
        ended.append((regularization, found.shares))
        return found

    monkeypatch.setattr(Alternation, "at", spied)
    assert settled(features, row, presence)[0].within
    assert len(ended) > 2


@given(seed=seeds)
def test_the_objective_is_the_relative_error_of_the_evidence_of_the_parts(seed):
    features, row, presence = random_class(seed)
    found, turns = settled(features, row, presence)
    flat = features.reshape(-1, features.shape[2]).astype(np.float64)
    targets = found.shares * (flat @ row)[:, None]
    missed = np.sum((flat @ found.parts.prototypes(row).T - targets) ** 2) / np.sum(targets**2)
    assert turns.summary(found).objective == pytest.approx(missed, rel=1e-4)  # float32


def test_a_budget_that_no_lambda_meets_is_its_own_ending(monkeypatch):
    features, row, presence = random_class(0)
    monkeypatch.setattr(regression, "BUDGET", 0.9)  # the triangle inequality forbids it
    found, turns = settled(features, row, presence)
    assert turns.summary(found).ending is Ending.BUDGET
    assert found.regularization == LARGEST


def test_a_fit_that_no_lambda_brings_within_the_budget_is_that_with_the_largest(monkeypatch):
    features, row, presence = random_class(0)
    monkeypatch.setattr(regression, "BUDGET", 0.9)
    turns = turns_of(features, row)
    found = turns.fit(shares_of(features, presence))
    assert not found.within
    assert found.regularization == LARGEST
    assert turns.summary(found).ending is Ending.BUDGET


def test_shares_that_still_move_when_the_turns_run_out_have_not_settled(monkeypatch):
    features, row, presence = random_class(0)
    monkeypatch.setattr(regression, "FIRST_TURNS", 1)
    found, turns = settled(features, row, presence)
    assert turns.summary(found).ending is Ending.LIMIT
    # Neither a fit nor turns that settle afterwards undo it.
    assert turns.summary(turns.fit(found.shares)).ending is Ending.LIMIT
    monkeypatch.setattr(regression, "FIRST_TURNS", 1000)
    assert turns.summary(turns.settle(presence)).ending is Ending.LIMIT


def test_turns_that_settle_in_the_last_one_allowed_have_settled(monkeypatch):
    features, row, presence = random_class(0)
    turns = turns_of(features, row)
    found = turns.at(SMALLEST, shares_of(features, presence), FIRST_TURNS)
    assert turns.turns < FIRST_TURNS
    monkeypatch.setattr(regression, "FIRST_TURNS", turns.turns)
    assert found.stayed
    again, turns = settled(features, row, presence)
    assert turns.summary(again).ending is Ending.SETTLED


def test_over_the_budget_is_said_even_of_turns_that_ran_out(monkeypatch):
    features, row, presence = random_class(0)
    monkeypatch.setattr(regression, "BUDGET", 0.9)
    monkeypatch.setattr(regression, "FIRST_TURNS", 1)
    found, turns = settled(features, row, presence)
    assert turns.summary(found).ending is Ending.BUDGET


def test_settled_shares_are_those_of_their_own_heatmaps():
    planted = plant()
    presence = np.eye(3, dtype=np.float32)[planted.part.ravel()]
    split, _ = settled(planted.features, planted.row, presence)
    found = split.parts.prototypes(planted.row)
    heatmaps = (planted.features @ found.T).reshape(-1, 3).astype(np.float32)
    shares = peak_shares(heatmaps, len(planted.features))
    # The fixed point: where a part is, nearly all of the position is shared to it.
    owned = shares[np.arange(len(shares)), planted.part.ravel()]
    assert np.mean(owned) > 0.9


def test_turns_mend_a_bad_start():
    # A third of the positions are given to the wrong part at first; the parts that the head can
    # point at win them back.
    planted = plant(images=12)
    random = np.random.default_rng(0)
    part = planted.part.ravel().copy()
    wrong = random.random(part.shape) < 1 / 3
    part[wrong] = random.integers(0, 3, wrong.sum())
    presence = np.eye(3, dtype=np.float32)[part]
    split, _ = settled(planted.features, planted.row, presence)
    found = split.parts.prototypes(planted.row)
    heatmaps = planted.features @ found.T  # (n, p, 3)
    agreement = (heatmaps.argmax(axis=2) == planted.part).mean()
    assert agreement > 0.95 > (part == planted.part.ravel()).mean()


@given(seed=seeds)
def test_no_evidence_at_all_still_sums_to_the_row(seed):
    features, _, presence = random_class(seed)
    row = np.zeros(features.shape[2])
    found, _ = settled(features, row, presence)
    np.testing.assert_array_equal(found.parts.prototypes(row), 0)


@given(seed=seeds, k=st.integers(2, 6))
def test_heatmaps_sum_to_the_evidence_whatever_it_is_made_of(seed, k):
    # As behind a head that is no single row, where the evidence is not linear in the features.
    features, row, presence = random_class(seed, k=k)
    evidence = np.tanh(evidence_of(features, row)).astype(np.float32)
    turns = Alternation(features, evidence, row)
    found = turns.settle(presence)
    np.testing.assert_allclose(turns.heatmaps(found.parts).sum(axis=1), evidence, atol=2e-4)
    np.testing.assert_allclose(found.parts.weights.sum(), 1, atol=1e-6)
    np.testing.assert_allclose(found.parts.corrections.sum(axis=0), 0, atol=2e-5)


@given(seed=seeds)
def test_behind_a_linear_head_a_part_is_one_vector(seed):
    features, row, presence = random_class(seed)
    found, turns = settled(features, row, presence)
    heatmaps = features.reshape(-1, len(row)) @ found.parts.prototypes(row).T
    np.testing.assert_allclose(turns.heatmaps(found.parts), heatmaps, atol=2e-4)

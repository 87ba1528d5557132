import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.decompose import regression
from exporter.decompose.regression import (
    LAMBDAS,
    choose_lambda,
    discovery_weights,
    peak_shares,
    positive_shares,
    regress,
)
from exporter.decompose.ridge import Dual, Primal, ridge
from tests.planted import plant

seeds = st.integers(0, 2**32 - 1)
POSITIONS = 9


def random_class(seed, images=6, channels=20, k=3):
    """Features of any sign (n, p, D), a head row (D,) and a presence (n * p, k)."""
    random = np.random.default_rng(seed)
    features = random.normal(0.2, 1, (images, POSITIONS, channels)).astype(np.float32)
    presence = np.maximum(random.normal(size=(images * POSITIONS, k)), 0).astype(np.float32)
    return features, random.normal(size=channels), presence


@given(seed=seeds, k=st.integers(2, 6), value=st.sampled_from(LAMBDAS))
def test_the_prototypes_sum_to_the_row_whatever_lambda_is(seed, k, value):
    features, row, presence = random_class(seed, k=k)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regression, "LAMBDAS", (value,))
        found = regress(features, row, presence).value
    assert found.regularization == value
    # Completeness is exact in real numbers; here k corrections are solved in float32 with a
    # condition of at most 1 + D / lambda = 21.
    np.testing.assert_allclose(found.prototypes.sum(axis=0), row, atol=2e-5)


@given(seed=seeds, value=st.sampled_from(LAMBDAS), rows=st.integers(4, 60))
def test_both_forms_of_the_ridge_are_its_closed_form(seed, value, rows):
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, 20)).astype(np.float32)
    targets = random.normal(size=(rows, 3)).astype(np.float32)
    cut = rows // 2
    halves = (slice(None), slice(None, cut), slice(cut, None))
    exact = [closed_form(features[part], targets[part], value) for part in halves]
    for form in (Primal, Dual):
        system = form(features, targets, cut)
        # Float32 and a condition of at most 1 + D / lambda = 21.
        np.testing.assert_allclose(system.coefficients(value), exact[0], atol=2e-5)
        for found, coefficients in zip(system.half_predictions(value), exact[1:], strict=True):
            np.testing.assert_allclose(found, features @ coefficients.T, atol=1e-4)


def closed_form(features, targets, value):
    """(F'F + lambda tr(F'F)/D I)^-1 F'Y in float64, as (k, D)."""
    f = features.astype(np.float64)
    gram = f.T @ f
    shift = value * np.trace(gram) / len(gram) * np.eye(len(gram))
    return np.linalg.solve(gram + shift, f.T @ targets).T


def test_the_cheaper_form_is_chosen():
    targets = np.ones((100, 2), dtype=np.float32)
    assert isinstance(ridge(np.ones((100, 80), np.float32), targets, 50), Dual)
    assert isinstance(ridge(np.ones((100, 50), np.float32), targets, 50), Primal)


def test_separable_parts_are_recovered_exactly():
    planted = plant()
    presence = np.eye(3, dtype=np.float32)[planted.part.ravel()]
    evidence = planted.features @ planted.row
    shares = np.array([evidence[planted.part == part].sum() for part in range(3)])
    shares = shares / shares.sum()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regression, "LAMBDAS", (1e-4,))  # lambda towards 0: no shrinkage
        found = regress(planted.features, planted.row, presence).value.prototypes
    heatmaps = planted.features @ found.T
    # Every heatmap is the evidence where its part is, and zero elsewhere. Shrinkage by 1e-4 is
    # what remains, on evidence of about 4.
    for part in range(3):
        expected = np.where(planted.part == part, evidence, 0)
        np.testing.assert_allclose(heatmaps[:, :, part], expected, atol=5e-3)


@given(seed=seeds, k=st.integers(1, 6))
def test_peak_shares_are_a_partition(seed, k):
    presence = random_class(seed, k=k)[2]
    shares = peak_shares(presence, images=6)
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)


@given(seed=seeds)
def test_peak_shares_forget_the_scale_of_presence_in_an_image(seed):
    presence = random_class(seed)[2]
    scale = np.random.default_rng(seed).uniform(0.1, 10, (6, 1, 3)).astype(np.float32)
    scaled = (presence.reshape(6, POSITIONS, 3) * scale).reshape(presence.shape)
    np.testing.assert_allclose(peak_shares(scaled, 6), peak_shares(presence, 6), atol=1e-5)


def test_peak_shares_are_squares_relative_to_the_peak():
    # One image of two positions: relative to their peaks the parts hold (1, 1/3) and (1/2, 1).
    presence = np.float32([[2, 1], [1, 3]])
    shares = [[1 / (1 + 1 / 9), (1 / 9) / (1 + 1 / 9)], [0.25 / 1.25, 1 / 1.25]]
    np.testing.assert_allclose(peak_shares(presence, images=1), shares, rtol=1e-6)


def test_a_position_without_any_part_is_shared_equally():
    presence = np.zeros((8, 4), dtype=np.float32)
    np.testing.assert_array_equal(peak_shares(presence, images=2), 0.25)


def test_positive_shares_count_positive_evidence_only():
    targets = np.float32([[3, -5], [0, 1]])
    np.testing.assert_allclose(positive_shares(targets), [0.75, 0.25])
    np.testing.assert_allclose(positive_shares(-np.abs(targets)), [0.5, 0.5])


@given(seed=seeds)
def test_discovery_weights_grow_with_evidence_from_one(seed):
    features, row, _ = random_class(seed)
    flat = features.reshape(-1, features.shape[2])
    weights, evidence = discovery_weights(flat, row), flat @ row.astype(np.float32)
    assert (weights[evidence <= 0] == 1).all()
    order = np.argsort(evidence)
    assert (np.diff(weights[order]) >= 0).all()
    # The squares average to two by construction, up to float32.
    assert np.mean(weights.astype(np.float64) ** 2) == pytest.approx(2, rel=1e-5)


def test_no_evidence_weighs_every_position_alike():
    features = np.ones((5, 4), dtype=np.float32)
    np.testing.assert_array_equal(discovery_weights(features, -np.ones(4)), 1)


class FixedPredictions:
    """A ridge whose half predictions are given for each lambda."""

    def __init__(self, predictions):
        self._predictions = predictions

    def half_predictions(self, regularization):
        return self._predictions[regularization]


def test_the_lambda_that_points_at_the_part_on_unseen_images_is_chosen():
    random = np.random.default_rng(0)
    targets = random.normal(size=(4, POSITIONS, 2)).astype(np.float32)
    noise = [random.normal(size=(4 * POSITIONS, 2)).astype(np.float32) for _ in range(2)]
    flat = targets.reshape(-1, 2)
    predictions = dict.fromkeys(LAMBDAS, (noise[0], noise[1]))
    predictions[10.0] = (flat, flat)
    system = FixedPredictions(predictions)
    assert choose_lambda(system, np.zeros_like(targets), targets, cut=2) == 10.0


def test_stable_heatmaps_of_something_else_do_not_win():
    random = np.random.default_rng(0)
    targets, other = random.normal(size=(2, 4, POSITIONS, 2)).astype(np.float32)
    stable = other.reshape(-1, 2)
    predictions = dict.fromkeys(LAMBDAS, (stable, stable))
    noise = random.normal(size=(2, 4 * POSITIONS, 2)).astype(np.float32)
    predictions[3.0] = tuple(targets.reshape(-1, 2) + 0.5 * noise)
    system = FixedPredictions(predictions)
    assert choose_lambda(system, np.zeros_like(targets), targets, cut=2) == 3.0


def test_memorising_the_seen_images_does_not_win():
    random = np.random.default_rng(0)
    targets = random.normal(size=(4, POSITIONS, 2)).astype(np.float32)
    flat, half = targets.reshape(-1, 2), 2 * POSITIONS
    other = random.normal(size=flat.shape).astype(np.float32)
    memorised = (
        np.vstack([flat[:half], other[half:]]),
        np.vstack([other[:half], flat[half:]]),
    )
    blurred = flat + 2 * other
    predictions = dict.fromkeys(LAMBDAS, memorised)
    predictions[30.0] = (blurred, blurred)
    system = FixedPredictions(predictions)
    assert choose_lambda(system, np.zeros_like(targets), targets, cut=2) == 30.0


def test_of_equally_good_lambdas_the_largest_is_chosen():
    targets = np.random.default_rng(0).normal(size=(4, POSITIONS, 2)).astype(np.float32)
    flat = targets.reshape(-1, 2)
    system = FixedPredictions(dict.fromkeys(LAMBDAS, (flat, flat)))
    assert choose_lambda(system, np.zeros_like(targets), targets, cut=2) == max(LAMBDAS)


def test_noisier_features_ask_for_a_larger_lambda():
    # Positions hold one of three parts plus noise in many channels; with more noise fewer
    # patterns of the seen images hold on unseen ones.
    chosen = []
    for noise in (0.02, 3.0):
        planted = plant(images=6, width=40)
        random = np.random.default_rng(0)
        features = planted.features + noise * random.normal(size=planted.features.shape)
        presence = np.eye(3, dtype=np.float32)[planted.part.ravel()]
        solution = regress(features.astype(np.float32), planted.row, presence)
        chosen.append(solution.value.regularization)
    assert chosen[0] < chosen[1]

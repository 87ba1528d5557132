import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from places import ROOT
from planted import opposed_parts, plant

from exporter.decompose import Ending, decompose, multiplicative, nmf, regression
from exporter.decompose.decomposition import MINIMUM_IMAGES, discover
from exporter.decompose.refinement import Heatmaps
from exporter.decompose.regression import (
    BUDGET,
    LARGEST,
    SMALLEST,
    Alternation,
    sum_of_norms,
)
from exporter.decompose.scaling import scale
from exporter.decompose.selection import APART, CANDIDATES, select
from exporter.decompose.shares import POWER, peak_shares
from exporter.decompose.solution import Summary
from exporter.errors import DecompositionError
from exporter.images.likeness import ALIKE
from exporter.smoothing import WIDTH

METHODS = ("evidence", "paper", "naive")
FAST = ("evidence", "naive")  # without Nelder-Mead, for larger problems

methods = pytest.mark.parametrize("method", METHODS)
seeds = st.integers(0, 2**32 - 1)


def random_class(seed, images=6, positions=9, channels=20):
    """Sparse features of any sign (n, p, d) and a head row (d,)."""
    random = np.random.default_rng(seed)
    features = random.normal(-0.2, 1, (images, positions, channels))
    features[features < 0] *= 0.1  # as behind a smooth activation
    return features.astype(np.float32), random.normal(size=channels)


@settings(max_examples=25)
@given(seed=seeds, k=st.integers(1, 8), method=st.sampled_from(FAST))
def test_the_prototypes_sum_to_the_row(seed, k, method):
    features, row = random_class(seed)
    found = decompose(features, row, method=method, prototypes=k, seed=0).prototypes
    assert found.shape == (k, 20)
    assert found.dtype == np.float64
    # The last prototype is the row less the others: rounding of the largest of them.
    atol = 1e-15 * k * np.abs(found).max()
    np.testing.assert_allclose(found.sum(axis=0), row, rtol=0, atol=atol)


@pytest.mark.parametrize("k", [2, 3, 4])
def test_as_many_prototypes_as_positions_can_be_had(k):
    features, row = random_class(0, images=2, positions=2)
    found = decompose(features, row, method="evidence", prototypes=k, seed=0)
    assert found.prototypes.shape == (k, 20)
    assert found.scale.shape == (k,)


def test_the_scale_of_a_prototype_is_that_of_the_part_it_began_as():
    features, row = random_class(0)
    found = decompose(features, row, method="evidence", prototypes=3, seed=0)
    factors = discover(features, evidence_of(features, row), 9, seed=0).value
    # Of nine candidates three stay, in an order of their own; only one choice has these scales.
    began = [
        list(chosen)
        for chosen in itertools.permutations(range(9), 3)
        if np.allclose(scale(factors.prototypes[list(chosen)], row).value, found.scale)
    ]
    assert len(began) == 1
    heatmaps = features.reshape(-1, 20) @ found.prototypes.T
    alike = np.corrcoef(factors.presence[:, began[0]].T, heatmaps.T)[:3, 3:]
    np.testing.assert_array_equal(alike.argmax(axis=1), [0, 1, 2])


def test_candidates_leave_their_evidence_to_those_that_are_chosen():
    features, row, _ = opposed_parts(images=4, noise=0.1, seed=1)
    found = decompose(features, row, method="evidence", prototypes=3, seed=0)
    evidence = evidence_of(features, row)
    many = discover(features, evidence, CANDIDATES * 3, seed=0).value
    turns = Alternation(features, evidence, row)
    heatmaps = turns.heatmaps(turns.settle(many.presence).parts)
    chosen = select(heatmaps, 4, 3)
    np.testing.assert_array_equal(found.scale, scale(many.prototypes[chosen], row).value)
    # The heat is shared as it is: turns would lead back to where k parts settle.
    fitted = turns.fit(peak_shares(heatmaps[:, chosen], 4))
    assert found.regularization == fitted.regularization
    np.testing.assert_allclose(found.prototypes, fitted.parts.prototypes(row), atol=1e-5)


def evidence_of(features, row):
    """What a linear head says at each position, (n * p,) float32."""
    return features.reshape(-1, len(row)) @ row.astype(np.float32)


@settings(max_examples=25)
@given(seed=seeds, k=st.integers(2, 4))
def test_a_class_stays_within_the_budget(seed, k):
    features, row, _ = opposed_parts(images=4, noise=0.1, seed=seed)
    found = decompose(features, row, method="evidence", prototypes=k, seed=0)
    assume(found.regularization > SMALLEST)  # but once in ten thousand
    assert found.refinement.ending is not Ending.BUDGET  # once in a while a turn limit is reached
    # The last prototype takes the float32 rounding of the others.
    assert sum_of_norms(found.prototypes) <= BUDGET * 3 * (1 + 1e-5)


def test_the_prototypes_of_the_paper_sum_to_the_row():
    features, row = random_class(0)
    found = decompose(features, row, method="paper", prototypes=3, seed=0).prototypes
    np.testing.assert_allclose(found.sum(axis=0), row, rtol=0, atol=1e-14)


@pytest.mark.parametrize("method", ["paper", "naive"])
def test_the_paper_adds_shares_of_the_residual_to_scaled_prototypes(method):
    features, row = random_class(0)
    found = decompose(features, row, method=method, prototypes=3, seed=0)
    flat = np.maximum(features.reshape(-1, 20), 0)
    basis = multiplicative.factorize(flat, 3, seed=0).value.prototypes
    shares = found.prototypes - found.scale[:, None] * basis
    residual = row - found.scale @ basis
    np.testing.assert_allclose(shares.sum(axis=0), residual, atol=1e-14)
    # The last share is what remains, which differs from the solver's by rounding only.
    mismatch = Heatmaps(features, basis).mismatch(shares)
    assert mismatch == pytest.approx(found.refinement.objective, rel=1e-9)
    if method == "naive":
        expected = np.outer(found.scale / found.scale.sum(), residual)
        np.testing.assert_allclose(shares, expected, atol=1e-12)


@methods
def test_the_same_arguments_give_the_same_bytes(method):
    features, row = random_class(0)
    first, second = (
        decompose(features, row, method=method, prototypes=3, seed=5) for _ in range(2)
    )
    assert first.prototypes.tobytes() == second.prototypes.tobytes()
    assert first.scale.tobytes() == second.scale.tobytes()
    assert first.warnings == second.warnings


@methods
def test_the_arguments_are_left_as_they_were(method):
    features, row = random_class(0)
    before = features.copy(), row.copy()
    decompose(features, row, method=method, prototypes=3, seed=0)
    np.testing.assert_array_equal(features, before[0])
    np.testing.assert_array_equal(row, before[1])


@methods
def test_one_prototype_is_the_row(method):
    features, row = random_class(0)
    found = decompose(features, row, method=method, prototypes=1, seed=0)
    np.testing.assert_array_equal(found.prototypes, row[None])
    assert found.refinement.converged


@methods
def test_the_scale_of_the_row_is_the_scale_of_the_prototypes(method):
    features, row = random_class(0)
    plain = decompose(features, row, method=method, prototypes=3, seed=0)
    larger = decompose(features, 1024 * row, method=method, prototypes=3, seed=0)
    # A power of two changes no digit of a product; only the scaling's solver sees tolerances,
    # and Nelder-Mead compares differences with an absolute 1e-6.
    np.testing.assert_allclose(larger.prototypes / 1024, plain.prototypes, atol=1e-4)
    assert larger.residual_ratio == pytest.approx(plain.residual_ratio, abs=1e-6)


def test_the_scale_of_the_features_does_not_matter():
    planted = plant()
    plain, larger = (
        decompose(factor * planted.features, planted.row, method="evidence", prototypes=3, seed=0)
        for factor in (np.float32(1), np.float32(64))
    )
    np.testing.assert_allclose(larger.prototypes, plain.prototypes, atol=1e-4)
    assert larger.regularization == plain.regularization


def test_discovery_reconstructs_the_features_themselves():
    planted = plant()
    factors = discover(planted.features, evidence_of(planted.features, planted.row), 3, 0).value
    flat = planted.features.reshape(-1, planted.features.shape[2])
    # Three factors hold planted features exactly; the solvers stop at about 1 %.
    error = np.linalg.norm(flat - factors.presence @ factors.prototypes)
    assert error < 0.02 * np.linalg.norm(flat)


def test_planted_parts_get_a_prototype_each():
    planted = plant()
    found = decompose(planted.features, planted.row, method="evidence", prototypes=3, seed=0)
    heatmaps = planted.features @ found.prototypes.T
    strongest = heatmaps.argmax(axis=2)
    seen = [np.unique(strongest[planted.part == part]) for part in range(3)]
    assert [len(values) for values in seen] == [1, 1, 1]
    assert len(np.unique(seen)) == 3


def test_the_order_of_the_images_does_not_matter_to_planted_parts():
    planted = plant()
    order = np.random.default_rng(0).permutation(len(planted.features))
    first = decompose(planted.features, planted.row, method="evidence", prototypes=3, seed=0)
    second = decompose(
        planted.features[order], planted.row, method="evidence", prototypes=3, seed=0
    )
    # Sums in another order, and other halves for lambda.
    assert second.regularization == first.regularization
    np.testing.assert_allclose(second.prototypes, first.prototypes, atol=1e-3)


@methods
def test_what_the_prototypes_leave_of_the_row_is_reported(method):
    features, row = random_class(0)
    found = decompose(features, row, method=method, prototypes=3, seed=0)
    assert found.scale.shape == (3,)
    assert 0 < found.residual_ratio <= 1
    assert (found.regularization is not None) == (method == "evidence")


def test_the_papers_solver_at_its_limit_is_a_warning():
    features, row = random_class(0)
    found = decompose(features, row, method="paper", prototypes=3, seed=0)
    assert found.refinement.ending is Ending.LIMIT
    assert [warning.split(", ")[0] for warning in found.warnings] == [
        "refinement: limit reached after 100 iterations"
    ]


@pytest.mark.parametrize("method", FAST)
def test_what_settles_has_no_warning(method):
    planted = plant()
    found = decompose(planted.features, planted.row, method=method, prototypes=3, seed=0)
    for summary in (found.discovery, found.scaling, found.refinement):
        assert summary.ending is Ending.SETTLED
    assert found.warnings == ()


def test_turns_that_run_out_are_a_warning(monkeypatch):
    planted = plant()
    monkeypatch.setattr(regression, "FIRST_TURNS", 1)
    found = decompose(planted.features, planted.row, method="evidence", prototypes=3, seed=0)
    assert found.refinement.ending is Ending.LIMIT
    assert found.refinement.iterations == 1
    (warning,) = found.warnings
    assert warning.startswith("refinement: limit reached after 1 iterations, objective 0.")
    assert "still add up" in warning


def test_a_budget_that_no_lambda_meets_is_a_warning(monkeypatch):
    monkeypatch.setattr(regression, "BUDGET", 0.9)  # the triangle inequality forbids it
    features, row = random_class(0)
    found = decompose(features, row, method="evidence", prototypes=3, seed=0)
    assert found.refinement.ending is Ending.BUDGET
    assert found.regularization == LARGEST
    (warning,) = found.warnings
    assert warning.startswith("refinement: over the budget after")
    assert "even at lambda = 128" in warning


def test_the_turns_of_the_search_for_lambda_need_not_settle(monkeypatch):
    monkeypatch.setattr(regression, "NEXT_TURNS", 1)
    features, row, _ = opposed_parts(images=4, noise=0.1)
    found = decompose(features, row, method="evidence", prototypes=3, seed=0)
    assert found.regularization > SMALLEST
    assert found.refinement.ending is Ending.SETTLED


def test_a_discovery_at_its_limit_is_a_warning(monkeypatch):
    monkeypatch.setattr(nmf, "_LIMIT", 1)
    planted = plant()
    found = decompose(planted.features, planted.row, method="evidence", prototypes=3, seed=0)
    assert found.discovery.ending is Ending.LIMIT
    assert [warning.split(":")[0] for warning in found.warnings] == ["discovery"]


@pytest.mark.parametrize("ending", Ending)
def test_only_what_settled_is_recorded_as_converged(ending):
    assert Summary(iterations=1, objective=0.0, ending=ending).converged == (
        ending is Ending.SETTLED
    )


def test_scales_that_cancel_are_a_warning_and_an_even_split():
    features, _ = random_class(0)
    found = decompose(features, np.zeros(20), method="naive", prototypes=3, seed=0)
    assert found.warnings == ("refinement: the scales cancel, so the residual was split evenly",)
    np.testing.assert_array_equal(found.prototypes, 0)


@pytest.mark.parametrize("method", FAST)  # SciPy's simplex leaves zero by an absolute step
def test_a_row_of_zeros_has_prototypes_of_zeros(method):
    features, _ = random_class(0)
    found = decompose(features, np.zeros(20), method=method, prototypes=3, seed=0)
    np.testing.assert_allclose(found.prototypes, 0, atol=1e-12)
    assert found.residual_ratio == 0


@methods
def test_constant_features_can_be_decomposed(method):
    features = np.full((5, 9, 12), 0.5, dtype=np.float32)
    row = np.random.default_rng(0).normal(size=12)
    found = decompose(features, row, method=method, prototypes=3, seed=0)
    np.testing.assert_allclose(found.prototypes.sum(axis=0), row, atol=1e-12)


@pytest.mark.parametrize("images", [MINIMUM_IMAGES, 3])
def test_the_fewest_images_can_be_decomposed(images):
    features, row = random_class(0, images=images)
    found = decompose(features, row, method="evidence", prototypes=3, seed=0)
    np.testing.assert_allclose(found.prototypes.sum(axis=0), row, atol=1e-14)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_features_that_are_not_finite_are_refused(value):
    features, row = random_class(0)
    features[1, 2, 3] = value
    with pytest.raises(DecompositionError, match="expected finite features"):
        decompose(features, row, method="evidence", prototypes=3, seed=0)


def test_a_row_that_is_not_finite_is_refused():
    features, row = random_class(0)
    row[0] = np.nan
    with pytest.raises(DecompositionError, match="finite head row"):
        decompose(features, row, method="evidence", prototypes=3, seed=0)


@methods
@pytest.mark.parametrize("value", [0, -1])
def test_features_that_are_never_positive_are_refused(method, value):
    features = np.full((5, 9, 12), value, dtype=np.float32)
    with pytest.raises(DecompositionError, match="zero or negative"):
        decompose(features, np.ones(12), method=method, prototypes=3, seed=0)


def test_one_image_is_refused():
    features, row = random_class(0, images=1)
    with pytest.raises(DecompositionError, match="at least 2 images"):
        decompose(features, row, method="evidence", prototypes=3, seed=0)


def test_more_prototypes_than_positions_are_refused():
    features, row = random_class(0, images=2, positions=1)
    with pytest.raises(DecompositionError, match="got 2 images of 1 positions"):
        decompose(features, row, method="evidence", prototypes=3, seed=0)


@pytest.mark.parametrize("k", [0, 21])
def test_a_number_of_prototypes_that_the_channels_cannot_hold_is_refused(k):
    features, row = random_class(0)
    with pytest.raises(DecompositionError, match=f"expected 1 to 20 prototypes.* got {k}"):
        decompose(features, row, method="evidence", prototypes=k, seed=0)


def test_shapes_that_do_not_fit_are_refused():
    features, row = random_class(0)
    with pytest.raises(DecompositionError, match=r"got \(6, 9, 20\) and \(19,\)"):
        decompose(features, row[:-1], method="evidence", prototypes=3, seed=0)


def test_the_documented_numbers_are_those_of_the_code():
    method = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    text = " ".join(method.split())
    for written in (
        f"m_i = e_i^{POWER} / sum_j e_j^{POWER} (b)",
        f"<= {BUDGET:g} |v| (c)",
        f"Of {CANDIDATES}k candidates k",
        f"rho = {APART:g} (d)",
        f"from {SMALLEST:g}, the mean",
        f"even lambda = {LARGEST:g} does not meet (c)",
        f"lambda = {SMALLEST:g}, within {regression.FIRST_TURNS};",
        f"cos(a_i, a_j) >= {ALIKE:g}",
        f"deviation of {WIDTH:g} of the side",
    ):
        assert written in text

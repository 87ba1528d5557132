"""The four axioms of the paper's Table 1, for the contributions of a decomposed class.

The axioms are those of Sundararajan, Taly and Yan (2017), with the feature map as the input, a
map of zeros as the baseline, and what the class adds to its logit, f(x) = mean over positions of
x @ v, as the function. Prototype i attributes x_j @ p~_i / p to position j; summed over the
positions that is its contribution, summed over i as well the whole explanation.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from planted import plant

from exporter.decompose import Method, decompose

METHODS: tuple[Method, ...] = ("evidence", "paper", "naive")
PLANTED = plant(width=2)
POSITIONS, CHANNELS = PLANTED.features.shape[1:]

# Sums of float64 products of order 1.
ROUNDING = 1e-12

seeds = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Explained:
    """A head row and its prototypes (k, d)."""

    row: NDArray[np.float64]
    prototypes: NDArray[np.float64]

    def logit(self, image):
        return (image @ self.row).mean()

    def attributions(self, image):
        """(p, k), in logit units."""
        return image @ self.prototypes.T / len(image)


def explain(row, method):
    found = decompose(PLANTED.features, row, method=method, prototypes=3, seed=0)
    return Explained(row, found.prototypes)


@pytest.fixture(scope="module", params=METHODS)
def explained(request):
    return explain(PLANTED.row, request.param)


def random_image(seed):
    return np.random.default_rng(seed).random((POSITIONS, CHANNELS))


@given(seed=seeds, position=st.integers(0, POSITIONS - 1))
def test_sensitivity_the_only_position_that_differs_gets_the_difference(explained, seed, position):
    image = np.zeros((POSITIONS, CHANNELS))
    image[position] = random_image(seed)[position]
    attributions = explained.attributions(image)
    assert explained.logit(image) != 0
    assert attributions[position].sum() == pytest.approx(explained.logit(image), abs=ROUNDING)
    np.testing.assert_array_equal(np.delete(attributions, position, axis=0), 0)


@given(seed=seeds)
def test_completeness_contributions_sum_to_the_change_of_the_logit(explained, seed):
    image = random_image(seed)
    contributions = explained.attributions(image).sum(axis=0)
    assert contributions.sum() == pytest.approx(explained.logit(image), abs=ROUNDING)


@pytest.mark.parametrize("method", METHODS)
def test_linearity_a_mixture_of_two_heads_is_explained_by_the_mixture(method):
    first, second = PLANTED.row, PLANTED.row[::-1] - 0.4
    image = random_image(0)
    parts = [explain(row, method).attributions(image).sum(axis=1) for row in (first, second)]
    mixture = explain(2 * first - 3 * second, method).attributions(image).sum(axis=1)
    # For the whole explanation; how it splits into prototypes follows the evidence of the head,
    # which is not linear in it for any method with nonnegative parts.
    np.testing.assert_allclose(mixture, 2 * parts[0] - 3 * parts[1], atol=ROUNDING)


@given(seed=seeds, first=st.floats(-2, 2), second=st.floats(-2, 2))
def test_linearity_every_contribution_is_linear_in_the_features(explained, seed, first, second):
    one, other = random_image(seed), random_image(seed + 1)
    expected = first * explained.attributions(one) + second * explained.attributions(other)
    mixture = explained.attributions(first * one + second * other)
    np.testing.assert_allclose(mixture, expected, atol=ROUNDING)


@given(seed=seeds)
def test_symmetry_swapping_two_positions_swaps_their_attributions(explained, seed):
    image = random_image(seed)
    swapped = image[[1, 0, *range(2, POSITIONS)]]
    attributions = explained.attributions(image)
    np.testing.assert_allclose(
        explained.attributions(swapped),
        attributions[[1, 0, *range(2, POSITIONS)]],
        atol=ROUNDING,
    )
    image[1] = image[0]  # positions that the function cannot tell apart
    attributions = explained.attributions(image)
    np.testing.assert_allclose(attributions[0], attributions[1], atol=ROUNDING)


def test_symmetry_interchangeable_channels_weigh_the_same_in_every_prototype():
    # Only for "evidence": the paper's factorisation starts from random numbers for each channel
    # and stops before it has forgotten them.
    features, row = PLANTED.features.copy(), PLANTED.row.copy()
    features[:, :, 1], row[1] = features[:, :, 0], row[0]
    found = decompose(features, row, method="evidence", prototypes=3, seed=0).prototypes
    # Equal columns in float32 products; their order in a sum may differ.
    np.testing.assert_allclose(found[:, 0], found[:, 1], atol=1e-5)

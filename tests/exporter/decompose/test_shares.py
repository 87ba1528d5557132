import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from exporter.decompose.shares import peak_shares, positive_shares, relative_heat

seeds = st.integers(0, 2**32 - 1)
IMAGES, POSITIONS = 6, 9


def random_presence(seed, k=3):
    """Presence of k parts, (n * p, k) float32; about half of it is zero."""
    random = np.random.default_rng(seed)
    return np.maximum(random.normal(size=(IMAGES * POSITIONS, k)), 0).astype(np.float32)


def test_heat_is_relative_to_the_peak_in_the_image():
    heatmaps = np.float32([[2, -1], [1, -3], [0, 5], [4, 1]])
    expected = [[[1, 0], [0.5, 0]], [[0, 1], [1, 0.2]]]
    np.testing.assert_allclose(relative_heat(heatmaps, images=2), expected, rtol=1e-6)


@given(seed=seeds, k=st.integers(1, 6))
def test_peak_shares_are_a_partition(seed, k):
    shares = peak_shares(random_presence(seed, k), IMAGES)
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)


@given(seed=seeds)
def test_peak_shares_forget_the_scale_of_presence_in_an_image(seed):
    presence = random_presence(seed)
    scale = np.random.default_rng(seed).uniform(0.1, 10, (IMAGES, 1, 3)).astype(np.float32)
    scaled = (presence.reshape(IMAGES, POSITIONS, 3) * scale).reshape(presence.shape)
    np.testing.assert_allclose(
        peak_shares(scaled, IMAGES), peak_shares(presence, IMAGES), atol=1e-5
    )


def test_peak_shares_are_fourth_powers_relative_to_the_peak():
    # One image of two positions: relative to their peaks the parts hold (1, 1/3) and (1/2, 1).
    presence = np.float32([[2, 1], [1, 3]])
    shares = [[1 / (1 + 1 / 81), (1 / 81) / (1 + 1 / 81)], [1 / 17, 16 / 17]]
    np.testing.assert_allclose(peak_shares(presence, images=1), shares, rtol=1e-6)


def test_a_position_without_any_part_is_shared_equally():
    presence = np.zeros((8, 4), dtype=np.float32)
    np.testing.assert_array_equal(peak_shares(presence, images=2), 0.25)


def test_positive_shares_count_positive_evidence_only():
    targets = np.float32([[3, -5], [0, 1]])
    np.testing.assert_allclose(positive_shares(targets), [0.75, 0.25])
    np.testing.assert_allclose(positive_shares(-np.abs(targets)), [0.5, 0.5])

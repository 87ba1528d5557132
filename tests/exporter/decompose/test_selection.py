import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import plant

from exporter.decompose.regression import Alternation
from exporter.decompose.selection import APART, choose, concentration, overlap, select

seeds = st.integers(0, 2**32 - 1)
IMAGES, POSITIONS = 5, 9


def random_heatmaps(seed, count=6):
    """Heatmaps (n * p, g) float32 of any sign."""
    return np.random.default_rng(seed).normal(size=(IMAGES * POSITIONS, count)).astype(np.float32)


def test_concentration_is_one_over_the_positions_that_hold_the_heat():
    one_place, two_places, everywhere, nowhere = np.float32(
        [[0, 7, 0, 0], [3, 0, 3, 0], [2, 2, 2, 2], [-1, 0, -5, 0]]
    )
    heatmaps = np.stack([one_place, two_places, everywhere, nowhere], axis=1)
    np.testing.assert_allclose(concentration(heatmaps, images=1), [1, 1 / 2, 1 / 4, 1 / 4])


def test_concentration_is_the_mean_over_images():
    heatmaps = np.float32([[1], [0], [1], [1]])  # a point in the first image, flat in the second
    np.testing.assert_allclose(concentration(heatmaps, images=2), [3 / 4])


@given(seed=seeds)
def test_concentration_and_overlap_forget_the_scale_of_a_heatmap_in_an_image(seed):
    heatmaps = random_heatmaps(seed)
    scale = np.random.default_rng(seed).uniform(0.1, 10, (IMAGES, 1, 6)).astype(np.float32)
    scaled = (heatmaps.reshape(IMAGES, POSITIONS, 6) * scale).reshape(heatmaps.shape)
    for measure in (concentration, overlap):
        np.testing.assert_allclose(
            measure(scaled, IMAGES), measure(heatmaps, IMAGES), rtol=1e-4, atol=1e-6
        )


@given(seed=seeds)
def test_overlap_is_symmetric_and_one_with_itself(seed):
    heatmaps = np.abs(random_heatmaps(seed))  # some heat in every image
    shared = overlap(heatmaps, IMAGES)
    np.testing.assert_allclose(shared, shared.T, atol=1e-6)
    np.testing.assert_allclose(np.diag(shared), 1, rtol=1e-5)
    assert (shared >= 0).all()
    assert (shared <= 1 + 1e-5).all()


def test_overlap_is_the_place_that_two_heatmaps_share():
    left, right, both, none = np.float32([[1, 0, 0], [0, 0, 1], [1, 0, 1], [-1, -1, -1]])
    shared = overlap(np.stack([left, right, both, none], axis=1), images=1)
    expected = [[1, 0, 0.5, 0], [0, 1, 0.5, 0], [0.5, 0.5, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(shared, expected, atol=1e-6)


def test_places_are_fourth_powers_of_the_relative_heat():
    # Half of the peak counts a sixteenth of its place: q = (16/17, 1/17) and (1/17, 16/17).
    heatmaps = np.float32([[2, 5], [1, 10]])
    np.testing.assert_allclose(overlap(heatmaps, images=1)[0, 1], 2 / 17, rtol=1e-6)


def test_the_most_concentrated_come_first_where_nothing_overlaps():
    apart = np.eye(4, dtype=np.float32)
    np.testing.assert_array_equal(choose(np.float32([0.2, 0.9, 0.1, 0.5]), apart, 3), [1, 3, 0])


def test_a_second_of_the_same_place_is_passed_over():
    concentrated = np.float32([0.9, 0.8, 0.5])
    overlapping = np.float32([[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    np.testing.assert_array_equal(choose(concentrated, overlapping, 2), [0, 2])


@given(seed=seeds, count=st.integers(2, 6))
def test_every_candidate_taken_adds_most_to_what_is_maximised(seed, count):
    random = np.random.default_rng(seed)
    concentrated = random.uniform(0.1, 1, 6).astype(np.float32)
    overlapping = random.uniform(0, 1, (6, 6)).astype(np.float32)
    overlapping = (overlapping + overlapping.T) / 2

    def value(chosen):
        pairs = [overlapping[a, b] for n, a in enumerate(chosen) for b in chosen[:n]]
        return np.log(concentrated[chosen]).sum() - APART * 2 / (count - 1) * sum(pairs)

    chosen = list(choose(concentrated, overlapping, count))
    assert len(set(chosen)) == count
    for taken in range(count):
        others = set(range(6)) - set(chosen[:taken])
        best = max(value([*chosen[:taken], other]) for other in others)
        assert value(chosen[: taken + 1]) == pytest.approx(best, abs=1e-5)


def test_of_candidates_that_come_twice_one_is_kept():
    planted = plant(images=12)
    part = planted.part.ravel()
    heatmaps = settled_heatmaps(planted, np.tile(np.eye(3, dtype=np.float32)[part], 2))
    chosen = select(heatmaps, 12, 3)
    assert sorted(chosen % 3) == [0, 1, 2]
    assert (chosen[heatmaps[:, chosen].argmax(axis=1)] % 3 == part).mean() > 0.95


def test_a_candidate_spread_over_the_picture_is_left_out():
    planted = plant(images=12)
    parts = np.eye(3, dtype=np.float32)[planted.part.ravel()]
    spread = np.ones((len(parts), 1), dtype=np.float32)
    presence = np.concatenate([spread, parts], axis=1)
    assert sorted(select(settled_heatmaps(planted, presence), 12, 3)) == [1, 2, 3]


def settled_heatmaps(planted, presence):
    """The heatmaps (n * p, g) that candidates settle to from their presence (n * p, g)."""
    evidence = (planted.features @ planted.row).astype(np.float32).ravel()
    turns = Alternation(planted.features, evidence, planted.row)
    return turns.heatmaps(turns.settle(presence).parts)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.images.peaks import find_peaks
from exporter.images.trust import border_chance, trust_of

seeds = st.integers(0, 2**32 - 1)
BILL, BREAST, LEG = np.eye(3, dtype=np.float32)


def figures(features, cells, grid):
    """The figures of parts that peak in these cells (n, k) of features (n, p, d)."""
    h, w = grid
    heatmaps = np.eye(h * w, dtype=np.float32)[np.array(cells)].reshape(*np.shape(cells), h, w)
    return trust_of(find_peaks(features, heatmaps), heatmaps)


def scene(*things):
    """One picture of a row of things, after which one takes the mean of the evidence to zero."""
    return np.stack([*things, -sum(things)])


def balanced(things):
    """Pictures of one thing each, found by the first part; the second finds what balances it."""
    features = np.stack([scene(thing) for thing in things])
    return figures(features, [[0, 1]] * len(things), (1, 2))


def test_images_of_one_thing_are_alike():
    assert [part.likeness for part in balanced([BILL] * 6)] == [1, 1]


def test_images_of_two_things_in_turn_are_mixed_and_their_halves_do_not_agree():
    part, _ = balanced([BILL, LEG] * 3)
    # Of 30 ordered pairs 12 show one thing twice.
    assert part.likeness == pytest.approx(12 / 30, abs=1e-3)
    assert part.halves == 0


def test_the_halves_of_one_thing_agree_however_much_it_varies():
    part, _ = balanced([BILL + LEG, BILL + LEG, BILL - LEG, BILL - LEG] * 2)
    assert part.likeness < 0.5
    assert part.halves == 1


@given(seed=seeds)
def test_what_is_seen_at_random_is_like_nothing(seed):
    random = np.random.default_rng(seed)
    features = random.normal(size=(200, 2, 32)).astype(np.float32)
    part, _ = figures(features, [[0, 1]] * 200, (1, 2))
    assert abs(part.likeness) < 0.02


def test_too_few_images_say_nothing():
    assert balanced([BILL])[0].likeness is None
    assert balanced([BILL] * 3)[0].halves is None


def test_without_positive_evidence_nothing_is_said_of_what_is_seen():
    heatmaps = np.full((4, 1, 1, 2), -1, dtype=np.float32)
    features = np.ones((4, 2, 3), dtype=np.float32)
    (part,) = trust_of(find_peaks(features, heatmaps), heatmaps)
    assert (part.likeness, part.halves) == (None, None)


def test_a_part_whose_peaks_show_what_is_everywhere_has_no_halves():
    features = np.tile(BREAST, (4, 2, 1))
    assert figures(features, [[0]] * 4, (1, 2))[0].halves is None


def test_peaks_in_the_outermost_cells_are_at_the_border():
    features = np.ones((4, 9, 3), dtype=np.float32)
    corner, centre, half = figures(features, [[0, 4, 5], [2, 4, 4], [6, 4, 4], [7, 4, 1]], (3, 3))
    assert [part.border for part in (corner, centre, half)] == [1, 0, 0.5]


@pytest.mark.parametrize(
    ("grid", "expected"), [((7, 7), 24 / 49), ((16, 16), 60 / 256), ((2, 9), 1), ((1, 1), 1)]
)
def test_by_chance_a_peak_is_at_the_border_as_often_as_a_cell_is(grid, expected):
    assert border_chance(grid) == pytest.approx(expected, abs=1e-3)
    positions = grid[0] * grid[1]
    features = np.ones((positions, positions, 1), dtype=np.float32)
    (part,) = figures(features, np.arange(positions)[:, None], grid)
    assert part.border == border_chance(grid)


def test_parts_at_one_place_name_each_other():
    features = np.ones((4, 9, 3), dtype=np.float32)
    found = figures(features, [[0, 8, 0], [1, 8, 1], [2, 8, 2], [3, 8, 5]], (3, 3))
    assert [part.same_place.other for part in found][::2] == [2, 0]
    assert [part.same_place.overlap for part in found] == [0.75, 0, 0.75]


def test_one_part_or_one_cell_is_at_no_others_place():
    assert figures(np.ones((4, 4, 3), np.float32), [[0]] * 4, (2, 2))[0].same_place is None
    assert figures(np.ones((4, 1, 3), np.float32), [[0, 0]] * 4, (1, 1))[0].same_place is None


@given(seed=seeds)
def test_figures_forget_the_scale_of_features_and_heatmaps(seed):
    random = np.random.default_rng(seed)
    features = random.normal(size=(5, 6, 4)).astype(np.float32)
    heatmaps = random.normal(size=(5, 2, 2, 3)).astype(np.float32)
    found = trust_of(find_peaks(features, heatmaps), heatmaps)
    assert trust_of(find_peaks(8 * features, 4 * heatmaps), 4 * heatmaps) == found

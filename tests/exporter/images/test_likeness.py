import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from exporter.images.likeness import ALIKE
from exporter.images.likeness import alike as alike_at
from exporter.images.peaks import find_peaks

seeds = st.integers(0, 2**32 - 1)
BILL, BREAST, LEG, GROUND = np.eye(4, dtype=np.float32)


def alike(features, heatmaps):
    return alike_at(find_peaks(features, heatmaps))


def pictures(*positions):
    """Features (n, p, d) of four equal pictures, each of these positions."""
    return np.tile(np.stack(positions), (4, 1, 1))


def peaking_at(*cells, positions=4):
    """Heatmaps (4, k, 2, 2), zero but for a cell each."""
    return np.tile(np.eye(positions)[list(cells)].reshape(len(cells), 2, 2), (4, 1, 1, 1))


def test_two_places_of_one_thing_are_alike_and_other_things_are_not():
    features = pictures(BREAST, BILL, BREAST, GROUND)
    assert alike(features, peaking_at(0, 1, 2)) == ((2,), (), (0,))


def test_what_is_seen_wherever_the_class_is_makes_nothing_alike():
    bird = 9 * LEG
    features = pictures(bird + BILL, bird + BREAST, bird + LEG, GROUND)
    # Beside the ground all of them are the bird; beside each other they differ.
    assert alike(features, peaking_at(0, 1, 2)) == ((), (), ())


def test_how_alike_is_a_cosine():
    centre = np.zeros(4, dtype=np.float32)
    for cosine, expected in ((ALIKE + 0.01, ((1,), (0,), ())), (ALIKE - 0.01, ((), (), ()))):
        near = cosine * BILL + np.sqrt(1 - cosine**2) * BREAST
        # The last position pulls the mean of the evidence to zero.
        features = pictures(BILL, near, centre, -(BILL + near))
        heatmaps = peaking_at(0, 1, 3).astype(np.float32)
        assert alike(features, heatmaps) == expected


def test_one_prototype_is_like_no_other():
    assert alike(pictures(BILL, LEG, LEG, GROUND), peaking_at(0)) == ((),)


def test_a_picture_without_things_has_none_that_are_alike():
    assert alike(pictures(*[GROUND] * 4), peaking_at(0, 1)) == ((), ())


def test_without_positive_evidence_nothing_is_said():
    assert alike(pictures(BREAST, BILL, BREAST, GROUND), -peaking_at(0, 2)) == ((), ())


@given(seed=seeds, scale=st.sampled_from([0.25, 8.0]))
def test_being_alike_is_mutual_and_forgets_scale(seed, scale):
    random = np.random.default_rng(seed)
    features = random.normal(size=(3, 4, 2)).astype(np.float32)
    heatmaps = random.normal(size=(3, 5, 2, 2)).astype(np.float32)
    found = alike(features, heatmaps)
    assert all(number in found[other] for number, others in enumerate(found) for other in others)
    assert alike(scale * features, scale * heatmaps) == found

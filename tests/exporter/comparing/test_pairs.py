"""Which class and which part of one artifact is which of another, on the smallest cases."""

import numpy as np
import pytest

from exporter.comparing.pairs import (
    LIMITS,
    correlations,
    cosines,
    intersection_over_union,
    overlaps,
    pair_classes,
    pair_parts,
)
from serving.artifact import EvidenceRecord, PrototypeRecord

VECTORS = LIMITS["vectors"]


@pytest.mark.parametrize(
    ("old", "new", "same_source", "pairs"),
    [
        ("ab", "ab", True, [(0, 0), (1, 1)]),
        ("ab", "ba", False, [(1, 0), (0, 1)]),
        ("ab", "abc", True, [(0, 0), (1, 1), (None, 2)]),
        ("abc", "ac", False, [(0, 0), (2, 1), (1, None)]),
        ("ab", "ax", True, [(0, 0), (1, 1)]),  # of one classifier the place is the class
        ("ab", "ax", False, [(0, 0), (None, 1), (1, None)]),
        ("aab", "baa", False, [(2, 0), (0, 1), (1, 2)]),  # of one label, in their order
        ("aa", "a", False, [(0, 0), (1, None)]),
    ],
)
def test_classes_are_paired_by_label_then_by_place(old, new, same_source, pairs):
    assert list(pair_classes(old, new, same_source=same_source)) == pairs


def test_parts_are_paired_so_that_they_are_as_alike_as_they_can_be():
    likeness = np.array([[0.90, 0.96], [0.00, 0.94]])  # greedy would leave 0.0 for the second
    assert [(p.state, p.old, p.new, p.likeness) for p in pair_parts(likeness, VECTORS)] == [
        ("moved", 0, 0, 0.9),
        ("moved", 1, 1, 0.94),
    ]


@pytest.mark.parametrize(
    ("likeness", "states"),
    [
        ([[0.95]], ["kept"]),
        ([[0.94]], ["moved"]),
        ([[0.50]], ["moved"]),
        ([[0.49]], ["lost", "gained"]),
        ([[-1.0]], ["lost", "gained"]),
        ([[1.0, 0.0]], ["kept", "gained"]),
        ([[1.0], [0.0]], ["kept", "lost"]),
    ],
)
def test_what_has_no_partner_is_lost_or_gained(likeness, states):
    assert [pair.state for pair in pair_parts(np.array(likeness), VECTORS)] == states


def test_a_class_that_one_artifact_lacks_has_only_lost_or_gained_parts():
    assert [p.state for p in pair_parts(np.zeros((0, 2)), VECTORS)] == ["gained", "gained"]
    assert [p.state for p in pair_parts(np.zeros((2, 0)), VECTORS)] == ["lost", "lost"]


def test_a_cosine_knows_no_length_and_is_zero_without_a_direction():
    found = cosines(np.array([[2.0, 0.0], [0.0, 0.0]]), np.array([[5.0, 0.0], [1.0, 1.0]]))
    np.testing.assert_allclose(found, [[1.0, 0.5**0.5], [0.0, 0.0]])


@pytest.mark.parametrize(
    ("box", "expected"),
    [((0, 0, 4, 4), 1.0), ((2, 0, 6, 4), 1 / 3), ((4, 0, 8, 4), 0.0), ((9, 9, 10, 10), 0.0)],
)
def test_boxes_overlap_from_apart_to_the_same(box, expected):
    assert intersection_over_union((0, 0, 4, 4), box) == pytest.approx(expected)


def part(**boxes):
    crops = (EvidenceRecord(file=f"{i}.jpg", image=i, value=1, box=b) for i, b in boxes.items())
    return PrototypeRecord(name="prototype 0", evidence=tuple(crops))


def test_crops_overlap_by_the_same_places_of_the_same_images():
    here, beside = (0, 0, 4, 4), (2, 0, 6, 4)
    old = [part(a=here, b=here), part()]
    new = [part(a=here, b=here), part(a=beside, c=here), part(d=here), part()]
    np.testing.assert_allclose(overlaps(old, new), [[1, 1 / 9, 0, 0], [0, 0, 0, 0]])


def test_heatmaps_correlate_where_they_are_hot_on_grids_of_their_own():
    left, right = np.zeros((2, 28, 28), np.float32)
    left[:, :14], right[:, 14:] = 3, 3
    old = [np.stack([left, right]), np.stack([right, left])]  # two images
    new = [maps[::-1, ::2, ::2] / 2 for maps in old]  # half the grid, half the heat, renumbered
    np.testing.assert_allclose(correlations(old, new), [[-1, 1], [1, -1]], atol=1e-12)
    flat = [np.zeros_like(maps) for maps in new]
    np.testing.assert_array_equal(correlations(old, flat), np.zeros((2, 2)))
    alone = [maps[:1] for maps in new]
    np.testing.assert_allclose(correlations(old, alone), [[-1], [1]], atol=1e-12)

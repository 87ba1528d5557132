"""Each warning of the report, on the smallest case that raises it and on its neighbour."""

from dataclasses import replace

import numpy as np
import pytest
from reports import FIGURES, HELD_OUT, RECORD

from exporter.report.ground import OffObject, at_border, off_object, off_parts, steady
from exporter.report.judge import judge
from exporter.report.measure import Pair, measure_class
from exporter.report.observe import Marks, Observed, recognised
from exporter.report.rules import BY_KIND, RULES, SEVERITIES
from serving.artifact import PrototypeRecord, WholeClass
from serving.artifact.edits import EditRecord, PrototypeKey

SIZE = (70, 70)


def kinds(record=RECORD, figures=FIGURES, edits=(), **held_out):
    if held_out:
        figures = replace(figures, held_out=replace(figures.held_out, **held_out))
    return [finding.kind for finding in judge(record, figures, edits)]


def test_a_class_without_a_fault_has_no_warning():
    assert kinds() == []


@pytest.mark.parametrize(
    ("pair", "found"),
    [
        (Pair(0, 1, 0.9, None), True),
        (Pair(0, 1, 0.89, None), False),
        (Pair(0, 1, -0.99, -0.9), False),  # opposites are not alike
        (Pair(0, 1, None, 0.8), True),
        (Pair(0, 1, None, 0.79), False),
        (Pair(0, 1, None, None), False),
    ],
)
def test_prototypes_look_alike_by_cosine_or_by_heatmap(pair, found):
    assert kinds(figures=replace(FIGURES, pairs=(pair,))) == ["alike"] * found


def test_prototypes_that_show_the_same_thing_look_alike():
    first, second = RECORD.prototypes
    prototypes = (
        first.model_copy(update={"alike": (1,)}),
        second.model_copy(update={"alike": (0,)}),
    )
    (finding,) = judge(RECORD.model_copy(update={"prototypes": prototypes}), FIGURES, ())
    assert finding.text == "#0 and red tail: the same thing on training images."


def test_a_warning_names_its_prototypes():
    (finding,) = judge(RECORD, replace(FIGURES, pairs=(Pair(0, 1, 0.95, 0.9),)), ())
    assert finding.text == "#0 and red tail: cosine 0.95, heatmaps correlate by 0.90."
    assert finding.prototypes == (0, 1)


def test_without_images_prototypes_at_right_angles_do_not_cancel():
    # k equal norms at right angles sum to sqrt(k) of the whole; the limit is half as much again
    blind = replace(FIGURES, held_out=None)
    assert "cancels" not in kinds(figures=replace(blind, norm_sum=2**0.5))
    assert "cancels" not in kinds(figures=replace(blind, norm_sum=1.5 * 2**0.5))
    assert "cancels" in kinds(figures=replace(blind, norm_sum=1.5 * 2**0.5 + 1e-9))
    assert "cancels" not in kinds(figures=replace(blind, norm_sum=None))


def test_with_images_heat_that_is_taken_away_cancels_and_norms_do_not():
    # Norms count directions that the features of no image take.
    assert kinds(figures=replace(FIGURES, norm_sum=9.0)) == []
    assert kinds(cancelled=0.5) == []
    assert kinds(cancelled=0.501) == ["cancels"]
    assert kinds(cancelled=None) == []


def test_evidence_against_the_class_cancels():
    assert kinds(negative=0.1) == []
    assert kinds(negative=0.101) == ["cancels"]
    assert kinds(negative=None) == []


def test_with_masks_the_peak_decides_or_no_more_evidence_than_a_blind_heatmap():
    good = OffObject(np.array([0.4, 0.0]), np.array([0.5, 0.79]), 0.8)
    assert kinds(off_object=good) == []
    assert kinds(off_object=replace(good, peaks=np.array([0.5, 0.0]))) == ["background"]
    assert kinds(off_object=replace(good, evidence=np.array([np.nan, 0.8]))) == ["background"]


def test_masks_are_believed_before_keypoints_and_keypoints_before_the_border():
    everywhere = np.ones(2)
    good = OffObject(np.zeros(2), np.zeros(2), 0.8)
    assert kinds(off_object=good, off_parts=everywhere, border=everywhere) == []
    assert kinds(off_parts=np.zeros(2), border=everywhere) == []
    assert kinds(off_parts=np.array([0.5, 0.49])) == ["keypoints"]


def test_a_peak_at_the_border_is_not_called_background():
    (finding,) = judge(
        RECORD, replace(FIGURES, held_out=replace(HELD_OUT, border=np.array([0.8, 0.79]))), ()
    )
    assert finding.kind == "border"
    assert finding.text == "#0: the peak is at the border in 80 % of the images."
    assert BY_KIND["border"].severity == "note"


def test_a_part_that_is_near_one_keypoint_in_few_images_looks_at_different_things():
    near = np.zeros(2)
    (finding,) = judge(
        RECORD,
        replace(FIGURES, held_out=replace(HELD_OUT, steady=np.array([0.5, 0.4]), off_parts=near)),
        (),
    )
    assert finding.text == (
        "red tail: the peak is near one and the same keypoint in 40 % of the images."
    )
    # What is near no keypoint, or off the object, is said once.
    assert kinds(steady=np.array([1, 0.1]), off_parts=np.array([0, 0.9])) == ["keypoints"]
    off = OffObject(np.array([0.0, 0.9]), np.zeros(2), 0.8)
    assert kinds(steady=np.array([1, 0.1]), off_object=off) == ["background"]


def test_a_prototype_that_counts_little_is_named():
    assert kinds(shares=np.array([0.875, 0.125])) == []
    assert kinds(shares=np.array([0.88, 0.12])) == ["weak"]
    assert kinds(shares=np.array([np.nan, np.nan])) == []


def test_accuracy_completeness_and_numbers_of_images():
    assert kinds(recognised=0.5) == []
    assert kinds(recognised=0.49) == ["recognised"]
    assert kinds(residual=1e-4) == []
    assert kinds(residual=1.1e-4) == ["sum"]
    assert kinds(residual=None) == []
    assert kinds(images=5) == []
    assert kinds(images=4) == ["held-out"]
    assert kinds(figures=replace(FIGURES, held_out=None)) == ["held-out"]
    assert kinds(record=RECORD.model_copy(update={"images": 20})) == []
    assert kinds(record=RECORD.model_copy(update={"images": 19})) == ["training"]


def test_a_whole_class_says_why_and_nothing_of_parts():
    whole = WholeClass(
        index=4,
        label="wren",
        images=2,
        warnings=("2 usable images, 5 are needed",),
        prototypes=(PrototypeRecord(name="whole"),),
    )
    figures = replace(FIGURES, live=(0,), pairs=(), norm_sum=9.0)
    (finding,) = judge(whole, figures, ())
    assert finding.kind == "whole"
    assert finding.text == (
        "Not split, made from 2 training images. 2 usable images, 5 are needed."
    )


def test_an_edit_is_told_with_its_reason_and_the_muted_are_judged_no_more():
    edit = EditRecord(
        parent="0" * 64,
        reason="looks at the\nwatermark",
        muted=(PrototypeKey(class_index=4, prototype=1), PrototypeKey(class_index=5, prototype=0)),
    )
    figures = replace(FIGURES, live=(0,), pairs=(), held_out=replace(HELD_OUT, border=np.ones(2)))
    found = judge(RECORD, figures, (edit,))
    assert [finding.kind for finding in found] == ["border", "edited"]
    assert found[0].prototypes == (0,)
    assert found[1].text == "red tail muted by edit 1: looks at the watermark."


def test_warnings_of_the_export_are_passed_on():
    assert kinds(record=RECORD.model_copy(update={"warnings": ("did not converge",)})) == ["export"]


def test_every_warning_has_a_rule_that_explains_it():
    assert len({rule.kind for rule in RULES}) == len(RULES) == 14


def test_the_worst_comes_first():
    levels = [SEVERITIES.index(rule.severity) for rule in RULES]
    assert levels == sorted(levels)
    assert kinds(images=4, cancelled=0.6, recognised=0.1, residual=1.0) == [
        "sum",
        "recognised",
        "cancels",
        "held-out",
    ]


# --- where the peaks lie -------------------------------------------------------------------------


def test_the_border_is_one_cell_of_a_7_by_7_grid():
    centres = np.array([[[5, 35], [6, 35]], [[35, 64], [35, 63]]])  # x, y of 70 x 70
    np.testing.assert_array_equal(at_border(centres, SIZE), [1, 0])


def test_a_peak_is_off_the_object_when_it_is_more_than_half_a_cell_away():
    heatmaps = np.ones((1, 3, 7, 7), dtype=np.float32)
    foreground = np.zeros((1, 70, 70), dtype=bool)
    foreground[0, 30:40, 30:40] = True
    centres = np.array([[[35, 35], [35, 25], [35, 24]]])
    found = off_object(heatmaps, centres, foreground)
    np.testing.assert_array_equal(found.peaks, [0, 0, 1])
    assert found.area == 48 / 49
    # A flat heatmap lies off the object as much as the area does; float32 upsampling rounds.
    np.testing.assert_allclose(found.evidence, 48 / 49, rtol=1e-5)


def test_evidence_of_a_heatmap_without_any_is_unknown():
    heatmaps = -np.ones((1, 1, 7, 7), dtype=np.float32)
    foreground = np.ones((1, 70, 70), dtype=bool)
    assert np.isnan(off_object(heatmaps, np.array([[[0, 0]]]), foreground).evidence).all()


def test_off_parts_counts_images_that_show_a_part_alone():
    # half-size of a box at 70 pixels: round(36 / 224 * 70) = 11
    centres = np.array([[[20, 20], [60, 60]], [[20, 20], [60, 60]]])
    points = np.array([[[30.0, 30.0], [np.nan, np.nan]], [[np.nan, np.nan], [np.nan, np.nan]]])
    np.testing.assert_array_equal(off_parts(centres, points, SIZE), [0, 1])
    assert off_parts(centres, points[1:], SIZE) is None


def test_steady_is_the_share_of_the_keypoint_that_is_hit_most_where_it_shows():
    nowhere = [np.nan, np.nan]
    centres = np.array([[[20, 20], [60, 60]]] * 4)
    points = np.array([[[20.0, 20.0], nowhere]] * 2 + [[[60.0, 60.0], [20.0, 20.0]]] * 2)
    # The first keypoint shows in four images, the second in the last two.
    np.testing.assert_array_equal(steady(centres, points, SIZE), [1, 0.5])
    assert steady(centres, np.full((4, 2, 2), np.nan), SIZE) is None


# --- figures -------------------------------------------------------------------------------------


def observed(heatmaps, bias=0.5, unplaced=0.0):
    heatmaps = np.asarray(heatmaps, dtype=np.float32)
    contributions = heatmaps.mean(axis=(2, 3))
    n = len(heatmaps)
    logits = np.zeros((n, 2), dtype=np.float32)
    logits[:, 1] = contributions.sum(axis=1) + bias + unplaced
    return Observed(
        index=1,
        paths=(),
        skipped=0,
        logits=logits,
        probabilities=np.zeros((n, 2)),
        contributions=contributions,
        heatmaps=heatmaps,
        bias=bias,
        common=np.zeros(n),
        unplaced=np.full(n, unplaced),
        rounding=np.zeros(n),
        recognised=np.ones(n, dtype=bool),
        softmax=True,
        marks=Marks(None, np.zeros(0, dtype=np.intp), np.zeros((0, 0, 0), dtype=bool)),
    )


def test_what_comes_from_no_place_is_a_term_of_the_sum():
    found = observed(np.ones((2, 2, 3, 3)), unplaced=3.0)
    assert found.constant.tolist() == [3.5, 3.5]
    figures = measure_class(np.eye(2, 4, dtype=np.float32), frozenset(), found, SIZE)
    assert figures.held_out.residual == 0


def test_shares_are_signed_and_their_sizes_sum_to_one():
    heatmaps = np.ones((2, 2, 3, 3)) * np.array([3.0, -1.0])[:, None, None]
    held_out = measure_class(np.eye(2, 4, dtype=np.float32), frozenset(), observed(heatmaps), SIZE)
    np.testing.assert_allclose(held_out.held_out.shares, [0.75, -0.25])
    assert held_out.held_out.negative == 0.25
    assert held_out.held_out.residual < 1e-7  # one float32 rounding of the sum


def test_what_turns_without_the_strongest_and_without_the_weakest_part_is_counted():
    heatmaps = np.ones((4, 2, 3, 3)) * np.array([3.0, 1.0])[:, None, None]
    seen = observed(heatmaps, bias=0.0)
    seen.logits[:, 0] = [0.0, 2.0, 3.5, 9.0]  # of the other class; the own one has 4
    known = recognised(seen.logits, 1, softmax=True)
    seen = replace(seen, recognised=known)
    figures = measure_class(np.eye(2, 4, dtype=np.float32), frozenset(), seen, SIZE)
    # Of three recognised images 4 - 3 is less in two, 4 - 1 in one.
    np.testing.assert_allclose(figures.held_out.turned, [2 / 3, 1 / 3])
    muted = measure_class(np.eye(2, 4, dtype=np.float32), frozenset({1}), seen, SIZE)
    assert muted.held_out.turned is None
    missed = replace(seen, recognised=np.zeros(4, dtype=bool))
    assert measure_class(np.eye(2, 4), frozenset(), missed, SIZE).held_out.turned is None


def test_nothing_that_contributes_has_no_share():
    figures = measure_class(
        np.zeros((2, 4), np.float32), frozenset(), observed(np.zeros((1, 2, 3, 3))), SIZE
    )
    assert np.isnan(figures.held_out.shares).all()
    assert figures.norm_sum is None
    assert figures.pairs == (Pair(0, 1, None, None),)


def test_a_muted_prototype_has_no_part_in_norms_and_pairs():
    prototypes = np.array([[1, 0], [0, 1], [1, 0]], dtype=np.float32)
    figures = measure_class(prototypes, frozenset({1}), None, SIZE)
    assert figures.live == (0, 2)
    np.testing.assert_array_equal(figures.norms, [1, 0, 1])
    assert figures.norm_sum == 1
    assert figures.pairs == (Pair(0, 2, 1.0, None),)

"""The three answers: praise is for what was measured and could have failed."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from reports import FIGURES, HELD_OUT, RECORD, evaluation

from exporter.evaluate.metrics.catalog import METRICS
from exporter.report.baselines import BY_CONSTRUCTION, compare, question_of, worse_than
from exporter.report.examples import ClassReport
from exporter.report.judge import judge
from exporter.report.measure import Pair
from exporter.report.verdict import answers, counts

PLAIN = SimpleNamespace(verification=(), muted=(), edits=())
TURNED = np.array([0.5, 0.1])


def report(manifest=PLAIN, evaluation=None, live=(0, 1), **held_out):
    measured = replace(HELD_OUT, **({"turned": TURNED} | held_out))
    figures = replace(FIGURES, live=live, held_out=measured)
    classes = [ClassReport(RECORD, figures, judge(RECORD, figures, ()), (), None)]
    return answers(manifest, classes, evaluation), classes


def test_what_holds_by_construction_is_said_and_not_praised():
    (own, _, _), _ = report()
    assert (own.short, own.state, own.figure) == ("Yes, by construction.", "plain", "10 of 10")
    assert "10⁻⁷" in own.text


def test_a_sum_that_misses_or_a_gate_that_failed_is_the_first_thing_to_mend():
    (own, _, _), classes = report(residual=0.02)
    assert (own.short, own.state) == ("No.", "look")
    assert "2 × 10⁻²" in own.text
    assert counts(classes)[0].rule.kind == "sum"
    gate = SimpleNamespace(name="grid", state="failed")
    (own, _, _), _ = report(SimpleNamespace(verification=(gate,), muted=(), edits=()))
    assert (own.short, own.state) == ("No.", "look")
    assert "grid" in own.text


def test_without_keypoints_nothing_is_praised_for_looking_at_one_thing():
    (_, thing, _), _ = report()
    assert (thing.short, thing.state) == ("Nothing speaks against it.", "plain")
    assert "--parts" in thing.do


def test_with_keypoints_parts_that_keep_to_one_are():
    (_, thing, _), _ = report(steady=np.array([0.9, 0.8]), off_parts=np.zeros(2))
    assert (thing.figure, thing.state) == ("100 %", "good")
    (_, thing, _), _ = report(steady=np.array([0.9, 0.7]), off_parts=np.zeros(2))
    assert (thing.figure, thing.short, thing.state) == ("50 %", "Partly.", "plain")


def test_a_warning_about_a_part_counts_it_and_a_note_does_not():
    (_, thing, _), _ = report(steady=np.array([0.9, 0.1]), off_parts=np.zeros(2))
    assert (thing.figure, thing.state) == ("1 of 2", "look")
    (_, thing, _), _ = report(border=np.ones(2))
    assert (thing.figure, thing.state) == ("0 of 2", "plain")


def test_parts_that_are_alike_look_at_one_thing_and_share_it():
    figures = replace(FIGURES, pairs=(Pair(0, 1, 0.95, None),), held_out=HELD_OUT)
    classes = [ClassReport(RECORD, figures, judge(RECORD, figures, ()), (), None)]
    _, thing, _ = answers(PLAIN, classes, None)
    assert (thing.short, thing.figure) == ("Yes, but most share it.", "2 of 2")
    assert thing.state == "look"


def test_one_part_that_looks_at_many_things_does_not_speak_for_those_that_share_one():
    alike = replace(FIGURES, pairs=(Pair(0, 1, 0.95, None),), held_out=HELD_OUT)
    shared = ClassReport(RECORD, alike, judge(RECORD, alike, ()), (), None)
    _, [wandering] = report(steady=np.array([0.9, 0.1]), off_parts=np.zeros(2))
    _, thing, _ = answers(PLAIN, [shared] * 9 + [wandering], None)
    assert (thing.short, thing.figure) == ("Nearly all do, but most share it.", "19 of 20")
    _, thing, _ = answers(PLAIN, [wandering], None)
    assert thing.short == "Mostly not."


def test_what_a_baseline_does_better_is_named_and_takes_the_praise_away():
    steady = {"steady": np.ones(2), "off_parts": np.zeros(2)}
    (_, thing, _), _ = report(evaluation=evaluation(consistency=(0.9, 0.1, 0.3)), **steady)
    assert thing.state == "good"
    (_, thing, _), _ = report(evaluation=evaluation(consistency=(0.4, -0.3, -0.1)), **steady)
    assert thing.state == "plain"
    assert "A baseline is better in 1 metric, named below." in thing.text


def test_taking_away_is_arithmetic_until_the_picture_is_covered():
    (_, _, matter), _ = report()
    assert (matter.figure, matter.state) == ("50 %", "plain")
    assert "--evaluation" in matter.do
    covered = evaluation(occlusion_own=(0.6, 0, 0), occlusion_random=(0.1, 0, 0))
    (_, _, matter), _ = report(evaluation=covered)
    assert (matter.short, matter.state) == ("Yes, in the sum and in the picture.", "good")
    level = evaluation(occlusion_own=(0.1, 0, 0), occlusion_random=(0.1, 0, 0))
    (_, _, matter), _ = report(evaluation=level)
    assert (matter.short, matter.state) == ("In the sum, not in the picture.", "look")
    (_, _, matter), _ = report(evaluation=level, turned=np.zeros(2))
    assert (matter.short, matter.state) == ("Hardly.", "look")


def test_answers_that_stay_without_any_part_are_not_praised():
    (_, _, matter), _ = report(turned=np.zeros(2))
    assert (matter.short, matter.figure) == (
        "Hardly in the sum; the picture was not covered.",
        "0 %",
    )
    covered = evaluation(occlusion_own=(0.6, 0, 0), occlusion_random=(0.1, 0, 0))
    (_, _, matter), _ = report(evaluation=covered, turned=np.zeros(2))
    assert (matter.short, matter.state) == ("In the picture; the answers stay.", "plain")
    assert matter.figure == "60 % : 10 %"


def test_one_part_alone_cannot_be_weighed():
    (_, _, matter), _ = report(turned=None)
    assert (matter.short, matter.figure) == ("Not measured.", "")


@pytest.mark.parametrize("name", sorted(BY_CONSTRUCTION))
def test_a_metric_that_holds_by_construction_wins_against_nobody(name):
    found = evaluation(**{name: (0.0, -1.0, -0.5)}, consistency=(0.9, 0.1, 0.3))
    (comparison,) = compare(found)
    assert (comparison.better, comparison.worse) == (("Consistency",), ())


def test_a_metric_is_worse_by_its_own_direction_under_its_own_question():
    found = evaluation(
        consistency=(0.9, 0.1, 0.3), norm_sum=(3.0, 0.1, 0.3), mirror=(0.1, -0.3, -0.1)
    )
    assert worse_than(compare(found, "thing")) == (("Mirroring", ("random",)),)
    assert worse_than(compare(found, "matter")) == (("Sum of norms", ("random",)),)
    assert worse_than(compare(found, "sum")) == ()


def test_every_question_has_metrics():
    assert {question_of(metric.name) for metric in METRICS} == {"sum", "thing", "matter"}
    assert {metric.name for metric in METRICS} >= BY_CONSTRUCTION

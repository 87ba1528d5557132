"""A case: everything that a metric may look at, computed once, and no more than it asked for."""

from dataclasses import replace

import numpy as np
import pytest

from exporter.evaluate.baselines.methods import ClassMap, Method
from exporter.evaluate.metrics.catalog import METRICS
from exporter.evaluate.trial.case import Case, Need
from exporter.evaluate.trial.metric import Metric
from exporter.evaluate.trial.runs import Probe, Runs

POINTS = np.array([[[56.0, 56.0], [np.nan, np.nan]]] * 3)


class Network:
    """Counts its runs: feature maps of ones, logits from the mean of a picture."""

    def __init__(self):
        self.runs = 0

    def run(self, tensors):
        self.runs += 1
        means = tensors.mean(axis=(1, 2, 3))
        maps = np.random.default_rng(0).random((len(tensors), 4, 2), dtype=np.float32)
        return maps, np.stack([means, 0 * means], axis=1)


def probe(images=2):
    return Probe(Network(), Network(), images, "NCHW", seed=0)


def holding(needs, trial, truth, method, subject):
    """A case that holds what is needed and nothing else."""
    needs = set(needs)
    kept = truth
    if Need.REMOVED not in needs:
        kept = replace(kept, removed=kept.removed[:0])
    if Need.BACKDROPS not in needs:
        kept = replace(kept, moved=kept.moved[:0])
    runs = needs & {Need.SHUFFLED, Need.MANY_RUNS}
    trial = replace(
        trial,
        points=POINTS if Need.KEYPOINTS in needs else None,
        truth=kept if Need.MASKS in needs else None,
    )
    if Need.ROW in needs:
        explains = method
    elif Need.PROTOTYPES in needs:
        explains = replace(method, row=None)
    elif needs & {Need.SPLIT, Need.AGAIN}:
        explains = replace(method, row=None, prototypes=None)
    else:
        hill = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
        explains = ClassMap("rise", hill, hill)
    return Case(
        trial,
        explains,
        subject,
        again=method if Need.AGAIN in needs else None,
        runs=Runs(trial, probe()) if runs else None,
    )


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_reads_no_more_than_it_needs(metric, trial, truth, method, subject):
    case = holding(metric.needs, trial, truth, method, subject)
    subject.by_softmax = Need.SOFTMAX in metric.needs
    assert metric.fits(case)
    metric.measure(case)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_without_one_of_its_needs_a_metric_does_not_fit(metric, trial, truth, method, subject):
    for need in metric.needs:
        rest = [other for other in metric.needs if other is not need]
        subject.by_softmax = need is not Need.SOFTMAX
        assert not metric.fits(holding(rest, trial, truth, method, subject))


@pytest.mark.parametrize("name", ["points", "truth", "again", "runs", "prototypes"])
def test_what_a_case_lacks_cannot_be_read(name, trial, method, subject):
    case = Case(trial, replace(method, prototypes=None), subject)
    with pytest.raises(LookupError, match=r"Add Need\.[A-Z_]+ to the needs of the metric"):
        getattr(case, name)


def test_what_is_computed_once_is_computed_once(case):
    asked = []

    def compute(of):
        asked.append(of)
        return len(asked)

    assert [case.once(compute), case.once(compute)] == [1, 1]
    assert asked == [case]
    assert case.once(lambda of: 0) == 0  # another function is another result
    assert case.heatmaps is case.heatmaps
    assert case.peaks is case.peaks


def test_the_heatmaps_of_a_case_are_its_contributions_and_its_ranking(case):
    np.testing.assert_array_equal(case.heatmaps[1], [[[4, 0], [0, 0]], [[0, 16], [0, 0]]])
    np.testing.assert_array_equal(case.contributions, [[1, 4]] * 3)
    np.testing.assert_array_equal(case.ranking[1], [[4, 16], [0, 0]])
    np.testing.assert_array_equal(case.ranking[0], [[4 + 16, 0], [0, 0]])  # both at one place


def test_a_class_map_is_one_heatmap_and_ranks_by_another(trial, subject):
    evidence, ranking = np.zeros((3, 2, 2)), np.ones((3, 2, 2))
    case = Case(trial, ClassMap("rise", evidence, ranking), subject)
    np.testing.assert_array_equal(case.heatmaps, evidence[:, None])
    np.testing.assert_array_equal(case.ranking, ranking)
    assert case.holds == {Need.SOFTMAX}


def test_keypoints_that_no_picture_shows_are_none(trial, method, subject):
    hidden = replace(trial, points=np.full((3, 1, 2), np.nan))
    assert Need.KEYPOINTS not in Case(hidden, method, subject).holds
    assert Need.KEYPOINTS in Case(replace(trial, points=POINTS), method, subject).holds


def test_prototypes_that_do_not_look_sum_to_no_row(trial, method, subject):
    blind = Case(trial, replace(method, prototypes=None), subject)
    assert blind.holds == {Need.SPLIT, Need.SOFTMAX}


def test_some_of_a_trial_keeps_what_belongs_together(trial, truth):
    trial = replace(trial, truth=truth, points=np.arange(12.0).reshape(3, 2, 2))
    found = trial.only(np.array([True, False, True]))
    assert [picture.tensor[0, 0, 0] for picture in found.pictures] == [0, 2]
    np.testing.assert_array_equal(found.maps, trial.maps[[0, 2]])
    np.testing.assert_array_equal(found.logits, trial.logits[[0, 2]])
    np.testing.assert_array_equal(found.noisy[1], trial.noisy[1][[0, 2]])
    np.testing.assert_array_equal(found.mirrored, trial.mirrored[[0, 2]])
    np.testing.assert_array_equal(found.shifted, trial.shifted[[0, 2]])
    np.testing.assert_array_equal(found.points, trial.points[[0, 2]])
    np.testing.assert_array_equal(found.truth.masks, truth.masks[[0, 2]])
    np.testing.assert_array_equal(found.truth.foreground, truth.foreground[[0, 2]])
    # The third picture is the second now; the altered ones of the one that left are gone.
    np.testing.assert_array_equal(found.truth.removed, [[0, 0], [0, 1], [1, 0], [1, 1]])
    np.testing.assert_array_equal(found.truth.removed_logits, truth.removed_logits[[0, 1, 3, 4]])
    assert len(found.truth.removed_maps) == 4
    np.testing.assert_array_equal(found.truth.moved, [0, 1, 1])
    assert len(found.truth.moved_maps) == 3


def test_rows_that_are_equal_up_to_rounding_share_a_result(trial):
    runs, made = Runs(trial, probe()), []

    def of(what, row):
        def compute():
            made.append(row)
            return len(made)

        return runs.once_for_row(what, np.array(row), compute)

    assert of("curves", [1.0, -4.0]) == 1
    assert of("curves", [1.0, -4.00003]) == 1  # less than 1e-5 of the largest weight
    assert of("curves", [1.0, -4.0001]) == 2
    assert of("other", [1.0, -4.0]) == 3
    assert of("curves", [1.0, -4.0]) == 1


def test_the_network_runs_once_for_all_methods(trial):
    found = probe(images=2)
    runs = Runs(trial, found)
    assert runs.count == 2
    assert len(runs.tensors) == 2
    assert len(runs.shuffled) == 3  # of all pictures
    assert runs.shuffled is runs.shuffled
    assert (found.random_reader.runs, found.reader.runs) == (1, 0)
    assert runs.logits(runs.tensors)[1].tolist() == [1, 0]
    assert Runs(trial, probe(images=9)).count == 3
    assert runs.once(lambda of: of.count) == 2


def test_a_metric_without_needs_fits_every_case(case):
    free = Metric("free", "Free", "lower", "nothing", "none", "All.", (), lambda case: 0.0)
    assert free.fits(case)
    assert free.arrow == "↓"
    assert replace(free, better="higher").arrow == "↑"


def test_a_method_found_again_is_a_method(trial, method, subject):
    other = Method("naive", method.prototypes[::-1], 2)
    assert Case(trial, method, subject, again=other).again is other

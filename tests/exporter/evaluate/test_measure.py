"""From a case to figures, and from the figures of classes to those of a method, by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from exporter.evaluate.arithmetic.localization import min_max
from exporter.evaluate.baselines.methods import Method
from exporter.evaluate.baselines.rise import rise
from exporter.evaluate.measure import Measured, measure_case, measure_class
from exporter.evaluate.metrics.catalog import metric_named
from exporter.evaluate.metrics.sums.insertion_deletion import blurred, mean_colour, pixel_curves
from exporter.evaluate.metrics.truth.background import background_share, by_image
from exporter.evaluate.over_classes import figures_over_classes
from exporter.evaluate.trial.case import Case
from exporter.evaluate.trial.runs import Probe, Runs

NAN = np.nan


def measured(name, case):
    return metric_named(name).measure(case)


class Network:
    """Sees how bright a picture is; its feature maps are the trial's turned around."""

    def __init__(self, maps):
        self._maps, self.seen = maps, []

    def run(self, tensors):
        self.seen.append(len(tensors))
        brightness = tensors.mean(axis=(1, 2, 3))
        logits = np.stack([brightness, -brightness], axis=1)
        return self._maps[: len(tensors), ::-1], logits.astype(np.float32)


class Corner(Network):
    """Sees the top left quarter alone."""

    def run(self, tensors):
        half = tensors.shape[2] // 2
        evidence = 4 * tensors[:, 0, :half, :half].mean(axis=(1, 2))
        return self._maps[: len(tensors)], np.stack([evidence, 0 * evidence], axis=1)


@pytest.fixture
def probe(trial):
    return Probe(Network(trial.maps), Network(trial.maps), 2, "NCHW", seed=3)


def test_the_logit_of_ours_holds_a_reference_and_that_of_a_baseline_does_not(
    trial, method, subject
):
    # Contributions 1 + 4 and a bias of 0.5 are the logit of 5.5; the mean of channel 0 is 1.
    assert measured("completeness", Case(trial, method, subject)) == 0
    ours = Case(trial, replace(method, name="ours"), subject)
    assert measured("completeness", ours) == pytest.approx(10 / 15.5)


def test_the_residual_is_of_the_logit_of_the_class(trial, method, subject):
    other = replace(trial, index=1, logits=np.array([[0.0, 8.0]] * 3, np.float32))
    assert measured("completeness", Case(other, method, subject)) == pytest.approx(3 / 5)


def test_axioms_of_prototypes_without_a_row_are_asked_of_the_head_row(
    trial, method, subject, probe
):
    runs = Runs(trial, probe)
    meant = Case(trial, replace(method, row=None), subject, runs=runs)
    assert measured("axioms", meant) == 0
    half = replace(method, prototypes=method.prototypes / 2)
    # Half of each logit is missing.
    assert measured("axioms", Case(trial, half, subject, runs=runs)) == pytest.approx(0.5)
    own = replace(half, row=half.prototypes.sum(axis=0))
    assert measured("axioms", Case(trial, own, subject, runs=runs)) == 0


def test_axioms_are_those_of_prototypes_as_they_are_served(trial, method, subject, probe):
    # Thirds do not sum to the row in float32; the features are whole numbers and round nowhere.
    thirds = replace(method, prototypes=np.tile(method.row / 3, (3, 1)))
    found = measured("axioms", Case(trial, thirds, subject, runs=Runs(trial, probe)))
    assert 1e-9 < found < 1e-6


def test_axioms_look_at_the_first_pictures_alone(trial, method, subject, probe):
    maps = trial.maps.copy()
    maps[:2, :, 1] = 0  # what the prototypes leave out shows in the third picture alone
    half_blind = replace(method, prototypes=method.prototypes * [1.0, 0.0])
    case = Case(replace(trial, maps=maps), half_blind, subject, runs=Runs(trial, probe))
    assert measured("axioms", case) == 0


def test_stability_has_a_figure_for_each_draw(trial, method, subject):
    points = np.full((3, 1, 2), 9.0)  # at the top left, where the first prototype points
    case = Case(replace(trial, points=points), method, subject)
    first, second = measured("stability", case)
    assert first == 1  # the maps of the first draw are those of the pictures
    # The second turns them around: the hits of the first prototype go, and one of the other's.
    assert second == pytest.approx(1 - 4 / 6)


def test_hits_are_counted_where_the_part_is_visible(trial, method, subject):
    points = np.full((3, 1, 2), 9.0)
    points[1:] = NAN
    case = Case(replace(trial, points=points), method, subject)
    assert measured("consistency", case) == 1  # both point there in the only picture that shows it
    assert measured("distinct_parts", case) == 0.5


def test_a_part_that_goes_is_held_against_what_lies_on_it(trial, truth, method, subject):
    logits = np.array([[9.0, 0.0]] * 3, np.float32)
    three = np.zeros((3, 3, 224, 224), bool)
    three[:, 0, :112, :112] = three[:, 1, :112, 112:] = three[:, 2, 112:, :112] = True
    maps = np.zeros((3, 4, 2), np.float32)
    maps[:, :, 0] = [3, 2, 1, 0]  # in the order of the parts
    drops = np.array([3.0, 2.0, 1.0])
    order = np.array([[image, part] for image in (2, 0) for part in (1, 0, 2)])
    known = replace(
        truth,
        masks=three,
        removed=order,
        removed_maps=np.zeros((6, 4, 2), np.float32),
        removed_logits=np.stack([9 - drops[order[:, 1]], drops[order[:, 1]] ** 2], axis=1),
    )
    case = Case(replace(trial, maps=maps, logits=logits, truth=known), method, subject)
    assert measured("deletion_rank", case) == pytest.approx(1)
    less = replace(known, removed_logits=known.removed_logits[::-1])
    case = Case(replace(trial, maps=maps, logits=logits, truth=less), method, subject)
    assert measured("deletion_rank", case) < 0.5


def test_what_a_prototype_loses_is_held_against_its_own_part(trial, truth, method, subject):
    maps = np.zeros((3, 4, 2), np.float32)
    maps[:, 0, 0], maps[:, 3, 1] = 4, 8  # prototype 0 on part 0, prototype 1 on part 1
    without = maps[truth.removed[:, 0]].copy()
    for row, part in enumerate(truth.removed[:, 1]):
        without[row, :, part] = 0
    right = replace(truth, removed_maps=without)
    case = Case(replace(trial, maps=maps, truth=right), method, subject)
    assert measured("part_purity", case) > 0.75
    assert measured("deletion_share", case) == 1
    both = maps[truth.removed[:, 0]]
    both[0] = 0  # of picture 0 without part 0 both prototypes lose, 1 and 4; nothing else moves
    case = Case(replace(trial, maps=maps, truth=replace(truth, removed_maps=both)), method, subject)
    assert measured("deletion_share", case) == pytest.approx(1 / 5)


def test_backdrops_are_held_against_their_own_picture(trial, truth, method, subject):
    maps = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
    known = replace(truth, moved_maps=maps[truth.moved])  # nothing has moved
    case = Case(replace(trial, maps=maps, truth=known), method, subject)
    assert measured("background_independence", case) == 1


def test_rows_of_altered_pictures_are_sorted_by_image():
    found = by_image(np.array([[1.0], [2.0], [3.0]]), np.array([2, 0, 2]), 3)
    np.testing.assert_array_equal(found, [[[2], [NAN]], [[NAN], [NAN]], [[1], [3]]])


def test_randomised_heatmaps_are_those_of_the_shuffled_network(trial, method, subject, probe):
    case = Case(trial, method, subject, runs=Runs(trial, probe))
    # Turned around, a dot in a corner is the dot of the other: ranks of four cells.
    assert measured("randomisation", case) == pytest.approx(-1 / 3)


def test_another_seed_is_compared_with_its_own_heatmaps(trial, method, subject):
    again = Method("naive", method.prototypes[::-1], 2)
    case = Case(trial, method, subject, again=again)
    assert measured("seed_overlap", case) == pytest.approx(1)
    assert measured("seed_place", case) == 1
    alike = Method("naive", method.prototypes[[0, 0]], 2)
    case = Case(trial, method, subject, again=alike)
    # The second prototype meets a copy of the first: alike in one picture of three, -1/3 in two.
    assert measured("seed_overlap", case) == pytest.approx((1 + 1 / 9) / 2)
    assert measured("seed_place", case) == pytest.approx((1 + 1 / 3) / 2)


def test_mirrored_and_shifted_pictures_are_moved_back(trial, method, subject):
    maps = np.random.default_rng(0).random((3, 4, 4, 2), dtype=np.float32)
    case = Case(
        replace(
            trial,
            grid=(4, 4),
            maps=maps.reshape(3, 16, 2),
            mirrored=maps[:, :, ::-1].reshape(3, 16, 2),
            shifted=np.roll(maps, (1, 1), axis=(1, 2)).reshape(3, 16, 2),
        ),
        method,
        subject,
    )
    assert measured("mirror", case) == pytest.approx(1)
    assert measured("shift", case) == pytest.approx(1)


def test_methods_of_one_sum_have_one_pixel_curve_and_others_their_own(
    trial, method, subject, probe
):
    runs = Runs(trial, probe)
    copies = Method("cam", np.tile(method.row / 2, (2, 1)), 2, method.row)
    random = replace(method, name="random", row=None)
    for explains in (method, copies, random):
        measured("pixel_deletion", Case(trial, explains, subject, runs=runs))
    # Two pictures, two curves of 17 points each; the second method runs nothing.
    assert probe.reader.seen == [17] * 4 * 2


def test_pixels_of_the_first_pictures_turn_to_their_mean_and_come_into_their_blur(
    trial, method, subject
):
    generator = np.random.default_rng(0)
    tensors = generator.random((3, 3, 8, 8), dtype=np.float32)
    maps = generator.random((3, 4, 2), dtype=np.float32)
    pictures = tuple(SimpleNamespace(tensor=tensor) for tensor in tensors)
    trial = replace(trial, maps=maps, pictures=pictures)
    network = Corner(trial.maps)
    case = Case(
        trial, method, subject, runs=Runs(trial, Probe(network, network, 2, "NCHW", seed=0))
    )
    expected = pixel_curves(
        tensors[:2],
        (maps[:2] @ method.row).reshape(2, 2, 2),
        lambda found: network.run(found)[1],
        0,
        deleted_to=mean_colour(tensors[:2]),
        inserted_into=blurred(tensors[:2]),
        steps=16,
    )
    assert measured("pixel_deletion", case) == pytest.approx(expected.deletion_area)
    assert measured("pixel_insertion", case) == pytest.approx(expected.insertion_area)
    assert expected.deletion_area != pytest.approx(expected.insertion_area)


def test_a_class_has_the_figures_of_each_method_and_of_two_maps(
    trial, truth, method, subject, probe
):
    random = replace(method, name="random", row=None)
    trial = replace(trial, truth=truth)
    found = measure_class(trial, subject, [method, random], {"naive": method}, probe)
    assert (found.label, found.images) == ("a", 3)
    assert list(found.figures) == ["naive", "random", "grad-cam", "rise"]
    assert found.figures["naive"]["seed_overlap"] == pytest.approx(1)
    assert "seed_overlap" not in found.figures["random"]
    of_maps = {"comprehensiveness", "background_evidence", "pixel_deletion", "pixel_insertion"}
    assert found.figures["grad-cam"].keys() == found.figures["rise"].keys() == of_maps


def test_behind_other_heads_than_a_mean_no_gradient_is_known(trial, truth, method, subject, probe):
    subject.head.chain = object()
    found = measure_class(replace(trial, truth=truth), subject, [method], {}, probe)
    assert list(found.figures) == ["naive", "rise"]


def test_a_class_map_is_that_of_the_class_and_rise_stands_out_on_the_first_pictures(
    trial, truth, method, subject
):
    pictures = np.random.default_rng(0).random((3, 3, *trial.size), dtype=np.float32)
    trial = replace(trial, pictures=tuple(SimpleNamespace(tensor=one) for one in pictures))
    subject.head.weight[1] = [3, 0]  # class 1 sees channel 0, at the top left of every picture
    network = Corner(trial.maps)
    found = measure_class(
        replace(trial, index=1, truth=truth),
        subject,
        [method],
        {},
        Probe(network, network, 2, "NCHW", seed=3),
    )
    dot = np.zeros((1, 1, 2, 2), np.float32)
    dot[..., 0, 0] = 1
    off = background_share(dot, truth.foreground[:1])
    assert found.figures["grad-cam"]["background_evidence"] == pytest.approx(off, abs=1e-6)
    saliency = rise(trial.tensors(2), lambda t: network.run(t)[1], 1, masks=256, seed=3)
    off = background_share(min_max(saliency)[:, None], truth.foreground[:2])
    assert found.figures["rise"]["background_evidence"] == pytest.approx(off)


def test_a_head_of_sigmoids_has_no_rise_and_no_curves(trial, truth, method, subject, probe):
    subject.by_softmax = False
    found = measure_class(replace(trial, truth=truth), subject, [method], {}, probe)
    assert list(found.figures) == ["naive", "grad-cam"]
    assert not [name for name in found.figures["naive"] if name.endswith(("deletion", "insertion"))]
    # Only the places of prototypes are blurred, three holes in each of two pictures.
    assert probe.reader.seen == [3, 3]


def test_without_further_runs_nothing_runs(case):
    found = measure_case(case)
    assert "axioms" not in found
    assert "randomisation" not in found
    assert found["norm_sum"] == pytest.approx(3 / np.sqrt(5))


def classes(method, metric, *values):
    """What was measured of so many classes."""
    return [Measured(str(n), 1, {method: {metric: value}}) for n, value in enumerate(values)]


def test_a_figure_is_the_mean_over_the_classes_that_define_it():
    found = figures_over_classes("cam", classes("cam", "mirror", 0.2, None, 0.6))
    assert list(found) == ["mirror"]
    assert found["mirror"].mean == pytest.approx(0.4)
    assert found["mirror"].classes == (0.2, None, 0.6)
    assert found["mirror"].deviation is None
    assert figures_over_classes("cam", classes("cam", "mirror", None, None)) == {}
    assert figures_over_classes("rise", classes("cam", "mirror", 0.2)) == {}


def test_a_deviation_is_that_of_the_mean_over_classes_from_draw_to_draw():
    found = figures_over_classes("cam", classes("cam", "stability", (0.2, 0.4), (1.0, 0.6)))
    assert found["stability"].classes == pytest.approx((0.3, 0.8))
    assert found["stability"].deviation == pytest.approx(0.1 / np.sqrt(2))  # of 0.6 and 0.5
    single = figures_over_classes("cam", classes("cam", "stability", (0.2,), (1.0,)))
    assert single["stability"].deviation is None


def test_a_difference_is_ours_less_the_other():
    found = [
        Measured("a", 1, {"ours": {"mirror": 0.9}, "cam": {"mirror": 0.4}}),
        Measured("b", 1, {"ours": {"mirror": 0.7}, "cam": {"mirror": 0.2}}),
        Measured("c", 1, {"ours": {"mirror": 0.1}, "cam": {"mirror": None}}),
    ]
    assert figures_over_classes("cam", found)["mirror"].ours.mean == pytest.approx(0.5)
    assert figures_over_classes("ours", found)["mirror"].ours is None


def test_rise_is_compared_only_where_ours_saw_the_same_pictures():
    figures = {"pixel_deletion": 0.5, "background_evidence": 0.5}
    found = [Measured(label, 9, {"ours": figures, "rise": figures}) for label in "ab"]
    rise = figures_over_classes("rise", found)
    assert rise["pixel_deletion"].ours.mean == 0
    assert rise["background_evidence"].ours is None

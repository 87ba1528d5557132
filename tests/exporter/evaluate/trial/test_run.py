"""The network on the pictures of one class, on the tiny classifier."""

import numpy as np
import pytest
import tiny

from exporter.evaluate.annotations.parts import Annotations, ImageParts
from exporter.evaluate.trial.alterations import noisy
from exporter.evaluate.trial.run import Conditions, run_trial
from exporter.evaluate.trial.subject import open_subject
from exporter.images.dataset import ClassImages
from serving.model.predictor import Predictor


@pytest.fixture(scope="module")
def entry(tmp_path_factory):
    """Three held-out pictures of class 1."""
    folder = tmp_path_factory.mktemp("pictures") / tiny.LABELS[1]
    folder.mkdir()
    paths = tuple(folder / f"{number}.png" for number in range(3))
    for number, path in enumerate(paths):
        tiny.image(1, 600 + number).save(path)
    return ClassImages(1, tiny.LABELS[1], paths)


@pytest.fixture(scope="module")
def run(tiny_export, entry):
    subject = open_subject(tiny_export[1])

    def with_annotations(annotations=None):
        with subject.reader(1) as reader:
            conditions = Conditions(
                subject, reader, None, annotations, None, seeds=2, seed=5, jobs=1
            )
            trial = run_trial(conditions, entry)
            if trial is None:
                return None, None
            tensors = trial.tensors(len(trial.pictures))
            draws = [
                reader.run(noisy(tensors, subject.preprocessing, np.random.default_rng(seed)))[0]
                for seed in ([5, 1], [6, 1])
            ]
        return trial, draws

    return with_annotations


def test_each_draw_of_the_noise_has_its_own_seed_and_each_class_its_own(run):
    trial, draws = run()
    assert (trial.index, trial.label, len(trial.pictures)) == (1, tiny.LABELS[1], 3)
    np.testing.assert_array_equal(trial.noisy[0], draws[0])
    np.testing.assert_array_equal(trial.noisy[1], draws[1])
    assert not np.array_equal(*draws)


def test_what_no_map_holds_of_the_logit_is_unplaced(two_layers_export, entry):
    subject = open_subject(two_layers_export[1])
    predictor = Predictor(two_layers_export[1], threads=1)
    with subject.reader(1) as reader:
        conditions = Conditions(subject, reader, predictor, None, None, seeds=1, seed=5, jobs=1)
        trial = run_trial(conditions, entry)
    placed = trial.maps.mean(axis=1, dtype=np.float64) @ subject.head.weight[1]
    total = placed + subject.head.bias[1] + trial.unplaced
    np.testing.assert_allclose(total, trial.logits[:, 1], atol=1e-4)  # of terms of some 100
    assert (np.abs(trial.unplaced) > 1).all()


def test_a_pooled_head_leaves_nothing_unplaced(run):
    assert run()[0].unplaced.tolist() == [0.0, 0.0, 0.0]


def annotated(entry, *numbers):
    """Keypoints of some of the pictures."""
    points = np.array([[3.0, 4.0]])
    return Annotations(
        entry.paths[0].parent,
        ("square",),
        {f"{entry.label}/{entry.paths[n].name}": ImageParts(points) for n in numbers},
    )


def test_a_picture_without_annotations_is_left_out(run, entry):
    trial, _ = run(annotated(entry, 2, 0))
    assert [picture.path.name for picture in trial.pictures] == ["0.png", "2.png"]
    assert trial.points.shape == (2, 1, 2)
    assert len(trial.maps) == len(trial.logits) == 2
    assert run(annotated(entry)) == (None, None)

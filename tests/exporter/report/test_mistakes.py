"""Confused pairs: counted both ways, the worst first, and what spoke for either class adds up."""

from types import SimpleNamespace

import numpy as np
import pytest
import tiny

from exporter.images.dataset import ClassImages
from exporter.report.mistakes import Mistake, confusions, mistakes_of
from exporter.report.observe import observe
from serving.model.predictor import Predictor

NOBODY = SimpleNamespace(manifest=SimpleNamespace(classes=tiny.LABELS))


@pytest.fixture(scope="module")
def predictor(tiny_export):
    return Predictor(tiny_export[0].out)


@pytest.fixture(scope="module")
def foreign(predictor, tmp_path_factory):
    """Images in the folder of red that the model takes for green."""
    root = tmp_path_factory.mktemp("foreign")
    paths = [root / f"{number}.png" for number in range(12)]
    for number, path in enumerate(paths):
        tiny.image(1, 500 + number).save(path)
    seen = observe(predictor, ClassImages(0, "red", tuple(paths)))
    return tuple(p for p, logits in zip(paths, seen.logits, strict=True) if logits.argmax() == 1)


def mistake(true, taken, probability=0.5):
    return Mistake(true, taken, SimpleNamespace(), probability)


def test_both_ways_of_a_pair_are_one_and_the_worst_comes_first():
    made = [mistake(0, 1), mistake(1, 0), mistake(1, 0), mistake(2, 0), *[mistake(2, 1)] * 4]
    found = confusions(NOBODY, made, shown=0)
    assert [(c.true, c.taken, c.count, c.back) for c in found] == [
        ("blue", "green", 4, 0),
        ("green", "red", 2, 1),
        ("blue", "red", 1, 0),
    ]
    assert all(c.contrast is None for c in found)
    assert confusions(NOBODY, []) == ()


def test_an_image_that_is_given_to_another_class_is_a_mistake_under_a_softmax_alone(
    predictor, foreign
):
    seen = observe(predictor, ClassImages(0, "red", foreign))
    found = list(mistakes_of(seen))
    assert [(m.true, m.taken) for m in found] == [(0, 1)] * len(foreign)
    assert len(found) > 1
    assert {m.path for m in found} == set(foreign)
    assert not list(mistakes_of(SimpleNamespace(softmax=False)))
    assert not list(mistakes_of(None))


def test_the_contrast_is_of_the_most_certain_mistake_and_adds_up_to_both_logits(predictor, foreign):
    seen = observe(predictor, ClassImages(0, "red", foreign))
    (found,) = confusions(predictor, mistakes_of(seen))
    surest = int(seen.probabilities[:, 1].argmax())
    contrast = found.contrast
    assert contrast.path == foreign[surest]
    assert (contrast.said.record.label, contrast.right.record.label) == ("green", "red")
    for side in (contrast.said, contrast.right):
        logit = seen.logits[surest, side.record.index]
        # float32 sums of the graph, added in double here
        np.testing.assert_allclose(side.contributions.sum() + side.rest, logit, rtol=1e-5)
        np.testing.assert_allclose(
            side.probability, seen.probabilities[surest, side.record.index], rtol=1e-6
        )


def test_a_part_is_decisive_where_the_right_class_leads_without_it(predictor, foreign):
    seen = observe(predictor, ClassImages(0, "red", foreign))
    (found,) = confusions(predictor, mistakes_of(seen))
    contrast = found.contrast
    logits = seen.logits[foreign.index(contrast.path)].astype(float)
    for number, contribution in enumerate(contrast.said.contributions):
        without = logits - contribution * np.eye(len(logits))[1]
        assert (number in contrast.said.decisive) == (without.argmax() == 0)
    assert contrast.right.decisive == frozenset()

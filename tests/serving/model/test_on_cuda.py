"""What is promised holds on CUDA too; these run where it works."""

import numpy as np
import onnx
import pytest

from serving import Predictor
from serving.model.cuda import cuda_works
from serving.model.golden import GOLDEN_TOLERANCE
from serving.model.runtime import CUDA, make_session, output_names, run
from serving.process.settings import Settings

pytestmark = pytest.mark.skipif(not cuda_works(), reason="CUDA does not work here")

BATCHES = [1, 8, 32]
# Sums of float32 in another order than the logit's own, relative to what is summed.
ROUNDING = 2e-6


@pytest.fixture(scope="module", params=["tiny_export", "two_layers_export"])
def pair(request):
    """The source on CUDA, its artifact there and on the CPU."""
    config, artifact = request.getfixturevalue(request.param)
    source = make_session(onnx.load(config.model).SerializeToString(), provider="cuda")
    return source, Predictor(artifact, provider="cuda"), Predictor(artifact)


def noise(predictor, batch):
    shape = (batch, *predictor.manifest.input.shape[1:])
    return np.random.default_rng(batch).uniform(size=shape).astype(np.float32)


@pytest.mark.parametrize("batch", BATCHES)
def test_the_logits_have_the_bits_that_the_source_gives_there(pair, batch):
    source, predictor, _ = pair
    images = noise(predictor, batch)
    expected = run(source, output_names(source), {predictor.manifest.input.name: images})
    found = predictor.run(images)
    assert predictor.providers[0] == CUDA
    for name, value in expected.items():
        assert found.source[name].tobytes() == value.tobytes()


@pytest.mark.parametrize("batch", BATCHES)
def test_another_run_and_another_session_give_the_same_bits(pair, batch):
    _, predictor, _ = pair
    images = noise(predictor, batch)
    first = predictor.run(images)
    for other in (predictor, Predictor(predictor.artifact, provider="cuda")):
        again = other.run(images)
        assert again.contributions.tobytes() == first.contributions.tobytes()
        assert again.heatmaps.tobytes() == first.heatmaps.tobytes()


@pytest.mark.parametrize("batch", BATCHES)
def test_what_is_summed_is_the_logit(pair, batch):
    _, predictor, _ = pair
    found = predictor.run(noise(predictor, batch))
    logits = np.take_along_axis(found.logits, found.class_ids, axis=1)
    terms = [found.contributions.sum(axis=2), found.unplaced, predictor.bias[found.class_ids]]
    terms.append(np.broadcast_to(found.common, logits.shape))
    size = np.abs(found.contributions).sum(axis=2) + sum(np.abs(term) for term in terms[1:])
    assert (np.abs(sum(terms) - logits) <= ROUNDING * size).all()


def test_it_answers_as_the_cpu_does(pair):
    _, predictor, cpu = pair
    images = noise(predictor, 8)
    found, expected = predictor.run(images), cpu.run(images)
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)
    for field in ("logits", "contributions", "heatmaps"):
        value = getattr(expected, field)
        tolerance = GOLDEN_TOLERANCE * np.abs(value).max()
        np.testing.assert_allclose(getattr(found, field), value, rtol=0, atol=tolerance)


def test_muted_prototypes_and_classes_asked_for_are_answered_there(pair):
    _, predictor, cpu = pair
    mask, classes = predictor.mask([(0, 1)]), np.array([[2, 0]] * 3, dtype=np.int64)
    found, expected = (
        one.run(noise(predictor, 3), mask=mask, classes=classes) for one in (predictor, cpu)
    )
    np.testing.assert_array_equal(found.class_ids, classes)
    tolerance = GOLDEN_TOLERANCE * np.abs(expected.logits).max()
    np.testing.assert_allclose(found.logits, expected.logits, rtol=0, atol=tolerance)


def test_auto_takes_it_and_one_worker_is_started(pair):
    _, predictor, _ = pair
    assert Predictor(predictor.artifact, provider="auto").providers[0] == CUDA
    assert Settings(provider="auto").process_count == 1

"""A prediction with its explanation, from an artifact alone."""

import json
import shutil

import numpy as np
import onnxruntime as ort
import pytest
import tiny
from manifests import write_manifest
from PIL import Image
from safetensors.numpy import load_file, save

from exporter import export
from serving import Predictor
from serving.artifact import MANIFEST, PROTOTYPES, sha256_of
from serving.errors import ImageError, InferenceError, IntegrityError, RequestError
from serving.model.outputs import activate

# Contributions, bias and common are float32 values below 20, summed in another order.
ROUNDING = 2e-5


@pytest.fixture(scope="module")
def predictor(tiny_export):
    return Predictor(tiny_export[1].folder, threads=1)


@pytest.fixture(scope="module")
def source(tiny_export):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(tiny_export[0].model, options)


@pytest.fixture
def images():
    return [tiny.image(label, number) for label in range(3) for number in range(50, 53)]


def test_the_logits_are_the_sources_bit_for_bit(predictor, source, images):
    batch = np.stack([predictor.preprocess(image)[1] for image in images])
    expected = source.run(None, {"image": batch})[0]
    assert predictor.predict(images).tobytes() == expected.tobytes()


def test_contributions_bias_and_common_sum_to_the_logit(predictor, images):
    for image in images:
        explanation = predictor.explain(image, classes=[0, 1, 2])
        for explained in explanation.classes:
            total = sum(p.contribution for p in explained.prototypes)
            total += explained.bias + explained.common
            assert total == pytest.approx(explained.logit, abs=ROUNDING)
        assert explanation.residual < ROUNDING


def test_the_mean_of_a_heatmap_is_its_contribution(predictor, images):
    for explained in predictor.explain(images[0]).classes:
        for prototype in explained.prototypes:
            assert prototype.heatmap.shape == (12, 12)
            assert prototype.heatmap.mean() == pytest.approx(prototype.contribution, abs=ROUNDING)


def test_the_best_classes_come_first(predictor, images):
    logits = predictor.predict(images[:1])[0]
    explained = predictor.explain(images[0]).classes
    assert [c.class_id for c in explained] == np.argsort(-logits)[:2].tolist()
    assert [c.logit for c in explained] == sorted(logits.tolist(), reverse=True)[:2]


def test_classes_are_explained_as_asked_for_by_id_or_label(predictor, images):
    explained = predictor.explain(images[0], classes=["blue", 0]).classes
    assert [c.label for c in explained] == ["blue", "red"]
    assert explained[0].logit == predictor.predict(images[:1])[0, 2]


def test_the_probabilities_of_all_classes_sum_to_one(predictor, images):
    explained = predictor.explain(images[0], classes=[0, 1, 2]).classes
    assert sum(c.probability for c in explained) == pytest.approx(1)


def test_muting_takes_exactly_the_contribution_away(predictor, images):
    before = predictor.explain(images[0], classes=["red", "green"]).classes
    after = predictor.explain(images[0], classes=["red", "green"], mute=[("red", 1)]).classes
    removed = before[0].prototypes[1].contribution
    assert after[0].logit == pytest.approx(before[0].logit - removed, abs=ROUNDING)
    assert after[0].prototypes[1].contribution == 0
    assert np.abs(after[0].prototypes[1].heatmap).max() == 0
    assert after[0].prototypes[0].contribution == before[0].prototypes[0].contribution
    assert after[1] != after[0]
    assert after[1].logit == before[1].logit
    assert after[0].residual < ROUNDING


def test_what_is_muted_is_explained_by_the_best_that_is_left(predictor, images):
    mute = [(int(predictor.predict(images[:1]).argmax()), number) for number in (0, 1)]
    answer = predictor.explain(images[0], mute=mute)
    everything = predictor.explain(images[0], classes=[0, 1, 2], mute=mute).classes
    ranked = sorted(everything, key=lambda explained: -explained.logit)
    assert [c.class_id for c in answer.classes] == [c.class_id for c in ranked[:2]]


def test_muting_every_prototype_leaves_bias_and_common(predictor, images):
    explained = predictor.explain(images[0], classes=[2], mute=[(2, 0), (2, 1)]).classes[0]
    assert explained.logit == pytest.approx(explained.bias + explained.common, abs=ROUNDING)


def test_evidence_is_there_to_look_at(predictor, images):
    for prototype in predictor.explain(images[0]).classes[0].prototypes:
        assert len(prototype.evidence) == 5
        assert [e.value for e in prototype.evidence] == sorted(
            (e.value for e in prototype.evidence), reverse=True
        )
        assert len({e.image for e in prototype.evidence}) == 5
        with Image.open(prototype.evidence[0].path) as crop:
            assert crop.size == (128, 128)


def test_an_image_may_be_given_in_any_form(predictor, tmp_path):
    image = tiny.image(0, 1)
    path = tmp_path / "a.png"
    image.save(path)
    expected = predictor.predict([image])
    for form in (path, str(path), path.read_bytes()):
        np.testing.assert_array_equal(predictor.predict([form]), expected)


def test_no_images_give_no_logits(predictor):
    assert predictor.predict([]).shape == (0, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["owl"]}, "'owl'"),
        ({"classes": [3]}, "from 0 to 2, got 3"),
        ({"classes": [-1]}, "from 0 to 2, got -1"),
        ({"classes": []}, "at least one class"),
        ({"mute": [("red", 2)]}, "from 0 to 1, got 2"),
        ({"mute": [("red", -1)]}, "from 0 to 1"),
        ({"mute": [("owl", 0)]}, "'owl'"),
    ],
)
def test_requests_for_what_is_not_there_are_refused(predictor, images, options, message):
    with pytest.raises(RequestError, match=message):
        predictor.explain(images[0], **options)


def test_bytes_that_are_no_image_are_refused(predictor):
    with pytest.raises(ImageError, match="6 bytes: expected an image"):
        predictor.explain(b"GIF89a")


def test_a_batch_that_does_not_fit_is_refused(predictor):
    with pytest.raises(InferenceError, match=r"\(1, 3, 5, 5\)"):
        predictor.run(np.zeros((1, 3, 5, 5), np.float32))


def test_a_class_that_was_kept_whole_says_so(tmp_path):
    config = tiny.write(tmp_path)
    for path in sorted((config.data / "red").iterdir())[2:]:
        path.unlink()
    red, green = Predictor(export(config)).explain(tiny.image(0, 50), classes=[0, 1]).classes
    assert (red.whole, len(red.prototypes)) == (True, 1)
    assert (green.whole, len(green.prototypes)) == (False, 2)


@pytest.mark.parametrize(
    "bias", [np.zeros(4, np.float32), np.zeros((3, 1), np.float32), np.zeros(3, np.float64)]
)
def test_a_bias_of_another_shape_or_type_is_refused(tiny_export, tmp_path, bias):
    folder = shutil.copytree(tiny_export[1].folder, tmp_path / "artifact")
    tensors = {**load_file(folder / PROTOTYPES), "bias": bias}
    (folder / PROTOTYPES).write_bytes(save(tensors))
    manifest = json.loads((folder / MANIFEST).read_bytes())
    manifest["files"][PROTOTYPES] = sha256_of(folder / PROTOTYPES)
    write_manifest(folder, manifest)
    with pytest.raises(IntegrityError, match=r"expected a bias of shape \(3,\) in float32"):
        Predictor(folder)


def test_softmax_is_of_each_image_and_sigmoid_of_each_logit():
    logits = np.array([[2.0, 0.0], [0.0, 0.0]], dtype=np.float32)
    share = 1 / (1 + np.exp(-2.0))
    np.testing.assert_allclose(activate(logits, "softmax"), [[share, 1 - share], [0.5, 0.5]])
    np.testing.assert_allclose(activate(logits, "sigmoid"), [[share, 0.5], [0.5, 0.5]])


def test_softmax_and_sigmoid_do_not_overflow():
    logits = np.array([[1000.0, -1000.0, 0.0]], dtype=np.float32)
    np.testing.assert_allclose(activate(logits, "softmax"), [[1, 0, 0]])
    np.testing.assert_allclose(activate(logits, "sigmoid"), [[1, 0, 0.5]])

"""What a quantised head adds to its logits by rounding: its own term of every answer."""

import numpy as np
import pytest
import tiny
from http_server import listening

from exporter.commands.summaries import explanation_record
from serving import Predictor
from serving.drawing.picture import draw
from serving.process.settings import Settings

# Terms are float32 values below 100, summed in another order.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def predictor(rounded_export):
    return Predictor(rounded_export[1].folder, threads=1)


@pytest.fixture
def images():
    return [tiny.image(label, number) for label in range(3) for number in range(50, 53)]


def test_with_the_rounding_the_terms_sum_to_the_logit(predictor, images):
    found = []
    for image in images:
        explanation = predictor.explain(image, classes=[0, 1, 2])
        for explained in explanation.classes:
            total = sum(p.contribution for p in explained.prototypes)
            total += explained.bias + explained.common
            assert total + explained.rounding == pytest.approx(explained.logit, abs=TOLERANCE)
            found.append(abs(total - explained.logit))
        assert explanation.residual < TOLERANCE
    assert max(found) > 100 * TOLERANCE  # there is something to tell


def test_muting_leaves_the_rounding_alone(predictor, images):
    before = predictor.explain(images[0], classes=["red"]).classes[0]
    after = predictor.explain(images[0], classes=["red"], mute=[("red", 0)]).classes[0]
    assert after.rounding == pytest.approx(before.rounding, abs=TOLERANCE)
    assert after.residual < TOLERANCE


def test_a_head_in_float32_rounds_nothing(tiny_export, images):
    plain = Predictor(tiny_export[1].folder, threads=1)
    outputs = plain.run(np.stack([plain.preprocess(image)[1] for image in images]))
    assert not outputs.rounding.any()
    assert "rounding" not in outputs.by_name(plain.manifest)
    assert not plain.manifest.head.rounding


def test_every_form_of_an_answer_has_it(rounded_export, predictor, images, tmp_path):
    explanation = predictor.explain(images[0])
    (told, *_) = explanation_record(explanation)["classes"]
    assert told["rounding"] == explanation.classes[0].rounding != 0
    assert draw(explanation).size[0] > 0  # refuses numbers that do not add up to finite ones
    path = tmp_path / "red.png"
    images[0].save(path)
    with listening(
        Settings(artifact=rounded_export[1].folder, provider="cpu", threads=1)
    ) as server:
        kind = {"content-type": "image/png"}
        (answer,) = server.post("/v1/explain", content=path.read_bytes(), headers=kind).json()[
            "results"
        ]
        assert [c["rounding"] for c in answer["classes"]] == [
            c.rounding for c in explanation.classes
        ]
        assert answer["residual"] < TOLERANCE
        contrast = server.post(
            "/v1/contrast?a=red&b=blue", content=path.read_bytes(), headers=kind
        ).json()
        kinds = [term["kind"] for term in contrast["terms"]]
        assert kinds.count("rounding") == 1
        assert contrast["residual"] < TOLERANCE

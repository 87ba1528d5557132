"""What MLflow loads, called as MLflow calls it; with MLflow: tests/exporter/packaging."""

import base64

import numpy as np
import pytest
import tiny
from hostile import encoded
from http_server import listening

from serving.errors import ArtifactError
from serving.process.settings import Settings
from serving.pyfunc import Model, _load_pyfunc

PICTURE = encoded(tiny.image(1, 60), "PNG")


@pytest.fixture(scope="module")
def model(tiny_export) -> Model:
    return _load_pyfunc(str(tiny_export[1].folder))


def test_bytes_base64_and_tensors_have_one_answer(model):
    tensor = model.get_raw_model().preprocess(PICTURE)[1]
    forms = [PICTURE, base64.b64encode(PICTURE).decode(), tensor, tensor.tolist()]
    for params in (None, {"explain": True, "heatmaps": "values"}):
        found = model.predict({"image": forms}, params)
        assert all(result == found[0] for result in found)


def test_answers_are_those_of_the_server_without_its_links(model, tiny_export):
    settings = Settings(artifact=tiny_export[1].folder, provider="cpu", threads=1)
    body = {"image": base64.b64encode(PICTURE).decode(), "heatmaps": "float32"}
    with listening(settings) as address, address.client() as client:
        served = client.post("/v1/explain", json=body).json()["results"]
        named = client.post("/v1/explain", json={**body, "classes": ["red", "2"]}).json()["results"]
    for results in (served, named):
        del results[0]["before"]
        crops = [c for e in results[0]["classes"] for p in e["prototypes"] for c in p["evidence"]]
        for crop in crops:
            del crop["url"], crop["context"]
    asked = {"explain": True, "heatmaps": "float32"}
    assert model.predict({"image": [PICTURE]}, asked) == served
    assert (
        model.predict({"image": [PICTURE]}, {**asked, "classes": ["red", "2"], "top": 2}) == named
    )


@pytest.mark.parametrize(
    ("value", "params", "message"),
    [
        (b"hello", {}, "expected an image"),
        ("***", {}, "row 0: expected base64"),
        (
            3.5,
            {},
            "row 0: expected bytes of an image file, base64, or a tensor of shape (3, 24, 24)",
        ),
        (None, {}, "got NoneType"),
        ([[1, 2], [3]], {}, "got list"),
        (np.zeros((24, 24, 3)), {}, "got ndarray[24, 24, 3]"),
        (PICTURE, {"top": 0}, "top: "),
        (PICTURE, {"explain": True, "top": 9}, "expected at most 2, got 9"),
        (PICTURE, {"explain": True, "classes": ["rde"]}, "'rde'"),
        (PICTURE, {"explain": True, "heatmaps": "jpeg"}, "heatmaps: "),
    ],
)
def test_what_is_wrong_is_told_in_one_line(model, value, params, message):
    with pytest.raises(ArtifactError) as raised:
        model.predict({"image": [value]}, params)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)

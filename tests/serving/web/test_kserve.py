"""KServe's protocol v1: the verbs answer as /v1/predict and /v1/explain do."""

import base64
import resource

import numpy as np
import pytest
import tiny
from hostile import encoded
from http_server import listening

from serving import Predictor
from serving.process.settings import Settings

PICTURE = encoded(tiny.image(1, 60), "PNG")
B64 = base64.b64encode(PICTURE).decode()


@pytest.fixture(scope="module")
def predictor(tiny_export):
    return Predictor(tiny_export[1].folder, threads=1)


@pytest.fixture(scope="module")
def client(tiny_export):
    settings = Settings(artifact=tiny_export[1].folder, provider="cpu", threads=1)
    with listening(settings) as address, address.client() as client:
        yield client


def ask(client, verb, *instances, **parameters):
    body = {"instances": list(instances), "parameters": parameters}
    return client.post(f"/v1/models/tiny:{verb}", json=body)


def test_the_model_is_listed_and_ready(client):
    assert client.get("/v1/models").json() == {"models": ["tiny"]}
    assert client.get("/v1/models/tiny").json() == {"name": "tiny", "ready": True}


def test_an_image_is_predicted_in_every_form_as_by_the_own_route(client, predictor):
    own = client.post("/v1/predict", content=PICTURE, headers={"Content-Type": "image/png"})
    nested = predictor.preprocess(PICTURE)[1].tolist()
    for form in ({"b64": B64}, {"image": {"b64": B64}}, nested, {"image": nested}):
        answer = ask(client, "predict", form)
        assert answer.json() == {"predictions": own.json()["results"]}


def test_the_logits_are_the_models_bit_for_bit(client, predictor):
    answer = ask(client, "predict", {"b64": B64}, top=1, logits=True).json()
    found = np.array(answer["predictions"][0]["logits"])
    assert found.tobytes() == predictor.predict([PICTURE])[0].astype(np.float64).tobytes()


def test_instances_are_answered_in_their_order(client):
    pictures = [encoded(tiny.image(label, 61), "PNG") for label in (0, 1, 2)]
    instances = [{"b64": base64.b64encode(picture).decode()} for picture in pictures]
    together = ask(client, "predict", *instances).json()["predictions"]
    alone = [ask(client, "predict", instance).json()["predictions"][0] for instance in instances]
    assert together == alone


def test_explain_gives_the_explanations_of_the_own_route(client, predictor):
    options = {"classes": ["red", 2], "mute": [{"class": "red", "prototype": 1}]}
    own = client.post("/v1/explain", json={"image": B64, **options}).json()
    answer = ask(client, "explain", {"b64": B64}, **options).json()
    assert answer["explanations"] == own["results"]
    assert [c["id"] for c in answer["predictions"][0]["classes"]] == [0, 2]
    tensor = predictor.preprocess(PICTURE)[1].tolist()
    assert ask(client, "explain", tensor, **options).json() == answer


@pytest.mark.parametrize(
    ("instance", "text"),
    [
        ({"b64": "***"}, "instances.0: expected base64"),
        ({"b64": 3}, "got int"),
        ({"b64": ""}, "0 bytes"),
        ({"b64": base64.b64encode(b"hello").decode()}, "expected JPEG"),
        ({"b64": B64[:200]}, "could not decode"),
        ({"url": "http://127.0.0.1:1/"}, "instances.0: expected"),
        ("http://127.0.0.1:1/", "instances.0: expected"),
        (None, "instances.0: expected"),
        ([[1, 2], [3]], "one shape"),
        ([[["a"]]], "expected numbers"),
        (np.zeros((24, 24, 3)).tolist(), r"shape (3, 24, 24), got (24, 24, 3)"),
    ],
)
@pytest.mark.parametrize("verb", ["predict", "explain"])
def test_a_wrong_instance_is_told(client, verb, instance, text):
    answer = ask(client, verb, instance)
    assert answer.status_code in (415, 422)
    assert text in answer.json()["error"]
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"instances": []}', 422),
        (b'{"instances": [{"b64": ""}], "parameters": {"topp": 1}}', 422),
        (b'{"instances": [{"b64": ""}], "parameters": {"top": 0}}', 422),
        (b'{"instances": [' + b"1," * 16 + b"1]}", 413),
    ],
)
def test_a_wrong_body_is_told(client, body, status):
    answer = client.post("/v1/models/tiny:predict", content=body)
    assert answer.status_code == status
    assert answer.json()["error"] == answer.json()["detail"]


def test_another_model_is_not_found(client):
    assert client.get("/v1/models/another").status_code == 404
    answer = client.post("/v1/models/another:predict", json={"instances": [{"b64": B64}]})
    assert answer.status_code == 404
    assert "'tiny', got 'another'" in answer.json()["error"]


@pytest.mark.parametrize(
    ("instance", "text"),
    [
        (["x" * 100_000, *[0.5] * 999], "expected numbers as data, got float, str"),
        ([[1.0, 2.0], [3.0]], "one shape"),
        ([None, 1.0], "got NoneType, float"),
        ([True, False], "got bool"),
        ([1e300, 1.0], "within the range of float32"),
    ],
)
def test_what_is_no_tensor_of_numbers_is_told_without_room_for_it(client, instance, text):
    before = largest_memory()
    answer = ask(client, "predict", [instance])
    assert answer.status_code == 422
    assert text in answer.json()["detail"]
    assert largest_memory() - before < 20 * 2**20


@pytest.mark.parametrize("verb", ["predict", "explain"])
def test_a_tensor_on_which_the_network_overflows_is_told(client, verb):
    answer = ask(client, verb, np.full((3, 24, 24), 3e38).tolist())
    assert answer.status_code == 422
    assert "expected finite logits" in answer.json()["error"]


def largest_memory():
    """Bytes that this process, server thread and all, ever had at once."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

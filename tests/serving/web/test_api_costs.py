"""What costs more than a request of the limits does is refused before it costs it."""

import base64
import io
import json
import math
import threading

import costly
import numpy as np
import pytest
import tiny
from http_server import listening
from PIL import Image
from waiting import PATIENCE, until

from exporter import export
from serving.answers.intake import MAX_TEXT, MAX_VALUES
from serving.answers.schema import MAX_LISTED
from serving.artifact import Preprocessing
from serving.process.settings import Settings

PNG = {"content-type": "image/png"}
JSON = {"content-type": "application/json"}
IMAGES = 16  # their tensors are more numbers than a body without tensors may hold
SHAPE = [IMAGES, 3, tiny.SIZE, tiny.SIZE]


@pytest.fixture(scope="module")
def settings(tiny_export):
    return Settings(artifact=tiny_export[1].folder, provider="cpu", threads=1, max_images=IMAGES)


@pytest.fixture(scope="module")
def client(settings):
    with listening(settings) as address, address.client() as client:
        yield client


def encoded(image=None):
    content = io.BytesIO()
    (image or tiny.image(0, 7)).save(content, "PNG")
    return content.getvalue()


def refused(answer, status, kind):
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:protohead:{kind}")
    return answer.json()["detail"]


@pytest.mark.parametrize("name", costly.FILES)
def test_a_file_that_costs_more_than_its_pixels_is_refused(client, name):
    for path in ("/v1/predict", "/v1/explain"):
        refused(client.post(path, content=costly.FILES[name], headers=PNG), 422, "image")


def listed(count):
    image = base64.b64encode(encoded()).decode()
    mute = [{"class": "red", "prototype": 0}] * count
    return json.dumps({"image": image, "mute": mute}).encode()


def test_a_list_of_mutes_has_a_limit(client):
    answer = client.post("/v1/explain", content=listed(MAX_LISTED), headers=JSON)
    assert answer.status_code == 200
    refused(
        client.post("/v1/explain", content=listed(MAX_LISTED + 1), headers=JSON), 422, "options"
    )
    refused(client.post("/v1/explain", content=listed(300_000), headers=JSON), 413, "too-large")


def test_a_list_of_classes_has_a_limit(client):
    def ask(count):
        body = {"image": base64.b64encode(encoded()).decode(), "classes": [0] * count}
        return client.post("/v1/explain", json=body)

    assert ask(64).status_code == 200
    assert "at most 64" in refused(ask(65), 422, "options")
    assert "at most 1000" in refused(ask(1001), 422, "options")


def test_what_begins_like_a_boundary_and_is_none_has_a_limit(client):
    head = b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n'
    headers = {"content-type": "multipart/form-data; boundary=x"}
    for count, status in ((900, 200), (1001, 400)):
        body = head + encoded() + b"\r\n--x-y" * count + b"\r\n--x--\r\n"
        answer = client.post("/v1/predict", content=body, headers=headers)
        assert answer.status_code == status


def test_options_as_text_have_a_limit(client):
    for more, status, kind in ((0, 422, "options"), (1, 413, "too-large")):
        text = "0:0," * (MAX_TEXT // 4 - 1) + "0:00" + "0" * more
        answer = client.post("/v1/explain", files={"image": encoded()}, data={"mute": text})
        refused(answer, status, kind)  # text that is short enough still names too many


@pytest.mark.parametrize("value", ["[],", "{},", "0,", '"",'])
def test_json_of_many_values_is_refused_before_it_becomes_objects(client, value):
    body = ('{"image": "", "mute": [' + value * MAX_VALUES + "0]}").encode()
    refused(client.post("/v1/explain", content=body, headers=JSON), 413, "too-large")


@pytest.mark.parametrize("value", ["[],", "{},"])
def test_so_it_is_in_the_protocols(client, value):
    many = value * (MAX_VALUES + 3 * math.prod(SHAPE))
    body = '{"instances": [' + many + "0]}"
    answer = client.post("/v1/models/tiny:predict", content=body)
    assert "values and lists" in refused(answer, 413, "too-large")
    data = '{"inputs": [{"name": "image", "datatype": "FP32", "shape": [1], "data": [' + many
    answer = client.post("/v2/models/tiny/infer", content=data + "0]}]}")
    assert "values and lists" in refused(answer, 413, "too-large")


def test_tensors_as_lists_of_the_most_images_are_read(client):
    tensors = np.zeros(SHAPE).tolist()
    answer = client.post("/v1/models/tiny:predict", content=json.dumps({"instances": tensors}))
    assert len(answer.json()["predictions"]) == IMAGES
    inputs = [{"name": "image", "datatype": "FP32", "shape": SHAPE, "data": tensors}]
    answer = client.post("/v2/models/tiny/infer", content=json.dumps({"inputs": inputs}))
    assert answer.json()["outputs"][0]["shape"] == [IMAGES, len(tiny.LABELS)]


def test_a_thin_picture_is_refused_where_the_short_side_is_resized(thin):
    content = encoded(Image.new("1", (1, 65535)))
    answer = thin.post("/v1/predict", content=content, headers=PNG)
    assert "is resized" in refused(answer, 422, "image")


@pytest.fixture
def thin(tmp_path):
    """An artifact that resizes the short side."""
    config = tiny.write(tmp_path)
    short = Preprocessing(resize=tiny.SIZE, crop=tiny.SIZE)
    artifact = export(config.model_copy(update={"preprocessing": short}))
    settings = Settings(artifact=artifact.folder, provider="cpu", threads=1, max_pixels=10_000_000)
    with listening(settings) as address, address.client() as client:
        yield client


def test_a_server_whose_threads_are_all_lost_is_not_ready(settings, monkeypatch):
    end = threading.Event()
    monkeypatch.setattr(
        "serving.web.routes_answers._predict", lambda *_: end.wait(PATIENCE) and b"{}"
    )
    settings = settings.model_copy(update={"timeout": 0.2})
    with listening(settings) as address:
        assert address.get("/v2/health/ready").status_code == 200
        for _ in range(settings.calls_at_once):
            refused(address.post("/v1/predict", content=encoded(), headers=PNG), 503, "timeout")
        until(lambda: address.get("/v2/health/ready").status_code == 503)
        assert address.get("/v2/health/live").status_code == 200
        end.set()
        until(lambda: address.get("/v2/health/ready").status_code == 200)

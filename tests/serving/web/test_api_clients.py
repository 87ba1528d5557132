"""What clients that exist send and ask for: packed bodies, kinds of base64, other names, traces."""

import base64
import gzip
import io
import json
import zlib

import numpy as np
import pytest
import tiny
from http_server import listening

from serving.process.settings import Settings

PNG = {"content-type": "image/png"}
MAX_BODY = 200_000


@pytest.fixture(scope="module")
def client(tiny_export):
    settings = Settings(
        artifact=tiny_export[1].folder, provider="cpu", threads=1, max_body=MAX_BODY
    )
    with listening(settings) as address, address.client() as client:
        yield client


@pytest.fixture(scope="module")
def image():
    content = io.BytesIO()
    tiny.image(0, 7).save(content, "PNG")
    return content.getvalue()


@pytest.fixture(scope="module")
def expected(client, image):
    return client.post("/v1/predict", content=image, headers=PNG).content


def refused(answer, status, kind):
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:protohead:{kind}")
    return answer.json()["detail"]


BASE64 = {
    "plain": base64.b64encode,
    "in lines": base64.encodebytes,
    "in lines of mail": lambda data: base64.encodebytes(data).replace(b"\n", b"\r\n"),
    "for addresses": base64.urlsafe_b64encode,
    "for addresses, without its end": lambda data: base64.urlsafe_b64encode(data).rstrip(b"="),
    "a data URL": lambda data: b"data:image/png;base64," + base64.b64encode(data),
}


@pytest.mark.parametrize("form", BASE64)
@pytest.mark.parametrize("behind", [0, 1, 2])  # bytes, so that each ending comes up
def test_base64_is_taken_as_it_is_written(client, image, expected, form, behind):
    text = BASE64[form](image + bytes(behind)).decode()
    assert client.post("/v1/predict", json={"image": text}).content == expected


@pytest.mark.parametrize("text", ["%%%", "a", "aGk=aGk=", "aG\u00e9k", "a*Gk="])
def test_what_is_no_base64_is_told(client, text):
    detail = refused(client.post("/v1/predict", json={"image": text}), 422, "options")
    assert detail.startswith("image: expected base64 text")


@pytest.mark.parametrize("name", ["file", "images", "upload"])
def test_a_wrong_name_of_the_file_is_answered_with_the_right_one(client, image, name):
    detail = refused(client.post("/v1/predict", files={name: image}), 422, "options")
    assert detail == f"expected image files in the field 'image', found one in {name!r}."


def test_a_wrong_name_in_json_is_answered_with_the_right_one(client):
    detail = refused(client.post("/v1/predict", json={"file": "", "top": 1}), 422, "options")
    assert "expected one of image and images in the JSON object, found file, top" in detail


def test_an_option_may_come_twice_if_it_says_the_same(client, image):
    form = {"files": {"image": image}, "data": {"top": "1"}}
    assert client.post("/v1/predict?top=1", **form).status_code == 200
    assert "got it twice" in refused(client.post("/v1/predict?top=2", **form), 422, "options")


PACKED = {"gzip": gzip.compress, "deflate": zlib.compress}


@pytest.mark.parametrize("encoding", PACKED)
def test_a_packed_body_is_answered_like_the_body(client, image, expected, encoding):
    headers = {**PNG, "content-encoding": encoding}
    answer = client.post("/v1/predict", content=PACKED[encoding](image), headers=headers)
    assert answer.content == expected
    tensor = np.zeros((1, 3, tiny.SIZE, tiny.SIZE)).tolist()
    body = json.dumps({"instances": tensor}).encode()
    for path in ("/v1/models/tiny:predict", "/v1/models/tiny:explain"):
        plain = client.post(path, content=body)
        headers = {"content-encoding": encoding}
        packed = client.post(path, content=PACKED[encoding](body), headers=headers)
        assert (packed.status_code, packed.content) == (200, plain.content)


@pytest.mark.parametrize("encoding", PACKED)
def test_a_packed_body_has_the_limit_of_one_that_is_not(client, encoding):
    headers = {**PNG, "content-encoding": encoding}
    for size, status in ((MAX_BODY, 415), (MAX_BODY + 1, 413), (100 * MAX_BODY, 413)):
        packed = PACKED[encoding](bytes(size))  # zeros, which are no image
        assert client.post("/v1/predict", content=packed, headers=headers).status_code == status


@pytest.mark.parametrize(
    "change", [lambda data: data[:-9], lambda data: data + data, lambda _: b""]
)
def test_a_damaged_packed_body_is_told(client, image, change):
    headers = {**PNG, "content-encoding": "gzip"}
    body = change(gzip.compress(image))
    refused(client.post("/v1/predict", content=body, headers=headers), 400, "malformed")


def test_another_packing_is_refused_by_name(client, image):
    headers = {**PNG, "content-encoding": "br"}
    detail = refused(client.post("/v1/predict", content=image, headers=headers), 415, "media-type")
    assert "gzip or deflate, got 'br'" in detail


@pytest.mark.parametrize(("kind", "size"), [("float32", 4), ("float16", 2)])
def test_heatmaps_come_as_bytes_in_base64(client, image, kind, size):
    found = {}
    for heatmaps in ("values", kind):
        answer = client.post(f"/v1/explain?heatmaps={heatmaps}", content=image, headers=PNG).json()
        best = answer["results"][0]["classes"][0]["prototypes"]
        found[heatmaps] = [prototype["heatmap"] for prototype in best]
    for values, text in zip(found["values"], found[kind], strict=True):
        data = base64.b64decode(text)
        assert len(data) == 12 * 12 * size
        rows = np.frombuffer(data, f"<f{size}").reshape(12, 12)
        np.testing.assert_array_equal(rows, np.array(values, np.float32).astype(f"<f{size}"))


def test_a_browser_gets_the_page_and_a_client_of_kserve_that_the_server_lives(client):
    page = client.get("/", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    for accept in ("*/*", "application/json"):
        answer = client.get("/", headers={"accept": accept})
        assert (answer.json(), answer.headers["vary"]) == ({"status": "alive"}, "Accept")


TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    ("given", "logged"),
    [
        (f"00-{TRACE}-b7ad6b7169203331-01", TRACE),
        (f"01-{TRACE}-b7ad6b7169203331-01-more", TRACE),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", None),
        ("00-short-1-01", None),
        ("", None),
    ],
)
def test_the_id_of_a_trace_is_in_the_log(client, monkeypatch, given, logged):
    lines = []
    monkeypatch.setattr("serving.process.account.write_access", lines.append)
    client.get("/v1/model", headers={"traceparent": given})
    assert [line["trace"] for line in lines] == [logged]

"""Answers packed for clients that ask for it, and for nobody else."""

import base64
import gzip
import io

import numpy as np
import pytest
import tiny
import tritonclient.http as triton
from http_server import listening

from serving.process.settings import Settings
from serving.web import packing
from serving.web.packing import LEAST_PACKED, respond

PNG = {"content-type": "image/png"}


@pytest.fixture(scope="module")
def server(tiny_export):
    with listening(Settings(artifact=tiny_export[1].folder, provider="cpu", threads=1)) as address:
        yield address


@pytest.fixture(autouse=True)
def pack_short_answers_too(monkeypatch):
    monkeypatch.setattr(packing, "LEAST_PACKED", 100)


def image():
    content = io.BytesIO()
    tiny.image(0, 50).save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip; q=1", True), ("x-gzip", True),
     ("identity", False), ("", False), ("gzip;q=0", False), ("gzip;q=0.00, br", False),
     ("*", False), ("deflate", False)],
)  # fmt: skip
def test_an_answer_is_packed_where_the_client_accepts_it(server, accepted, packed):
    headers = PNG | {"accept-encoding": accepted}
    with server.client() as client, client.stream(
        "POST", "/v1/explain", content=image(), headers=headers
    ) as answer:  # fmt: skip
        sent = b"".join(answer.iter_raw())
    assert (answer.headers.get("content-encoding") == "gzip") is packed
    assert answer.headers["vary"] == "Accept-Encoding"
    plain = server.post("/v1/explain", content=image(), headers=PNG | {"accept-encoding": ""})
    assert (gzip.decompress(sent) if packed else sent) == plain.content
    assert not packed or len(sent) < len(plain.content)


def test_tritons_client_reads_packed_tensors(server):
    name = server.get("/v1/model").json()["name"]
    tensor = triton.InferInput("image", [1, 3, tiny.SIZE, tiny.SIZE], "FP32")
    tensor.set_data_from_numpy(np.ones((1, 3, tiny.SIZE, tiny.SIZE), np.float32))
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        plain, packed = (
            client.infer(name, [tensor], response_compression_algorithm=algorithm)
            for algorithm in (None, "gzip")
        )
    for output in ("logits", "heatmaps"):
        np.testing.assert_array_equal(plain.as_numpy(output), packed.as_numpy(output))


def test_kserves_answers_are_packed_too(server):
    name = server.get("/v1/model").json()["name"]
    body = {"instances": [{"b64": base64.b64encode(image()).decode()}]}
    answer = server.post(f"/v1/models/{name}:explain", json=body)
    assert answer.headers["content-encoding"] == "gzip"  # httpx asks for it
    assert answer.json()["explanations"]


def test_a_short_answer_is_not_worth_it(monkeypatch):
    monkeypatch.undo()
    for size in (LEAST_PACKED - 1, LEAST_PACKED):
        answer = respond(b"x" * size, "gzip", "text/plain")
        assert ("content-encoding" in answer.headers) is (size == LEAST_PACKED)
        assert int(answer.headers["content-length"]) == len(answer.body)

"""What comes from no place of the picture, in every answer of the server."""

import json
from pathlib import Path

import httpx
import numpy as np
import onnxruntime as ort
import pytest
import tiny
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton
from http_server import free_port, listening

from serving import Predictor
from serving.answers import schema
from serving.process.settings import Settings

# Terms are float32 values below 100, summed in another order.
ROUNDING = 1e-4


@pytest.fixture(scope="module")
def predictor(two_layers_export):
    return Predictor(two_layers_export[1].folder, threads=1)


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("audit") / "audit.jsonl"


@pytest.fixture(scope="module")
def grpc_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(two_layers_export, record, grpc_port):
    artifact = two_layers_export[1].folder
    settings = Settings(
        artifact=artifact, provider="cpu", threads=1, audit=record, grpc_port=grpc_port
    )
    with listening(settings) as address:
        yield address


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "red.png"
    tiny.image(0, 50).save(path)
    return path


def ask(server, path: str, picture: Path) -> dict:
    answer: httpx.Response = server.post(
        path, content=picture.read_bytes(), headers={"content-type": "image/png"}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_it_is_a_term_of_every_class_and_the_placed_share_is_beside_it(server, predictor, picture):
    answer = ask(server, "/v1/explain?classes=0,1,2", picture)["results"][0]
    expected = predictor.explain(picture, classes=[0, 1, 2]).classes
    for found, wanted in zip(answer["classes"], expected, strict=True):
        assert found["unplaced"] == wanted.unplaced != 0
        assert found["placed"] == wanted.placed
        assert 0 < found["placed"] < 1
        total = sum(p["contribution"] for p in found["prototypes"])
        total += found["bias"] + found["common"] + found["unplaced"]
        assert abs(total - found["logit"]) <= answer["residual"] < ROUNDING
    schema.Explained.model_validate(answer)


def test_it_is_a_term_of_a_contrast(server, picture):
    answer = ask(server, "/v1/contrast?a=red&b=blue", picture)
    schema.ContrastAnswer.model_validate(answer)
    (term,) = (term for term in answer["terms"] if term["kind"] == "unplaced")
    assert term["value"] == answer["a"]["unplaced"] - answer["b"]["unplaced"] != 0
    assert (term["side"], term["index"], term["name"]) == (None, None, "unplaced")
    total = sum(term["value"] for term in answer["terms"])
    assert total == pytest.approx(answer["logit_difference"], abs=ROUNDING)
    assert answer["residual"] < ROUNDING


def test_it_is_on_record(server, record, picture):
    told = ask(server, "/v1/explain", picture)["results"][0]["classes"]
    kept = json.loads(record.read_text().splitlines()[-1])["classes"]
    assert [found["unplaced"] for found in kept] == [found["unplaced"] for found in told]


@pytest.mark.parametrize("protocol", [triton, triton_grpc], ids=["http", "grpc"])
def test_it_is_a_tensor_of_the_open_inference_protocol(
    server, grpc_port, two_layers_export, protocol
):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(two_layers_export[1].path("model.onnx"), options)
    batch = np.random.default_rng(3).normal(size=(3, 3, 24, 24)).astype(np.float32)
    (expected,) = session.run(["unplaced"], {"image": batch})
    tensor = protocol.InferInput("image", list(batch.shape), "FP32")
    tensor.set_data_from_numpy(batch)
    port = server.port if protocol is triton else grpc_port
    with protocol.InferenceServerClient(f"127.0.0.1:{port}") as client:
        found = client.infer("tiny", [tensor]).as_numpy("unplaced")
    assert found.tobytes() == expected.tobytes()


def test_the_command_line_says_it(run, two_layers_export, predictor, picture, tmp_path):
    artifact = two_layers_export[1].folder
    code, out, _ = run("explain", artifact, picture, "--out", tmp_path, "--json")
    assert code == 0
    best = predictor.explain(picture).classes[0]
    told = json.loads(out)[0]["classes"][0]
    assert told["unplaced"] == pytest.approx(best.unplaced, rel=1e-4)  # of any number of threads
    assert told["placed"] == pytest.approx(best.placed, rel=1e-4)

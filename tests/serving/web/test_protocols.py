"""The Open Inference Protocol: Triton's client works unchanged, and tensors keep every bit."""

import json

import numpy as np
import onnxruntime as ort
import pytest
import tritonclient.http as triton
from http_server import listening
from tritonclient.utils import InferenceServerException

from serving import Predictor
from serving.answers.problems import ProblemError
from serving.process.settings import Settings
from serving.protocols import oip_tensors as tensors
from serving.web.routes_oip import LENGTH

NAMES = ["logits", "contributions", "common", "class_ids", "heatmaps"]


@pytest.fixture(scope="module")
def predictor(tiny_export):
    return Predictor(tiny_export[1].folder, threads=1)


@pytest.fixture(scope="module")
def server(tiny_export):
    with listening(Settings(artifact=tiny_export[1].folder, provider="cpu", threads=1)) as address:
        yield address


@pytest.fixture(scope="module")
def client(server):
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        yield client


@pytest.fixture(scope="module")
def batch():
    return np.random.default_rng(3).normal(size=(3, 3, 24, 24)).astype(np.float32)


@pytest.fixture(scope="module")
def expected(tiny_export, batch):
    """Every output, from onnxruntime alone."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(tiny_export[1].path("model.onnx"), options)
    return dict(zip(NAMES, session.run(NAMES, {"image": batch}), strict=True))


def tensor(values, binary=True, name="image", datatype="FP32"):
    """A tensor as tritonclient sends it."""
    made = triton.InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def wanted(name, **options):
    return triton.InferRequestedOutput(name, **options)


def test_the_client_sees_a_live_server_and_a_ready_model(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", "1")
    assert not client.is_model_ready("another")
    assert not client.is_model_ready("tiny", "2")


def test_the_server_names_the_extension_it_speaks(client):
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]


def test_the_metadata_is_that_of_the_graph(client):
    metadata = client.get_model_metadata("tiny")
    assert metadata["versions"] == ["1"]
    assert metadata["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 3, 24, 24]}]
    assert metadata["outputs"] == [
        {"name": "logits", "datatype": "FP32", "shape": [-1, 3]},
        {"name": "contributions", "datatype": "FP32", "shape": [-1, 2, 2]},
        {"name": "common", "datatype": "FP32", "shape": [-1, 1]},
        {"name": "class_ids", "datatype": "INT64", "shape": [-1, 2]},
        {"name": "heatmaps", "datatype": "FP32", "shape": [-1, 2, 2, 12, 12]},
    ]


@pytest.mark.parametrize("binary_in", [True, False], ids=["bytes in", "json in"])
@pytest.mark.parametrize("binary_out", [True, False], ids=["bytes out", "json out"])
def test_every_output_is_that_of_onnxruntime_bit_for_bit(
    client, batch, expected, binary_in, binary_out
):
    outputs = [wanted(name, binary_data=binary_out) for name in NAMES]
    result = client.infer("tiny", [tensor(batch, binary_in)], outputs=outputs)
    for name in NAMES:
        answer = result.as_numpy(name)
        assert answer.dtype == expected[name].dtype
        assert answer.shape == expected[name].shape
        assert answer.tobytes() == expected[name].tobytes()


def test_without_requested_outputs_all_of_them_come(client, batch, expected):
    result = client.infer("tiny", [tensor(batch)], request_id="a1", model_version="1")
    assert [output["name"] for output in result.get_response()["outputs"]] == NAMES
    assert result.get_response()["id"] == "a1"
    sizes = [
        output["parameters"]["binary_data_size"] for output in result.get_response()["outputs"]
    ]
    assert sizes == [expected[name].nbytes for name in NAMES]  # as bytes: the client asks for them
    assert result.as_numpy("heatmaps").tobytes() == expected["heatmaps"].tobytes()


def test_only_the_requested_outputs_come_in_the_order_asked_for(client, batch, expected):
    outputs = [wanted("heatmaps"), wanted("logits", binary_data=False)]
    result = client.infer("tiny", [tensor(batch)], outputs=outputs)
    assert [output["name"] for output in result.get_response()["outputs"]] == ["heatmaps", "logits"]
    assert result.as_numpy("heatmaps").tobytes() == expected["heatmaps"].tobytes()
    assert result.as_numpy("logits").tobytes() == expected["logits"].tobytes()
    assert result.as_numpy("common") is None


def test_json_data_may_be_nested_or_flat(server, batch, expected):
    for data in (batch.tolist(), batch.ravel().tolist()):
        body = {
            "inputs": [
                {"name": "image", "shape": [3, 3, 24, 24], "datatype": "FP32", "data": data}
            ],
            "outputs": [{"name": "logits"}],
        }
        answer = server.post("/v2/models/tiny/infer", json=body)
        assert answer.headers["content-type"] == "application/json"
        values = np.array(answer.json()["outputs"][0]["data"], dtype=np.float32)
        assert values.tobytes() == expected["logits"].tobytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model_name": "another"}, "expected the model 'tiny', got 'another'"),
        ({"model_version": "2"}, "expected the version '1', got '2'"),
        ({"inputs": [tensor(np.zeros((1, 3, 24, 24), "f4"), name="x")]}, r"got \['x'\]"),
        ({"inputs": [tensor(np.zeros((1, 3, 5, 5), "f4"))]}, r"got \[1, 3, 5, 5\]"),
        ({"inputs": [tensor(np.zeros((0, 3, 24, 24), "f4"))]}, r"got \[0, 3, 24, 24\]"),
        ({"inputs": [tensor(np.zeros((3, 24, 24), "f4"))]}, r"got \[3, 24, 24\]"),
        ({"inputs": [tensor(np.zeros((17, 3, 24, 24), "f4"))]}, "at most 16 images, got 17"),
        (
            {"inputs": [tensor(np.zeros((1, 3, 24, 24), "f8"), datatype="FP64")]},
            "datatype FP32, got 'FP64'",
        ),
        ({"outputs": [wanted("owl")]}, "got 'owl'"),
        ({"outputs": [wanted("logits"), wanted("logits")]}, "each output once"),
        ({"outputs": [wanted("logits", class_count=2)]}, "classification is not offered"),
    ],
)
def test_the_client_is_told_what_is_wrong(client, arguments, message):
    arguments = {
        "model_name": "tiny",
        "inputs": [tensor(np.zeros((1, 3, 24, 24), "f4"))],
        **arguments,
    }
    with pytest.raises(InferenceServerException, match=message) as caught:
        client.infer(**arguments)
    assert caught.value.status() in ("404", "413", "422")


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_a_packed_body_is_taken_as_it_was_before(client, batch, expected, algorithm):
    answer = client.infer("tiny", [tensor(batch)], request_compression_algorithm=algorithm)
    np.testing.assert_array_equal(answer.as_numpy("logits"), expected["logits"])


def test_another_packing_is_refused(client, server, batch):
    headers = {"content-encoding": "br"}
    answer = server.post("/v2/models/tiny/infer", content=b"x", headers=headers)
    assert answer.status_code == 415
    assert "expected a body in gzip or deflate" in answer.json()["detail"]


HEADER = {"name": "image", "shape": [1, 3, 24, 24], "datatype": "FP32"}
SIZE = 4 * 3 * 24 * 24


def message(parameters=None, data=None, tail=b"", **changes):
    """A body and the length of its header."""
    made = {**HEADER, **changes}
    if parameters is not None:
        made["parameters"] = parameters
    if data is not None:
        made["data"] = data
    header = json.dumps({"inputs": [made]}).encode()
    return header + tail, str(len(header))


@pytest.mark.parametrize(
    ("body", "length", "text"),
    [
        (b"", None, "JSON"),
        (b"{", None, "JSON"),
        (b"[]", None, "dictionary"),
        (b'{"inputs": []}', None, "inputs"),
        (b"{}", "3", "Inference-Header-Content-Length"),
        (b"{}", "-1", "Inference-Header-Content-Length"),
        (b"{}", "9" * 5000, "Inference-Header-Content-Length"),
        (b"{}", "1e1", "Inference-Header-Content-Length"),
        (*message({"binary_data_size": SIZE}, tail=bytes(SIZE - 1)), "after the header"),
        (*message({"binary_data_size": SIZE}, tail=bytes(SIZE + 1)), "no bytes after"),
        (*message({"binary_data_size": SIZE - 4}, tail=bytes(SIZE - 4)), f"of {SIZE}"),
        (*message({"binary_data_size": True}, tail=b"a"), f"of {SIZE}"),
        (*message({"binary_data_size": -1}, tail=bytes(SIZE)), f"of {SIZE}"),
        (*message({"binary_data_size": float(SIZE)}, tail=bytes(SIZE)), f"of {SIZE}, got {SIZE}.0"),
        (*message({"binary_data_size": SIZE}, data=[1], tail=bytes(SIZE)), "got both"),
        (*message({"shared_memory_region": "a"}), "not offered"),
        (*message(), "expected numbers"),
        (*message(data=["1"] * (SIZE // 4)), "expected numbers"),
        (*message(data=[None] * (SIZE // 4)), "expected numbers"),
        (*message(data=[1e39] * (SIZE // 4)), "range"),
        (*message(data=[[1], [1, 2]]), "one shape"),
        (*message(data=[1, 2]), "got 2 values"),
        (*message(data={"a": 1}), "expected numbers"),
        (*message(shape=[2**62, 3, 24, 24], data=[1.0]), "at most 16"),
        (*message(shape=[1, 3, 24, -24], data=[1.0]), "shape"),
        (*message(shape=[1.5, 3, 24, 24], data=[1.0]), "shape"),
        (b'{"inputs": [' + b"[" * 100_000, None, "JSON"),
    ],
)
def test_a_malformed_body_is_answered_with_its_fault(server, body, length, text):
    headers = {} if length is None else {"Inference-Header-Content-Length": length}
    answer = server.post("/v2/models/tiny/infer", content=body, headers=headers)
    assert answer.status_code in (400, 413, 422)
    assert text in answer.json()["error"]


def test_float32_in_json_keeps_its_bits():
    bits = np.random.default_rng(0).integers(0, 2**32, 200_000, dtype=np.uint32)
    values = bits.view(np.float32)
    values = values[np.isfinite(values)]
    body, _ = tensors.encode({}, {"logits": values}, {"logits": False})
    read = np.array(json.loads(body)["outputs"][0]["data"], dtype=np.float32)
    assert read.tobytes() == values.tobytes()


def test_an_integer_beyond_its_type_is_refused():
    with pytest.raises(ProblemError, match="within the range of uint8"):
        tensors.read_numbers([1, 300], np.dtype("u1"), "input")
    assert tensors.read_numbers([[1, 2], [3, 255]], np.dtype("u1"), "input").tolist() == [
        [1, 2],
        [3, 255],
    ]


def test_versions_are_in_the_path_and_nowhere_else(server):
    paths = server.get("/openapi.json").json()["paths"]
    for path, operations in paths.items():
        if path.startswith("/v2/"):
            for operation in operations.values():
                names = {
                    (parameter["name"], parameter["in"])
                    for parameter in operation.get("parameters", [])
                    if parameter["in"] != "header"
                }
                expected = {n for n in ("name", "version") if f"{{{n}}}" in path}
                assert names == {(name, "path") for name in expected}
    answer = paths["/v2/models/{name}/infer"]["post"]["responses"]["200"]
    assert "application/octet-stream" in answer["content"]
    assert LENGTH in answer["headers"]

"""The Open Inference Protocol over gRPC: Triton's client works unchanged, within HTTP's limits."""

import gzip
import subprocess
import sys
import threading

import grpc
import numpy as np
import onnxruntime as ort
import pytest
import tritonclient.grpc as triton
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from http_server import free_port, listening
from places import ROOT
from pydantic import ValidationError
from tritonclient.utils import InferenceServerException
from waiting import PATIENCE, until

from serving.process.settings import Settings
from serving.protocols import oip_grpc
from serving.protocols.oip_grpc import message
from serving.web.grpc_server import address

NAMES = ["logits", "contributions", "common", "class_ids", "heatmaps"]
METHOD = f"/{oip_grpc.SERVICE}/"


def settings(tiny_export, **options):
    return Settings(
        artifact=tiny_export[1].folder,
        provider="cpu",
        threads=1,
        grpc_port=free_port(),
        **options,
    )


@pytest.fixture(scope="module")
def server(tiny_export):
    set_ = settings(tiny_export, max_body=200_000, max_images=4)
    with listening(set_) as http:
        http.get("/v1/model")
        yield f"127.0.0.1:{set_.grpc_port}", http


@pytest.fixture(scope="module")
def client(server):
    with triton.InferenceServerClient(server[0]) as client:
        yield client


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server[0]) as channel:
        yield channel


@pytest.fixture(scope="module")
def batch():
    return np.random.default_rng(3).normal(size=(3, 3, 24, 24)).astype(np.float32)


@pytest.fixture(scope="module")
def model(server):
    return server[1].get("/v1/model").json()["name"]


def call(channel, method, content=b"", **options):
    """The answer's bytes, and the metadata before it."""
    answer, done = channel.unary_unary(METHOD + method).with_call(
        content, timeout=PATIENCE, **options
    )
    return answer, dict(done.initial_metadata())


def refusal(channel, method, content=b"", **options):
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, method, content, **options)
    return caught.value.code(), caught.value.details()


def tensor(values, name="image"):
    made = triton.InferInput(name, list(values.shape), "FP32")
    made.set_data_from_numpy(values)
    return made


def request(model, values, **more):
    """A request with its values as typed contents."""
    asked = message("ModelInferRequest")(model_name=model, **more)
    given = asked.inputs.add(name="image", datatype="FP32", shape=values.shape)
    given.contents.fp32_contents.extend(values.ravel().tolist())
    return asked


@pytest.fixture(scope="module")
def expected(tiny_export, batch):
    """Every output, from onnxruntime alone."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(tiny_export[1].path("model.onnx"), options)
    return dict(zip(NAMES, session.run(NAMES, {"image": batch}), strict=True))


def test_tritons_client_reads_health_and_metadata(client, server, model):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(model)
    assert client.is_model_ready(model, "1")
    assert client.get_server_metadata().name == "protohead"
    over_http = server[1].get(f"/v2/models/{model}").json()
    found = client.get_model_metadata(model)
    for side in ("inputs", "outputs"):
        assert [(t.name, t.datatype, list(t.shape)) for t in getattr(found, side)] == [
            (t["name"], t["datatype"], t["shape"]) for t in over_http[side]
        ]


def test_tritons_client_gets_every_output_bit_for_bit(client, model, batch, expected):
    answer = client.infer(model, [tensor(batch)], request_id="seven")
    assert answer.get_response().id == "seven"
    assert answer.get_response().model_name == model
    for name in NAMES:
        found = answer.as_numpy(name)
        assert found.dtype == expected[name].dtype
        np.testing.assert_array_equal(found, expected[name])


def test_only_what_is_asked_for_comes(client, model, batch, expected):
    wanted = [triton.InferRequestedOutput(name) for name in ("heatmaps", "logits")]
    answer = client.infer(model, [tensor(batch)], model_version="1", outputs=wanted)
    assert [output.name for output in answer.get_response().outputs] == ["heatmaps", "logits"]
    np.testing.assert_array_equal(answer.as_numpy("logits"), expected["logits"])


def test_typed_contents_are_taken_as_raw_ones_are(channel, model, batch, expected):
    content = request(model, batch).SerializeToString()
    answer = message("ModelInferResponse").FromString(call(channel, "ModelInfer", content)[0])
    named = dict(zip([o.name for o in answer.outputs], answer.raw_output_contents, strict=True))
    for name in NAMES:
        assert named[name] == expected[name].tobytes()


def test_what_does_not_fit_is_refused_in_words(channel, model, batch):
    asked = request(model, batch)
    asked.inputs[0].shape[0] = 2
    code, words = refusal(channel, "ModelInfer", asked.SerializeToString())
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "expected [2, 3, 24, 24] to be filled" in words
    asked = request(model, np.zeros((5, 3, 24, 24)))
    assert "expected fewer values" in refusal(channel, "ModelInfer", asked.SerializeToString())[1]
    asked = message("ModelInferRequest")(model_name=model, raw_input_contents=[b"", b""])
    words = refusal(channel, "ModelInfer", asked.SerializeToString())[1]
    assert "raw contents for each of 0 inputs, got 2" in words
    for content in (b"\xff" * 20, b"\x2a\x7f", b"\x0b", b"\x0a\x01\xff"):
        code, words = refusal(channel, "ModelInfer", content)
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert "Open Inference Protocol" in words


def test_another_model_version_or_method_is_not_found(channel, client, model, batch):
    for content in (
        message("ModelReadyRequest")(name="other").SerializeToString(),
        message("ModelReadyRequest")(name=model, version="2").SerializeToString(),
    ):
        assert refusal(channel, "ModelReady", content)[0] == grpc.StatusCode.NOT_FOUND
    with pytest.raises(InferenceServerException, match="NOT_FOUND"):
        client.infer("other", [tensor(batch)])
    assert refusal(channel, "RepositoryIndex")[0] == grpc.StatusCode.UNIMPLEMENTED


def test_a_body_above_the_limit_is_refused_packed_or_not(channel):
    large = bytes(300_000)
    assert refusal(channel, "ModelInfer", large)[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
    bomb = bytes(10_000_000)
    assert len(gzip.compress(bomb)) < 20_000
    code, _ = refusal(channel, "ModelInfer", bomb, compression=grpc.Compression.Gzip)
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    "content",
    [
        b"\x2a\0" * 50_000,  # inputs that hold nothing
        b"\x22\0" * 50_000,  # parameters
        b"\x2a\xa0\x8d\x06" + b"\x1a\0" * 50_000,  # shapes in one input
        b"\x3a\0" * 50_000,  # raw contents of no bytes
        b"\x22\xa0\x8d\x06" + b"\x0a\0" * 50_000,  # one parameter of many bytes
    ],
)
def test_what_grows_when_it_is_parsed_is_refused_before(channel, content):
    code, words = refusal(channel, "ModelInfer", content)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "expected at most" in words


def test_a_stream_of_messages_is_refused(channel):
    send = channel.stream_unary(METHOD + "ServerLive")
    for messages in ([], [b"", b""]):
        with pytest.raises(grpc.RpcError) as caught:
            send(iter(messages), timeout=PATIENCE)
        assert "expected one message" in caught.value.details()


def test_a_body_that_does_not_come_is_not_waited_for(tiny_export):
    set_ = settings(tiny_export, timeout=0.5)
    enough = threading.Event()

    def nothing():
        enough.wait(PATIENCE)
        yield b""

    with listening(set_), grpc.insecure_channel(f"127.0.0.1:{set_.grpc_port}") as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.stream_unary(METHOD + "ServerLive")(
                nothing(), timeout=PATIENCE, wait_for_ready=True
            )
        enough.set()
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert "within 0.5 s" in caught.value.details()


def test_with_tokens_only_their_bearers_are_answered(tiny_export, tmp_path):
    (tmp_path / "tokens").write_text("secret")
    set_ = settings(tiny_export, tokens=tmp_path / "tokens")
    with listening(set_), grpc.insecure_channel(f"127.0.0.1:{set_.grpc_port}") as channel:
        call(channel, "ServerLive", wait_for_ready=True)  # health stays open
        for metadata in ((), [("authorization", "Bearer other")]):
            code, words = refusal(channel, "ServerMetadata", metadata=metadata)
            assert code == grpc.StatusCode.UNAUTHENTICATED
            assert "Authorization: Bearer" in words
        call(channel, "ServerMetadata", metadata=[("authorization", "Bearer secret")])


def test_it_is_logged_and_counted_as_http_is(channel, server, monkeypatch):
    lines = []
    monkeypatch.setattr("serving.process.account.write_access", lines.append)
    trace = "0af7651916cd43dd8448eb211c80319c"
    sent = [("x-request-id", "mine"), ("traceparent", f"00-{trace}-b7ad6b7169203331-01")]
    _, told = call(channel, "ServerLive", metadata=sent)
    assert told["x-request-id"] == "mine"
    refusal(channel, "ModelReady", message("ModelReadyRequest")(name="no").SerializeToString())
    until(lambda: len(lines) == 2)
    assert (lines[0]["id"], lines[0]["trace"], lines[0]["status"]) == ("mine", trace, 200)
    assert lines[0]["client"] == "127.0.0.1"
    assert (lines[1]["status"], lines[1]["problem"]) == (404, "unknown-path")
    counted = f'protohead_request_seconds_count{{method="POST",route="{METHOD}ServerLive",'
    assert counted in server[1].get("/metrics").text


def test_calls_at_once_get_their_own_answers(server, model, tiny_export, batch, expected):
    found = {}

    def ask(number):
        with triton.InferenceServerClient(server[0]) as client:
            answer = client.infer(model, [tensor(batch[number % 3 :][:1])])
            found[number] = answer.as_numpy("logits")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for number in range(12):
        np.testing.assert_allclose(found[number][0], expected["logits"][number % 3], atol=1e-5)


def test_the_descriptors_are_those_of_the_protocols_file(tmp_path):
    folder = ROOT / "serving" / "protocols"
    out = tmp_path / "made.binpb"
    proto = "open_inference_grpc.proto"
    words = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}"]
    subprocess.run([*words, f"--descriptor_set_out={out}", proto], check=True)
    made = FileDescriptorSet.FromString(out.read_bytes())
    assert made == FileDescriptorSet.FromString((folder / "open_inference_grpc.binpb").read_bytes())


def test_http_and_grpc_need_two_ports():
    with pytest.raises(ValidationError, match="another port for gRPC than the 4000 of HTTP"):
        Settings(port=4000, grpc_port=4000)
    assert address("::1", 5) == "[::1]:5"
    assert address("127.0.0.1", 5) == "127.0.0.1:5"

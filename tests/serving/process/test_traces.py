"""OpenTelemetry traces: a span for each request, in the client's own trace, and none unasked."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest
from http_server import free_port, listening
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from waiting import PATIENCE

from serving.errors import RuntimeSetupError
from serving.process.settings import Settings
from serving.web import launch
from serving.web.launch import require_usable

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SENT = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}


@pytest.fixture
def collected(monkeypatch):
    """What a collector was sent, once the server has stopped."""
    requests = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers["content-encoding"] == "gzip":
                body = gzip.decompress(body)
            requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=birds")
        yield requests
        server.shutdown()
        thread.join(PATIENCE)


def spans(collected):
    return [
        span
        for request in collected
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def attributes(found):
    return {a.key: a.value.string_value or a.value.int_value for a in found.attributes}


def settings(tiny_export, **options):
    return Settings(artifact=tiny_export[1].folder, provider="cpu", threads=1, **options)


def test_a_request_is_a_span_of_the_clients_trace_with_its_analysis_inside(tiny_export, collected):
    set_ = settings(tiny_export, traces=True, grpc_port=free_port())
    with listening(set_) as address:
        image = address.get("/v1/samples/0.jpg").content
        answer = address.post(
            "/v1/explain?top=1", content=image, headers=SENT | {"content-type": "image/jpeg"}
        )
        assert answer.status_code == 200
        assert address.get("/nothing/secret", headers=SENT).status_code == 404
        with grpc.insecure_channel(f"127.0.0.1:{set_.grpc_port}") as channel:
            ask = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")
            ask(b"", timeout=PATIENCE, metadata=tuple(SENT.items()))
    found = {span.name: span for span in spans(collected) if span.trace_id.hex() == TRACE}
    asked = found["POST /v1/explain"]
    assert asked.parent_span_id.hex() == PARENT
    assert asked.trace_state == "vendor=1"
    told = attributes(asked)
    assert told["http.route"] == told["url.path"] == "/v1/explain"
    assert told["http.response.status_code"] == 200
    assert found["analyse"].parent_span_id == asked.span_id
    assert attributes(found["GET"])["error.type"] == "unknown-path"  # no client's word as a name
    assert "POST /inference.GRPCInferenceService/ServerLive" in found
    resource = attributes(collected[0].resource_spans[0].resource)
    assert (resource["service.name"], resource["team"]) == ("protohead", "birds")


def test_without_a_clients_trace_the_log_has_that_of_the_span(tiny_export, collected, monkeypatch):
    lines = []
    monkeypatch.setattr("serving.process.account.write_access", lines.append)
    with listening(settings(tiny_export, traces=True)) as address:
        address.get("/v1/model")
    assert [line["trace"] for line in lines] == [span.trace_id.hex() for span in spans(collected)]


def test_nothing_is_traced_unless_asked_for(tiny_export, collected):
    with listening(settings(tiny_export)) as address:
        address.get("/v1/model", headers=SENT)
    assert collected == []


@pytest.mark.parametrize(
    ("options", "extra"), [({"traces": True}, "otel"), ({"grpc_port": 1}, "grpc")]
)
def test_what_is_not_installed_is_said_before_the_start(tiny_export, monkeypatch, options, extra):
    monkeypatch.setattr(launch.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeSetupError, match=rf"pip install 'protohead\[{extra}\]'"):
        require_usable(settings(tiny_export, **options))

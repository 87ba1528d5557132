"""What a client may send before a body, and how long it may take; offers of HTTP/2 are declined."""

import io
import json
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack

import pytest
import tiny
from http_server import listening
from waiting import PATIENCE

from serving.process.settings import Settings
from serving.web.protocol import MAX_FIELDS, MAX_HEAD, LimitedProtocol


@pytest.fixture(scope="module")
def settings(tiny_export):
    return Settings(artifact=tiny_export[1].folder, provider="cpu", threads=1)


@pytest.fixture(scope="module")
def address(settings):
    with listening(settings) as address:
        yield address


def image():
    content = io.BytesIO()
    tiny.image(1, 70).save(content, "PNG")
    return content.getvalue()


def answer(connection):
    """Status, header fields and body of one answer."""
    file = connection.makefile("rb")
    status = int(file.readline().split()[1])
    fields = {}
    while line := file.readline().strip():
        name, _, value = line.decode().partition(": ")
        fields[name.lower()] = value
    return status, fields, file.read(int(fields["content-length"]))


def is_closed(connection):
    connection.settimeout(PATIENCE)
    try:
        return connection.recv(1) == b""
    except ConnectionError:  # the server closed with bytes of ours unread
        return True


def send_until_closed(connection, piece, most):
    """Send a piece again and again; returns the bytes that were taken before the server closed."""
    sent = 0
    try:
        while sent < most:
            connection.sendall(piece)
            sent += len(piece)
    except (ConnectionError, TimeoutError):
        return sent
    return sent


BEGIN = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
CHUNKED = (
    b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
ENDLESS = {
    "fields": (BEGIN, b"X-Field: value\r\n" * 100),
    "one value": (BEGIN + b"X-Field: ", b"v" * 4096),
    "one name": (BEGIN, b"n" * 4096),
    "an address": (b"GET /", b"a" * 4096),
    "empty lines": (b"", b"\r\n" * 2048),
    "trailers": (CHUNKED + b"1\r\nx\r\n0\r\n", b"T: value\r\n" * 100),
    "one trailer": (CHUNKED + b"1\r\nx\r\n0\r\nT: ", b"v" * 4096),
    "an extension of a chunk": (CHUNKED + b"1;x=", b"e" * 4096),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_what_never_ends_before_or_behind_a_body_is_cut_off(address, name):
    begin, piece = ENDLESS[name]
    with address.connect() as connection:
        connection.sendall(begin)
        # The system's own buffers on both sides take some megabytes more than the server reads.
        assert send_until_closed(connection, piece, 64 * 2**20) < 32 * 2**20
    assert address.get("/v1/model").status_code == 200


@pytest.mark.parametrize("count", [MAX_FIELDS, MAX_FIELDS + 1])
def test_a_head_has_at_most_a_hundred_fields(address, count):
    fields = b"".join(b"X-%d: v\r\n" % number for number in range(count - 1))
    with address.connect() as connection:
        connection.sendall(b"GET /v1/model HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n")
        status, found, body = answer(connection)
        assert status == (200 if count == MAX_FIELDS else 431)
        if status == 431:
            problem = json.loads(body)
            assert (problem["type"], found["connection"]) == ("urn:protohead:head", "close")
            assert is_closed(connection)


@pytest.mark.parametrize("more", [0, 1])
def test_trailers_are_fields_too(address, more):
    content = image()
    count = MAX_FIELDS - CHUNKED.count(b": ") + more
    trailers = b"".join(b"T-%d: v\r\n" % number for number in range(count))
    with address.connect() as connection:
        chunk = b"%x\r\n%s\r\n" % (len(content), content)
        connection.sendall(CHUNKED + chunk + b"0\r\n" + trailers + b"\r\n")
        assert answer(connection)[0] == (431 if more else 200)


def test_a_head_above_its_limit_is_refused_though_it_comes_whole(address):
    with address.connect() as connection:
        connection.sendall(BEGIN + b"X-Field: " + b"v" * MAX_HEAD + b"\r\n\r\n")
        assert answer(connection)[0] == 431


def test_every_request_of_a_connection_has_a_head_of_its_own(address):
    head = b"GET /v1/model HTTP/1.1\r\nHost: x\r\nX-Field: " + b"v" * (MAX_HEAD // 2) + b"\r\n\r\n"
    with address.connect() as connection:
        for _ in range(3):
            connection.sendall(head)
            assert answer(connection)[0] == 200


def test_small_chunks_of_a_long_body_are_no_head(address):
    content = image()
    pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in content * (MAX_HEAD // len(content)))
    with address.connect() as connection:
        connection.sendall(CHUNKED + pieces + b"0\r\n\r\n")
        assert answer(connection)[0] == 200  # PNG: what stands behind its end is not read


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"GET", BEGIN, BEGIN + b"X-Field: "])
@pytest.mark.parametrize("is_kept", [False, True])
def test_a_head_that_is_never_finished_is_closed_in_time(settings, monkeypatch, begun, is_kept):
    if is_kept and not begun:
        return  # an idle connection has a time limit of its own
    monkeypatch.setattr(LimitedProtocol, "seconds", 0.2)
    with listening(settings) as address, address.connect() as connection:
        if is_kept:
            connection.sendall(BEGIN.replace(b"healthz", b"v1/model") + b"\r\n")
            assert answer(connection)[0] == 200
        connection.sendall(begun)
        assert answer(connection)[0] == 408
        assert is_closed(connection)


def test_a_body_may_take_longer_than_a_head(settings, monkeypatch):
    monkeypatch.setattr(LimitedProtocol, "seconds", 0.2)
    content = image()
    with (
        listening(settings) as address,
        address.begin("/v1/predict", content[:20], len(content)) as connection,
    ):
        time.sleep(0.5)
        connection.sendall(content[20:])
        assert answer(connection)[0] == 200


def test_many_that_never_finish_leave_the_server_to_others(address):
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(address.connect()).sendall(BEGIN)
        assert address.get("/v1/model").status_code == 200


OFFER = (  # as java.net.http.HttpClient of Java 17 sends it unless it is told not to
    b"Connection: Upgrade, HTTP2-Settings\r\n"
    b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
    b"Upgrade: h2c\r\nUser-Agent: Java-http-client/17.0.9\r\n"
)


def post(content, length):
    return b"POST /v1/predict HTTP/1.1\r\n" + OFFER + b"Host: x\r\n" + length + content


@pytest.mark.parametrize("form", ["whole", "head first", "chunked", "in single bytes"])
def test_a_client_that_offers_http_2_is_answered_in_http_1(address, form):
    content = image()
    expected = address.post("/v1/predict", content=content, headers={"content-type": "image/png"})
    kind = b"Content-Type: image/png\r\n"
    if form == "chunked":
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)
        head = post(b"", kind + b"Transfer-Encoding: chunked\r\n\r\n")
    else:
        body = content
        head = post(b"", kind + b"Content-Length: %d\r\n\r\n" % len(content))
    with address.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(2):  # the connection stays
            sent = head + body
            pieces = {"head first": (head, body), "in single bytes": [bytes((b,)) for b in sent]}
            for piece in pieces.get(form, (sent,)):
                connection.sendall(piece)
            status, _, found = answer(connection)
            assert (status, found) == (200, expected.content)


JAVA = """
import java.net.URI; import java.net.http.*; import java.nio.file.Path;
public class Client {
  public static void main(String[] a) throws Exception {
    var client = HttpClient.newHttpClient();  // HTTP/2 is its default
    for (int i = 0; i < 2; i++) {
      var request = HttpRequest.newBuilder(URI.create(a[0])).header("Content-Type", "image/png")
        .POST(HttpRequest.BodyPublishers.ofFile(Path.of(a[1]))).build();
      var answer = client.send(request, HttpResponse.BodyHandlers.ofString());
      System.out.println(answer.statusCode() + " " + answer.version() + " " + answer.body());
    }
  }
}
"""


@pytest.mark.skipif(not shutil.which("javac"), reason="no JDK here; its bytes are tested above")
def test_javas_own_client_is_answered_by_default(address, tmp_path):
    (tmp_path / "Client.java").write_text(JAVA)
    (tmp_path / "a.png").write_bytes(image())
    command = ["java", tmp_path / "Client.java", f"{address.url}/v1/predict", tmp_path / "a.png"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    headers = {"content-type": "image/png"}
    expected = address.post("/v1/predict", content=image(), headers=headers).text
    assert done.stdout.splitlines() == 2 * [f"200 HTTP_1_1 {expected}"]


def test_an_offer_without_a_body_is_declined_too(address):
    with address.connect() as connection:
        head = b"GET /v1/model HTTP/1.1\r\n" + OFFER + b"Host: x\r\n\r\n"
        connection.sendall(head + head)  # the second one before the first is answered
        assert [answer(connection)[0]] == [200]


def test_who_offers_http_2_may_close_the_connection_all_the_same(address):
    offer = OFFER.replace(b"Upgrade, HTTP2-Settings", b"UPGRADE, close, http2-settings")
    with address.connect() as connection:
        connection.sendall(b"GET /v1/model HTTP/1.1\r\n" + offer + b"Host: x\r\n\r\n")
        status, fields, _ = answer(connection)
        assert (status, fields["connection"]) == (200, "close")
        assert is_closed(connection)


def test_this_is_no_proxy(address):
    with address.connect() as connection:
        connection.sendall(b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer(connection)[0] == 400


def test_what_is_no_http_is_told_so(address):
    with address.connect() as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        status, fields, body = answer(connection)
        assert (status, fields["content-type"]) == (400, "application/problem+json")
        assert json.loads(body)["type"] == "urn:protohead:malformed"

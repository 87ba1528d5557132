"""What is refused, how it is said, and what is written down about it."""

import base64
import io
import json
import re
import struct
import threading
import zlib
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
import tiny
from http_server import listening
from PIL import Image
from waiting import PATIENCE, until

from serving.answers import answerer
from serving.answers.problems import ProblemError
from serving.answers.schema import PredictOptions
from serving.errors import SettingsError
from serving.process import tokens
from serving.process.pool import Pool
from serving.process.settings import Settings, core_count
from serving.process.tokens import Tokens
from serving.web import host
from serving.web.host import Host

PNG = {"content-type": "image/png"}
MAX_BODY = 100_000
MAX_PIXELS = 10_000


def encoded(size=(tiny.SIZE, tiny.SIZE), form="PNG"):
    content = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(content, form)
    return content.getvalue()


@pytest.fixture(scope="module")
def settings(tiny_export):
    return Settings(
        artifact=tiny_export[1].folder,
        provider="cpu",
        threads=1,
        max_body=MAX_BODY,
        max_pixels=MAX_PIXELS,
        max_images=3,
        max_classes=2,
    )


@pytest.fixture(scope="module")
def client(settings):
    with listening(settings) as address, address.client() as client:
        yield client


def refused(answer, status, kind):
    """Check the one shape of all errors; returns the detail."""
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (status, f"urn:protohead:{kind}")
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["instance"] == answer.headers["x-request-id"]
    assert "Traceback" not in answer.text
    return problem["detail"]


def multipart(*parts, end=b"--x--\r\n"):
    head = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    return b"".join(head % part for part in parts) + end


FORM = {"content-type": "multipart/form-data; boundary=x"}
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("content", "headers", "status", "kind"),
    [
        (b"", {}, 415, "media-type"),
        (encoded(), {}, 415, "media-type"),
        (encoded(), {"content-type": "text/plain"}, 415, "media-type"),
        (b"", PNG, 422, "options"),
        (b"text", PNG, 415, "media-type"),
        (encoded(form="TIFF"), {"content-type": "image/tiff"}, 415, "media-type"),
        (encoded()[:60], PNG, 422, "image"),
        (encoded((101, 100)), PNG, 422, "image"),
        (b"{", JSON, 400, "malformed"),
        (b"[]", JSON, 400, "malformed"),
        (b"[" * 5000, JSON, 400, "malformed"),
        (b"{}", JSON, 422, "options"),
        (b'{"images": []}', JSON, 422, "options"),
        (b'{"image": "", "images": []}', JSON, 422, "options"),
        (b'{"image": 3}', JSON, 422, "options"),
        (b'{"image": "%%%"}', JSON, 422, "options"),
        (b'{"image": "http://127.0.0.1:9/a.png"}', JSON, 422, "options"),
        (multipart((b"image", encoded())), {"content-type": "multipart/form-data"}, 400,
         "malformed"),
        (multipart((b"image", encoded()), end=b""), FORM, 400, "malformed"),
        (b"nonsense", FORM, 400, "malformed"),
        (multipart((b"top", b"1")), FORM, 422, "options"),
        (multipart((b"image", encoded()), (b"top", b"\xff")), FORM, 400, "malformed"),
        (multipart((b"image", encoded()), (b"nothing", b"1")), FORM, 422, "options"),
        (multipart((b"image", b"http://127.0.0.1:9/a.png")), FORM, 415, "media-type"),
        (multipart(*4 * [(b"image", encoded())]), FORM, 413, "too-large"),
        (multipart(*1001 * [(b"a", b"")]), FORM, 400, "malformed"),
        (b'--x\r\nContent-Disposition: form-data; name="image"; x="%s"\r\n\r\n\r\n--x--\r\n'
         % (9000 * b"a"), FORM, 400, "malformed"),
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_used_is_refused(client, content, headers, status, kind):
    for path in ("/v1/predict", "/v1/explain", "/predict"):
        assert refused(client.post(path, content=content, headers=headers), status, kind)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/predict?top=0", "top"),
        ("/v1/predict?top=x", "top"),
        ("/v1/predict?top=1&top=2", "twice"),
        ("/v1/predict?classes=0", "classes"),
        ("/v1/explain?top=3", "at most 2"),
        ("/v1/explain?top=1&classes=0", "both"),
        ("/v1/explain?classes=violet", "violet"),
        ("/v1/explain?classes=3", "0 to 2"),
        ("/v1/explain?classes=-1", "-1"),
        ("/v1/explain?classes=0,1,2", "at most 2"),
        ("/v1/explain?classes=", "''"),
        ("/v1/explain?mute=red", "mute"),
        ("/v1/explain?mute=red:2", "0 to 1"),
        ("/v1/explain?mute=red:-1", "mute"),
        ("/v1/explain?heatmaps=jpeg", "heatmaps"),
        ("/v1/explain?upsample=100000", "upsample"),
        ("/v1/contrast?a=0", "b"),
        ("/v1/contrast?a=0&b=red", "differ"),
    ],
)
def test_a_wrong_option_is_named(client, path, words):
    assert words in refused(client.post(path, content=encoded(), headers=PNG), 422, "options")


def test_a_contrast_is_of_one_image(client):
    files = 2 * [("image", ("a.png", encoded()))]
    refused(client.post("/v1/contrast?a=0&b=1", files=files), 413, "too-large")


def test_a_body_is_refused_at_its_declared_length_and_while_it_streams(client):
    image = encoded()
    longest = image + bytes(MAX_BODY - len(image))  # decoders leave what follows an image alone
    body = longest + b"0"
    assert client.post("/v1/predict", content=longest, headers=PNG).status_code == 200
    assert client.post("/v1/predict", content=iter([longest]), headers=PNG).status_code == 200
    words = refused(client.post("/v1/predict", content=body, headers=PNG), 413, "too-large")
    assert str(MAX_BODY) in words
    refused(client.post("/v1/predict", content=iter([body]), headers=PNG), 413, "too-large")
    chunks = (body[i : i + 10_000] for i in range(0, len(body), 10_000))
    refused(client.post("/v1/predict", content=chunks, headers=PNG), 413, "too-large")


# pytest's own filters come before the one of serving/model/preprocess.py.
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_by_its_header(client):
    image = bytearray(encoded())
    image[16:24] = struct.pack(">II", 10_000, 10_000)  # width and height of a PNG
    image[29:33] = struct.pack(">I", zlib.crc32(image[12:29]))
    detail = refused(client.post("/v1/predict", content=bytes(image), headers=PNG), 422, "image")
    assert "10000 x 10000" in detail


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_every_promised_format_is_answered(client, form):
    assert client.post("/v1/predict", content=encoded(form=form), headers=PNG).status_code == 200


def test_of_an_animation_the_first_frame_counts(client):
    frames = [tiny.image(label, 50).quantize(64) for label in (2, 0)]
    still, moving = io.BytesIO(), io.BytesIO()
    frames[0].save(still, "GIF")
    frames[0].save(moving, "GIF", save_all=True, append_images=frames[1:])
    answers = [
        client.post("/v1/predict", content=c.getvalue(), headers=PNG).json()
        for c in (still, moving)
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nothing", 404, "unknown-path"),
        ("GET", "/page/nothing.js", 404, "unknown-path"),
        ("GET", "/page/../api.py", 404, "unknown-path"),
        ("GET", "/docs", 404, "unknown-path"),
        ("GET", "/v1/classes/violet/prototypes", 404, "unknown-path"),
        ("GET", "/v1/predict", 405, "unknown-method"),
        ("DELETE", "/v1/model", 405, "unknown-method"),
        ("POST", "/", 405, "unknown-method"),
    ],
)
def test_what_is_not_there_is_a_problem_too(client, method, path, status, kind):
    refused(client.request(method, path), status, kind)


def test_an_unexpected_failure_says_nothing_of_the_inside(tiny_export, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("secret path /srv/x")

    monkeypatch.setattr("serving.web.routes_model._model", broken)
    settings = Settings(artifact=tiny_export[1].folder, provider="cpu", threads=1)
    with listening(settings) as address:
        answer = address.get("/v1/model", headers={"x-request-id": "mine-1"})
    assert "secret" not in refused(answer, 500, "internal")
    assert answer.headers["x-request-id"] == "mine-1"
    assert "mine-1" in caplog.text
    assert "secret" in caplog.text  # the operator sees it


def test_requests_beyond_the_concurrency_are_told_to_come_back(tiny_export, monkeypatch):
    entered, release = threading.Event(), threading.Event()

    def slow(*_):
        entered.set()
        release.wait(PATIENCE)
        return b"{}"

    monkeypatch.setattr("serving.web.routes_answers._predict", slow)
    settings = Settings(
        artifact=tiny_export[1].folder, provider="cpu", threads=1, concurrency=1, timeout=PATIENCE
    )
    with listening(settings) as address:
        first = []
        ask = lambda: address.post("/v1/predict", content=encoded(), headers=PNG)  # noqa: E731
        thread = threading.Thread(target=lambda: first.append(ask()))
        thread.start()
        assert entered.wait(PATIENCE)
        answer = ask()
        refused(answer, 429, "busy")
        assert int(answer.headers["retry-after"]) >= 1
        assert address.get("/v1/model").status_code == 200  # only work is counted
        link = address.get("/v1/samples").json()["samples"][0]["url"]
        assert address.get(link).status_code == 200
        release.set()
        thread.join(PATIENCE)
        assert first[0].status_code == 200
        assert ask().status_code == 200


def test_an_answer_that_takes_too_long_is_given_up(tiny_export, monkeypatch):
    release, limits = threading.Event(), []
    run = Pool.run

    def impatient(pool, call, seconds):
        limits.append(seconds)
        return run(pool, call, 0.01)

    # Not a shorter limit in the settings: it would count for receiving the image, too.
    monkeypatch.setattr(Pool, "run", impatient)
    monkeypatch.setattr("serving.web.routes_answers._predict", lambda *_: release.wait() and b"")
    settings = Settings(artifact=tiny_export[1].folder, provider="cpu", threads=1, timeout=77)
    with listening(settings) as address:
        try:
            answer = address.post("/v1/predict", content=encoded(), headers=PNG)
        finally:
            release.set()
    refused(answer, 503, "timeout")
    assert int(answer.headers["retry-after"]) >= 1
    assert limits == [77]


def test_slow_senders_hold_no_place_among_the_analyses(tiny_export):
    settings = Settings(
        artifact=tiny_export[1].folder, provider="cpu", threads=1, concurrency=2, timeout=PATIENCE
    )
    with listening(settings) as address, ExitStack() as stack:
        ask = lambda: address.post("/v1/predict", content=encoded(), headers=PNG)  # noqa: E731
        for _ in range(7):
            stack.enter_context(address.begin("/v1/predict", b"ab", 1000))
        assert ask().status_code == 200
        stack.enter_context(address.begin("/v1/predict", b"ab", 1000))
        refused(ask(), 429, "busy")  # but not without end


def test_no_image_is_begun_when_nobody_waits_any_more(tiny_export, monkeypatch):
    begun = []
    decode = answerer.decode
    clock = SimpleNamespace(monotonic=lambda: 0.5 * len(begun))  # an image takes half a second

    def slow(*arguments, **options):
        begun.append(1)
        return decode(*arguments, **options)

    monkeypatch.setattr(answerer, "decode", slow)
    monkeypatch.setattr(answerer, "time", clock)
    monkeypatch.setattr(host, "time", clock)
    settings = Settings(artifact=tiny_export[1].folder, provider="cpu", threads=1, timeout=0.7)
    body = (encoded(),) * 5
    with pytest.raises(ProblemError) as refusal:
        started(settings).answerer().predict(body, PredictOptions())
    assert (refusal.value.kind, len(begun)) == ("timeout", 2)


def started(settings):
    """What stands behind the routes, without HTTP."""
    made = Host(settings)
    made.start()
    made.stop()
    return made


def test_more_drawing_than_allowed_is_refused_before_it_begins(tiny_export):
    settings = Settings(
        artifact=tiny_export[1].folder, provider="cpu", threads=1, max_drawn=100_000
    )
    k = tiny_export[0].prototypes
    side = 100
    most = 100_000 // (k * side * side)  # classes
    assert 1 <= most < 2 * len(tiny.LABELS)
    with listening(settings) as address:

        def ask(path, images, **options):
            files = [("image", ("a.png", encoded()))] * images
            return address.post(path, files=files, data=options)

        drawn = {"heatmaps": "png", "upsample": str(side)}
        assert ask("/v1/explain", most, top="1", **drawn).status_code == 200
        detail = refused(ask("/v1/explain", most + 1, top="1", **drawn), 413, "too-large")
        assert "100000 pixels" in detail
        assert ask("/v1/explain", most + 1, top="1").status_code == 200  # values cost no drawing
        big = {"heatmaps": "png", "upsample": "1024"}
        refused(ask("/v1/contrast", 1, a="red", b="green", **big), 413, "too-large")


def test_a_damaged_image_is_told_the_formats_that_are_read(client):
    answer = client.post("/v1/predict", content=encoded()[:60], headers=PNG)
    assert "TIFF" not in refused(answer, 422, "image")


def test_long_words_of_a_client_are_not_given_back_whole(client):
    long = "x" * 5000
    files = [("image", ("a.png", encoded()))]
    for data in ({"classes": long}, {long: "1"}):
        assert len(client.post("/v1/explain", files=files, data=data).text) < 2000


def test_a_body_that_comes_too_slowly_is_given_up(tiny_export):
    settings = Settings(artifact=tiny_export[1].folder, provider="cpu", threads=1, timeout=0.3)
    with (
        listening(settings) as address,
        address.begin("/v1/predict", encoded(), 1000) as connection,
        connection.makefile("rb") as answer,  # nothing more is ever sent
    ):
        assert answer.readline().split()[1] == b"408"
        headers = dict(line.split(b": ", 1) for line in iter(answer.readline, b"\r\n"))
        problem = json.loads(answer.read(int(headers[b"content-length"])))
    assert problem["type"] == "urn:protohead:slow"
    assert "within 0.3 s" in problem["detail"]


@pytest.fixture
def guarded(tiny_export, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("# who may ask\nalpha-token\n\nbeta-token\n")
    return Settings(artifact=tiny_export[1].folder, provider="cpu", threads=1, tokens=tokens)


def test_with_tokens_only_their_bearers_are_answered(guarded):
    with listening(guarded) as address, address.client() as client:
        for path in ("/v1/model", "/v2", "/v1/classes", "/nothing"):
            answer = client.get(path)
            refused(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
        wrong = ("Bearer alpha", "Bearer alpha-token2", "Basic alpha-token", "alpha-token",
                 "Bearer", "Bearer # who may ask", "Bearer \xff")  # fmt: skip
        for header in wrong:
            headers = {"authorization": header.encode("latin-1")}
            refused(client.get("/v1/model", headers=headers), 401, "unauthorized")
        for token in ("alpha-token", "beta-token"):
            headers = {"authorization": f"Bearer {token}"}
            assert client.get("/v1/model", headers=headers).status_code == 200
            answer = client.post("/v1/predict", content=encoded(), headers=PNG | headers)
            assert answer.status_code == 200
        sample = client.get("/v1/samples/0.jpg", headers=headers)
        assert sample.headers["cache-control"].startswith("private")  # not for shared caches


def test_tokens_are_read_again_when_their_file_changes(guarded, monkeypatch, caplog):
    monkeypatch.setattr(tokens, "SECONDS_BETWEEN_LOOKS", 0.0)
    fresh = guarded.tokens.with_name("fresh")

    def status(token):
        headers = {"authorization": f"Bearer {token}"}
        return client.get("/v1/model", headers=headers).status_code

    with listening(guarded) as address, address.client() as client:
        assert (status("alpha-token"), status("gamma-token")) == (200, 401)
        fresh.write_text("gamma-token\n")
        fresh.replace(guarded.tokens)
        assert (status("alpha-token"), status("gamma-token")) == (401, 200)
        guarded.tokens.write_text("")  # whoever empties the file wants nobody in
        assert status("gamma-token") == 401
        guarded.tokens.unlink()
        assert status("gamma-token") == 401
        assert status("gamma-token") == 401
        guarded.tokens.write_text("alpha-token")
        assert status("alpha-token") == 200
    found = [r.getMessage() for r in caplog.records if "nobody may ask" in r.getMessage()]
    assert len(found) == 2  # once a change, not once a request
    assert not any(word in caplog.text for word in ("alpha", "beta", "gamma"))


@pytest.mark.parametrize(
    ("setting", "paths"),
    [
        ("open_health", ["/metrics", "/v2/health/live"]),
        ("open_docs", ["/", "/page/api.js", "/openapi.json", "/v1/samples", "/v1/samples/0.jpg"]),
    ],
)
def test_health_and_docs_are_open_or_closed_as_set(guarded, setting, paths):
    for allowed in (True, False):
        with listening(guarded.model_copy(update={setting: allowed})) as address:
            for path in paths:
                status = address.get(path).status_code
                assert status == (200 if allowed else 401), path


@pytest.mark.parametrize("text", ["", "# nothing\n\n"])
def test_a_file_without_tokens_is_refused(tmp_path, text):
    path = tmp_path / "tokens"
    path.write_text(text)
    with pytest.raises(SettingsError, match="one token a line"):
        Tokens(path)
    with pytest.raises(SettingsError, match="cannot read"):
        Tokens(tmp_path / "none")


def test_the_page_may_load_nothing_from_elsewhere(client):
    headers = client.get("/").headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    for closed in ("frame-ancestors", "base-uri", "form-action"):
        assert policy[closed] == "'none'"


def test_every_answer_keeps_other_pages_out_whatever_it_is(client):
    answers = [client.get(path) for path in ("/", "/v1/model", "/metrics", "/page/app.js", "/none")]
    answers += [client.post("/v1/predict", content=encoded(), headers=PNG), client.head("/")]
    for headers in (answer.headers for answer in answers):
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "default-src 'none'" in headers["content-security-policy"]


def test_a_request_id_is_taken_over_only_when_harmless(client):
    for harmless in ("a.B-9", "x" * 64):
        answer = client.get("/v1/model", headers={"x-request-id": harmless})
        assert answer.headers["x-request-id"] == harmless
    for hostile in ('a"b', "a b", "x" * 65, ""):
        found = client.get("/v1/model", headers={"x-request-id": hostile}).headers["x-request-id"]
        assert found != hostile
        assert len(found) == 16


@pytest.fixture
def lines(monkeypatch):
    found = []
    monkeypatch.setattr("serving.process.account.write_access", found.append)
    return found


def test_the_log_has_one_line_a_request_without_its_content(client, lines):
    image = encoded()
    body = {"image": base64.b64encode(image).decode(), "top": 2}
    client.post("/v1/explain?secret=word", json=body, headers={"x-request-id": "one"})
    client.post("/v1/predict", json=body, headers={"x-request-id": "two"})
    # A line comes after its answer: the second may not be there yet, another test's last one may.
    until(lambda: "two" in {line["id"] for line in lines})
    first, second = (line for line in lines if line["id"] in ("one", "two"))
    assert (first["id"], first["route"], first["status"]) == ("one", "/v1/explain", 422)
    assert first["problem"] == "options"
    assert (second["id"], second["route"], second["status"]) == ("two", "/v1/predict", 200)
    assert second["problem"] is None
    assert second["ms"] > 0
    text = json.dumps(lines)
    assert body["image"][:20] not in text
    assert "word" not in text


def test_the_log_counts_the_bytes_that_are_sent(client, lines):
    for method in ("GET", "HEAD"):
        answer = client.request(method, "/v1/classes", headers={"x-request-id": method})
        until(lambda name=method: name in {line["id"] for line in lines})
        (line,) = (line for line in lines if line["id"] == method)
        assert line["bytes"] == len(answer.content)
        assert (line["bytes"] > 0) is (method == "GET")


def samples(client):
    text = client.get("/metrics").text
    lines = [line for line in text.splitlines() if line.startswith("protohead_")]
    return dict(line.rsplit(" ", 1) for line in lines)


def test_metrics_count_answers_and_refusals(client):
    before = samples(client)
    client.post("/v1/explain", content=encoded(), headers=PNG)
    client.post("/v1/predict", content=b"text", headers=PNG)
    after = samples(client)

    def grown(name):
        return float(after[name]) - float(before.get(name, 0))

    assert grown('protohead_rejected_total{kind="media-type"}') == 1
    assert grown("protohead_residual_count") == 1
    labels = [name for name in after if name.startswith("protohead_predictions_total")]
    assert sum(grown(name) for name in labels) == 1
    count = 'protohead_request_seconds_count{method="POST",route="/v1/explain",status="200"}'
    assert grown(count) == 1


def test_no_label_grows_with_what_clients_send(client):
    client.get("/nothing/0")
    client.request("INVENTED0", "/nothing")
    client.request("PUT", "/nothing")
    samples(client)  # this route, too, has been asked for before
    before = samples(client).keys()
    for number in range(1, 30):
        client.get(f"/nothing/{number}", headers={"x-request-id": f"r{number}"})
        client.get(f"/v1/classes/{number % 3}/prototypes?x={number}")
        client.request(f"INVENTED{number}", "/nothing")
        client.request(("PATCH", "LOCK", "PURGE")[number % 3], "/nothing")
    new = samples(client).keys() - before
    assert {name.partition("{")[2] for name in new if "_bucket" not in name} <= {
        'method="GET",route="/v1/classes/{id}/prototypes",status="200"}'
    }


def test_settings_come_from_the_environment_and_go_back_into_it():
    variables = {"PROTOHEAD_ARTIFACT": "/a", "PROTOHEAD_MAX_IMAGES": "7", "PROTOHEAD_TOKENS": "",
                 "HOME": "/"}  # fmt: skip
    settings = Settings.from_environment(variables)
    assert (settings.max_images, settings.tokens) == (7, None)
    assert Settings.from_environment(settings.to_environment()) == settings


@pytest.mark.parametrize(
    ("name", "value"), [("MAX_IMAGES", "0"), ("PROVIDER", "tpu"), ("MAX_IMAGE", "3")]
)
def test_a_wrong_setting_is_named(name, value):
    with pytest.raises(SettingsError, match=f"PROTOHEAD_{name}"):
        Settings.from_environment({f"PROTOHEAD_{name}": value})


def test_the_server_listens_on_this_machine_only_unless_told_otherwise():
    assert Settings().host == "127.0.0.1"


def test_threads_and_workers_share_the_cores(monkeypatch):
    monkeypatch.setattr("serving.process.settings.core_count", lambda: 8)
    assert (Settings().process_count, Settings().thread_count) == (8, 1)
    assert (Settings(workers=2).process_count, Settings(workers=2).thread_count) == (2, 4)
    assert Settings(provider="cuda").process_count == 1
    monkeypatch.setattr("serving.process.settings.cuda_works", lambda: True)
    assert Settings(provider="auto").process_count == 1
    assert Settings(provider="cpu").process_count == 8
    assert Settings(provider="auto", workers=3).process_count == 3
    assert Settings(workers=3, threads=5).thread_count == 5


@pytest.mark.parametrize(
    ("cores", "workers", "calls"),
    [(1, 1, 3), (2, 1, 3), (2, 2, 3), (8, 1, 9), (8, 2, 5), (8, 8, 3)],
)
def test_a_worker_computes_one_request_more_than_it_has_cores(monkeypatch, cores, workers, calls):
    monkeypatch.setattr("serving.process.settings.core_count", lambda: cores)
    assert Settings(workers=workers).calls_at_once == calls


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 2),
                         ("10000 100000", 1), ("6400000 100000", 8), ("", 8)],
)  # fmt: skip
def test_a_container_may_use_as_many_cores_as_its_quota_gives(monkeypatch, tmp_path, quota, cores):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    (tmp_path / "cpu.max").write_text(quota)
    assert core_count(tmp_path / "cpu.max") == cores
    assert core_count(tmp_path / "nothing") == 8


def test_what_kubernetes_sets_for_a_service_of_our_name_is_no_setting():
    links = {
        "PROTOHEAD_SERVICE_HOST": "10.0.0.1",
        "PROTOHEAD_SERVICE_PORT": "80",
        "PROTOHEAD_SERVICE_PORT_HTTP": "80",
        "PROTOHEAD_PORT": "tcp://10.0.0.1:80",
        "PROTOHEAD_PORT_80_TCP": "tcp://10.0.0.1:80",
        "PROTOHEAD_PORT_80_TCP_ADDR": "10.0.0.1",
    }
    assert Settings.from_environment(links) == Settings()
    assert Settings.from_environment({"PROTOHEAD_PORT": "3100"}).port == 3100


def test_the_host_is_an_address():
    assert Settings(host="localhost").host == "127.0.0.1"
    assert Settings(host="::").host == "::"
    with pytest.raises(SettingsError, match=r"PROTOHEAD_HOST: .*expected an IP address"):
        Settings.from_environment({"PROTOHEAD_HOST": "example.org"})


def test_the_host_reports_that_it_is_starting(settings):
    with pytest.raises(ProblemError, match="starting"):
        _ = Host(settings).served


def test_the_description_says_whether_a_token_is_asked_for(tiny_export, client, tmp_path):
    assert "security" not in client.get("/openapi.json").json()
    (tmp_path / "tokens").write_text("secret\n")
    closed = Settings(
        artifact=tiny_export[1].folder, provider="cpu", threads=1, tokens=tmp_path / "tokens"
    )
    with listening(closed) as address:
        described = address.get("/openapi.json").json()
    (scheme,) = described["components"]["securitySchemes"].values()
    assert scheme == {"type": "http", "scheme": "bearer"}
    assert described["security"]


def test_the_page_and_the_description_have_routes_of_their_own_in_the_metrics(client):
    client.get("/openapi.json"), client.get("/page/app.js"), client.get("/page/nothing.js")
    routes = set(
        re.findall(r'request_seconds_count\{.*route="([^"]*)"', client.get("/metrics").text)
    )
    assert {"/openapi.json", "/page/"} <= routes
    assert "/page/app.js" not in routes


def test_cuda_that_is_offered_but_does_not_run_is_told_to_whoever_runs_the_server(
    tiny_export, monkeypatch, caplog
):
    monkeypatch.setattr("serving.process.live.cuda_offered", lambda: True)
    for asked, told in (("auto", "CUDA is offered but does not run here"), ("cpu", None)):
        with listening(
            Settings(artifact=tiny_export[1].folder, provider=asked, threads=1)
        ) as address:
            ready = address.get("/readyz").json()["provider"]
            assert ready == address.get("/v1/model").json()["provider"]
        assert (ready["asked"], ready["running"]) == (asked, ["CPUExecutionProvider"])
        assert told in ready["doubt"] if told else ready["doubt"] is None
    assert caplog.text.count("CUDA is offered but does not run here") == 1

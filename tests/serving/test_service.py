"""The server as it runs in production: BentoML's supervisor, its workers, and the real client."""

import io
import json
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tiny
import tritonclient.grpc as triton
from http_server import free_port
from manifests import write_manifest
from PIL import Image
from places import ROOT
from supervised import PNG, alive, environment, image, listening_on, started
from waiting import PATIENCE, until

from serving.artifact import MANIFEST, sha256_of
from serving.process.settings import Settings
from serving.web.launch import command


def serve(artifact, folder, workers, **variables):
    port = free_port()
    program = str(Path(sys.executable).with_name("protohead"))
    words = [program, "serve", str(artifact), "--port", str(port), "--workers", str(workers),
             "--threads", "1", "--provider", "cpu"]  # fmt: skip
    return started(words, port, folder, **variables)


@pytest.fixture(scope="module")
def artifacts(tiny_export, tmp_path_factory):
    """Two artifacts of one model, told apart by their manifest, and a bad one."""
    folder = tmp_path_factory.mktemp("artifacts")
    for name in ("one", "two", "bad"):
        shutil.copytree(tiny_export[1].folder, folder / name)
    manifest = json.loads((folder / "two" / MANIFEST).read_bytes())
    write_manifest(folder / "two", manifest)  # the same, written otherwise
    (folder / "bad" / "model.onnx").write_bytes(b"truncated")
    return folder


@pytest.fixture(scope="module")
def server(artifacts, tmp_path_factory):
    link = artifacts / "served"
    link.symlink_to(artifacts / "one")
    with serve(link, tmp_path_factory.mktemp("server"), workers=2) as server:
        until(lambda: len(server.workers()) == 2)
        yield server


def test_bentomls_health_and_our_metrics_answer(server):
    for path in ("/livez", "/readyz", "/healthz"):
        assert server.get(path).status_code == 200
    server.post("/v1/explain", content=image(), headers=PNG)
    assert "protohead_residual_count" in server.get("/metrics").text


def test_the_start_ends_with_the_address(server):
    until(lambda: f'"Open http://127.0.0.1:{server.port}"' in server.log.read_text())


def test_it_is_not_ready_while_every_thread_is_at_what_nobody_waits_for(artifacts, tmp_path):
    large = io.BytesIO()
    Image.new("L", (6000, 6000)).save(large, "PNG")
    enough = threading.Event()

    def load():
        while not enough.is_set():
            server.post("/v1/predict", content=large.getvalue(), headers=PNG)

    few = {"PROTOHEAD_TIMEOUT": "0.05", "PROTOHEAD_CONCURRENCY": "1000"}
    with serve(artifacts / "one", tmp_path, workers=1, **few) as server:
        clients = [threading.Thread(target=load) for _ in range(12)]
        for client in clients:
            client.start()
        until(lambda: server.get("/readyz").status_code == 503)
        enough.set()
        for client in clients:
            client.join(PATIENCE)
        until(server.ready)
        assert server.get("/readyz").json()["provider"]["running"] == ["CPUExecutionProvider"]


def test_tritons_grpc_client_is_answered_by_workers_that_share_the_port(artifacts, tmp_path):
    port = free_port()
    with serve(artifacts / "one", tmp_path, workers=2, PROTOHEAD_GRPC_PORT=str(port)) as server:
        until(lambda: len(server.workers()) == 2)
        name = server.get("/v1/model").json()["name"]
        tensor = triton.InferInput("image", [1, 3, tiny.SIZE, tiny.SIZE], "FP32")
        tensor.set_data_from_numpy(np.zeros((1, 3, tiny.SIZE, tiny.SIZE), np.float32))
        answers = set()
        for _ in range(12):  # each on a connection of its own
            with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
                answers.add(client.infer(name, [tensor]).as_numpy("logits").tobytes())
        assert len(answers) == 1
        until(lambda: all(listening_on(worker, port) for worker in server.workers()))
        done = subprocess.run(
            [Path(sys.executable).with_name("protohead"), "serve", artifacts / "one",
             "--port", str(free_port()), "--grpc-port", str(port)],
            env=environment(tmp_path), capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 1
        assert f"--grpc-port: expected a free port, {port} of 127.0.0.1 is not" in done.stderr


def test_health_answers_other_methods_with_a_problem(server):
    for path in ("/livez", "/readyz", "/healthz", "/schema.json"):
        assert server.request("HEAD", path).status_code == 200
        answer = server.post(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
        assert answer.headers["content-type"] == "application/problem+json"


def test_bentomls_own_pages_are_not_there(server):
    for path in ("/docs.json", "/static_content/index.css", "/nothing"):
        answer = server.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
    assert "script" not in server.get("/livez").text


def test_metrics_are_those_of_all_workers_whichever_answers(server):
    def answered():
        lines = server.get("/metrics").text.splitlines()
        return sum(float(x.split()[-1]) for x in lines if x.startswith("protohead_predictions"))

    before = answered()
    for _ in range(20):  # each on a new connection, so that both workers get some
        server.post("/v1/predict", content=image(), headers=PNG)
    assert {answered() for _ in range(8)} == {before + 20}


def called(server, call):
    """Call with BentoML's client, in a process of its own: warnings are errors in this one."""
    lines = (
        "import bentoml, io, json, pathlib, PIL.Image",
        f"with bentoml.SyncHTTPClient({server.url!r}) as client:",
        f"    print(json.dumps(client.{call}))",
    )
    return subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=PATIENCE
    )


def test_bentomls_client_gets_the_public_answers(server, tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(image())
    given = f"image=pathlib.Path({str(path)!r})"
    # The client takes no bytes for a file (its own assertion), but a picture opened from bytes: it
    # sends the file as it is.
    in_memory = f"image=PIL.Image.open(io.BytesIO({image()!r}))"
    for call, public in (
        (f"predict({in_memory})", "/v1/predict"),
        (f"explain({in_memory}, top=1)", "/v1/explain?top=1"),
        (f"predict({given})", "/v1/predict"),
        (f"predict({given}, top=2)", "/v1/predict?top=2"),
        (f"explain({given})", "/v1/explain"),
        (f"explain({given}, top=1, heatmaps='none')", "/v1/explain?top=1&heatmaps=none"),
        (
            f"explain({given}, mute=[{{'class': 'red', 'prototype': 1}}])",
            "/v1/explain?mute=red:1",
        ),
    ):
        expected = server.post(public, content=image(), headers=PNG)
        done = called(server, call)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == expected.json()


def test_a_url_in_place_of_an_image_is_never_fetched(server):
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.setblocking(False)
        url = f"http://127.0.0.1:{trap.getsockname()[1]}/secret.png"
        for call in ("predict", "explain"):
            done = called(server, f"{call}(image={url!r})")
            assert "urn:protohead:media-type" in done.stderr
        for path in ("/predict", "/explain", "/v1/predict", "/v1/explain"):
            for body in (
                {"data": {"image": url}},
                {"files": {"image": (None, url)}},
                {"json": {"image": url}},
                {"content": url, "headers": {"content-type": "application/json"}},
                {"content": url, "headers": PNG},
            ):
                answer = server.post(path, **body)
                assert 400 <= answer.status_code < 500, answer.text
        with pytest.raises(BlockingIOError):  # nobody came before the last answer
            trap.accept()


def test_damaged_and_pickled_bodies_of_typed_calls_are_problems(server):
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x",
                 "application/vnd.bentoml+pickle", "application/json"):  # fmt: skip
        answer = server.post("/predict", content=b"x", headers={"content-type": kind})
        assert 400 <= answer.status_code < 500
        assert answer.headers["content-type"] == "application/problem+json"


def test_nothing_of_bentomls_stands_before_the_guard(artifacts, tmp_path):
    # Its time limit left a timer behind every request for more than a minute.
    done = subprocess.run(
        [sys.executable, "-c", "import serving.service as s; print(type(s.Service.to_asgi()))"],
        env=environment(tmp_path, PROTOHEAD_ARTIFACT=str(artifacts / "one")),
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.stdout.strip() == "<class 'serving.service.Front'>", done.stderr


def test_the_log_is_one_json_line_a_request(server):
    server.get("/v1/model", headers={"x-request-id": "look-for-me"})
    until(lambda: "look-for-me" in server.log.read_text())
    lines = [line for line in server.log.read_text().splitlines() if "look-for-me" in line]
    assert len(lines) == 1
    assert json.loads(lines[0])["route"] == "/v1/model"


def artifacts_served(server):
    """The artifacts that answer, over some connections: which worker takes one is chance."""
    return {server.get("/v1/model").json()["artifact"] for _ in range(12)}


def test_moving_the_link_swaps_every_worker_and_a_bad_artifact_none(server, artifacts):
    def point(name):
        (artifacts / "fresh").symlink_to(artifacts / name)
        (artifacts / "fresh").rename(artifacts / "served")

    one, two = (sha256_of(artifacts / name / MANIFEST) for name in ("one", "two"))
    statuses, stop = [], threading.Event()

    def load():
        while not stop.is_set():
            answer = server.post("/v1/explain", content=image(), headers=PNG)
            statuses.append(answer.status_code)

    thread = threading.Thread(target=load)
    thread.start()
    # Both workers say what they do; the answers of a chance one would tell of that one alone.
    taken = lambda artifact: server.log.read_text().count(f"artifact {artifact[:12]}")  # noqa: E731
    try:
        assert artifacts_served(server) == {one}
        point("two")
        until(lambda: taken(two) == 2)
        assert artifacts_served(server) == {two}
        point("bad")
        until(lambda: server.log.read_text().count("refused, the old model goes on") == 2)
        assert artifacts_served(server) == {two}
        point("one")
        until(lambda: taken(one) == 2)
        assert artifacts_served(server) == {one}
    finally:
        stop.set()
        thread.join()
    assert set(statuses) == {200}


def test_a_killed_worker_is_replaced_and_the_other_answers_meanwhile(server):
    until(lambda: len(server.workers()) == 2)
    before = {worker.pid for worker in server.workers()}
    killed = server.workers()[0]
    killed.kill()
    until(lambda: not alive(killed))  # a dying one may still take a connection
    answers = [server.get("/v1/model").status_code for _ in range(20)]
    assert set(answers) == {200}
    until(lambda: len({worker.pid for worker in server.workers()} - before) == 1)


def test_the_supervisor_looks_for_dead_workers_every_second_not_every_ten(artifacts, tmp_path):
    code = (
        "import serving.service as s; s.Service.inner.prepare()",
        "from bentoml._internal.utils.circus import create_standalone_arbiter",
        "print(create_standalone_arbiter([]).check_delay <= 1)",
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)],
        env=environment(tmp_path, PROTOHEAD_ARTIFACT=str(artifacts / "one")),
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.stdout.strip() == "True", done.stderr


def test_sigterm_finishes_what_is_in_flight(artifacts, tmp_path):
    content = image()
    with serve(artifacts / "one", tmp_path, workers=1) as server:
        (worker,) = server.workers()
        with server.begin("/v1/predict", content[:10], len(content)) as connection:
            server.process.terminate()
            until(lambda: not listening_on(worker))  # it takes no more, and finishes this one
            connection.sendall(content[10:])
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200"), answer
        assert b'"results"' in answer
        server.process.wait(PATIENCE)
        until(lambda: not worker.is_running())
        assert '"method":"POST"' in server.log.read_text()  # the last lines are written too


def test_a_killed_supervisor_leaves_no_worker_behind(artifacts, tmp_path):
    with serve(artifacts / "one", tmp_path, workers=2) as server:
        until(lambda: len(server.workers()) == 2)
        workers = server.workers()
        until(lambda: server.log.read_text().count("Completed startup hook") == 2)
        server.process.kill()
        until(lambda: not any(worker.is_running() for worker in workers))


def test_a_bad_artifact_stops_the_start_with_one_line(artifacts, tmp_path):
    program = str(Path(sys.executable).with_name("protohead"))
    port = str(free_port())
    bento = [*command(Settings(port=int(port)))]
    for words in ([program, "serve", str(artifacts / "bad"), "--port", port], bento):
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=PATIENCE,
            env=environment(tmp_path, PROTOHEAD_ARTIFACT=str(artifacts / "bad")),
        )  # fmt: skip
        assert done.returncode == 1
        assert "model.onnx has changed" in done.stderr + done.stdout
        assert len((done.stderr + done.stdout).strip().splitlines()) == 1


def test_a_home_that_cannot_be_made_stops_the_start_with_one_line(artifacts, tmp_path):
    (tmp_path / "file").touch()
    variables = environment(tmp_path, XDG_CACHE_HOME=str(tmp_path / "file"), BENTOML_HOME="")
    program = str(Path(sys.executable).with_name("protohead"))
    done = subprocess.run(
        [program, "serve", str(artifacts / "one")],
        env=variables, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 1
    # onnxruntime has a complaint of its own about that folder.
    line = done.stderr.splitlines()[-1]
    assert line.startswith("protohead: BENTOML_HOME: expected to make the folder ")

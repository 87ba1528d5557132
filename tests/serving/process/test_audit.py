"""The audit record: a whole line for every answered image, and none of the image."""

import base64
import hashlib
import io
import json
import multiprocessing
import os
import resource
import signal

import numpy as np
import pytest
import tiny
from http_server import listening

from serving.errors import SettingsError
from serving.process.audit import Audit
from serving.process.settings import Settings

PNG = {"content-type": "image/png"}


def png(label):
    content = io.BytesIO()
    tiny.image(label, 50).save(content, "PNG")
    return content.getvalue()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def kept(tiny_export, tmp_path):
    """Its file, and a server that keeps it."""
    path = tmp_path / "audit.jsonl"
    settings = Settings(artifact=tiny_export[1].folder, provider="cpu", threads=1, audit=path)
    with listening(settings) as address, address.client() as client:
        yield path, client


def test_it_holds_what_was_answered_and_by_which_model(kept):
    path, client = kept
    image = png(0)
    artifact = client.get("/v1/model").json()["artifact"]
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = PNG | {"x-request-id": "one", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    answer = client.post("/v1/explain?top=2&mute=red:1", content=image, headers=headers).json()
    (found,) = lines(path)
    assert (found["audit"], found["id"], found["trace"]) == (1, "one", trace)
    assert (found["answer"], found["artifact"]) == ("explain", artifact)
    assert found["image"] == hashlib.sha256(image).hexdigest()
    red = next(c["id"] for c in client.get("/v1/classes").json()["classes"] if c["label"] == "red")
    assert found["muted"] == [[red, 1]]
    for kept_, told in zip(found["classes"], answer["results"][0]["classes"], strict=True):
        for name in ("id", "label", "logit", "probability", "bias", "common", "unplaced"):
            assert kept_[name] == told[name]
        assert kept_["contributions"] == [part["contribution"] for part in told["prototypes"]]
    assert base64.b64encode(image).decode()[:40] not in path.read_text()


def test_every_way_to_ask_is_on_record(kept):
    path, client = kept
    image = png(1)
    b64 = base64.b64encode(image).decode()
    name = client.get("/v1/model").json()["name"]
    tensor = np.zeros((2, 3, tiny.SIZE, tiny.SIZE), np.float32)
    inputs = [{"name": "image", "shape": list(tensor.shape), "datatype": "FP32"}]
    asked = [
        ("/v1/predict", {"json": {"images": [b64, b64]}}, 2),
        ("/v1/explain", {"json": {"image": b64}}, 1),
        ("/v1/contrast", {"json": {"image": b64, "a": 0, "b": 1}}, 1),
        ("/predict", {"files": {"image": image}}, 1),
        (f"/v1/models/{name}:predict", {"json": {"instances": [{"b64": b64}]}}, 1),
        (f"/v1/models/{name}:explain", {"json": {"instances": [{"b64": b64}]}}, 1),
        (
            f"/v2/models/{name}/infer",
            {"json": {"inputs": [{**inputs[0], "data": tensor.ravel().tolist()}]}},
            2,
        ),
    ]
    for number, (route, body, count) in enumerate(asked):
        response = client.post(route, headers={"x-request-id": f"r{number}"}, **body)
        assert response.status_code == 200, response.text
        found = [line for line in lines(path) if line["id"] == f"r{number}"]
        assert len(found) == count
        assert all(line["classes"] for line in found)
    inferred = lines(path)[-1]
    assert inferred["image"] == hashlib.sha256(tensor[1].tobytes()).hexdigest()
    assert len(inferred["classes"][0]["contributions"]) == 2


def test_what_is_refused_is_not_on_record(kept):
    path, client = kept
    b64 = base64.b64encode(png(0)).decode()
    bad = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
    assert client.post("/v1/predict", json={"images": [b64, bad]}).status_code == 422
    assert lines(path) == []


def test_no_answer_leaves_that_cannot_be_put_on_record(kept, monkeypatch, caplog):
    path, client = kept
    client.post("/v1/predict", content=png(0), headers=PNG)
    monkeypatch.setattr(os, "write", lambda file, data: (_ for _ in ()).throw(OSError("full")))
    answer = client.post("/v1/predict", content=png(0), headers=PNG)
    assert answer.status_code == 503
    assert "on record" in answer.json()["detail"]
    monkeypatch.undo()
    assert "no answers until the audit record can be written: full" in caplog.text
    assert len(lines(path)) == 1
    assert client.post("/v1/predict", content=png(0), headers=PNG).status_code == 200


def _fill(path, limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    audit = Audit(path, 0)
    audit.write([{"n": 1}])
    with pytest.raises(OSError, match=r"no room|too large"):
        audit.write([{"text": "x" * 2 * limit}])


def test_a_line_that_does_not_fit_is_taken_back_whole(tmp_path):
    path = tmp_path / "audit"
    process = multiprocessing.get_context("spawn").Process(target=_fill, args=(path, 100))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert lines(path) == [{"n": 1}]


def _write(path, size, worker, count):
    audit = Audit(path, size)
    for number in range(count):
        audit.write([{"worker": worker, "number": number, "filler": "x" * 50}])


def test_workers_share_a_file_that_is_set_aside_when_it_is_full(tmp_path):
    path, size, count = tmp_path / "audit.jsonl", 2000, 200
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write, args=(path, size, n, count)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    files = sorted(tmp_path.iterdir())
    assert len(files) > 10
    assert all(file.stat().st_size <= size for file in files)
    found = [line for file in files for line in lines(file)]
    assert sorted((line["worker"], line["number"]) for line in found) == [
        (worker, number) for worker in range(3) for number in range(count)
    ]


def test_a_file_that_is_moved_away_is_begun_anew(tmp_path):
    path = tmp_path / "audit.jsonl"
    audit = Audit(path, 0)
    audit.write([{"n": 1}])
    path.rename(tmp_path / "moved")
    audit.write([{"n": 2}])
    audit.close()
    assert (lines(tmp_path / "moved"), lines(path)) == ([{"n": 1}], [{"n": 2}])


def test_a_place_that_cannot_be_written_is_refused_at_the_start(tmp_path):
    with pytest.raises(SettingsError, match="cannot write the audit record"):
        Audit(tmp_path / "none" / "audit.jsonl", 0)

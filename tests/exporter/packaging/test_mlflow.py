"""The model for MLflow: saved, logged and loaded by MLflow itself, with no network."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
from hostile import encoded

from exporter.pipelines.package import package
from serving import Predictor
from serving.artifact import sha256_of

pytestmark = [
    pytest.mark.hosts,
    # MLflow's own, and those of what it imports.
    pytest.mark.filterwarnings("default::DeprecationWarning"),
    pytest.mark.filterwarnings("default::FutureWarning"),
    pytest.mark.filterwarnings("default::UserWarning:mlflow"),
]
PICTURES = [encoded(tiny.image(label, 60), "PNG") for label in range(3)]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(self, address):
        raise AssertionError(f"expected no connection, got one to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


@pytest.fixture(scope="module")
def artifact(tiny_export):
    return tiny_export[1]


@pytest.fixture(scope="module")
def saved(artifact, tmp_path_factory):
    out = tmp_path_factory.mktemp("mlflow") / "model"
    package(artifact.folder, "mlflow", out)
    return out


@pytest.fixture(scope="module")
def loaded(saved):
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(saved))


def table(pictures):
    import pandas

    return pandas.DataFrame({"image": pictures})


def test_the_logits_are_those_of_the_predictor(loaded, artifact):
    found = loaded.predict(table(PICTURES), params={"top": 3})
    logits = Predictor(artifact.folder, threads=1).predict(PICTURES)
    for result, row in zip(found, logits, strict=True):
        assert {c["id"]: c["logit"] for c in result["classes"]} == dict(enumerate(row.tolist()))


def test_the_predictor_itself_can_be_had(loaded):
    found = loaded.get_raw_model().explain(PICTURES[0], mute=[("red", 0)])
    assert found.classes[0].prototypes


def test_an_explanation_is_asked_for_by_a_parameter(loaded):
    (result,) = loaded.predict(table(PICTURES[:1]), params={"explain": True, "top": 1})
    (best,) = result["classes"]
    terms = ("bias", "common", "unplaced", "rounding")
    total = sum(p["contribution"] for p in best["prototypes"]) + sum(best[t] for t in terms)
    assert total == pytest.approx(best["logit"], abs=1e-4)  # float32, as everywhere


def test_the_signature_says_what_is_taken_and_given(loaded, artifact):
    signature = loaded.metadata.signature
    assert [(c.name, c.type.name) for c in signature.inputs] == [("image", "binary")]
    assert [c.name for c in signature.outputs] == ["classes"]
    defaults = {p.name: p.default for p in signature.params}
    assert defaults == {
        "explain": False,
        "top": artifact.manifest.top,
        "classes": [],
        "heatmaps": "none",
    }
    assert loaded.metadata.metadata == {
        "protohead_manifest_sha256": sha256_of(artifact.path("manifest.json"))
    }


def test_answers_fit_the_signature(loaded):
    fields = loaded.metadata.signature.outputs.inputs[0].type.dtype.properties
    for explain in (False, True):
        (result,) = loaded.predict(table(PICTURES[:1]), params={"explain": explain})
        for found in result["classes"]:
            needed = {field.name for field in fields if field.required or explain}
            assert needed <= found.keys()


def test_the_server_of_mlflow_takes_base64_and_gives_json(loaded, monkeypatch):
    from base64 import b64encode

    from mlflow.pyfunc.scoring_server import init
    from starlette.testclient import TestClient

    monkeypatch.undo()  # the client's event loop has sockets of its own
    body = {
        "dataframe_records": [{"image": b64encode(PICTURES[1]).decode()}],
        "params": {"explain": True, "top": 1},
    }
    with TestClient(init(loaded)) as client:
        answer = client.post("/invocations", json=body)
    assert answer.status_code == 200
    wanted = loaded.predict(table(PICTURES[1:2]), params=body["params"])
    assert answer.json() == {"predictions": wanted}


def test_it_is_logged_in_a_local_store_and_loaded_from_it(artifact, tmp_path, monkeypatch):
    import mlflow

    from exporter.packaging.mlflow import log_model

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((tmp_path / "store").as_uri())
    try:
        with mlflow.start_run():
            uri = log_model(artifact, "birds").model_uri
        found = mlflow.pyfunc.load_model(uri)
    finally:
        mlflow.set_tracking_uri(before)
    (result,) = found.predict(table(PICTURES[:1]))
    assert result["classes"][0]["label"] == "red"


def test_same_inputs_same_bytes(artifact, saved, tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text("[project]\nname='another'\nversion='1'\n")
    (tmp_path / "uv.lock").write_text("version = 1\n")  # of whoever runs it: none of its business
    monkeypatch.chdir(tmp_path)
    package(artifact.folder, "mlflow", tmp_path / "again")
    assert contents(tmp_path / "again") == contents(saved)


def test_nothing_is_pickled_and_no_path_of_the_machine_is_told(artifact, saved):
    found = contents(saved)
    assert not [name for name in found if name.endswith((".pkl", ".pyc"))]
    for place in (str(artifact.folder), str(saved), str(Path.cwd())):
        assert not [name for name, content in found.items() if place.encode() in content]


def test_every_requirement_is_pinned(saved):
    lines = (saved / "requirements.txt").read_text().split()
    assert {line.partition("==")[0] for line in lines} >= {"onnxruntime", "pandas", "orjson"}
    assert all("==" in line for line in lines)


def test_it_runs_by_the_code_beside_it(saved, tmp_path):
    """In a process that knows no other: what it imports of ours lies in the model."""
    tiny.image(2, 60).save(tmp_path / "a.png")
    code = """
import json, sys
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
answer = model.predict(pandas.DataFrame({"image": [open(sys.argv[2], "rb").read()]}))
ours = {m.__file__ for n, m in sys.modules.items() if n.split(".")[0] in ("serving", "exporter")}
print(json.dumps([answer[0]["classes"][0]["label"], sorted(ours)]))
"""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(saved), str(tmp_path / "a.png")],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    label, files = json.loads(done.stdout.splitlines()[-1])
    assert label == "blue"
    assert all(file.startswith(str(saved)) for file in files)


def contents(folder):
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}

"""A new artifact takes the place of the old one while requests run; a bad one never does."""

import dataclasses
import io
import json
import logging
import os
import shutil
import threading

import numpy as np
import onnx
import pytest
import tiny
from http_server import listening
from manifests import write_manifest
from onnx.numpy_helper import from_array, to_array
from waiting import until

from exporter import export
from serving import ArtifactError
from serving.artifact import MANIFEST, Manifest, sha256_of
from serving.process.live import Live
from serving.process.settings import Settings

PNG = {"content-type": "image/png"}
GERMAN = ("rot", "grün", "blau")


@pytest.fixture(scope="module")
def other_export(tmp_path_factory):
    """Another artifact of the same model: its classes have other names."""
    config = tiny.write(tmp_path_factory.mktemp("other"))
    for old, new in zip(tiny.LABELS, GERMAN, strict=True):
        (config.data / old).rename(config.data / new)
    return export(config.model_copy(update={"labels": GERMAN})).folder


@pytest.fixture
def link(tiny_export, tmp_path):
    path = tmp_path / "served"
    path.symlink_to(tiny_export[1].folder)
    return path


@pytest.fixture
def settings(link):
    return Settings(artifact=link, provider="cpu", threads=1, reload=0.05)


def point(link, target):
    """Point a link elsewhere in one step, as deployments do."""
    fresh = link.with_name("fresh")
    fresh.symlink_to(target)
    fresh.rename(link)


def image():
    content = io.BytesIO()
    tiny.image(0, 50).save(content, "PNG")
    return content.getvalue()


def hashed_again(folder):
    """Make the manifest's hashes right for what the files hold now."""
    manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    files = {name: sha256_of(folder / name) for name in manifest.files}
    write_manifest(folder, manifest.model_copy(update={"files": files}))


def truncated_model(folder):
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes()[:-100])


def no_manifest(folder):
    (folder / MANIFEST).unlink()


def other_format(folder):
    values = json.loads((folder / MANIFEST).read_bytes())
    write_manifest(folder, values | {"format": "protohead/2"})


def not_a_model(folder):
    (folder / "model.onnx").write_bytes(b"not a model")
    hashed_again(folder)


def other_answers(folder):
    with np.load(folder / "golden.npz") as arrays:
        changed = dict(arrays)
    changed["outputs/logits"] = changed["outputs/logits"] + np.float32(1)
    np.savez(folder / "golden.npz", **changed)
    hashed_again(folder)


def steerable_of_another_model(folder):
    model = onnx.load(folder / "steerable.onnx")
    (bias,) = (tensor for tensor in model.graph.initializer if tensor.name == "bias")
    bias.CopyFrom(from_array(to_array(bias) + np.float32(1), "bias"))
    onnx.save(model, folder / "steerable.onnx")
    hashed_again(folder)


def no_golden(folder):
    (folder / "golden.npz").write_bytes(b"PK\x03\x04 nothing")
    hashed_again(folder)


DAMAGES = [truncated_model, no_manifest, other_format, not_a_model, other_answers, no_golden,
           steerable_of_another_model]  # fmt: skip


def damaged(folder, target, damage):
    shutil.copytree(folder, target)
    damage(target)
    return target


def test_a_new_artifact_takes_over_while_requests_run_and_none_fails(settings, link, other_export):
    answers, stop = [], threading.Event()

    def ask(address):
        with address.client() as client:
            while not stop.is_set():
                answer = client.post("/v1/explain", content=image(), headers=PNG)
                answers.append((answer.status_code, answer.json()))

    with listening(settings) as address:
        threads = [threading.Thread(target=ask, args=(address,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: len(answers) > 10)
        point(link, other_export)
        until(lambda: answers[-1][1]["results"][0]["classes"][0]["label"] not in tiny.LABELS)
        seen = len(answers)
        until(lambda: len(answers) > seen + 10)
        stop.set()
        for thread in threads:
            thread.join()
    assert {status for status, _ in answers} == {200}
    found = {}  # labels by artifact: each answer is of one model
    for _, answer in answers:
        labels = {c["label"] for c in answer["results"][0]["classes"]}
        found.setdefault(answer["model"]["artifact"], set()).update(labels)
    new = sha256_of(other_export / MANIFEST)
    assert len(found) == 2
    assert found.pop(new) <= set(GERMAN)
    assert next(iter(found.values())) <= set(tiny.LABELS)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_artifact_is_refused_and_the_old_one_goes_on(
    settings, link, tiny_export, other_export, tmp_path, damage, caplog
):
    live = Live(settings)
    first = live.current
    point(link, damaged(other_export, tmp_path / "bad", damage))
    assert not live.check()
    assert live.current is first
    assert "refused" in caplog.text
    assert all(record.exc_info is None for record in caplog.records)  # one line, expected
    caplog.clear()
    assert not live.check()
    assert not caplog.records  # said once
    point(link, other_export)
    with caplog.at_level(logging.WARNING):
        assert live.check()
    assert live.current.predictor.manifest.labels == GERMAN


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_first_artifact_must_be_good(tiny_export, tmp_path, damage):
    bad = damaged(tiny_export[1].folder, tmp_path / "bad", damage)
    with pytest.raises(ArtifactError):
        Live(Settings(artifact=bad, provider="cpu", threads=1))


def test_a_link_that_leads_nowhere_for_a_moment_changes_nothing(settings, link, other_export):
    live = Live(settings)
    first = live.current
    link.unlink()
    assert not live.check()
    assert live.current is first
    link.symlink_to(other_export)
    assert live.check()


def test_an_artifact_completed_in_place_is_taken_once_it_is_whole(settings, link, other_export):
    live = Live(settings)
    target = link.with_name("growing")
    shutil.copytree(other_export, target)
    model = (target / "model.onnx").read_bytes()
    (target / "model.onnx").write_bytes(model[:1000])
    point(link, target)
    assert not live.check()
    (target / "model.onnx").write_bytes(model)
    assert live.check()


def test_muting_and_evidence_survive_the_folder_being_replaced(tiny_export, other_export, tmp_path):
    folder = tmp_path / "served"
    shutil.copytree(tiny_export[1].folder, folder)
    settings = Settings(artifact=folder, provider="cpu", threads=1, reload=0)
    with listening(settings) as address, address.client() as client:
        ask = {"content": image(), "headers": PNG}
        before = client.post("/v1/explain?mute=red:0", **ask).json()
        url = client.get("/v1/classes/red/prototypes").json()["prototypes"][0]["evidence"][0]["url"]
        crop = client.get(url).content
        shutil.rmtree(folder)
        damaged(other_export, folder, truncated_model)
        assert client.post("/v1/explain?mute=red:0", **ask).json() == before
        again = client.get(url)  # this crop or none, never another
        assert again.content == crop if again.status_code == 200 else again.status_code == 404


def test_nothing_is_looked_at_when_nothing_changed(settings, monkeypatch):
    live = Live(settings)
    monkeypatch.setattr("serving.process.live.Served.load", None)
    assert not live.check()
    assert not live.check()


def test_a_failure_that_nobody_expected_ends_no_watching(
    settings, other_export, monkeypatch, caplog
):
    live = Live(settings)
    point(settings.artifact, other_export)
    with monkeypatch.context() as patch:
        patch.setattr("serving.process.live.Served.load", None)  # calling it is a TypeError
        assert not live.check()
    assert "the old model goes on" in caplog.text
    assert live.current.predictor.manifest.labels == tiny.LABELS


def test_what_is_served_never_changes_under_a_request(settings):
    served = Live(settings).current
    with pytest.raises(dataclasses.FrozenInstanceError):
        served.predictor = None
    assert os.fspath(served.predictor.artifact.folder) != os.fspath(settings.artifact)  # resolved

"""The golden batch: one reader, one tolerance."""

import json
import shutil

import numpy as np
import pytest
from manifests import write_manifest

from exporter import verify
from serving import load_artifact
from serving.artifact import sha256_of
from serving.errors import IntegrityError
from serving.model.golden import GOLDEN_TOLERANCE, golden_error, read_golden
from serving.process.live import Served
from serving.process.settings import Settings


def with_golden(artifact, folder, change):
    """A copy of an artifact whose recorded outputs are changed, hashes and all."""
    shutil.copytree(artifact.folder, folder)
    with np.load(folder / "golden.npz") as arrays:
        content = {name: change(name, arrays[name]) for name in arrays.files}
    np.savez(folder / "golden.npz", **content)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"]["golden.npz"] = sha256_of(folder / "golden.npz")
    write_manifest(folder, manifest)
    return folder


@pytest.mark.parametrize(("share", "good"), [(0.5, True), (2.0, False), (9.0, False)])
def test_server_and_verification_agree_on_what_is_the_same_answer(
    tiny_export, tmp_path, share, good
):
    def nudge(name, values):
        if name != "outputs/logits":
            return values
        return values + np.float32(share * GOLDEN_TOLERANCE * np.abs(values).max())

    folder = with_golden(tiny_export[1], tmp_path / "artifact", nudge)
    (gate,) = (gate for gate in verify(folder) if gate.name == "golden batch")
    assert (gate.state == "passed") is good
    settings = Settings(artifact=folder, provider="cpu", threads=1)
    if good:
        Served.load(folder, settings)
    else:
        with pytest.raises(IntegrityError, match=r"within 0\.0001 of the largest"):
            Served.load(folder, settings)


def test_what_is_no_number_differs_from_everything():
    recorded = {"a": np.ones(3, np.float32), "b": np.ones(2, np.float32)}
    broken = {"a": np.array([1, np.nan, 1], np.float32), "b": np.ones(2, np.float32)}
    assert not golden_error(broken, recorded) <= GOLDEN_TOLERANCE
    assert golden_error({**recorded, "a": np.ones((3, 1))}, recorded) == np.inf


def test_a_batch_without_logits_is_refused(tiny_export, tmp_path):
    folder = with_golden(tiny_export[1], tmp_path / "artifact", lambda _, values: values)
    with np.load(folder / "golden.npz") as arrays:
        content = {name: arrays[name] for name in arrays.files if name != "outputs/logits"}
    np.savez(folder / "golden.npz", **content)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"]["golden.npz"] = sha256_of(folder / "golden.npz")
    write_manifest(folder, manifest)
    with pytest.raises(IntegrityError, match="there are no logits"):
        read_golden(load_artifact(folder))

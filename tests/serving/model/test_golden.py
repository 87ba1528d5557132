"""The golden batch: one reader, one tolerance."""

import copy
import io
import json
import shutil
import zipfile

import numpy as np
import pytest
from manifests import write_manifest

from exporter import verify
from exporter.verification.run import passed
from serving import Predictor, load_artifact
from serving.artifact import sha256_of
from serving.errors import ArtifactError, IntegrityError
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
        own = np.abs(values).max(axis=0)  # of each class
        return values + np.eye(1, len(own), own.argmax()) * np.float32(share * 1e-4 * own.max())

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
    assert not golden_error(broken, recorded, logits=()) <= GOLDEN_TOLERANCE
    assert golden_error({**recorded, "a": np.ones((3, 1))}, recorded, logits=()) == np.inf


def test_logits_are_measured_against_their_own_class_so_that_a_masked_one_hides_no_other():
    recorded = {"logits": np.array([[4.0, -1e9], [-5.0, -1e9]])}
    found = {"logits": np.array([[4.0, -1e9], [-4.5, -1e9]])}
    assert golden_error(found, recorded, logits={"logits"}) == 0.5 / 5
    recorded["contributions"] = found["contributions"] = np.array([[[50.0]]])
    assert golden_error(found, recorded, logits={"logits"}) == 0.5 / 50


def test_what_is_unplaced_is_measured_against_what_is_placed_because_it_may_be_near_zero():
    recorded = {"contributions": np.array([[[50.0]]]), "unplaced": np.array([[1e-6]])}
    found = recorded | {"unplaced": np.array([[3e-6]])}
    assert golden_error(found, recorded, logits=()) == pytest.approx(2e-6 / 50)
    far = recorded | {"unplaced": np.array([[1.0]])}
    assert golden_error(far, recorded, logits=()) == pytest.approx(1 / 50)


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


def rehashed(folder, change):
    """Change the content of a manifest, and what it says of its files."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    change(manifest)
    for name in manifest["files"]:
        manifest["files"][name] = sha256_of(folder / name)
    write_manifest(folder, manifest)


def refused(folder):
    with pytest.raises(ArtifactError) as error:
        Served.load(folder, Settings(artifact=folder, provider="cpu", threads=1))
    return str(error.value)


def test_arrays_that_are_larger_than_their_file_are_not_unpacked(tiny_export, tmp_path):
    folder = shutil.copytree(tiny_export[1].folder, tmp_path / "artifact")
    np.savez_compressed(folder / "golden.npz", **{"inputs/image": np.zeros(10**7, np.float32)})
    rehashed(folder, lambda _: None)
    assert "compressed to" in refused(folder)


def test_arrays_within_each_other_are_not_read(tiny_export, tmp_path):
    folder = shutil.copytree(tiny_export[1].folder, tmp_path / "artifact")
    content = io.BytesIO()
    np.save(content, np.zeros(10**5, np.float32))
    with zipfile.ZipFile(folder / "golden.npz", "w") as archive:
        archive.writestr("inputs/image.npy", content.getvalue())
        entry = archive.infolist()[0]
        for number in range(50):  # the directory names the same bytes again and again
            again = copy.copy(entry)
            again.filename = f"outputs/{number}.npy"
            archive.filelist.append(again)
            archive.NameToInfo[again.filename] = again
        archive._didModify = True
    rehashed(folder, lambda _: None)
    assert "within each other" in refused(folder)


def test_a_header_that_claims_more_than_follows_is_an_integrity_error(tiny_export, tmp_path):
    folder = shutil.copytree(tiny_export[1].folder, tmp_path / "artifact")
    content = io.BytesIO()
    np.save(content, np.zeros(8, np.float32))
    claim = content.getvalue().replace(b"(8,), }        ", b"(99999999999,),}")
    with zipfile.ZipFile(folder / "golden.npz", "w") as archive:
        archive.writestr("inputs/image.npy", claim)
    rehashed(folder, lambda _: None)
    assert "expected golden inputs and outputs" in refused(folder)


WRONG = {
    "inputs of another rank": ("inputs/image", lambda a: a[0]),
    "inputs of another size": ("inputs/image", lambda a: a[:, :, :-1]),
    "inputs of another type": ("inputs/image", lambda a: a.astype(np.float64)),
    "no inputs": ("inputs/image", lambda a: a[:0]),
    "fewer heatmaps": ("outputs/heatmaps", lambda a: a[:, :, :1]),
    "another grid": ("outputs/heatmaps", lambda a: a[..., :-1]),
    "another class": ("outputs/class_ids", lambda a: a + 3),
    "a negative class": ("outputs/class_ids", lambda a: a - 3),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_batch_that_does_not_fit_the_manifest_is_refused(tiny_export, tmp_path, name):
    array, change = WRONG[name]
    folder = with_golden(
        tiny_export[1], tmp_path / "a", lambda key, a: change(a) if key == array else a
    )
    refused(folder)
    (gate,) = (gate for gate in verify(folder) if gate.name == "golden batch")
    assert gate.state == "failed"


@pytest.mark.parametrize("output", ["contributions", "common", "heatmaps"])
def test_every_recorded_output_is_compared_before_the_server_starts(tiny_export, tmp_path, output):
    folder = with_golden(
        tiny_export[1],
        tmp_path / "a",
        lambda key, a: a * np.float32(1.01) + 1 if key == f"outputs/{output}" else a,
    )
    assert "of the largest value" in refused(folder)


def another_k(manifest):
    manifest["prototypes"] = 3
    for record in manifest["classes"]:
        record["prototypes"] = [*record["prototypes"], record["prototypes"][0]]


def more_prototypes(manifest):
    first = manifest["classes"][0]
    first["prototypes"] = [*first["prototypes"], first["prototypes"][0]]


def another_top(manifest):
    manifest["top"] = 10**9


def another_grid(manifest):
    manifest["head"]["grid"] = [6, 24]


def fewer_classes(manifest):
    del manifest["classes"][-1]


@pytest.mark.parametrize(
    "change", [another_k, more_prototypes, another_top, another_grid, fewer_classes]
)
def test_a_manifest_that_says_other_sizes_than_the_graph_is_refused(tiny_export, tmp_path, change):
    folder = shutil.copytree(tiny_export[1].folder, tmp_path / "artifact")
    rehashed(folder, change)
    assert "expected" in refused(folder)
    assert not passed(verify(folder))


@pytest.mark.parametrize("change", [another_k, fewer_classes])
def test_python_refuses_it_too_though_it_reads_no_golden_batch(tiny_export, tmp_path, change):
    folder = shutil.copytree(tiny_export[1].folder, tmp_path / "artifact")
    rehashed(folder, change)
    with pytest.raises(IntegrityError, match=r"model\.onnx: expected the output"):
        Predictor(folder, threads=1)

"""The golden pictures: from the file on, another pipeline can test itself."""

import json
import shutil

import numpy as np
import pytest
from manifests import write_manifest
from PIL import Image

import exporter
from serving.artifact import load_artifact, sha256_of
from serving.errors import IntegrityError
from serving.model.golden import golden_pictures, read_golden, read_pictures
from serving.model.predictor import Predictor


def gate(folder):
    return next(gate for gate in exporter.verify(folder) if gate.name == "golden pictures")


def copied(artifact, folder, *, change):
    """A copy in which files were changed, hashed again."""
    shutil.copytree(artifact.folder, folder)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    change(folder, manifest)
    for name in manifest["files"]:
        manifest["files"][name] = sha256_of(folder / name)
    write_manifest(folder, manifest)
    return folder


def without_pictures(folder, manifest):
    """What an artifact of before is."""
    shutil.rmtree(folder / "golden")
    for name in [name for name in manifest["files"] if name.startswith("golden/")]:
        del manifest["files"][name]
    with np.load(folder / "golden.npz") as arrays:
        kept = {name: arrays[name] for name in arrays.files if not name.startswith("pictures/")}
    np.savez(folder / "golden.npz", **kept)


def test_each_picture_gives_the_recorded_tensor_bit_for_bit_and_its_outputs(tiny_export):
    artifact = tiny_export[1]
    predictor, recorded = Predictor(artifact, threads=1), read_pictures(artifact)
    tensors = np.stack([predictor.preprocess(path)[1] for path in golden_pictures(artifact)])
    np.testing.assert_array_equal(tensors, recorded.inputs)
    found = predictor.run(tensors)
    np.testing.assert_allclose(found.logits, recorded.outputs["logits"], rtol=1e-5)
    np.testing.assert_allclose(found.heatmaps, recorded.outputs["heatmaps"], atol=1e-5)


def test_pictures_have_odd_sides_other_proportions_and_are_larger_smaller_and_grey(tiny_export):
    artifact = tiny_export[1]
    height, width = artifact.manifest.input.preprocessing.size
    pictures = []
    for path in golden_pictures(artifact):
        with Image.open(path) as picture:
            pictures.append(picture.copy())
    assert all(side % 2 for picture in pictures for side in picture.size)
    assert len({picture.width / picture.height for picture in pictures} | {width / height}) == 4
    assert pictures[0].width > width > pictures[1].width
    assert [picture.mode for picture in pictures] == ["RGB", "RGB", "L"]


def test_pictures_are_drawn_and_show_nothing_of_the_data(tiny_export, tmp_path):
    config, artifact = tiny_export
    other = tmp_path / "other"
    shutil.copytree(config.data, other)
    for path in other.rglob("*.png"):
        Image.open(path).point(lambda value: 255 - value).save(path)
    again = exporter.export(config.model_copy(update={"data": other, "out": tmp_path / "again"}))
    assert not np.array_equal(read_golden(again).inputs, read_golden(artifact).inputs)
    for mine, theirs in zip(golden_pictures(artifact), golden_pictures(again), strict=True):
        assert mine.read_bytes() == theirs.read_bytes()


def test_a_pipeline_that_prepares_pictures_otherwise_is_found(tiny_export, tmp_path):
    def smoother(folder, manifest):
        path = folder / "golden" / "1.png"
        picture = Image.open(path)
        picture.putpixel((7, 9), tuple(255 - value for value in picture.getpixel((7, 9))))
        picture.save(path)

    found = gate(copied(tiny_export[1], tmp_path / "artifact", change=smoother))
    assert found.state == "failed"
    assert "1.png: the input tensor is not the recorded one" in found.detail


def test_recorded_outputs_of_a_picture_are_held_to(tiny_export, tmp_path):
    def other_answer(folder, manifest):
        with np.load(folder / "golden.npz") as arrays:
            content = dict(arrays)
        content["pictures/outputs/logits"] += 0.1
        np.savez(folder / "golden.npz", **content)

    assert gate(copied(tiny_export[1], tmp_path / "artifact", change=other_answer)).state == (
        "failed"
    )


def test_another_number_of_pictures_than_of_recorded_tensors_is_refused(tiny_export, tmp_path):
    def one_less(folder, manifest):
        (folder / "golden" / "2.png").unlink()
        del manifest["files"]["golden/2.png"]

    folder = copied(tiny_export[1], tmp_path / "artifact", change=one_less)
    with pytest.raises(IntegrityError, match="expected inputs of 2 pictures, found 3"):
        read_pictures(load_artifact(folder))
    assert gate(folder).state == "failed"


def test_an_artifact_of_before_has_none_and_is_as_good(tiny_export, tmp_path):
    folder = copied(tiny_export[1], tmp_path / "artifact", change=without_pictures)
    gates = exporter.verify(folder)
    assert {found.state for found in gates if found.name != "golden pictures"} == {"passed"}
    assert gate(folder).state == "skipped"
    edited = exporter.edit(folder, tmp_path / "edited", reason="a test", mute=[("red", 0)])
    assert golden_pictures(edited) == ()


def test_of_an_edited_artifact_the_outputs_are_the_edited_ones(tiny_export, tmp_path):
    artifact = tiny_export[1]
    edited = exporter.edit(artifact.folder, tmp_path / "edited", reason="a test", mute=[("red", 0)])
    before, after = read_pictures(artifact), read_pictures(edited)
    np.testing.assert_array_equal(before.inputs, after.inputs)
    assert np.abs(before.outputs["logits"][:, 0] - after.outputs["logits"][:, 0]).min() > 0
    assert gate(edited.folder).state == "passed"
    back = exporter.undo_edit(edited.folder, tmp_path / "back")
    assert (back.folder / "golden.npz").read_bytes() == artifact.path("golden.npz").read_bytes()

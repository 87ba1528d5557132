"""Whole training images beside the crops, where an export is asked to keep them."""

import io

import pytest
import tiny
from file_server import serving
from PIL import Image
from trees import tree

from exporter import Form, convert, edit, export, quantize, undo_edit, verify
from serving import load_artifact
from serving.artifact import dump_manifest, parse_manifest
from serving.errors import ManifestError


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    config = tiny.write(tmp_path_factory.mktemp("kept"))
    return config, export(config.model_copy(update={"context": True}))


def crops_of(artifact):
    return [e for c in artifact.manifest.classes for p in c.prototypes for e in p.evidence]


def whole(artifact):
    return {crop.image: crop.context.file for crop in crops_of(artifact)}


def bytes_of(artifact):
    return {name: artifact.path(name).read_bytes() for name in whole(artifact).values()}


def test_every_training_image_of_a_crop_is_there_once(kept):
    config, artifact = kept
    files = whole(artifact)
    assert len(crops_of(artifact)) > len(files)  # some crops are of one image
    assert len(set(files.values())) == len(files)
    assert sorted(n for n in artifact.manifest.files if "context" in n) == sorted(files.values())
    for image, file in files.items():
        with Image.open(config.data / image) as source, Image.open(artifact.path(file)) as small:
            assert small.size == source.size


def test_the_box_is_that_of_the_crop_in_fractions(kept):
    for crop in crops_of(kept[1]):
        assert [round(side * tiny.SIZE) for side in crop.context.box] == list(crop.box)


def test_an_artifact_with_them_keeps_every_promise(kept):
    assert {gate.state for gate in verify(kept[1].folder)} <= {"passed", "skipped"}


def test_nothing_else_is_changed_by_them(kept, tiny_export):
    with_them, without = tree(kept[1].folder), tree(tiny_export[1].folder)
    others = with_them.keys() - {"manifest.json", "manifest.sha256", *whole(kept[1]).values()}
    assert {name: with_them[name] for name in others} == {name: without[name] for name in others}
    assert all(crop.context is None for crop in crops_of(tiny_export[1]))


@pytest.mark.parametrize("change", ["edit", "undo", "convert", "quantize"])
def test_what_is_made_of_the_artifact_has_them_too(kept, tmp_path, change):
    config, artifact = kept
    out = tmp_path / "out"
    if change == "convert":
        made = convert(artifact.folder, out, Form(variant="dense"))
    elif change == "quantize":
        made = quantize(artifact.folder, out, data=config.data, to="float16")
    else:
        made = edit(artifact.folder, out, reason="named", names=[(("red", 0), "square")])
        if change == "undo":
            made = undo_edit(out, tmp_path / "back")
    assert bytes_of(made) == bytes_of(artifact)


def test_a_pull_brings_them(kept, tmp_path, run):
    artifact = kept[1]
    names = tree(artifact.folder)
    with serving({name: (artifact.folder / name).read_bytes() for name in names}) as server:
        assert run("pull", server.url, "--out", tmp_path / "out")[0] == 0
    assert bytes_of(load_artifact(tmp_path / "out")) == bytes_of(artifact)


def test_one_that_is_not_hashed_is_refused(kept):
    manifest = kept[1].manifest
    lost = next(iter(whole(kept[1]).values()))
    files = {name: sha256 for name, sha256 in manifest.files.items() if name != lost}
    with pytest.raises(ManifestError, match=f"sha256 for each file, none for .*{lost}"):
        parse_manifest(dump_manifest(manifest.model_copy(update={"files": files})), "manifest.json")


def test_a_large_photograph_is_made_small_and_upright_and_tells_nothing_else(tmp_path):
    config = tiny.write(tmp_path)
    told = Image.Exif()
    told[0x0112], told[0x010E] = 6, "in the kitchen"  # turned by a quarter, and a description
    for path in sorted((config.data / "red").iterdir()):
        with Image.open(path) as image:
            large = image.resize((960, 480))
        path.unlink()
        large.save(path.with_suffix(".jpg"), exif=told, comment=b"in the kitchen")
    artifact = export(config.model_copy(update={"context": True}))
    for content in bytes_of(artifact).values():
        assert b"kitchen" not in content
        with Image.open(io.BytesIO(content)) as small:
            assert small.size in {(160, 320), (tiny.SIZE, tiny.SIZE)}
            assert not small.getexif()

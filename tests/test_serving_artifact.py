import json
from pathlib import Path

import pytest

from serving.artifact import (
    MANIFEST,
    ClassRecord,
    HeadRecord,
    InputRecord,
    Manifest,
    MethodRecord,
    Preprocessing,
    PrototypeRecord,
    SourceRecord,
    dump_manifest,
    load_artifact,
    sha256_of,
)
from serving.errors import IntegrityError, ManifestError

FILES = ("model.onnx", "steerable.onnx", "prototypes.safetensors", "golden.npz")


def manifest(files: dict[str, str], **changes: object) -> Manifest:
    classes = tuple(
        ClassRecord(
            index=index,
            label=label,
            state="decomposed",
            images=7,
            prototypes=(PrototypeRecord(name="prototype 1"),),
        )
        for index, label in enumerate(("crane", "kite"))
    )
    content: dict[str, object] = {
        "source": SourceRecord(file="birds.onnx", sha256="0" * 64),
        "input": InputRecord(
            name="image",
            shape=(None, 3, 8, 8),
            dtype="float32",
            preprocessing=Preprocessing(crop=8),
        ),
        "activation": "softmax",
        "prototypes": 1,
        "top": 2,
        "head": HeadRecord(
            output="logits", logits="logits", feature="relu", pooling="pool", linear="fc",
            layout="NCHW", grid=(4, 4), channels=6,
        ),
        "method": MethodRecord(
            name="evidence", reference="mean", seed=0, max_images=200, min_images=5
        ),
        "classes": classes,
        "files": files,
    }  # fmt: skip
    return Manifest(**(content | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).write_bytes(name.encode())
    hashes = {name: sha256_of(tmp_path / name) for name in FILES}
    (tmp_path / MANIFEST).write_bytes(dump_manifest(manifest(hashes)))
    return tmp_path


def rewrite(folder: Path, change) -> None:
    content = json.loads((folder / MANIFEST).read_text())
    change(content)
    (folder / MANIFEST).write_text(json.dumps(content))


def test_an_unchanged_artifact_loads(folder):
    assert load_artifact(folder).manifest.labels == ("crane", "kite")


def test_the_manifest_has_golden_bytes():
    """The format is a contract: a change of these bytes is a change of the format version."""
    golden = Path(__file__).with_name("golden_manifest.json")
    found = dump_manifest(manifest(dict.fromkeys(FILES, "1" * 64)))
    assert found == golden.read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_one_changed_bit_is_found(folder, name):
    data = bytearray((folder / name).read_bytes())
    data[3] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(IntegrityError, match=f"{name} has changed"):
        load_artifact(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(IntegrityError, match=f"expected the file {name}"):
        load_artifact(folder)


def test_a_link_out_of_the_folder_is_refused(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "golden.npz"
    (folder / "golden.npz").rename(outside)
    (folder / "golden.npz").symlink_to(outside)
    with pytest.raises(IntegrityError, match="leaves the artifact's folder"):
        load_artifact(folder)


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/../../b", "a\\..\\b", "./golden.npz", "a//b", ""]
)
def test_a_file_name_that_could_escape_is_refused(folder, name):
    rewrite(folder, lambda content: content["files"].update({name: "0" * 64}))
    with pytest.raises(ManifestError, match="relative path"):
        load_artifact(folder)


def test_another_format_version_says_what_to_do(folder):
    rewrite(folder, lambda content: content.update(format="protohead/2"))
    with pytest.raises(ManifestError, match=r"protohead/1.*protohead/2.*Export the model again"):
        load_artifact(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(prototypes=0),
        lambda c: c.update(prototypes=33),
        lambda c: c.update(extra=1),
        lambda c: c.pop("head"),
        lambda c: c.update(classes=[]),
        lambda c: c["classes"].reverse(),
        lambda c: c["files"].pop("model.onnx"),
        lambda c: c["files"].update({"model.onnx": "xyz"}),
        lambda c: c["input"]["preprocessing"].update(crop=-1),
        lambda c: c["input"].update(dtype="float64"),
    ],
)
def test_a_manifest_out_of_range_is_refused(folder, change):
    rewrite(folder, change)
    with pytest.raises(ManifestError):
        load_artifact(folder)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"format": 1}', "\xff", "[" * 100_000])
def test_a_manifest_that_is_no_json_object_is_refused(folder, text):
    (folder / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(ManifestError):
        load_artifact(folder)


def test_a_folder_without_manifest_is_no_artifact(tmp_path):
    with pytest.raises(ManifestError, match=r"expected an artifact"):
        load_artifact(tmp_path)
    with pytest.raises(ManifestError, match=r"expected an artifact"):
        load_artifact(tmp_path / "none")

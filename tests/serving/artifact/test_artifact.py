import json
from pathlib import Path

import pytest
from manifests import write_manifest
from records import decomposed

from serving.artifact import (
    MANIFEST,
    DecomposedClass,
    HeadRecord,
    InputRecord,
    Manifest,
    MethodRecord,
    Preprocessing,
    SourceRecord,
    WholeClass,
    dump_manifest,
    load_artifact,
    sha256_of,
)
from serving.artifact.edits import (
    ChangeRecord,
    ClassEffectRecord,
    EditRecord,
    EffectRecord,
    PrototypeKey,
    RenamedRecord,
)
from serving.errors import IntegrityError, ManifestError

NOWHERE = {"class_index": 2, "prototype": 0}
UNCHANGED = {"recognised_after": 2, "predicted_after": 2}
FILES = ("model.onnx", "steerable.onnx", "prototypes.safetensors", "golden.npz")


def manifest(files: dict[str, str], **changes: object) -> Manifest:
    classes = tuple(
        decomposed(index, label, "prototype 1", images=7)
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


def edits() -> tuple[EditRecord, ...]:
    """A measured edit of the first class, and one that only gives a name."""
    effect = EffectRecord(
        data="test",
        sha256="2" * 64,
        images=4,
        skipped=1,
        accuracy_before=0.75,
        accuracy_after=0.5,
        corrected=0,
        broken=1,
        changes=(ChangeRecord(image="crane/1.jpg", label=0, before=0, after=1),),
        classes=(
            ClassEffectRecord(
                class_index=0, images=2, recognised_before=2, recognised_after=1,
                predicted_before=2, predicted_after=1,
            ),
        ),
    )  # fmt: skip
    return (
        EditRecord(
            parent="3" * 64,
            reason="looks at the sky",
            muted=(PrototypeKey(class_index=0, prototype=0),),
            effect=effect,
        ),
        EditRecord(
            parent="4" * 64,
            reason="for people",
            renamed=(
                RenamedRecord(class_index=1, prototype=0, before="prototype 1", after="tail"),
            ),
        ),
    )


def kept(content: dict[str, str]) -> dict[str, str]:
    """The files with what the two edits keep of their parents."""
    parents = {"parents/1/manifest.json": "3" * 64, "parents/2/manifest.json": "4" * 64}
    golden = {f"parents/{number}/golden.npz": "1" * 64 for number in (1, 2)}
    return content | parents | golden


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).write_bytes(name.encode())
    hashes = {name: sha256_of(tmp_path / name) for name in FILES}
    write_manifest(tmp_path, manifest(hashes))
    return tmp_path


def rewrite(folder: Path, change) -> None:
    content = json.loads((folder / MANIFEST).read_text())
    change(content)
    write_manifest(folder, content)


def test_an_unchanged_artifact_loads(folder):
    assert load_artifact(folder).manifest.labels == ("crane", "kite")


def test_a_class_is_decomposed_or_whole_and_its_record_holds_what_that_means(folder):
    def whole(content):
        content["classes"][0] |= {"state": "whole", "warnings": ["kept whole"]}

    rewrite(folder, whole)
    with pytest.raises(ManifestError, match=r"classes\.0\.whole\.residual_ratio"):
        load_artifact(folder)

    def nothing_solved(content):
        none = ("residual_ratio", "regularization", "discovery", "scaling", "refinement")
        content["classes"][0] |= dict.fromkeys(none) | {"scale": []}

    rewrite(folder, nothing_solved)
    first, second = load_artifact(folder).manifest.classes
    assert (type(first), type(second)) == (WholeClass, DecomposedClass)
    rewrite(folder, lambda content: content["classes"][0].update(state="decomposed"))
    with pytest.raises(ManifestError, match=r"classes\.0\.decomposed\.residual_ratio"):
        load_artifact(folder)


@pytest.mark.parametrize(
    ("likeness", "things"),
    [
        ({}, 4),
        ({0: [2], 2: [0]}, 3),
        ({0: [2], 2: [0, 3], 3: [2]}, 2),  # 0 is like 3 by way of 2
        ({0: [1], 1: [0], 2: [3], 3: [2]}, 2),
        ({n: [m for m in range(4) if m != n] for n in range(4)}, 1),
    ],
)
def test_prototypes_of_one_thing_count_once(likeness, things):
    record = decomposed(0, "crane", *"abcd").model_dump(mode="json")
    for number, others in likeness.items():
        record["prototypes"][number]["alike"] = others
    assert DecomposedClass.model_validate(record).distinct == things


@pytest.mark.parametrize("stranger", [0, 2, -1])
def test_a_prototype_is_only_like_others_of_its_class(folder, stranger):
    def like(content):
        content["classes"][1]["prototypes"][0]["alike"] = [stranger]

    rewrite(folder, like)
    with pytest.raises(ManifestError, match=r"classes\.1"):
        load_artifact(folder)


def test_the_manifest_has_golden_bytes():
    """The format is a contract: a change of these bytes is a change of the format version."""
    golden = Path(__file__).with_name("golden_manifest.json")
    found = dump_manifest(manifest(dict.fromkeys(FILES, "1" * 64)))
    assert found == golden.read_bytes()


def test_a_normalisation_is_written_where_there_is_one():
    number = {"reduction": "sum", "centred": False, "epsilon": 0.0, "floor": 1e-12, "offset": 0.0}
    plain = manifest(dict.fromkeys(FILES, "0" * 64))
    head = HeadRecord(**plain.head.model_dump(), normalisation=number)
    written = json.loads(dump_manifest(plain.model_copy(update={"head": head})))
    assert written["head"]["normalisation"] == number
    assert "normalisation" not in json.loads(dump_manifest(plain))["head"]


def test_edits_have_golden_bytes():
    """The records of edits are part of the same contract."""
    golden = Path(__file__).with_name("golden_edits.json")
    found = manifest(kept(dict.fromkeys(FILES, "1" * 64)), edits=edits())
    assert found.muted == {(0, 0)}
    text = dump_manifest(found)
    assert Manifest.model_validate_json(text) == found
    content = json.loads(text)
    assert json.loads(golden.read_bytes()) == content["edits"]
    assert b' "edits": ' + golden.read_bytes().rstrip() + b"," in text


def test_without_edits_the_manifest_does_not_speak_of_them():
    assert b"edit" not in dump_manifest(manifest(dict.fromkeys(FILES, "1" * 64)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["edits"][0].update(parent="5" * 64), "edit 1 to have the parent"),
        (lambda c: c["edits"].reverse(), "edit 1 to have the parent"),
        (lambda c: c["edits"].pop(0), "edit 1 to have the parent"),
        (lambda c: c["files"].pop("parents/2/manifest.json"), "edit 2 to have the parent"),
        (lambda c: c["files"].pop("parents/1/golden.npz"), "sha256 for parents/1/golden.npz"),
        (lambda c: c["edits"][0]["muted"][0].update(prototype=1), "edit 1: no prototype 1 of cla"),
        (lambda c: c["edits"][0].update(muted=[NOWHERE], effect=None), "edit 1: no prototype 0 of"),
        (lambda c: c["edits"][0]["muted"][0].update(prototype=-1), "greater than or equal to 0"),
        (lambda c: c["edits"][1]["renamed"][0].update(class_index=9), "edit 2: no prototype 0 of"),
        (lambda c: c["edits"][0]["muted"].append(c["edits"][0]["muted"][0]), "muted already"),
        (lambda c: c["edits"][1].update(muted=c["edits"][0]["muted"]), "muted already"),
        (lambda c: c["edits"][0].update(reason=""), "at least 1 character"),
        (lambda c: c["edits"][0].pop("reason"), "Field required"),
        (lambda c: c["edits"][0].update(more=1), "Extra inputs"),
        (lambda c: c["edits"][0]["effect"].update(accuracy_after=1.5), "less than or equal to 1"),
        (lambda c: c.update(edits={}), "valid array"),
    ],
)
def test_edits_that_do_not_fit_are_refused(folder, change, message):
    rewrite(folder, lambda content: change(with_edits(content)))
    with pytest.raises(ManifestError, match=message):
        load_artifact(folder)


@pytest.mark.parametrize(
    ("where", "changes", "message"),
    [
        (("classes", 0), {"class_index": 99}, "class 99: expected 2 recognised and 2 predicted"),
        (("classes", 0), UNCHANGED | {"class_index": 99}, r"classes \(0,\), got \(99,\)"),
        (("classes", 0), UNCHANGED | {"class_index": 1}, "class 1: expected 2 recognised and 3"),
        (("changes", 0), {"label": 99}, "correct 0 and break 0 images, got 0 and 1"),
        (("changes", 0), {"after": 99}, "edit 1: no class 99"),
        (("changes", 0), {"after": 2}, "edit 1: no class 2"),
        (("changes", 0), {"after": 0}, "a change of the best class, got 0 twice"),
        ((), {"corrected": 99}, "correct 0 and break 1 images, got 99 and 1"),
        ((), {"broken": 0}, "correct 0 and break 1 images, got 0 and 0"),
        ((), {"changes": []}, "correct 0 and break 0 images, got 0 and 1"),
        ((), {"classes": []}, r"classes \(0,\), got \(\)"),
        ((), {"accuracy_after": 1.0}, "grows by -1 of 4 images, got 0.75 and 1.0"),
        ((), {"accuracy_before": 0.7, "accuracy_after": 0.45}, "a share of 4 images, got 0.7"),
        ((), {"accuracy_before": 0.7499, "accuracy_after": 0.4999}, "4 images, got 0.7499"),
        ((), {"accuracy_before": 0.0, "accuracy_after": 0.0}, "0 of 4 images right before"),
        ((), {"images": 1, "accuracy_before": 1, "accuracy_after": 0}, "do not fit 2 images of 1"),
        (("classes", 0), {"recognised_after": 2}, "1 recognised and 1 predicted after, got 2"),
        (("classes", 0), {"predicted_after": 2}, "1 predicted after, got 1 and 2"),
        (("classes", 0), {"images": 1}, "do not fit 1 images of 4"),
        (("classes", 0), {"predicted_before": 1, "predicted_after": 0}, "2 recognised and 1 pred"),
        (("classes", 0), {"predicted_before": 5, "predicted_after": 4}, "do not fit 2 images of 4"),
    ],
)
def test_an_effect_that_contradicts_itself_or_the_classes_is_refused(
    folder, where, changes, message
):
    def forge(content):
        record = with_edits(content)["edits"][0]["effect"]
        for key in where:
            record = record[key]
        record.update(changes)

    rewrite(folder, forge)
    with pytest.raises(ManifestError, match=message):
        load_artifact(folder)


def test_an_image_is_changed_once(folder):
    def forge(content):
        effect = with_edits(content)["edits"][0]["effect"]
        effect.update(changes=effect["changes"] * 2, broken=2, accuracy_after=0.25)

    rewrite(folder, forge)
    with pytest.raises(ManifestError, match=r"crane/1\.jpg"):
        load_artifact(folder)


def with_edits(content):
    """The content of a manifest, made that of an edited artifact."""
    content["edits"] = [edit.model_dump(mode="json") for edit in edits()]
    content["files"] = kept(content["files"])
    return content


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
    ("change", "message"),
    [
        (lambda c: c.update(prototypes=0), "prototypes: .*equal to 1"),
        (lambda c: c.update(prototypes=33), "prototypes: .*equal to 32"),
        (lambda c: c.update(extra=1), "extra: "),
        (lambda c: c.pop("head"), "head: "),
        (lambda c: c.update(classes=[]), "classes: .*at least 1"),
        (lambda c: c["classes"].reverse(), "classes numbered 0, 1, 2"),
        (lambda c: c["classes"][1].update(index=2), "classes numbered 0, 1, 2"),
        (lambda c: c["files"].pop("model.onnx"), r"none for \['model\.onnx'\]"),
        (lambda c: c["files"].update({"model.onnx": "xyz"}), r"files\.model\.onnx: "),
        (lambda c: c["input"]["preprocessing"].update(crop=-1), r"input\.preprocessing\.crop"),
        (lambda c: c["input"].update(dtype="float64"), r"input\.dtype: "),
    ],
)
def test_a_manifest_out_of_range_is_refused(folder, change, message):
    rewrite(folder, change)
    with pytest.raises(ManifestError, match=message):
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

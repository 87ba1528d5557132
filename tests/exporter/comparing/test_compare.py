"""What two manifests and their files say of their difference."""

import numpy as np
import pytest
from manifests import write_manifest
from safetensors.numpy import load_file, save_file

from exporter.comparing.compare import compare
from exporter.comparing.wording import became, class_facts, statements
from serving.artifact import MANIFEST, MANIFEST_HASH, PROTOTYPES, Artifact


@pytest.fixture
def artifact(tiny_export):
    return tiny_export[1]


@pytest.fixture
def against(artifact, tmp_path):
    """The difference to the same artifact with another manifest."""

    def against_(**update):
        other = beside(artifact, tmp_path, **update)
        return compare(artifact, other, ("a", "b"))

    return against_


def beside(artifact, folder, **update):
    """The same files in another folder, with another manifest."""
    for path in artifact.folder.iterdir():
        if path.name not in (MANIFEST, MANIFEST_HASH):
            (folder / path.name).symlink_to(path)
    manifest = artifact.manifest.model_copy(update=update)
    write_manifest(folder, manifest)
    return Artifact(folder, manifest)


def changed(artifact, index, **update):
    """The classes with one of them changed."""
    classes = list(artifact.manifest.classes)
    classes[index] = classes[index].model_copy(update=update)
    return tuple(classes)


def moved(artifact, folder, change):
    """The same artifact with other prototypes (c, k, d) in its file."""
    other = beside(artifact, folder)
    tensors = load_file(artifact.path(PROTOTYPES))
    tensors["prototypes"] = np.ascontiguousarray(change(tensors["prototypes"]))
    other.path(PROTOTYPES).unlink()
    save_file(tensors, other.path(PROTOTYPES))
    return other


def test_an_artifact_differs_in_nothing_from_itself(against):
    found = against()
    assert found.is_same
    assert not any(change.is_change for change in found.classes)
    assert (found.options, found.gates, found.files, found.edits_gained) == ((), (), (), ())
    assert found.parts == {"kept": 6, "moved": 0, "gained": 0, "lost": 0}
    assert list(statements(found, str)) == ["They are one artifact, byte for byte."]


def test_options_are_named_as_in_the_manifest(against, artifact):
    method = artifact.manifest.method.model_copy(update={"seed": 7})
    found = against(method=method, top=1)
    assert {(c.name, c.old, c.new) for c in found.options} == {
        ("method.seed", 0, 7),
        ("top", 2, 1),
    }


def test_a_renumbered_part_is_kept_and_keeps_its_default_name(artifact, tmp_path):
    other = moved(artifact, tmp_path, lambda prototypes: prototypes[:, ::-1])
    found = compare(artifact, other, ("a", "b"))
    parts = [part for change in found.classes for part in change.parts]
    assert {(p.state, p.old.number, p.new.number) for p in parts} == {
        ("kept", 0, 1),
        ("kept", 1, 0),
    }
    assert not any(part.is_renamed for part in parts)


def test_a_part_that_points_elsewhere_is_lost_and_another_gained(artifact, tmp_path):
    def turn(prototypes):
        prototypes[1, 0] *= -1
        return prototypes

    found = compare(artifact, moved(artifact, tmp_path, turn), ("a", "b"))
    assert [c.label for c in found.classes if c.is_change] == ["green"]
    assert found.parts == {"kept": 5, "moved": 0, "gained": 1, "lost": 1}


def test_names_and_mutes_are_changes_of_a_part_that_was_kept(against, artifact):
    prototypes = artifact.manifest.classes[0].prototypes
    named = (prototypes[0].model_copy(update={"name": "bill"}), prototypes[1])
    found = against(classes=changed(artifact, 0, prototypes=named))
    first, second = found.classes[0].parts
    assert (became(first), became(second)) == ("kept, renamed", "kept")
    assert "Parts: 6 kept, 1 renamed." in statements(found, str)


def test_facts_and_warnings_of_a_class(against, artifact):
    found = against(classes=changed(artifact, 2, accuracy=0.5, images=3, warnings=("it is few",)))
    (change,) = (c for c in found.classes if c.is_change)
    assert class_facts(change) == [
        "training images 8 → 3",
        "training accuracy 100.0 % → 50.0 %",
        "new warning: it is few",
    ]


def test_another_label_of_one_classifier_is_no_other_class(against, artifact):
    found = against(classes=changed(artifact, 2, label="azure"))
    (change,) = (c for c in found.classes if c.is_change)
    assert (change.old, change.new, change.label) == (2, 2, "azure")
    assert class_facts(change) == ["label blue → azure"]


def test_of_another_classifier_classes_go_by_label_and_parts_by_their_crops(against, artifact):
    source = artifact.manifest.source.model_copy(update={"sha256": "0" * 64})
    found = against(source=source, classes=changed(artifact, 2, label="azure"))
    assert not found.same_source
    assert found.matched_by == {"crops": 2}
    assert [(c.label, c.old, c.new) for c in found.classes if c.is_change] == [
        ("azure", None, 2),
        ("blue", 2, None),
    ]
    assert found.parts == {"kept": 4, "moved": 0, "gained": 2, "lost": 2}
    said = list(statements(found, str))
    assert said[0] == "The classifier is another one of the same name, tiny.onnx."
    assert "1 class gained: azure." in said
    assert "1 class lost: blue." in said


def test_gates_by_their_result_and_files_by_their_bytes(against, artifact):
    failed = artifact.manifest.verification[1].model_copy(update={"state": "failed"})
    gates = (failed, *artifact.manifest.verification[2:])
    files = {**artifact.manifest.files, "model.onnx": "0" * 64}
    found = against(verification=gates, files=files)
    assert [(c.name, c.old, c.new) for c in found.gates] == [
        (failed.name, "passed", "failed"),
        ("integrity", "passed", None),
    ]
    size = artifact.path("model.onnx").stat().st_size
    assert ("model.onnx", size, size) in [(f.name, f.old, f.new) for f in found.files]
    assert {f.name for f in found.files} == {"model.onnx", "manifest.json"}

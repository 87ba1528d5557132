"""Decisions baked into an artifact: what they change, what they leave alone, and the way back."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import tiny
from manifests import write_manifest
from onnx.helper import make_node, make_tensor_value_info
from onnx.numpy_helper import from_array

import exporter
from exporter.errors import DatasetError, EditError, OutputError, VerificationError
from exporter.source.onnx_file import load_source
from exporter.surgery import remove_prototype_outputs
from exporter.verification.run import passed, verify
from serving.artifact import MANIFEST, load_artifact, sha256_of
from serving.drawing.picture import draw
from serving.errors import IntegrityError
from serving.model.predictor import Predictor
from serving.process.live import Served
from serving.process.settings import Settings

REASON = "looks at the frame"
MUTE = [("green", 1)]
NAMES = [(("red", 0), "red: the square"), ((2, 1), "=blue")]


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def pictures():
    return [tiny.image(label, number) for label in range(3) for number in range(20, 24)]


@pytest.fixture(scope="module")
def edited(tiny_export, tmp_path_factory):
    """The tiny export with one prototype muted and two named, its effect measured."""
    config, artifact = tiny_export
    out = tmp_path_factory.mktemp("edited") / "edited"
    return exporter.edit(
        artifact.folder, out, reason=REASON, mute=MUTE, names=NAMES, data=config.data
    )


@pytest.fixture(scope="module")
def twice(edited, tmp_path_factory):
    """The edited artifact, edited once more, without data."""
    out = tmp_path_factory.mktemp("twice") / "twice"
    names = [(("red", 0), "red again")]
    return exporter.edit(edited.folder, out, reason="more", mute=[("blue", 0)], names=names)


# What changes


def test_edited_logits_lack_the_muted_contribution_and_no_other_logit_changes(tiny_export, edited):
    before, after = Predictor(tiny_export[1]), Predictor(edited)
    batch = np.stack([before.preprocess(picture)[1] for picture in pictures()])
    every = np.tile(np.arange(3), (len(batch), 1))
    plain, found = before.run(batch, classes=every), after.run(batch)
    np.testing.assert_array_equal(found.logits[:, [0, 2]], plain.logits[:, [0, 2]])
    expected = plain.logits[:, 1] - plain.contributions[:, 1, 1]
    scale = np.abs(plain.contributions).max()  # of which float32 keeps 1e-6
    np.testing.assert_allclose(found.logits[:, 1], expected, rtol=0, atol=1e-6 * scale)


def test_the_explanation_of_an_edited_artifact_is_complete_and_has_the_names(edited):
    explanation = Predictor(edited).explain(tiny.image(1, 50), classes=["green", "red", "blue"])
    green, red, blue = explanation.classes
    assert green.prototypes[1].contribution == 0
    assert not green.prototypes[1].heatmap.any()
    assert [p.name for p in red.prototypes] == ["red: the square", "prototype 1"]
    assert [p.name for p in blue.prototypes] == ["prototype 0", "=blue"]
    scale = max(abs(explained.logit) for explained in explanation.classes)
    assert explanation.residual <= 1e-5 * scale
    assert draw(explanation, title="edited", top=3).size[0] > 0


def test_muting_works_on_top_of_an_edit(edited):
    predictor = Predictor(edited)
    plain = predictor.explain(tiny.image(1, 50), classes=["green"]).classes[0]
    muted = predictor.explain(tiny.image(1, 50), classes=["green"], mute=[("green", 0)]).classes[0]
    again = predictor.explain(tiny.image(1, 50), classes=["green"], mute=[("green", 1)]).classes[0]
    assert [p.contribution for p in muted.prototypes] == [0, 0]
    # Nothing is left of green but its bias and what is common to all classes.
    assert muted.logit == pytest.approx(muted.bias + muted.common, abs=1e-5 * abs(plain.logit))
    assert again.logit == plain.logit


def test_an_edited_artifact_passes_the_test_of_the_server(edited):
    served = Served.load(edited.folder, Settings(artifact=edited.folder, provider="cpu"))
    assert served.predictor.manifest.labels == tiny.LABELS


def test_the_record_holds_parent_reason_decision_and_names(tiny_export, edited):
    (edit,) = edited.manifest.edits
    assert edit.parent == sha256_of(tiny_export[1].folder / MANIFEST)
    assert edit.reason == REASON
    assert edited.manifest.muted == {(1, 1)}
    assert [
        (name.class_index, name.prototype, name.before, name.after) for name in edit.renamed
    ] == [
        (0, 0, "prototype 0", "red: the square"),
        (2, 1, "prototype 1", "=blue"),
    ]


def test_the_effect_is_what_two_predictors_answer(tiny_export, edited):
    config, artifact = tiny_export
    effect = edited.manifest.edits[0].effect
    paths = [path for label in tiny.LABELS for path in sorted((config.data / label).iterdir())]
    labels = np.repeat(range(3), 8)
    before, after = (Predictor(a).predict(paths).argmax(axis=1) for a in (artifact, edited))
    assert (effect.data, effect.images, effect.skipped) == ("data", 24, 0)
    assert effect.accuracy_before == (before == labels).mean()
    assert effect.accuracy_after == (after == labels).mean()
    assert effect.broken == ((before == labels) & (after != labels)).sum() > 0
    assert effect.corrected == ((before != labels) & (after == labels)).sum()
    assert [(c.image, c.label, c.before, c.after) for c in effect.changes] == [
        (path.relative_to(config.data).as_posix(), label, old, new)
        for path, label, old, new in zip(paths, labels, before, after, strict=True)
        if old != new
    ]
    (green,) = effect.classes
    assert (green.class_index, green.images) == (1, 8)
    assert green.recognised_after == ((after == 1) & (labels == 1)).sum()
    assert (green.predicted_before, green.predicted_after) == (
        (before == 1).sum(),
        (after == 1).sum(),
    )


def test_without_data_the_effect_is_not_measured(twice):
    assert twice.manifest.edits[1].effect is None


def test_the_same_edit_gives_the_same_bytes(tiny_export, edited, tmp_path):
    config, artifact = tiny_export
    exporter.edit(
        artifact.folder, tmp_path / "b", reason=REASON, mute=MUTE, names=NAMES, data=config.data
    )
    assert files(tmp_path / "b") == files(edited.folder)


def test_names_alone_leave_the_graphs_alone(tiny_export, tmp_path):
    artifact = tiny_export[1]
    named = exporter.edit(artifact.folder, tmp_path / "n", reason="names", names=NAMES)
    before, after = artifact.manifest.files, named.manifest.files
    assert {name: after[name] for name in before} == before
    exporter.undo_edit(named.folder, tmp_path / "back")
    assert files(tmp_path / "back") == files(artifact.folder)


def test_an_artifact_can_be_edited_in_place(tiny_export, tmp_path):
    folder = shutil.copytree(tiny_export[1].folder, tmp_path / "artifact")
    before = files(folder)
    exporter.edit(folder, folder, reason=REASON, mute=MUTE, overwrite=True)
    assert len(load_artifact(folder).manifest.edits) == 1
    exporter.undo_edit(folder, folder, overwrite=True)
    assert files(folder) == before
    assert list(tmp_path.iterdir()) == [folder]


# The way back


def test_edits_are_taken_back_one_by_one_byte_for_byte(tiny_export, edited, twice, tmp_path):
    exporter.undo_edit(twice.folder, tmp_path / "once")
    assert files(tmp_path / "once") == files(edited.folder)
    exporter.undo_edit(tmp_path / "once", tmp_path / "never")
    assert files(tmp_path / "never") == files(tiny_export[1].folder)
    with pytest.raises(EditError, match="never edited"):
        exporter.undo_edit(tmp_path / "never", tmp_path / "more")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["never", "once"]


def test_the_source_comes_out_of_an_edited_artifact(tiny_export, twice):
    models = [ir.load(artifact.path("model.onnx")) for artifact in (tiny_export[1], twice)]
    assert all(remove_prototype_outputs(model) for model in models)
    unedited, found = (ir.to_proto(model).SerializeToString() for model in models)
    assert found == unedited


@pytest.mark.parametrize("name", ["model.onnx", "steerable.onnx"])
def test_a_parent_that_does_not_come_back_is_not_put_in_place(edited, tmp_path, name):
    folder = shutil.copytree(edited.folder, tmp_path / "edited")
    model = onnx.load(folder / name)
    weight = next(w for w in model.graph.initializer if w.name == "protohead/edit1/rows")
    weight.CopyFrom(from_array(np.ones((1, 16), np.float32), weight.name))
    onnx.save(model, folder / name)
    rehash(folder, name)
    with pytest.raises(VerificationError, match=rf"byte for byte.*{name} has changed.*sha256"):
        exporter.undo_edit(folder, tmp_path / "back")
    assert list(tmp_path.iterdir()) == [folder]


def test_a_damaged_edited_artifact_is_refused(edited, tmp_path):
    folder = shutil.copytree(edited.folder, tmp_path / "edited")
    (folder / "parents" / "1" / MANIFEST).write_text("{}")
    for call in (verify_first, undo, edit_again):
        with pytest.raises(IntegrityError, match=r"parents/1/manifest\.json has changed"):
            call(folder, tmp_path / "out")


def verify_first(folder, _out):
    gate, *others = verify(folder)
    assert {other.state for other in others} == {"skipped"}
    raise IntegrityError(gate.detail)


def undo(folder, out):
    exporter.undo_edit(folder, out)


def edit_again(folder, out):
    exporter.edit(folder, out, reason="again", mute=[("red", 0)])


# Verification


def rehash(folder, name):
    """Write the file's new hash into the manifest, as an attacker or a broken tool would."""
    content = json.loads((folder / MANIFEST).read_text())
    content["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    write_manifest(folder, content)


def change_constant(folder, graph, name, change):
    model = onnx.load(folder / graph)
    weight = next(w for w in model.graph.initializer if w.name == name)
    weight.CopyFrom(from_array(change(onnx.numpy_helper.to_array(weight).copy()), name))
    onnx.save(model, folder / graph)
    rehash(folder, graph)


def failed(gates):
    return {gate.name for gate in gates if gate.state == "failed"}


@pytest.mark.parametrize("with_source", [True, False])
def test_every_gate_passes_after_two_edits(tiny_export, twice, with_source):
    config, _ = tiny_export
    source = load_source(config.model).model if with_source else None
    gates = verify(twice.folder, source=source, images=sorted(config.data.rglob("*.png")))
    assert passed(gates)
    assert [gate.name for gate in gates] == [
        "integrity",
        "edits undo",
        "edit records",
        "logits, batch 1",
        "logits, batch 8",
        "batch independence",
        "neutral mask",
        "edited logits",
        "untouched classes",
        "muted prototypes",
        "completeness",
        "completeness, all",
        "heatmap means",
        "top-1 agreement",
        "grid",
        "prototypes sum to head",
        "stored prototypes",
        "golden batch",
        "golden pictures",
    ]
    details = {gate.name: gate.detail for gate in gates}
    assert details["edits undo"].startswith("2 of 2 edits")
    assert "in 1 classes" in details["untouched classes"]
    assert "the edits change the best class of" in details["top-1 agreement"]


def test_what_verification_measured_is_in_the_manifest(edited):
    assert len(edited.manifest.verification) == 19
    assert passed(edited.manifest.verification)


@pytest.fixture
def forged(edited, tmp_path):
    return shutil.copytree(edited.folder, tmp_path / "forged")


def test_a_graph_that_mutes_another_prototype_than_the_record_is_found(forged):
    content = json.loads((forged / MANIFEST).read_text())
    content["edits"][0]["muted"][0]["prototype"] = 0
    write_manifest(forged, content)
    assert failed(verify(forged)) == {"edited logits", "muted prototypes"}


def test_a_manifest_that_changes_more_than_its_edit_says_is_found(forged):
    content = json.loads((forged / MANIFEST).read_text())
    content["classes"][2]["accuracy"] = 0.25
    write_manifest(forged, content)
    assert failed(verify(forged)) == {"edit records"}


def test_a_logit_of_another_class_that_moves_is_found(forged):
    change_constant(forged, "model.onnx", "protohead/edit1/touched", np.ones_like)
    change_constant(forged, "model.onnx", "protohead/edit1/class_of_row", lambda a: a + 1e-3)
    # The notes still undo it, so nothing but the comparison can tell.
    assert {"untouched classes", "edited logits", "neutral mask"} <= failed(verify(forged))


def test_other_weights_below_an_edit_do_not_undo(forged):
    change_constant(forged, "model.onnx", "w2", lambda w: w * np.float32(1 + 1e-6))
    gates = verify(forged)
    assert [gate.name for gate in gates if gate.state == "failed"] == ["edits undo"]
    assert {gate.state for gate in gates[2:]} == {"skipped"}
    assert "model.onnx has changed" in gates[1].detail


@pytest.mark.parametrize("note", ["", "[]", '[{"muted": 3}]', "null"])
def test_a_graph_whose_note_was_changed_fails_without_an_exception(forged, note):
    model = onnx.load(forged / "model.onnx")
    next(p for p in model.metadata_props if p.key == "protohead/edits").value = note
    onnx.save(model, forged / "model.onnx")
    rehash(forged, "model.onnx")
    assert failed(verify(forged)) == {"edits undo"}


def test_another_source_model_is_found(forged, tiny_export):
    model = onnx.load(tiny_export[0].model)
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "bias")
    bias.CopyFrom(from_array(onnx.numpy_helper.to_array(bias) + np.float32(0.5), "bias"))
    assert {"logits, batch 1", "logits, batch 8"} <= failed(
        verify(forged, source=ir.from_proto(model))
    )


def test_an_effect_is_measured_again_on_the_same_images(tiny_export, edited, twice, tmp_path):
    data = shutil.copytree(tiny_export[0].data, tmp_path / "moved")
    for folder in (edited.folder, twice.folder):
        gate = effect_gate(folder, data)
        assert (gate.state, gate.value) == ("passed", 0.0)
        assert gate.detail == "1 of 1 effects measured again are as on record"


@pytest.mark.parametrize("edits", [1, 2])
def test_an_effect_that_is_another_is_found(tiny_export, edited, twice, tmp_path, edits):
    forged = shutil.copytree((edited if edits == 1 else twice).folder, tmp_path / "forged")
    content = json.loads((forged / MANIFEST).read_text())
    effect = content["edits"][0]["effect"]
    changed = effect["changes"][0]
    others = ({0, 1, 2} - {changed["before"], changed["after"]}) if edits == 1 else ()
    changed["after"] = next(iter(others), changed["after"])
    effect["skipped"] += edits == 2
    write_manifest(forged, content)
    assert "edit effects" not in failed(verify(forged))
    assert effect_gate(forged, tiny_export[0].data).state == "failed"


def test_an_effect_of_other_images_is_not_measured_again(tiny_export, edited, tmp_path):
    fewer = shutil.copytree(tiny_export[0].data, tmp_path / "fewer")
    (fewer / "red" / "000.png").unlink()
    for data in (fewer, tmp_path):  # of which the second has no folders of classes
        gate = effect_gate(edited.folder, data)
        assert gate.state == "skipped"
        assert "1 effects were measured on other images: data" in gate.detail


def test_without_an_effect_there_is_none_to_measure_again(tiny_export, tmp_path):
    folder = tiny_export[1].folder
    assert effect_gate(folder, tiny_export[0].data) is None
    made = exporter.edit(folder, tmp_path / "edited", reason="r", mute=MUTE)
    assert effect_gate(made.folder, tiny_export[0].data) is None


def effect_gate(folder, data):
    progress = []
    gates = verify(folder, data=data, progress=lambda *counts: progress.append(counts))
    assert progress[-1][0] == progress[-1][1]
    return next((gate for gate in gates if gate.name == "edit effects"), None)


# Forms of head, from export to undo


def with_softmax(model):
    model.graph.node.append(make_node("Softmax", ["logits"], ["probabilities"]))
    del model.graph.output[:]
    model.graph.output.append(make_tensor_value_info("probabilities", 1, ["N", 3]))


def with_layer_norm(model):
    head = model.graph.node.pop()
    model.graph.node.append(make_node("LayerNormalization", ["flat", "gamma", "beta"], ["normal"]))
    head.input[0] = "normal"
    model.graph.node.append(head)
    gamma = np.linspace(0.5, 2, 16, dtype=np.float32)
    model.graph.initializer.extend([from_array(gamma, "gamma"), from_array(gamma - 1, "beta")])


def with_fixed_batch(model):
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 4


@pytest.mark.parametrize("form", [with_softmax, with_layer_norm, with_fixed_batch])
def test_other_forms_of_head_go_there_and_back(tmp_path, form):
    config = tiny.write(tmp_path, images=6)
    model = onnx.load(config.model)
    form(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, config.model)
    (config.data / "red" / "broken.png").write_bytes(b"no image")
    artifact = exporter.export(config)
    edited = exporter.edit(
        artifact.folder, tmp_path / "edited", reason=REASON, mute=[("red", 1)], data=config.data
    )
    assert (edited.manifest.edits[0].effect.images, edited.manifest.edits[0].effect.skipped) == (
        18,
        1,
    )
    assert passed(verify(edited.folder))
    exporter.undo_edit(edited.folder, tmp_path / "back")
    assert files(tmp_path / "back") == files(artifact.folder)


def test_names_of_images_that_are_no_text_go_there_and_back(tmp_path):
    config = tiny.write(tmp_path)
    for path in config.data.rglob("*.png"):
        path.rename(path.with_name(os.fsdecode(b"\xff") + path.name))
    data = config.data.rename(tmp_path / os.fsdecode(b"data\xff"))
    artifact = exporter.export(config.model_copy(update={"data": data}))
    assert artifact.manifest.classes[0].prototypes[0].evidence[0].image.startswith(r"red/\xff0")
    edited = exporter.edit(artifact.folder, tmp_path / "o", reason="r", mute=MUTE, data=data)
    effect = edited.manifest.edits[0].effect
    assert (effect.data, effect.images) == (r"data\xff", 24)
    assert effect.changes[0].image.startswith(r"green/\xff0")
    assert passed(verify(edited.folder, images=sorted(data.rglob("*.png")), data=data))


# Refusals


@pytest.fixture
def nothing_written(tmp_path):
    yield tmp_path / "out"
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.part").exists()


@pytest.mark.parametrize(
    ("mute", "names", "message"),
    [
        ([("gren", 0)], [], r"label of this model, got 'gren'. Did you mean 'green'\?"),
        ([("owl", 0)], [], r"got 'owl'. There are 'red', 'green', 'blue'"),
        ([(3, 0)], [], r"class id from 0 to 2, got 3"),
        ([("7", 0)], [], r"class id from 0 to 2, got 7"),
        ([(-1, 0)], [], r"class id from 0 to 2, got -1"),
        ([("red", 2)], [], r"'red': expected a prototype from 0 to 1, got 2"),
        ([("red", -1)], [], r"'red': expected a prototype from 0 to 1, got -1"),
        ([], [], r"nothing to do"),
        ([("red", 0), ("0", 1)], [], r"'red' would keep no prototype"),
        ([], [(("red", 0), " ")], r"red:0: expected a name of one line"),
        ([], [(("red", 0), "a\nb")], r"red:0: expected a name of one line"),
        ([], [(("red", 0), "a" * 201)], r"at most 200 characters"),
        ([], [(("red", 0), "bad\udcff")], r"red:0: expected a name .* got 'bad\\udcff'"),
        ([], [(("red", 0), "prototype 0")], r"red:0 is named 'prototype 0' already"),
        ([], [(("red", 0), "prototype 1")], r"another prototype of the class is named"),
        ([], [(("red", 0), "a"), (("red", 1), "a")], r"another prototype of the class is named"),
        ([], [(("red", 0), "a"), ((0, 0), "b")], r"red:0 is given two names"),
    ],
)
def test_a_decision_that_does_not_fit_is_refused(
    tiny_export, nothing_written, mute, names, message
):
    folder = tiny_export[1].folder
    with pytest.raises(EditError, match=message):
        exporter.edit(folder, nothing_written, reason=REASON, mute=mute, names=names)


def test_two_prototypes_may_swap_their_names(tiny_export, tmp_path):
    names = [(("red", 0), "prototype 1"), (("red", 1), "prototype 0")]
    named = exporter.edit(tiny_export[1].folder, tmp_path / "n", reason="swap", names=names)
    assert [p.name for p in named.manifest.classes[0].prototypes] == ["prototype 1", "prototype 0"]


@pytest.mark.parametrize("reason", ["", " \n"])
def test_an_edit_has_a_reason(tiny_export, nothing_written, reason):
    with pytest.raises(EditError, match="expected a reason"):
        exporter.edit(tiny_export[1].folder, nothing_written, reason=reason, mute=MUTE)


def test_a_reason_is_text(tiny_export, nothing_written):
    with pytest.raises(EditError, match=r"expected a reason in UTF-8, got 'bad\\udcff'"):
        exporter.edit(tiny_export[1].folder, nothing_written, reason="bad\udcff", mute=MUTE)


def test_what_is_muted_already_is_refused_with_the_reason(edited, nothing_written):
    with pytest.raises(EditError, match=f"green:1 is muted already: {REASON}"):
        exporter.edit(edited.folder, nothing_written, reason="again", mute=MUTE)


def test_a_class_cannot_lose_its_last_prototype_in_a_later_edit(edited, nothing_written):
    with pytest.raises(EditError, match="'green' would keep no prototype"):
        exporter.edit(edited.folder, nothing_written, reason="more", mute=[("green", 0)])


def test_a_class_kept_whole_can_be_named_not_muted(tmp_path):
    config = tiny.write(tmp_path)
    shutil.rmtree(config.data / "blue")
    artifact = exporter.export(config)
    with pytest.raises(EditError, match="'blue' was kept whole"):
        exporter.edit(artifact.folder, tmp_path / "out", reason=REASON, mute=[("blue", 0)])
    with pytest.raises(EditError, match="'blue': expected a prototype from 0 to 0, got 1"):
        exporter.edit(artifact.folder, tmp_path / "out", reason=REASON, mute=[("blue", 1)])
    named = exporter.edit(
        artifact.folder, tmp_path / "out", reason=REASON, names=[(("blue", 0), "all of it")]
    )
    assert named.manifest.classes[2].prototypes[0].name == "all of it"


def test_a_sigmoid_model_is_edited_but_has_no_best_class_to_measure(tmp_path):
    config = tiny.write(tmp_path).model_copy(update={"multilabel": True})
    artifact = exporter.export(config)
    with pytest.raises(EditError, match=r"a probability of its own.*Leave `data` out"):
        exporter.edit(artifact.folder, tmp_path / "o", reason="r", mute=MUTE, data=config.data)
    assert exporter.edit(artifact.folder, tmp_path / "o", reason="r", mute=MUTE).manifest.muted


def test_data_that_does_not_fit_is_refused(tiny_export, nothing_written, tmp_path):
    (tmp_path / "data" / "owl").mkdir(parents=True)
    folder = tiny_export[1].folder
    with pytest.raises(DatasetError, match="owl"):
        exporter.edit(folder, nothing_written, reason="r", mute=MUTE, data=tmp_path / "data")
    (tmp_path / "data" / "owl").rename(tmp_path / "data" / "red")
    (tmp_path / "data" / "red" / "a.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match="not one image can be decoded"):
        exporter.edit(folder, nothing_written, reason="r", mute=MUTE, data=tmp_path / "data")


@pytest.mark.parametrize(
    ("name", "error"), [("model.onnx", "onnxruntime cannot load"), ("steerable.onnx", "ONNX model")]
)
def test_a_graph_that_is_none_is_refused(tiny_export, tmp_path, nothing_written, name, error):
    folder = shutil.copytree(tiny_export[1].folder, tmp_path / "artifact")
    (folder / name).write_bytes(b"\x08\x08garbage")
    rehash(folder, name)
    with pytest.raises(Exception, match=error):
        exporter.edit(folder, nothing_written, reason="r", mute=MUTE)


# Whole or not at all


def test_another_artifact_is_replaced_only_when_asked(tiny_export, edited, tmp_path):
    out = shutil.copytree(tiny_export[1].folder, tmp_path / "out")
    for call in (
        lambda: exporter.edit(edited.folder, out, reason="r", mute=[("red", 0)]),
        lambda: exporter.undo_edit(edited.folder, out),
    ):
        with pytest.raises(OutputError, match="`overwrite`"):
            call()
    exporter.edit(edited.folder, out, reason="r", mute=[("red", 0)], overwrite=True)
    assert len(load_artifact(out).manifest.edits) == 2
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("name", [".", ""])
def test_the_folder_one_stands_in_is_replaced_as_any_other(
    tiny_export, edited, tmp_path, monkeypatch, name
):
    out = shutil.copytree(tiny_export[1].folder, tmp_path / "out")
    monkeypatch.chdir(out)
    with pytest.raises(OutputError, match="`overwrite`"):
        exporter.edit(".", name, reason="r", mute=[("red", 0)])
    exporter.edit(".", name, reason="r", mute=[("red", 0)], overwrite=True)
    assert len(load_artifact(out).manifest.edits) == 1
    monkeypatch.chdir(out)  # the one before is gone
    exporter.undo_edit(".", name, overwrite=True)
    assert files(out) == files(tiny_export[1].folder)
    assert list(tmp_path.iterdir()) == [out]


def test_the_root_folder_is_refused(tiny_export):
    with pytest.raises(OutputError, match="expected a folder with a name"):
        exporter.edit(tiny_export[1].folder, "/", reason="r", mute=MUTE)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left"), MemoryError])
def test_an_interrupted_edit_leaves_nothing_and_the_old_artifact(
    tiny_export, tmp_path, monkeypatch, error
):
    out = shutil.copytree(tiny_export[1].folder, tmp_path / "out")
    before = files(out)

    def interrupted(*_arguments, **_options):
        raise error

    monkeypatch.setattr("exporter.pipelines.verified.verify", interrupted)
    expected = OutputError if isinstance(error, OSError) else error
    with pytest.raises(expected):
        exporter.edit(out, out, reason="r", mute=MUTE, overwrite=True)
    assert files(out) == before
    assert list(tmp_path.iterdir()) == [out]


def test_an_interruption_between_the_two_renames_puts_the_old_artifact_back(
    tiny_export, tmp_path, monkeypatch
):
    out = shutil.copytree(tiny_export[1].folder, tmp_path / "out")
    before = files(out)
    rename = Path.rename

    def interrupted(self, target):
        if self.name == "artifact":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr("exporter.writing.work.exchange", lambda *_: False)
    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        exporter.edit(out, out, reason="r", mute=MUTE, overwrite=True)
    assert files(out) == before


def test_what_a_killed_edit_left_is_no_obstacle(tiny_export, tmp_path):
    part = tmp_path / "out.part"
    half = part / "artifact" / "evidence" / "00001"
    half.mkdir(parents=True)
    (half / "0-0.jpg").write_bytes(b"half")
    (part / "mark.json").write_text('{"format": "protohead-work/1", "work": "edit"}')
    made = exporter.edit(tiny_export[1].folder, tmp_path / "out", reason="r", mute=MUTE)
    assert made.path("evidence/00001/0-0.jpg").read_bytes() != b"half"
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_what_an_interrupted_export_left_is_not_thrown_away_unasked(tiny_export, tmp_path):
    part = tmp_path / "out.part"
    part.mkdir()
    (part / "mark.json").write_text('{"format": "protohead-work/1", "work": "export", "of": {}}')
    with pytest.raises(OutputError, match="an interrupted export"):
        exporter.edit(tiny_export[1].folder, tmp_path / "out", reason="r", mute=MUTE)
    assert sorted(path.name for path in part.iterdir()) == ["lock", "mark.json"]


def test_a_folder_of_other_work_is_left_alone(tiny_export, tmp_path):
    part = tmp_path / "out.part"
    part.mkdir()
    (part / "state.json").write_text('{"model": "abc"}')
    with pytest.raises(OutputError, match=r"files of something else"):
        exporter.edit(tiny_export[1].folder, tmp_path / "out", reason="r", mute=MUTE)
    assert [path.name for path in part.iterdir()] == ["state.json"]


def test_an_edit_that_breaks_a_promise_does_not_appear(
    tiny_export, tmp_path, monkeypatch, nothing_written
):
    monkeypatch.setattr("exporter.verification.edit_gates.COMPLETENESS", -1.0)
    with pytest.raises(VerificationError, match=r"not put in place.*edited logits"):
        exporter.edit(tiny_export[1].folder, nothing_written, reason="r", mute=MUTE)

"""An artifact in fewer bits: what stays, what is measured, what is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import tiny
from manifests import write_manifest
from onnx.numpy_helper import from_array

import exporter
from exporter import ExportConfig
from exporter.errors import DatasetError, EditError, SourceError, VerificationError
from exporter.source.embedded import embedded_source
from exporter.verification.run import verify
from serving.artifact import (
    MANIFEST,
    MODEL,
    PROTOTYPES,
    Artifact,
    LimitsRecord,
    Preprocessing,
    load_artifact,
    sha256_of,
)
from serving.errors import ManifestError
from serving.model.predictor import Predictor

KINDS = ("int8", "float16")
RAW = Preprocessing(crop=tiny.SIZE, scale=1.0)


@pytest.fixture(scope="module", params=KINDS)
def quantised(request, tiny_export, tmp_path_factory) -> Artifact:
    config, parent = tiny_export
    out = tmp_path_factory.mktemp("quantised") / "small"
    return exporter.quantize(parent.folder, out, data=config.data, to=request.param)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# What stays


def test_every_promise_is_kept_against_its_own_classifier(quantised):
    found = verify(quantised.folder)
    assert {gate.state for gate in found} == {"passed"}
    assert {gate.state for gate in quantised.manifest.verification} == {"passed"}


def test_prototypes_names_and_evidence_are_those_of_the_parent(quantised, tiny_export):
    parent = tiny_export[1]
    assert quantised.manifest.classes == parent.manifest.classes
    same = [name for name in parent.manifest.files if name.startswith("evidence/")]
    for name in (*same, PROTOTYPES):
        assert quantised.path(name).read_bytes() == parent.path(name).read_bytes()


def test_the_head_is_what_it_was_and_the_network_in_front_is_not(quantised, tiny_export):
    kind = quantised.manifest.quantised.to
    nodes = list(embedded_source(quantised).model.graph)
    assert [node.op_type for node in nodes[-3:]] == ["GlobalAveragePool", "Flatten", "Gemm"]
    before = embedded_source(tiny_export[1]).model.graph.initializers
    after = embedded_source(quantised).model.graph.initializers
    for name in ("weight", "bias"):
        assert after[name].const_value.tobytes() == before[name].const_value.tobytes()
    stored = {value.const_value.dtype.name for name, value in after.items() if "w1" in name}
    assert ("INT8" if kind == "int8" else "FLOAT16") in stored


def test_the_manifest_names_the_parent_and_the_pictures(quantised, tiny_export):
    config, parent = tiny_export
    record = quantised.manifest.quantised
    assert record.parent == sha256_of(parent.folder / MANIFEST)
    assert record.agreement.data == config.data.name
    count = {"int8": 12, "float16": 0}[record.to]  # at most half of 24 set a range
    assert (record.calibration, record.agreement.images) == (count, 24 - count)
    assert quantised.manifest.source.file == f"tiny.{record.to}.onnx"


def test_the_agreement_is_what_both_artifacts_answer(quantised, tiny_export):
    config, parent = tiny_export
    record = quantised.manifest.quantised
    pictures = sorted(config.data.rglob("*.png"))
    if record.calibration:
        pictures = [path for n, path in enumerate(pictures) if n % 2]  # every other sets a range
    before, after = (Predictor(found, threads=1) for found in (parent, quantised))
    best = [model.predict(pictures).argmax(axis=1) for model in (before, after)]
    labels = np.array([tiny.LABELS.index(path.parent.name) for path in pictures])
    found = record.agreement
    assert found.top_1 == (best[0] == best[1]).mean()
    assert found.accuracy_before == (best[0] == labels).mean()
    assert found.accuracy_after == (best[1] == labels).mean()
    assert 0 < found.contributions.median <= found.contributions.largest < 0.1
    assert 0 <= found.peaks.median_distance <= found.peaks.largest_distance


def test_same_inputs_same_bytes_whatever_the_hashes(quantised, tiny_export, tmp_path):
    config, parent = tiny_export
    code = "import sys, exporter; a, o, d, t = sys.argv[1:]; exporter.quantize(a, o, data=d, to=t)"
    given = [parent.folder, tmp_path / "again", config.data, quantised.manifest.quantised.to]
    subprocess.run(
        [sys.executable, "-c", code, *map(str, given)],
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )
    assert files(tmp_path / "again") == files(quantised.folder)


def test_edits_of_a_quantised_artifact_pass_and_are_taken_back_byte_for_byte(quantised, tmp_path):
    edited = exporter.edit(quantised.folder, tmp_path / "e", reason="frame", mute=[("red", 0)])
    assert {gate.state for gate in verify(edited.folder)} == {"passed"}
    assert edited.manifest.quantised == quantised.manifest.quantised
    back = exporter.undo_edit(edited.folder, tmp_path / "back")
    assert files(back.folder) == files(quantised.folder)


def test_a_head_with_a_hidden_layer_stays_in_float32_too(two_layers_export, tmp_path):
    config, parent = two_layers_export
    for kind in KINDS:
        found = exporter.quantize(parent.folder, tmp_path / kind, data=config.data, to=kind)
        assert {gate.state for gate in found.manifest.verification} == {"passed"}
        stored = embedded_source(found).model.graph.initializers
        assert {stored[name].const_value.dtype.name for name in ("first", "weight")} == {"FLOAT"}


# Other pictures and other inputs


def test_a_folder_of_images_without_classes_tells_no_accuracy(tiny_export, tmp_path):
    config, parent = tiny_export
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, path in enumerate(sorted(config.data.rglob("*.png"))):
        shutil.copy(path, flat / f"{number}.png")
    found = exporter.quantize(parent.folder, tmp_path / "a", data=flat).manifest.quantised
    assert found.agreement.images == 12
    assert (found.agreement.accuracy_before, found.agreement.accuracy_after) == (None, None)


def test_damaged_pictures_are_counted(tiny_export, tmp_path):
    config, parent = tiny_export
    data = shutil.copytree(config.data, tmp_path / "data")
    for path in sorted(data.rglob("*.png"))[:2]:
        path.write_bytes(b"no image")
    found = exporter.quantize(parent.folder, tmp_path / "a", data=data, to="float16")
    agreement = found.manifest.quantised.agreement
    assert (agreement.images, agreement.skipped) == (22, 2)


def _fixed_batch(graph: onnx.GraphProto) -> None:
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 5


def _squeezed(graph: onnx.GraphProto) -> None:
    """An attribute of the head that is an input since opset 13."""
    flat = next(node for node in graph.node if node.op_type == "Flatten")
    flat.op_type = "Squeeze"
    flat.attribute.append(onnx.helper.make_attribute("axes", [2, 3]))


def _changed(tmp_path: Path, change, **update) -> tuple[ExportConfig, Artifact]:
    config = tiny.write(tmp_path).model_copy(update=update)
    model = onnx.ModelProto.FromString(tiny.model().SerializeToString())
    change(model.graph)
    if change is _squeezed:
        model.opset_import[0].version = 11
    onnx.save(model, config.model)
    return config, exporter.export(config)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["a fixed batch", "opset 11", "pixels", "sigmoid"])
def test_other_inputs_and_outputs_are_quantised_too(form, kind, tmp_path):
    if form == "pixels":
        raw = RAW.model_copy(update={"layout": "NHWC"})
        config, parent = _changed(tmp_path, tiny.scale_pixels, preprocessing=raw)
    elif form == "sigmoid":
        config, parent = _changed(tmp_path, lambda _: None, multilabel=True)
    else:
        change = _fixed_batch if form == "a fixed batch" else _squeezed
        config, parent = _changed(tmp_path, change)
    made = exporter.quantize(parent.folder, tmp_path / "small", data=config.data, to=kind)
    assert "failed" not in {gate.state for gate in verify(made.folder)}
    assert made.manifest.input == parent.manifest.input
    assert (made.manifest.quantised.agreement.accuracy_after is None) == (form == "sigmoid")


# What is refused


@pytest.mark.parametrize(
    "limit",
    [{"max_difference": 0.0}, {"min_agreement": 1.0, "max_difference": 1e-9}],
    ids=lambda limit: " and ".join(limit),
)
def test_an_agreement_beyond_its_limits_lets_nothing_appear(limit, tiny_export, tmp_path):
    config, parent = tiny_export
    before = files(parent.folder)
    with pytest.raises(VerificationError, match=r"median, expected at most .*`max_difference`"):
        exporter.quantize(parent.folder, tmp_path / "a", data=config.data, **limit)
    assert list(tmp_path.iterdir()) == []
    assert files(parent.folder) == before


def test_what_to_do_instead_of_float16_is_not_float16(tiny_export, tmp_path):
    config, parent = tiny_export
    with pytest.raises(VerificationError, match=r"Serve the parent, or ask for less\.$"):
        exporter.quantize(
            parent.folder, tmp_path / "a", data=config.data, to="float16", max_difference=0.0
        )


def test_limits_that_are_kept_are_on_record(tiny_export, tmp_path):
    config, parent = tiny_export
    found = exporter.quantize(
        parent.folder, tmp_path / "a", data=config.data, min_agreement=0.5, max_difference=0.5
    )
    limits = found.manifest.quantised.limits
    assert (limits.min_agreement, limits.min_peaks, limits.max_difference) == (0.5, None, 0.5)


def test_a_record_that_breaks_its_own_limit_is_no_manifest(quantised, tmp_path):
    folder = shutil.copytree(quantised.folder, tmp_path / "forged")
    record = quantised.manifest.quantised
    forged = record.model_copy(
        update={"limits": LimitsRecord(max_difference=record.agreement.contributions.median / 2)}
    )
    write_manifest(folder, quantised.manifest.model_copy(update={"quantised": forged}))
    with pytest.raises(ManifestError, match="contributions breaks its own limit"):
        load_artifact(folder)


def test_an_edited_artifact_is_refused(tiny_export, tmp_path):
    config, parent = tiny_export
    edited = exporter.edit(parent.folder, tmp_path / "e", reason="r", mute=[("red", 0)])
    with pytest.raises(EditError, match=r"was edited.*`undo`"):
        exporter.quantize(edited.folder, tmp_path / "a", data=config.data)


def test_a_quantised_artifact_is_refused(quantised, tiny_export, tmp_path):
    with pytest.raises(SourceError, match=r"already\. Quantise the artifact that it was made of"):
        exporter.quantize(quantised.folder, tmp_path / "a", data=tiny_export[0].data)


def test_a_quantised_source_is_refused(rounded_export, tmp_path):
    config, parent = rounded_export
    with pytest.raises(SourceError, match=r"already\. Quantise the artifact of its float"):
        exporter.quantize(parent.folder, tmp_path / "a", data=config.data)


def test_one_picture_is_too_few_for_ranges_and_a_comparison(tiny_export, tmp_path):
    parent = tiny_export[1]
    (tmp_path / "data").mkdir()
    tiny.image(0, 0).save(tmp_path / "data" / "one.png")
    with pytest.raises(DatasetError, match=r"others to compare on, found 1\."):
        exporter.quantize(parent.folder, tmp_path / "a", data=tmp_path / "data")


def test_no_folder_is_refused_by_its_name(tiny_export, tmp_path):
    with pytest.raises(DatasetError, match="missing: expected a folder of images"):
        exporter.quantize(tiny_export[1].folder, tmp_path / "a", data=tmp_path / "missing")


def test_activations_beyond_float16_are_refused(tmp_path):
    def scaled(graph: onnx.GraphProto) -> None:
        """Features a million times as large, rows as much smaller: the same logits."""
        for index, tensor in enumerate(graph.initializer):
            factor = {"w1": 1e3, "b1": 1e3, "w2": 1e3, "b2": 1e6, "weight": 1e-6}.get(tensor.name)
            if factor:
                array = onnx.numpy_helper.to_array(tensor) * np.float32(factor)
                graph.initializer[index].CopyFrom(from_array(array, tensor.name))

    config, parent = _changed(tmp_path, scaled)
    with pytest.raises((SourceError, VerificationError), match="Quantise `to` int8"):
        exporter.quantize(parent.folder, tmp_path / "a", data=config.data, to="float16")
    assert not (tmp_path / "a").exists()


# As a person and as a script meet it


def test_the_command_says_what_was_measured(run, tiny_export, tmp_path):
    config, parent = tiny_export
    out = tmp_path / "a"
    code, said, _ = run("quantize", parent.folder, "--data", config.data, "--out", out)
    assert code == 0
    assert f"int8, the head in float32; {MODEL} " in said
    assert "of 12 images of data keep their best class" in said
    assert "ranges taken from 12 other images" in said
    code, said, _ = run("verify", out)
    assert (code, "every gate passed" in said) == (0, True)
    code, _, _ = run("explain", out, config.data / "red/000.png", "--out", tmp_path / "p")
    assert code == 0
    assert load_artifact(out).manifest.quantised.to == "int8"


def test_a_limit_that_is_broken_is_one_line_and_exit_code_1(run, tiny_export, tmp_path):
    config, parent = tiny_export
    code, said, err = run(
        "quantize", parent.folder, "--data", config.data, "--out", tmp_path / "a",
        "--max-difference", 0,
    )  # fmt: skip
    last = err.splitlines()[-1]
    assert (code, said) == (1, "")
    assert last.startswith("protohead: the quantised artifact was not put in place")
    assert "(--max-difference)" in last
    assert "(--calibration)" in last


def test_options_that_do_not_go_together_are_wrong_usage(run, tiny_export, tmp_path):
    code, _, err = run(
        "quantize", tiny_export[1].folder, "--data", tiny_export[0].data, "--out", tmp_path / "a",
        "--to", "float16", "--reduce-range",
    )  # fmt: skip
    assert (code, "--reduce-range is for --to int8." in err) == (2, True)

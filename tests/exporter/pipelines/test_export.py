"""The whole road on a tiny classifier: export, resume, safety, determinism."""

import shutil
import signal
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import tiny
from PIL import Image
from safetensors.numpy import load_file
from trees import tree
from waiting import PATIENCE, until

import exporter.pipelines.export
from exporter import export
from exporter.commands.summaries import export_summary
from exporter.errors import (
    DatasetError,
    DecompositionError,
    OutputError,
    SourceError,
    VerificationError,
)
from serving import load_artifact


@pytest.fixture
def made(tiny_export):
    return tiny_export


def changed(config, tmp_path, **changes):
    return config.model_copy(update={"out": tmp_path / "artifact", **changes})


def test_the_artifact_holds_what_the_format_says(made):
    config, artifact = made
    names = set(artifact.manifest.files)
    assert {n for n in names if "/" not in n} == {
        "model.onnx", "steerable.onnx", "prototypes.safetensors", "golden.npz", "trust.json"
    }  # fmt: skip
    assert sum(name.startswith("evidence/") for name in names) == 3 * 2 * 5
    assert names | {"manifest.json", "manifest.sha256"} == set(tree(config.out))
    assert load_artifact(config.out) == artifact


def test_every_gate_passes_and_is_recorded(made):
    gates = made[1].manifest.verification
    assert [gate.state for gate in gates] == ["passed"] * len(gates)
    assert len(gates) == 14


def test_prototypes_and_reference_sum_to_the_head(made):
    config, artifact = made
    tensors = load_file(artifact.path("prototypes.safetensors"))
    weights = {
        t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(config.model).graph.initializer
    }
    total = tensors["prototypes"].astype(np.float64).sum(axis=1) + tensors["reference"]
    # One rounding of the last prototype to float32.
    np.testing.assert_allclose(total, weights["weight"], atol=2e-7)
    np.testing.assert_array_equal(tensors["bias"], weights["bias"])


def test_another_runtime_session_reproduces_the_golden_batch(made):
    with np.load(made[1].path("golden.npz")) as golden:
        session = ort.InferenceSession(made[1].path("model.onnx"))
        names = [output.name for output in session.get_outputs()]
        values = session.run(names, {"image": golden["inputs/image"]})
        for name, value in zip(names, values, strict=True):
            # Another number of threads may sum in another order.
            np.testing.assert_allclose(value, golden[f"outputs/{name}"], atol=1e-5)


def test_the_same_inputs_give_the_same_bytes_whatever_the_threads(made, tmp_path):
    config, artifact = made
    again = export(changed(config, tmp_path, jobs=2))
    assert tree(again.folder) == tree(artifact.folder)


def test_the_manifest_names_no_path_and_no_time(made, tmp_path):
    config, artifact = made
    text = artifact.path("manifest.json").read_text()
    assert str(config.data) not in text
    assert str(config.out.parent) not in text


@pytest.mark.parametrize("method", ["paper", "naive", "evidence"])
@pytest.mark.parametrize("reference", ["mean", "none"])
@pytest.mark.parametrize("prototypes", [1, 2, 5])
def test_every_method_keeps_every_promise(made, tmp_path, method, reference, prototypes):
    config = changed(made[0], tmp_path, method=method, reference=reference, prototypes=prototypes)
    artifact = export(config)  # raises when a gate fails
    assert artifact.manifest.method.name == method
    common = np.abs(load_file(artifact.path("prototypes.safetensors"))["reference"]).max()
    assert (common == 0) == (reference == "none")


def test_a_corrupt_image_is_skipped_and_counted(tmp_path, caplog):
    config = tiny.write(tmp_path)
    (config.data / "red" / "003.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    artifact = export(config)
    record = artifact.manifest.classes[0]
    assert (record.images, record.skipped, record.state) == (7, 1, "decomposed")
    assert "003.png" in caplog.text


def test_a_class_with_too_few_images_keeps_its_head_row_whole(tmp_path):
    config = tiny.write(tmp_path)
    for path in sorted((config.data / "green").iterdir())[4:]:
        path.unlink()
    shutil.rmtree(config.data / "blue")
    artifact = export(config)
    green, blue = artifact.manifest.classes[1:]
    assert (green.state, green.images, len(green.prototypes)) == ("whole", 4, 1)
    assert (blue.state, blue.images, blue.prototypes[0].evidence) == ("whole", 0, ())
    assert "5 are needed" in green.warnings[0]
    prototypes = load_file(artifact.path("prototypes.safetensors"))["prototypes"]
    assert np.abs(prototypes[1:, 1:]).max() == 0


def test_a_folder_that_is_no_label_stops_before_any_work(tmp_path):
    config = tiny.write(tmp_path)
    (config.data / "red").rename(config.data / "redd")
    with pytest.raises(DatasetError, match="Did you mean 'red'"):
        export(config)
    assert not (tmp_path / "artifact.part").exists()


@pytest.mark.parametrize(("prototypes", "method"), [(17, "evidence"), (32, "paper")])
def test_too_many_prototypes_stop_before_any_work(tmp_path, prototypes, method):
    config = tiny.write(tmp_path)
    with pytest.raises(DecompositionError, match="expected 1 to 16 prototypes"):
        export(config.model_copy(update={"prototypes": prototypes, "method": method}))
    assert not (tmp_path / "artifact.part").exists()


def test_preprocessing_that_does_not_fit_is_refused(tmp_path):
    config = tiny.write(tmp_path)
    wrong = config.preprocessing.model_copy(update={"crop": 32})
    with pytest.raises(SourceError, match="Correct crop"):
        export(config.model_copy(update={"preprocessing": wrong}))


class Killed(BaseException):
    """Stands for whatever ends a process."""


def interrupted_after(images):
    def progress(stage, done, total):
        if stage == "export" and done >= images:
            raise Killed

    return progress


@pytest.mark.parametrize("images", [8, 10, 16, 24])
def test_an_interrupted_export_resumes_to_the_same_bytes(made, tmp_path, images):
    config = changed(made[0], tmp_path)
    with pytest.raises(Killed):
        export(config, progress=interrupted_after(images))
    assert not config.out.exists()
    resumed = export(config.model_copy(update={"resume": True}))
    assert tree(resumed.folder) == tree(made[1].folder)
    assert list(tmp_path.iterdir()) == [config.out]


def test_a_class_whose_image_was_changed_to_another_of_its_size_is_made_again(
    made, tmp_path, caplog
):
    config = changed(made[0], tmp_path)
    data = shutil.copytree(config.data, tmp_path / "data")
    config = config.model_copy(update={"data": data})
    with pytest.raises(Killed):
        export(config, progress=interrupted_after(17))
    first = min((data / "red").iterdir())
    size = first.stat().st_size
    other = tiny.image(0, 999)
    other.save(first)
    first.write_bytes(first.read_bytes()[:size].ljust(size, b"\0"))
    resumed = export(config.model_copy(update={"resume": True}))
    assert "red is made again: its images have changed since" in caplog.text
    whole = export(config.model_copy(update={"out": tmp_path / "whole"}))
    assert tree(resumed.folder) == tree(whole.folder)


def test_resume_does_not_read_finished_classes_again(made, tmp_path):
    config = changed(made[0], tmp_path)
    with pytest.raises(Killed):
        export(config, progress=interrupted_after(17))
    seen = []
    export(
        config.model_copy(update={"resume": True}),
        progress=lambda stage, done, total: seen.append((stage, done)),
    )
    assert seen[0] == ("export", 16)


def test_a_failed_verification_leaves_nothing_at_out(made, tmp_path, monkeypatch):
    original = exporter.pipelines.export.round_exactly
    monkeypatch.setattr(
        exporter.pipelines.export,
        "round_exactly",
        lambda p, row: original(p, row) * np.float32(1.01),
    )
    config = changed(made[0], tmp_path)
    with pytest.raises(VerificationError, match="completeness"):
        export(config)
    assert not config.out.exists()


def test_a_full_disk_keeps_the_finished_classes(made, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    config = changed(made[0], tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(exporter.pipelines.export, "write_artifact", full)
        with pytest.raises(OutputError, match=r"disk is full\. 3 finished classes are kept"):
            export(config)
    assert not config.out.exists()
    resumed = export(config.model_copy(update={"resume": True}))
    assert tree(resumed.folder) == tree(made[1].folder)


# The command line, standing still once its first class is saved.
STANDING_STILL = """
import time
from exporter import cli
from exporter.writing import staging
save = staging.Staging.save
def save_and_wait(*arguments):
    save(*arguments)
    time.sleep(3600)
staging.Staging.save = save_and_wait
cli.main()
"""


def interrupted(arguments, folder, number):
    """Run an export, signal it after its first class: its code, stdout and stderr."""
    process = subprocess.Popen(
        [sys.executable, "-c", STANDING_STILL, *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A shell's background jobs, and so tests that run in one, ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    saved = lambda: list(folder.glob("artifact.part/classes/*.saved"))  # noqa: E731
    until(lambda: saved() or process.poll() is not None)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    return process.returncode, stdout, stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_process_resumes_to_the_same_bytes(made, tmp_path, number):
    config = made[0]
    out = tmp_path / "artifact"
    arguments = [
        "export", config.model, "--data", str(config.data),
        "--out", str(out), "--preprocess", str(tmp_path / "p.json"), "--labels",
        str(tmp_path / "labels.txt"), "-k", "2", "--top", "2", "--jobs", "1", "--method", "paper",
    ]  # fmt: skip
    (tmp_path / "p.json").write_text(config.preprocessing.model_dump_json())
    (tmp_path / "labels.txt").write_text("\n".join(tiny.LABELS))
    code, stdout, stderr = interrupted(arguments, tmp_path, number)
    assert code == (-9 if number == signal.SIGKILL else 130)
    assert stdout == ""
    if number != signal.SIGKILL:
        assert "--resume" in stderr
        assert "Traceback" not in stderr
    assert not out.exists()
    command = [sys.executable, "-m", "exporter.cli", *arguments, "--resume"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(out))
    whole = export(changed(config, tmp_path / "b", method="paper"))
    assert tree(out) == tree(whole.folder)


@pytest.mark.parametrize("below", [".", "artifact", "red/artifact"])
def test_an_artifact_does_not_go_among_the_class_folders(made, below):
    config = made[0]
    inside = config.model_copy(update={"out": config.data / below})
    with pytest.raises(OutputError, match="outside of the images"):
        export(inside)


def test_odd_images_of_a_class_are_said(tmp_path, caplog):
    config = tiny.write(tmp_path)
    first, *others = sorted((config.data / "red").iterdir())
    Image.open(first).save(others[0], compress_level=0)  # another file, the same picture
    Image.new("RGB", (tiny.SIZE, tiny.SIZE), (9, 90, 200)).save(others[1])
    record = export(config).manifest.classes[0]
    expected = ["1 of 8 images show what another one shows", "1 of 8 images have one colour"]
    for number, text in enumerate(expected):
        assert text in record.warnings[number]
        assert text in caplog.text


def test_files_that_are_no_images_count_as_skipped(tmp_path):
    config = tiny.write(tmp_path)
    (config.data / "red" / "notes.txt").write_text("red")
    (config.data / "red" / "gone.png").symlink_to(tmp_path / "nothing.png")
    records = export(config).manifest.classes
    assert [record.skipped for record in records] == [2, 0, 0]


def test_too_few_recognised_images_write_nothing(tmp_path):
    config = tiny.write(tmp_path).model_copy(update={"min_accuracy": 0.9})
    swapped = config.model_copy(update={"labels": ("blue", "red", "green")})
    with pytest.raises(VerificationError, match=r"gives 0.0% of 24 images .*at least 90.0%"):
        export(swapped)
    assert not config.out.exists()
    overwritten = config.model_copy(update={"overwrite": True})
    assert export(overwritten).manifest == load_artifact(config.out).manifest


def test_the_share_asked_for_changes_no_byte(made, tmp_path):
    config, artifact = made
    again = export(changed(config, tmp_path, min_accuracy=0.1))
    assert tree(again.folder) == tree(artifact.folder)


def test_prototypes_that_show_the_same_thing_are_recorded_and_said(tmp_path, monkeypatch):
    def same(peaks):
        assert peaks.cells.shape[1] == 2
        return ((1,), (0,))

    monkeypatch.setattr(exporter.pipelines.export, "alike", same)
    config = tiny.write(tmp_path)
    artifact = export(config)
    for record in artifact.manifest.classes:
        assert [prototype.alike for prototype in record.prototypes] == [(1,), (0,)]
        assert record.distinct == 1
    assert "3 classes with parts that show the same thing" in export_summary(config.out, artifact)


def test_where_all_prototypes_differ_nothing_is_said_of_it(made):
    config, artifact = made
    different = [record for record in artifact.manifest.classes if record.distinct == 2]
    said = "show the same thing" in export_summary(config.out, artifact)
    assert said == (len(different) < 3)

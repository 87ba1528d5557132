"""``protohead edit`` as a person and as a script meet it."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from serving.artifact import load_artifact


@pytest.fixture
def artifact(tiny_export, tmp_path):
    return shutil.copytree(tiny_export[1].folder, tmp_path / "artifact")


def test_edit_explain_verify_and_undo_in_a_row(run, artifact, tiny_export, tmp_path):
    data, out = tiny_export[0].data, tmp_path / "edited"
    code, said, err = run(
        "edit", artifact, "--mute", "green:1", "--name", "red:0=the red: one", "--reason", "frame",
        "--data", data, "--out", out,
    )  # fmt: skip
    assert code == 0
    assert "muted green:1, 'prototype 1'" in said
    assert "named red:0 'the red: one', it was 'prototype 0'" in said
    assert "24 images of data: accuracy 100.00% before, " in said
    assert "images changed: 0 corrected, " in said
    assert f"protohead edit {out} --undo" in said
    assert "measure: 24 of 24 images" in err
    code, said, _ = run("verify", out, "--data", data)
    assert code == 0
    assert said.startswith("### edited: every gate passed")
    assert "| 1 of 1 effects measured again are as on record |" in said
    image = data / "red" / "000.png"
    code, said, _ = run("explain", out, image, "--out", tmp_path / "p", "--json")
    assert (code, "the red: one" in said) == (0, True)
    code, said, _ = run("edit", out, "--undo", "--out", tmp_path / "back")
    assert code == 0
    assert said.endswith("byte for byte; it was never edited\n")
    before, back = load_artifact(artifact).manifest, load_artifact(tmp_path / "back").manifest
    assert back == before


def test_json_is_the_manifest(run, artifact, tmp_path):
    code, out, _ = run(
        "edit", artifact, "--mute", "1:1", "--reason", "r", "--out", tmp_path / "a", "--json"
    )
    assert (code, json.loads(out)["edits"][0]["muted"]) == (0, [{"class_index": 1, "prototype": 1}])
    code, out, _ = run("edit", tmp_path / "a", "--undo", "--out", tmp_path / "b", "--json")
    assert (code, "edits" in json.loads(out)) == (0, False)


def test_what_was_not_measured_is_said(run, artifact, tmp_path):
    out = run("edit", artifact, "--name", "red:0=x", "--reason", "r", "--out", tmp_path / "a")[1]
    assert "effect not measured: pass --data" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mute", "gren:1"), "Did you mean 'green'?"),
        (("--mute", "green:2"), "'green': expected a prototype from 0 to 1, got 2"),
        (("--mute", "green:0", "--mute", "green:1"), "'green' would keep no prototype"),
        (("--name", "red:0=prototype 1"), "another prototype of the class"),
    ],
)
def test_expected_failures_are_one_line_and_exit_code_one(
    run, artifact, tmp_path, arguments, message
):
    code, out, err = run("edit", artifact, *arguments, "--reason", "r", "--out", tmp_path / "o")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert message in err
    assert not (tmp_path / "o").exists()


def test_undo_of_what_was_never_edited_is_one_line(run, artifact, tmp_path):
    code, _, err = run("edit", artifact, "--undo", "--out", tmp_path / "o")
    assert (code, err.count("\n")) == (1, 1)
    assert "never edited" in err


def test_a_damaged_artifact_is_one_line(run, artifact, tmp_path):
    (artifact / "golden.npz").write_bytes(b"")
    for more in (("--mute", "red:0", "--reason", "r"), ("--undo",)):
        code, _, err = run("edit", artifact, *more, "--out", tmp_path / "o")
        assert (code, err.count("\n")) == (1, 1)
        assert "golden.npz has changed" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "o"), "Pass --mute, --name or --trust, or --undo"),
        (("--mute", "red:0"), "Missing option '--out'"),
        (("--mute", "red:0", "--out", "o"), "Pass --reason"),
        (("--mute", "red:0", "--reason", " ", "--out", "o"), "Pass --reason"),
        (("--mute", "red", "--reason", "r", "--out", "o"), "expected LABEL:NUMBER"),
        (("--name", "red:0", "--reason", "r", "--out", "o"), "expected LABEL:NUMBER=NAME"),
        (("--undo", "--mute", "red:0", "--out", "o"), "--undo takes --out"),
        (("--undo", "--reason", "r", "--out", "o"), "--undo takes --out"),
        (("--mute", "red:0", "--reason", "r", "--out", "o", "--data", "none"), "does not exist"),
    ],
)
def test_wrong_usage_is_exit_code_two(run, artifact, arguments, message):
    code, _, err = run("edit", artifact, *arguments)
    assert code == 2
    assert message in err


def test_text_that_is_none_is_one_line(run, artifact, tmp_path):
    bad = os.fsdecode(b"bad\xff")
    for more in (
        ("--mute", "red:0", "--reason", bad),
        ("--name", f"red:0={bad}", "--reason", "r"),
        ("--mute", f"{bad}:0", "--reason", "r"),
    ):
        code, _, err = run("edit", artifact, *more, "--out", tmp_path / "o")
        assert (code, err.count("\n")) == (1, 1)
        assert r"bad\udcff" in err


def test_verification_names_a_folder_whose_name_is_no_text(run, tmp_path):
    folder = tmp_path / os.fsdecode(b"none\xff")
    summary, junit = tmp_path / "summary.md", tmp_path / "junit.xml"
    code, said, _ = run("verify", folder, "--summary", summary, "--junit", junit)
    assert (code, said.splitlines()[0]) == (1, r"### none\xff: 1 of 14 gates failed")
    assert r"none\xff: expected an artifact" in summary.read_text()
    assert r"none\xff: expected an artifact" in junit.read_text()


def test_an_edit_stopped_from_outside_leaves_nothing(artifact, tmp_path, tiny_export):
    command = [
        sys.executable, "-c",
        "import os, signal, exporter.pipelines.verified as v\n"
        "v.verify = lambda *a, **k: os.kill(os.getpid(), signal.SIGTERM) or signal.pause()\n"
        "from exporter.cli import main\nmain()",
        "edit", str(artifact), "--mute", "red:0", "--reason", "r", "--out", str(tmp_path / "o"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "")
    assert list(tmp_path.iterdir()) == [artifact]

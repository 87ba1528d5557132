"""The command line as a person and as a script meet it."""

import ast
import hashlib
import json
import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
import tiny
import two_layers
from onnx.numpy_helper import from_array
from onnx.parser import parse_model

import exporter
import serving
from exporter.cli import in_flags


@pytest.fixture
def files(tmp_path):
    """A tiny model with its data, and preprocess.json beside it; labels are the folder names."""
    config = tiny.write(tmp_path)
    (tmp_path / "preprocess.json").write_text(config.preprocessing.model_dump_json())
    (tmp_path / "labels.json").write_text(json.dumps(tiny.LABELS))
    return tmp_path


def export(files, *more):
    return ("export", files / "tiny.onnx", "--data", files / "data", "--out", files / "artifact",
            "-k", "2", *more)  # fmt: skip


def test_inspect_names_the_parts_of_the_head(run, files):
    code, out, err = run("inspect", files / "tiny.onnx")
    assert (code, err) == (0, "")
    assert "D = 16, C = 3" in out
    assert "grid 12 x 12" in out
    code, out, _ = run("inspect", files / "tiny.onnx", "--json")
    assert json.loads(out)["feature"] == "feature"


def test_inspect_draws_a_head_that_is_more_than_a_mean(run, tmp_path):
    config = two_layers.write(tmp_path)
    (tmp_path / "preprocess.json").write_text(config.preprocessing.model_dump_json())
    code, out, err = run("inspect", config.model)
    assert (code, err) == (0, "")
    assert "feature map 'feature' 12 x 12 x 16 -> mean -> linear layer -> Relu -> linear" in out
    assert "Relu: its gate" in out
    assert "biases come from no place" in out
    assert "explaining 5 classes by 3 prototypes takes about" in out
    assert "of the evidence" not in out
    code, out, err = run("inspect", config.model, "--data", config.data)
    assert code == 0
    assert "of the evidence for the predicted class, " in out
    assert " over 6 images" in out
    code, out, _ = run("inspect", config.model, "--data", config.data, "--json")
    report = json.loads(out)
    assert (report["steps"][1:-1], report["channels"]) == (["mean", "linear layer", "Relu"], 24)
    assert report["placed"]["images"] == 6


def test_images_are_prepared_only_where_there_are_some(run, files):
    code, _, err = run("inspect", files / "tiny.onnx", "--preset", "unit")
    assert code == 2
    assert "--preprocess and --preset prepare the images of --data alone." in err


def test_a_refused_head_says_where_to_read_more(run, files):
    model = parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        classifier (float[b, 3, 24, 24] image) => (float[b, 3] logits) {
            p = ReduceLogSumExp <axes = [2, 3], keepdims = 0> (image)
            logits = Gemm (p, weight)
        }"""
    )
    model.graph.initializer.append(from_array(np.eye(3, dtype=np.float32), "weight"))
    onnx.save(model, files / "refused.onnx")
    more = ("--data", files / "data", "--out", files / "no", "--preset", "unit")
    for arguments in (("inspect",), ("export",)):
        rest = more if arguments == ("export",) else ()
        code, _, err = run(*arguments, files / "refused.onnx", *rest)
        assert code == 1
        assert "ReduceLogSumExp" in err
        assert err.count("docs/heads.md") == 1


def test_export_verify_and_explain_in_a_row(run, files):
    code, out, err = run(*export(files))
    assert code == 0
    assert out.startswith(f"{files / 'artifact'}\n  3 classes split into 2 parts")
    assert "export: 24 of 24 images" in err
    assert "Few images are recognised" not in out
    assert f"using {files / 'labels.json'}" in err
    code, out, _ = run(
        "verify", files / "artifact", "--model", files / "tiny.onnx", "--data", files / "data",
        "--junit", files / "reports" / "verify.xml", "--summary", files / "summary.md",
    )  # fmt: skip
    assert code == 0
    assert out.startswith("### artifact: every gate passed")
    assert ElementTree.parse(files / "reports" / "verify.xml").getroot().attrib["failures"] == "0"
    assert (files / "summary.md").read_text().rstrip() == out.rstrip()
    images = [files / "data" / label / "000.png" for label in ("red", "blue")]
    code, out, _ = run("explain", files / "artifact", *images, "--out", files / "pictures")
    assert code == 0
    pictures = [f"  {files / 'pictures' / name}" for name in ("000.png", "000-2.png")]
    assert [line for line in out.splitlines() if line in pictures] == pictures
    assert out.startswith(f"{images[0]}: It ")
    assert all((files / "pictures" / name).stat().st_size for name in ("000.png", "000-2.png"))


def test_json_is_all_that_stdout_holds(run, files):
    code, out, _ = run(*export(files, "--json"))
    assert (code, json.loads(out)["format"]) == (0, "protohead/1")
    code, out, _ = run("verify", files / "artifact", "--json")
    found = json.loads(out)
    manifest = (files / "artifact" / "manifest.json").read_bytes()
    assert found["artifact"] == hashlib.sha256(manifest).hexdigest()
    assert (found["format"], found["verdict"]) == ("protohead-verification/1", "passed")
    assert {gate["state"] for gate in found["gates"]} == {"passed"}
    image = files / "data" / "red" / "000.png"
    code, out, _ = run(
        "explain", files / "artifact", image, "--out", files / "p", "--class", "blue", "--json"
    )
    answer = json.loads(out)[0]["classes"][0]
    total = sum(answer["contributions"].values()) + answer["bias"] + answer["common"]
    assert answer["label"] == "blue"
    # Sums of float32 values below 10.
    assert total == pytest.approx(answer["logit"], abs=1e-5)


def test_a_failed_gate_is_exit_code_one(run, files):
    run(*export(files))
    (files / "artifact" / "golden.npz").write_bytes(b"")
    code, out, _ = run("verify", files / "artifact", "--junit", files / "verify.xml")
    assert code == 1
    assert "golden.npz has changed" in out
    suite = ElementTree.parse(files / "verify.xml").getroot()
    assert (suite.attrib["failures"], suite.attrib["skipped"]) == ("1", "13")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("inspect", "none.onnx"), "expected an ONNX file, found nothing"),
        (("verify", "none"), None),
        (("explain", "none", "a.jpg", "--out", "p"), "expected an artifact"),
    ],
)
def test_expected_failures_are_one_line_and_exit_code_one(
    run, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(*arguments)
    assert code == 1
    if message:
        assert message in err
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("export", "model.onnx"),
        ("export", "model.onnx", "--data", ".", "--out", "o", "-k", "0"),
        ("export", "model.onnx", "--data", ".", "--out", "o", "-k", "33"),
        ("export", "model.onnx", "--data", ".", "--out", "o", "--preset", "unit", "--method", "x"),
        ("verify",),
        ("nothing",),
    ],
)
def test_wrong_usage_is_exit_code_two(run, arguments):
    assert run(*arguments)[0] == 2


def test_export_asks_how_images_become_tensors(run, files):
    (files / "preprocess.json").unlink()
    code, _, err = run(*export(files))
    assert code == 2
    assert "Pass --preprocess FILE, or --preset" in err


def test_wrong_preprocessing_shows_in_the_summary(run, files):
    more = json.loads((files / "preprocess.json").read_text()) | {"channels": "BGR"}
    (files / "preprocess.json").write_text(json.dumps(more | {"scale": 1e-6}))
    out = run(*export(files))[1]
    assert "Few images are recognised: check the preprocessing" in out
    assert "no more than by chance: are the weights the trained ones?" in out


def test_preset_and_file_exclude_each_other(run, files):
    more = ("--preset", "unit", "--preprocess", files / "preprocess.json")
    assert run(*export(files, *more))[0] == 2


def test_a_second_export_does_not_replace_the_first_unasked(run, files):
    run(*export(files))
    code, _, err = run(*export(files))
    assert code == 1
    assert "--overwrite" in err
    assert run(*export(files, "--overwrite"))[0] == 0


def test_explain_refuses_what_it_cannot_explain(run, files):
    run(*export(files))
    bad = files / "bad.jpg"
    bad.write_bytes(b"no image")
    code, _, err = run("explain", files / "artifact", bad, "--out", files / "p")
    assert (code, err.count("\n")) == (1, 1)
    assert "expected an image" in err
    image = files / "data" / "red" / "000.png"
    code, _, err = run("explain", files / "artifact", image, "--out", files / "p", "--class", "owl")
    assert code == 1
    assert "'owl'" in err


def test_a_terminal_gets_one_bar_with_rate_and_time_left(files):
    control, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    command = [sys.executable, "-m", "exporter.cli", *map(str, export(files))]
    with subprocess.Popen(command, stderr=terminal, stdout=subprocess.PIPE, text=True) as process:
        os.close(terminal)
        shown = b"".join(iter(lambda: read_terminal(control), b""))
        assert process.wait() == 0
        assert process.stdout.read().startswith(str(files / "artifact"))
    os.close(control)
    assert "image/s" in shown.decode()
    assert "export:" in shown.decode()
    assert "of 24 images" not in shown.decode()


def read_terminal(control):
    try:
        return os.read(control, 4096)
    except OSError:  # the other side has closed
        return b""


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Choose another `out`.", "Choose another --out."),
        ("Give `input_size`, or `labels`.", "Give --input-size, or --labels."),
        ("output `nothing_of_ours`", "output `nothing_of_ours`"),
    ],
)
def test_the_library_names_options_and_the_command_line_flags(message, shown):
    assert in_flags(message) == shown


def test_the_library_names_no_flag():
    """Whoever calls it from Python has no command line; ``commands`` and ``cli.py`` are that."""
    root = Path(exporter.__file__).parent
    flag = re.compile(r"(?<![\w-])--[a-z]")
    for path in (*root.rglob("*.py"), *Path(serving.__file__).parent.rglob("*.py")):
        if "commands" in path.parts or path.name in ("cli.py", "launch.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise):
                assert not flag.search(ast.unparse(node)), f"{path}: {ast.unparse(node)}"


def test_an_export_may_ask_for_a_share_of_recognised_images(run, files):
    (files / "labels.json").write_text(json.dumps(["blue", "red", "green"]))
    code, out, err = run(*export(files, "--min-accuracy", "0.5"))
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("protohead: the artifact was not put in place")
    assert "(--min-accuracy)" in err
    assert not (files / "artifact").exists()
    assert run(*export(files, "--min-accuracy", "1.5"))[0] == 2

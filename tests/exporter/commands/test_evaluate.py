"""`protohead evaluate` as a person and as a script meet it."""

import json

import pytest
import tiny

from exporter.evaluate import read_evaluation


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three held-out images of each class."""
    root = tmp_path_factory.mktemp("heldout")
    for index, label in enumerate(tiny.LABELS):
        (root / label).mkdir()
        for number in range(3):
            tiny.image(index, 900 + number).save(root / label / f"{number}.png")
    return root


def quick(tiny_export, data, *more):
    return ("evaluate", tiny_export[0].out, "--data", data, "--baseline", "cam", "--seeds", "1",
            "--network-images", "1", "--jobs", "1", *more)  # fmt: skip


def test_markdown_goes_to_stdout_and_progress_to_stderr(run, tiny_export, data):
    code, out, err = run(*quick(tiny_export, data))
    assert code == 0
    assert out.startswith("# Evaluation of tiny.onnx, k = 2")
    assert "| metric | ours | cam | grad-cam | rise |" in out
    assert "evaluate: 9 of 9 images" in err


def test_out_holds_the_record_the_tables_and_the_figure(run, tiny_export, data, tmp_path):
    summary = tmp_path / "summary.md"
    out_folder = tmp_path / "evaluation"
    code, out, err = run(
        *quick(tiny_export, data, "--out", out_folder, "--summary", summary, "--json")
    )
    assert code == 0
    found = read_evaluation(out_folder / "evaluation.json")
    assert json.loads(out) == json.loads(found.dump())
    assert (out_folder / "evaluation.md").read_text() == summary.read_text()
    assert (out_folder / "metrics.svg").read_bytes().lstrip().startswith(b"<?xml")
    assert str(out_folder / "evaluation.json") in err


def test_what_cannot_be_read_is_one_line(run, tiny_export, data, tmp_path):
    broken = tmp_path / "parts.csv"
    broken.write_text("split,species,file,part,x,y,visible\ntest,red,0.png,eye,abc,1,1\n")
    code, out, err = run(*quick(tiny_export, data, "--parts", broken))
    assert (code, out) == (1, "")
    assert err.startswith("protohead: ")
    assert "parts.csv" in err.splitlines()[-1]
    code, _, err = run("evaluate", tmp_path, "--data", data)
    assert code == 1
    assert "expected an artifact" in err


def test_a_folder_that_cannot_be_written_is_one_line(run, tiny_export, data, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for option in ("--out", "--summary"):
        code, _, err = run(*quick(tiny_export, data, option, tmp_path / "file" / "below"))
        assert code == 1
        assert "cannot write" in err.splitlines()[-1]
        assert "evaluate:" not in err  # before the work, not after it


def test_an_unknown_baseline_is_wrong_usage(run, tiny_export, data):
    code, _, err = run(*quick(tiny_export, data, "--baseline", "best"))
    assert code == 2
    assert "centre" in err

"""``protohead package`` as a person meets it; what it writes: tests/exporter/packaging."""

import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern")  # BentoML's own import
HOSTS = ("bentoml", "triton")  # MLflow has a marker of its own


@pytest.fixture
def artifact(tiny_export, tmp_path):
    return shutil.copytree(tiny_export[1].folder, tmp_path / "artifact")


@pytest.mark.parametrize("host", HOSTS)
def test_it_says_what_to_do_next(run, artifact, tmp_path, host):
    code, said, err = run("package", artifact, "--for", host, "--out", tmp_path / "a" / "out")
    assert (code, err) == (0, "")
    assert said.startswith(f"{tmp_path / 'a' / 'out'}\n  next: ")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["out"]


def test_the_model_has_the_name_of_the_source_or_the_given_one(run, artifact, tmp_path):
    run("package", artifact, "--for", "triton", "--out", tmp_path / "a")
    run("package", artifact, "--for", "triton", "--name", "birds", "--out", tmp_path / "b")
    names = [sorted(p.name for p in (tmp_path / out).iterdir()) for out in "ab"]
    assert names == [["tiny", "tiny_steerable"], ["birds", "birds_steerable"]]


def test_same_inputs_same_bytes(run, artifact, tmp_path):
    trees = []
    for out in (tmp_path / "a", tmp_path / "b"):
        run("package", artifact, "--for", "triton", "--out", out)
        files = [path for path in sorted(out.rglob("*")) if path.is_file()]
        trees.append([(path.relative_to(out), path.read_bytes()) for path in files])
    assert trees[0] == trees[1]


@pytest.mark.parametrize("name", ["Birds", "a b", "../a", "", "-a", "a" * 64])
def test_a_name_that_no_host_takes_is_one_line(run, artifact, tmp_path, name):
    code, out, err = run(
        "package", artifact, "--for", "triton", "--name", name, "--out", tmp_path / "o"
    )
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "--name: expected lower-case letters" in err
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("host", HOSTS)
def test_what_is_in_the_way_stays(run, artifact, tmp_path, host):
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "mine").write_text("mine")
    code, out, err = run("package", artifact, "--for", host, "--out", tmp_path / "o")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "expected a new folder" in err
    assert "--out" in err
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["mine"]


@pytest.mark.parametrize("host", HOSTS)
def test_a_damaged_artifact_is_refused_before_anything_is_written(run, artifact, tmp_path, host):
    with (artifact / "model.onnx").open("ab") as file:
        file.write(b"x")
    code, _, err = run("package", artifact, "--for", host, "--out", tmp_path / "a" / "o")
    assert (code, err.count("\n")) == (1, 1)
    assert "model.onnx has changed" in err
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("host", HOSTS)
def test_nothing_appears_where_the_disk_refuses(run, artifact, tmp_path, host, monkeypatch):
    def refuse(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", refuse)
    code, _, err = run("package", artifact, "--for", host, "--out", tmp_path / "a" / "o")
    assert (code, err.count("\n")) == (1, 1)
    assert "the disk is full" in err
    assert list((tmp_path / "a").iterdir()) == []


def test_a_name_for_mlflow_is_wrong_usage(run, artifact, tmp_path):
    code, _, err = run(
        "package", artifact, "--for", "mlflow", "--name", "birds", "--out", tmp_path / "o"
    )
    assert code == 2
    assert "where it is logged or registered" in err


@pytest.mark.parametrize(("host", "module"), [("mlflow", "mlflow"), ("bentoml", "bentoml")])
def test_a_host_whose_packages_are_missing_names_its_extra(artifact, tmp_path, host, module):
    code = f"""
import sys
sys.modules[{module!r}] = None
sys.argv = ["protohead", "package", {str(artifact)!r}, "--for", {host!r}, "--out", "o"]
from exporter.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"needs {module}" in done.stderr
    assert not (tmp_path / "o").exists()


def test_triton_needs_neither_the_export_extra_nor_the_server(artifact, tmp_path):
    code = f"""
import sys
sys.modules.update(dict.fromkeys(["onnx", "onnx_ir", "cvxpy", "bentoml", "starlette", "orjson"]))
sys.argv = ["protohead", "package", {str(artifact)!r}, "--for", "triton", "--out", "o"]
from exporter.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")

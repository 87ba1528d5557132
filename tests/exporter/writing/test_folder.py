"""A folder that appears whole or not at all."""

import shutil

import pytest

from exporter.errors import OutputError
from exporter.writing.folder import copy_artifact, new_folder


def test_it_appears_when_all_is_written(tmp_path):
    out = tmp_path / "a" / "out"
    with new_folder(out) as folder:
        (folder / "b").mkdir()
        (folder / "b" / "c").write_text("c")
        assert not out.exists()
    assert (out / "b" / "c").read_text() == "c"
    assert list(out.parent.iterdir()) == [out]


def test_it_takes_the_place_of_an_empty_folder(tmp_path):
    (tmp_path / "out").mkdir()
    with new_folder(tmp_path / "out") as folder:
        (folder / "a").touch()
    assert (tmp_path / "out" / "a").exists()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_of_what_failed(tmp_path, error):
    def fail():
        with new_folder(tmp_path / "out") as folder:
            (folder / "a").touch()
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "link", "full"])
def test_what_is_in_the_way_is_left_alone(tmp_path, kind):
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("mine")
    elif kind == "link":
        out.symlink_to(tmp_path / "elsewhere")
    else:
        out.mkdir()
        (out / "mine").touch()
    with pytest.raises(OutputError, match="expected a new folder"), new_folder(out):
        pytest.fail("begun")
    assert list(tmp_path.iterdir()) == [out]


def test_a_refusal_of_the_system_is_told(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match="cannot write"),
        new_folder(tmp_path / "file" / "out"),
    ):
        pytest.fail("begun")


def test_the_files_of_an_artifact_are_copied_and_no_others(tiny_export, tmp_path):
    folder = shutil.copytree(tiny_export[1].folder, tmp_path / "artifact")
    (folder / ".DS_Store").touch()
    (folder / "manifest.sha256").unlink()  # as of artifacts from before there was one
    copy_artifact(type(tiny_export[1])(folder, tiny_export[1].manifest), tmp_path / "copy")
    copied = {path.relative_to(tmp_path / "copy").as_posix() for path in files(tmp_path / "copy")}
    assert copied == tiny_export[1].manifest.all_files - {"manifest.sha256"}
    assert all(
        path.read_bytes() == (folder / path.relative_to(tmp_path / "copy")).read_bytes()
        for path in files(tmp_path / "copy")
    )


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]

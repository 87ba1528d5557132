import errno
import os
from pathlib import Path

import numpy as np
import pytest
from records import decomposed

from exporter.errors import OutputError
from exporter.writing.staging import Staging, named
from serving.artifact import MANIFEST, ClassRecord

PRINT = {"model": "abc", "options": {"k": 3}}


def record(index: int) -> ClassRecord:
    return decomposed(index, f"class {index}", "prototype 1")


def begin(out, *, fingerprint=None, resume=False, overwrite=False) -> Staging:
    return Staging(out, fingerprint or PRINT, resume=resume, overwrite=overwrite)


def save(staging: Staging, index: int) -> None:
    prototypes = np.full((3, 4), index, dtype=np.float32)
    staging.save(record(index), prototypes, {f"evidence/{index}.jpg": b"jpeg"})


def finish(staging: Staging) -> None:
    (staging.artifact / MANIFEST).write_text("{}")
    staging.publish()


def test_nothing_appears_before_publish_and_all_of_it_after(tmp_path):
    out = tmp_path / "artifact"
    staging = begin(out)
    save(staging, 0)
    assert not out.exists()
    finish(staging)
    names = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    assert names == ["evidence/0.jpg", MANIFEST]
    assert list(tmp_path.iterdir()) == [out]


def test_saved_classes_survive_an_interruption(tmp_path):
    save(begin(tmp_path / "artifact"), 4)
    resumed = begin(tmp_path / "artifact", resume=True)
    assert resumed.finished() == {4}
    found, prototypes = resumed.read(4)
    assert found == record(4)
    np.testing.assert_array_equal(prototypes, np.full((3, 4), 4, np.float32))


def test_the_remains_of_an_export_are_not_thrown_away_unasked(tmp_path):
    save(begin(tmp_path / "artifact"), 0)
    with pytest.raises(OutputError, match=r"left 1 finished.*`resume`.*`overwrite`"):
        begin(tmp_path / "artifact")
    assert begin(tmp_path / "artifact", overwrite=True).finished() == frozenset()


def test_another_export_cannot_be_resumed_and_what_differs_is_named(tmp_path):
    save(begin(tmp_path / "artifact"), 0)
    with pytest.raises(OutputError, match="differs from the interrupted one in options"):
        begin(tmp_path / "artifact", fingerprint={**PRINT, "options": {"k": 5}}, resume=True)


def test_resume_without_remains_starts_anew(tmp_path):
    assert begin(tmp_path / "artifact", resume=True).finished() == frozenset()


def test_damaged_remains_cannot_be_resumed(tmp_path):
    staging = begin(tmp_path / "artifact")
    save(staging, 0)
    (tmp_path / "artifact.part" / "state.json").write_text("{")
    with pytest.raises(OutputError, match="cannot resume"):
        begin(tmp_path / "artifact", resume=True)


def test_an_artifact_is_replaced_only_when_asked_and_only_at_the_end(tmp_path):
    out = tmp_path / "artifact"
    finish(begin(out))
    (out / "mark").touch()
    with pytest.raises(OutputError, match="`overwrite`"):
        begin(out)
    staging = begin(out, overwrite=True)
    assert (out / "mark").exists()
    finish(staging)
    assert not (out / "mark").exists()


def test_an_artifact_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    out = tmp_path / "artifact"
    finish(begin(out))
    (out / "mark").touch()
    staging = begin(out, overwrite=True)
    rename = Path.rename

    def refused(path, target):
        if path == staging.artifact:
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(OutputError, match="artifact is as it was before"):
        finish(staging)
    assert (out / "mark").exists()


def test_a_folder_of_other_files_is_never_replaced(tmp_path):
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter1.tex").touch()
    with pytest.raises(OutputError, match="holds other files"):
        begin(out, overwrite=True)
    assert (out / "chapter1.tex").exists()


@pytest.mark.parametrize("name", [".", "", "..", "deeper/.."])
def test_a_folder_that_is_not_named_is_replaced_as_any_other(tmp_path, monkeypatch, name):
    out = tmp_path / "artifact"
    (out / "deeper").mkdir(parents=True)
    (out / MANIFEST).write_text("{}")
    monkeypatch.chdir(out / "deeper" if name == ".." else out)
    with pytest.raises(OutputError, match="`overwrite`"):
        begin(Path(name))
    staging = begin(Path(name), overwrite=True)
    assert staging.out == out
    finish(staging)
    assert [path.name for path in out.iterdir()] == [MANIFEST]
    assert list(tmp_path.iterdir()) == [out]


def test_the_root_folder_is_refused():
    with pytest.raises(OutputError, match=r"/: expected a folder with a name.*`out`"):
        begin(Path("/"), overwrite=True)


def test_a_name_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(OutputError, match="name too long"):
        begin(tmp_path / ("a" * 300))


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "artifact").touch()
    with pytest.raises(OutputError, match="in the way"):
        begin(tmp_path / "artifact", overwrite=True)


def test_an_empty_folder_is_welcome(tmp_path):
    (tmp_path / "artifact").mkdir()
    finish(begin(tmp_path / "artifact"))
    assert (tmp_path / "artifact" / MANIFEST).exists()


def test_a_kill_between_the_renames_loses_no_artifact(tmp_path):
    out = tmp_path / "artifact"
    finish(begin(out))
    (out / "mark").touch()
    begin(out, overwrite=True)
    out.rename(tmp_path / "artifact.part" / "replaced")  # publish got this far
    with pytest.raises(OutputError, match="already here"):
        begin(out)
    assert (out / "mark").exists()


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOSPC, "the disk is full.*`resume`"), (errno.EROFS, "Choose another `out`")],
)
def test_refusals_of_the_disk_say_what_to_do(tmp_path, number, message):
    staging = begin(tmp_path / "artifact")
    with pytest.raises(OutputError, match=message), staging.writing():
        raise OSError(number, "no")


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"artifact\.part.*cannot write: Not a directory"):
        begin(tmp_path / "file" / "artifact")


def test_an_output_that_onnxruntime_cannot_open_is_refused(tmp_path):
    out = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    with pytest.raises(OutputError, match=r"\\xff: expected a path in UTF-8"):
        named(out)

"""The work of an export: what survives, what is replaced, and what is left alone."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from records import decomposed

from exporter.errors import OutputError
from exporter.writing import work
from exporter.writing.exchange import exchange
from exporter.writing.ownership import remove_files
from exporter.writing.staging import Saved, Staging
from exporter.writing.work import WorkFolder, named
from serving.artifact import FORMAT, MANIFEST, MANIFEST_HASH, ClassRecord
from serving.artifact.trust import TrainingPartRecord

TRUST = (TrainingPartRecord(border=0.25, likeness=0.5, halves=None),)
PRINT = {"model": "abc", "options": {"k": 3}}


def record(index: int) -> ClassRecord:
    return decomposed(index, f"class {index}", "prototype 1")


def begin(out, *, fingerprint=None, resume=False, overwrite=False) -> Staging:
    return Staging(out, fingerprint or PRINT, resume=resume, overwrite=overwrite)


def edit(out, *, overwrite=False, resume=False) -> WorkFolder:
    """The work folder of an edit, which knows no resuming."""
    return WorkFolder(out, "edit", overwrite=overwrite)


def crop(index: int) -> str:
    return f"evidence/{index:05d}/0-0.jpg"


def save(staging: Staging, index: int) -> None:
    prototypes = np.full((3, 4), index, dtype=np.float32)
    staging.save(Saved(record(index), prototypes, "abc", TRUST), {crop(index): b"jpeg"})


def interrupted(out, *classes: int) -> None:
    """An export that was killed when these classes were finished."""
    with begin(out) as staging:
        for index in classes:
            save(staging, index)


def finish(staging: WorkFolder) -> None:
    names = [
        path.relative_to(staging.artifact).as_posix() for path in staging.artifact.rglob("*.jpg")
    ]
    content = {"format": FORMAT, "files": dict.fromkeys(names, "0" * 64)}
    (staging.artifact / MANIFEST).write_text(json.dumps(content))
    (staging.artifact / MANIFEST_HASH).write_text("a hash")
    staging.publish(frozenset([MANIFEST, MANIFEST_HASH, *names]))


def finished(out) -> None:
    """An artifact at a path."""
    with begin(out) as staging:
        finish(staging)


def test_nothing_appears_before_publish_and_all_of_it_after(tmp_path):
    out = tmp_path / "artifact"
    staging = begin(out)
    save(staging, 0)
    assert not out.exists()
    finish(staging)
    names = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    assert names == [crop(0), MANIFEST, MANIFEST_HASH]
    assert list(tmp_path.iterdir()) == [out]


def test_saved_classes_survive_an_interruption(tmp_path):
    interrupted(tmp_path / "artifact", 4)
    with begin(tmp_path / "artifact", resume=True) as resumed:
        (found,) = resumed.finished().values()
        assert (found.record, found.images) == (record(4), "abc")
        np.testing.assert_array_equal(found.prototypes, np.full((3, 4), 4, np.float32))


def test_the_remains_of_an_export_are_not_thrown_away_unasked(tmp_path):
    interrupted(tmp_path / "artifact", 0)
    with pytest.raises(OutputError, match=r"left 1 finished.*`resume`.*`overwrite`"):
        begin(tmp_path / "artifact")
    with begin(tmp_path / "artifact", overwrite=True) as staging:
        assert not staging.finished()
        assert not list(staging.artifact.rglob("*.jpg"))


def test_another_export_cannot_be_resumed_and_what_differs_is_named(tmp_path):
    interrupted(tmp_path / "artifact", 0)
    with pytest.raises(OutputError, match="differs from the interrupted one in options"):
        begin(tmp_path / "artifact", fingerprint={**PRINT, "options": {"k": 5}}, resume=True)


def test_resume_without_remains_starts_anew(tmp_path):
    with begin(tmp_path / "artifact", resume=True) as staging:
        assert not staging.finished()


DAMAGES = {
    "a record cut off": lambda f: cut(f / "classes/00000.saved"),
    "an empty record": lambda f: (f / "classes/00000.saved").write_bytes(b""),
    "a flipped bit in a record": lambda f: flip(f / "classes/00000.saved"),
    "a flipped bit in prototypes": lambda f: flip(f / "classes/00000.npy"),
    "prototypes cut off": lambda f: cut(f / "classes/00000.npy"),
    "no prototypes": lambda f: (f / "classes/00000.npy").unlink(),
    "no crop": lambda f: (f / "artifact" / crop(0)).unlink(),
    "a flipped bit in a crop": lambda f: flip(f / "artifact" / crop(0)),
}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # of an array a number, which reads as well as before
    path.write_bytes(content)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_class_is_made_again_and_said_and_the_others_are_kept(tmp_path, caplog, damage):
    interrupted(tmp_path / "artifact", 0, 1)
    damage(tmp_path / "artifact.part")
    with begin(tmp_path / "artifact", resume=True) as staging:
        assert set(staging.finished()) == {1}
    assert "class 0 is made again" in caplog.text


def test_an_artifact_is_replaced_only_when_asked_and_only_at_the_end(tmp_path):
    out = tmp_path / "artifact"
    finished(out)
    before = (out / MANIFEST).stat().st_ino
    with pytest.raises(OutputError, match="`overwrite`"):
        begin(out)
    with begin(out, overwrite=True) as staging:
        assert (out / MANIFEST).stat().st_ino == before
        finish(staging)
    assert (out / MANIFEST).stat().st_ino != before
    assert list(tmp_path.iterdir()) == [out]


THEIRS = {
    "a web extension": {"manifest.json": json.dumps({"manifest_version": 3, "name": "x"})},
    "a list": {"manifest.json": "[]"},
    "no JSON": {"manifest.json": "{", "model.onnx": "x"},
    "another format": {"manifest.json": json.dumps({"format": "dbt/12", "files": {}})},
    "a format that is no text": {"manifest.json": json.dumps({"format": 1, "files": {}})},
    "a thesis": {"chapter1.tex": "x"},
}


@pytest.mark.parametrize("content", THEIRS.values(), ids=THEIRS.keys())
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", ["export", "edit"])
def test_what_no_format_line_proves_to_be_ours_is_never_replaced(
    tmp_path, content, overwrite, kind
):
    out = tmp_path / "theirs"
    out.mkdir()
    for name, text in content.items():
        (out / name).write_text(text)
    start = begin if kind == "export" else edit
    with pytest.raises(OutputError, match="holds other files than an artifact's") as raised:
        start(out, overwrite=overwrite)
    assert "`overwrite`" not in str(raised.value)
    assert {path.name: path.read_text() for path in out.iterdir()} == content
    assert list(tmp_path.iterdir()) == [out]


def test_an_artifact_with_files_of_somebody_else_is_not_replaced_and_they_are_named(tmp_path):
    out = tmp_path / "artifact"
    finished(out)
    (out / "notes").mkdir()
    (out / "notes" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"not of it: notes/mine\.txt"):
        begin(out, overwrite=True)
    (out / "notes" / "mine.txt").rename(out / ".DS_Store")  # what file managers leave is nobody's
    (out / "notes").rmdir()
    with begin(out, overwrite=True) as staging:
        finish(staging)
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": True, "overwrite": True}])
@pytest.mark.parametrize("kind", ["export", "edit"])
def test_a_work_folder_that_is_not_ours_is_left_alone(tmp_path, options, kind):
    theirs = tmp_path / "artifact.part"
    (theirs / "classes").mkdir(parents=True)
    (theirs / "classes" / "thesis.tex").write_text("mine")
    (theirs / "mark.json").write_text(json.dumps({"format": "another"}))
    start = begin if kind == "export" else edit
    with pytest.raises(OutputError, match="files of something else, which are left alone"):
        start(tmp_path / "artifact", **options)
    assert (theirs / "classes" / "thesis.tex").read_text() == "mine"
    assert sorted(path.name for path in theirs.iterdir()) == ["classes", "mark.json"]


def test_stray_files_are_not_published_and_not_lost(tmp_path, caplog):
    out = tmp_path / "artifact"
    with begin(out) as staging:
        save(staging, 0)
        (staging.artifact / "evidence" / "notes.txt").write_text("mine")
        (staging.artifact / ".DS_Store").write_text("")
        (staging.folder / "classes" / "backup.zip").write_text("mine too")
        finish(staging)
    assert sorted(p.name for p in out.rglob("*") if p.is_file()) == sorted(
        [Path(crop(0)).name, MANIFEST, MANIFEST_HASH]
    )
    left = {p.name: p.read_text() for p in (tmp_path / "artifact.part").rglob("*") if p.is_file()}
    assert left == {"notes.txt": "mine", "backup.zip": "mine too"}
    assert "left alone, these files are not ours" in caplog.text


def test_the_crops_of_a_class_that_was_made_again_do_not_mix(tmp_path):
    out = tmp_path / "artifact"
    with begin(out) as staging:
        save(staging, 0)
        (staging.artifact / "evidence/00000/0-4.jpg").write_bytes(b"of an earlier run")
        names = [crop(0)]
        content = {"format": FORMAT, "files": dict.fromkeys(names, "0" * 64)}
        (staging.artifact / MANIFEST).write_text(json.dumps(content))
        staging.publish(frozenset([MANIFEST, *names]))
    assert sorted(p.name for p in out.rglob("*.jpg")) == ["0-0.jpg"]
    assert list(tmp_path.iterdir()) == [out]


def test_a_second_work_on_the_same_output_is_told_of_the_first(tmp_path):
    with begin(tmp_path / "artifact") as first:
        for start in (begin, edit):
            with pytest.raises(OutputError, match=rf"process {os.getpid()} is making an artifact"):
                start(tmp_path / "artifact")
        finish(first)
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]


def test_what_cannot_be_removed_at_the_end_is_a_warning(tmp_path, caplog, monkeypatch):
    out = tmp_path / "artifact"
    finished(out)

    def busy(folder, names):
        if folder.name != "replaced":
            return remove_files(folder, names)
        raise OSError(errno.EBUSY, "Device or resource busy", str(folder))

    with begin(out, overwrite=True) as staging:
        monkeypatch.setattr(work, "remove_files", busy)
        finish(staging)
    assert (out / MANIFEST).exists()
    assert "is complete" in caplog.text
    assert "cannot be removed: Device or resource busy" in caplog.text


@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize("at", range(4))
def test_wherever_a_replacement_is_interrupted_an_artifact_is_there_and_the_next_goes_on(
    tmp_path, monkeypatch, exchanges, at
):
    out = tmp_path / "artifact"
    finished(out)
    steps = []

    def stop(call):
        def counted(*arguments):
            steps.append(call.__name__)
            if len(steps) == at + 1:
                raise KeyboardInterrupt
            return call(*arguments)

        return counted

    with monkeypatch.context() as patch:
        patch.setattr(work, "exchange", stop(exchange) if exchanges else lambda *_: False)
        patch.setattr(Path, "rename", stop(Path.rename))
        with begin(out, overwrite=True) as staging:
            save(staging, 0)
            try:
                finish(staging)
                completed = True
            except KeyboardInterrupt:
                completed = False
    assert (out / MANIFEST).is_file()  # the older one or the new one
    if completed:
        return
    with begin(out, resume=True, overwrite=True) as staging:
        save(staging, 0)
        finish(staging)
    assert sorted(p.name for p in out.rglob("*") if p.is_file())[0] == "0-0.jpg"
    assert list(tmp_path.iterdir()) == [out]


def test_a_kill_while_the_replaced_artifact_is_removed_can_be_resumed(tmp_path, monkeypatch):
    out = tmp_path / "artifact"
    finished(out)

    def killed(folder, names):
        remove_files(folder, list(names)[:1])
        if folder.name == "replaced":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, begin(out, overwrite=True) as staging:
        save(staging, 0)
        patch.setattr(work, "remove_files", killed)
        with pytest.raises(KeyboardInterrupt):
            finish(staging)
    with begin(out, resume=True, overwrite=True) as staging:
        save(staging, 0)
        finish(staging)
    assert list(tmp_path.iterdir()) == [out]


def test_an_edit_never_touches_what_an_export_left(tmp_path):
    interrupted(tmp_path / "artifact", 0)
    with WorkFolder(tmp_path / "artifact", "edit", overwrite=True) as folder:
        assert folder.mark()["work"] == "export"
    with begin(tmp_path / "artifact", resume=True) as staging:
        assert set(staging.finished()) == {0}


@pytest.mark.parametrize("name", [".", "", "..", "deeper/.."])
def test_a_folder_that_is_not_named_is_replaced_as_any_other(tmp_path, monkeypatch, name):
    out = tmp_path / "artifact"
    finished(out)
    (out / "deeper").mkdir()
    monkeypatch.chdir(out / "deeper" if name == ".." else out)
    with pytest.raises(OutputError, match="`overwrite`"):
        begin(Path(name))
    with begin(Path(name), overwrite=True) as staging:
        assert staging.out == out
        finish(staging)
    assert sorted(path.name for path in out.iterdir()) == [MANIFEST, MANIFEST_HASH]
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
    finished(tmp_path / "artifact")
    assert (tmp_path / "artifact" / MANIFEST).exists()


def test_a_kill_between_the_renames_loses_no_artifact(tmp_path):
    out = tmp_path / "artifact"
    finished(out)
    with begin(out, overwrite=True) as staging:
        out.rename(staging.folder / "replaced")  # where no exchange is, publish got this far
    with pytest.raises(OutputError, match="already here"):
        begin(out)
    assert (out / MANIFEST).exists()


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOSPC, "the disk is full.*`resume`"), (errno.EROFS, "Choose another `out`")],
)
def test_refusals_of_the_disk_say_what_to_do(tmp_path, number, message):
    with (
        begin(tmp_path / "artifact") as staging,
        pytest.raises(OutputError, match=message),
        staging.writing(),
    ):
        raise OSError(number, "no")


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"artifact\.part.*cannot write: Not a directory"):
        begin(tmp_path / "file" / "artifact")


def test_an_output_that_onnxruntime_cannot_open_is_refused(tmp_path):
    out = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    with pytest.raises(OutputError, match=r"\\xff: expected a path in UTF-8"):
        named(out)

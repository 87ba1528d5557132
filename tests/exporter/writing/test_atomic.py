"""Files appear whole or not at all, and a refusal of the disk is one sentence."""

import errno
from pathlib import Path

import pytest

from exporter.errors import OutputError
from exporter.writing.atomic import replace_files, writing


def test_all_files_are_written_before_any_is_put_in_its_place(tmp_path):
    (tmp_path / "b").mkdir()  # cannot be replaced by a file
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(OSError, match="directory"):
        replace_files({tmp_path / "missing" / "c": b"new", tmp_path / "a": b"new"})
    with pytest.raises(OSError, match="directory"):
        replace_files({tmp_path / "a": b"new", tmp_path / "missing" / "c": b"new"})
    assert (tmp_path / "a").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_nothing_is_left_beside_the_files(tmp_path):
    replace_files({tmp_path / "a": b"1", tmp_path / "b": b"2"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"1", "b": b"2"}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, r"x/out: the disk is full\. Nothing appeared at x/out\. Free some space"),
        (errno.EDQUOT, r"the disk is full"),
        (errno.EACCES, r"x/out: cannot write: Permission denied\. .* Choose another `out`\."),
    ],
)
def test_a_refusal_says_what_happened_and_what_to_do(code, words):
    with pytest.raises(OutputError, match=words), writing(Path("x/out")):
        raise OSError(code, "Permission denied")

"""Ours is removed, as far as it can be, and nothing else."""

import pytest

from exporter.writing.ownership import remove_files


def test_what_cannot_be_removed_is_said_and_the_rest_is_removed(tmp_path):
    (tmp_path / "in the way").mkdir()
    (tmp_path / "in the way" / "stranger").touch()
    (tmp_path / "ours").touch()
    with pytest.raises(OSError, match="in the way"):
        remove_files(tmp_path, ["in the way", "ours"])
    assert [path.name for path in tmp_path.rglob("*")] == ["in the way", "stranger"]

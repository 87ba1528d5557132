"""Ours is removed, as far as it can be, and nothing else."""

import json

import pytest

from exporter.writing.ownership import listed_files, remove_files


def test_what_cannot_be_removed_is_said_and_the_rest_is_removed(tmp_path):
    (tmp_path / "in the way").mkdir()
    (tmp_path / "in the way" / "stranger").touch()
    (tmp_path / "ours").touch()
    with pytest.raises(OSError, match="in the way"):
        remove_files(tmp_path, ["in the way", "ours"])
    assert [path.name for path in tmp_path.rglob("*")] == ["in the way", "stranger"]


def test_a_manifest_that_lists_files_elsewhere_proves_nothing(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "precious.txt").write_text("mine")
    content = {"format": "protohead/1", "files": {"../precious.txt": "0" * 64}}
    (tmp_path / "out" / "manifest.json").write_text(json.dumps(content))
    assert listed_files(tmp_path / "out") is None

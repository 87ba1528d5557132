"""onnxruntime-web: where it comes from, and that it is the one that was tested."""

import io
import tarfile

import pytest

from exporter.errors import MissingExtraError, OutputError, UnreachableError
from exporter.site import runtime

FILES = {runtime.SCRIPT: b"script", runtime.BINARY: b"binary"}


@pytest.fixture(autouse=True)
def pinned(monkeypatch, tmp_path):
    """Small files in the place of the real ones, and a cache of their own."""
    hashes = {name: runtime.integrity(content) for name, content in FILES.items()}
    monkeypatch.setattr(runtime, "_HASHES", hashes)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def npm(monkeypatch, tmp_path):
    """Put a program in the place of npm."""

    def put(script):
        place = tmp_path / "bin"
        place.mkdir(exist_ok=True)
        (place / "npm").write_text(f"#!/bin/sh\n{script}\n")
        (place / "npm").chmod(0o755)
        monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")

    return put


def pack(path, files=FILES):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def unpack(folder, files=FILES):
    (folder / "dist").mkdir(parents=True)
    for name, content in files.items():
        (folder / "dist" / name).write_bytes(content)
    return folder


def test_the_package_is_taken_packed_or_unpacked(tmp_path):
    assert runtime.runtime_files(pack(tmp_path / "a.tgz")) == FILES
    assert runtime.runtime_files(unpack(tmp_path / "a")) == FILES


def test_npm_is_asked_once(npm, tmp_path):
    packed = pack(tmp_path / "a.tgz")
    # npm pack NAME --ignore-scripts --pack-destination FOLDER
    npm(f'test "$2" = onnxruntime-web@{runtime.VERSION} && cp {packed} "$5/a.tgz"')
    assert runtime.runtime_files() == FILES
    npm("exit 1")
    assert runtime.runtime_files() == FILES


def test_a_damaged_cache_is_fetched_again(npm, tmp_path):
    npm(f'cp {pack(tmp_path / "a.tgz")} "$5/a.tgz"')
    runtime.runtime_files()
    (kept,) = (tmp_path / "cache").rglob(runtime.SCRIPT)
    kept.write_bytes(b"other")
    assert runtime.runtime_files() == FILES
    assert kept.read_bytes() == b"script"


@pytest.mark.parametrize("kind", ["other", "missing", "no archive"])
def test_any_other_file_is_refused(npm, tmp_path, kind):
    path = tmp_path / "a.tgz"
    if kind == "no archive":
        path.write_bytes(b"no archive")
    else:
        pack(path, {**FILES, runtime.SCRIPT: b"other"} if kind == "other" else {})
    with pytest.raises(OutputError, match=rf"a\.tgz: expected .*{runtime.VERSION}"):
        runtime.runtime_files(path)
    npm(f'cp {path} "$5/a.tgz"')
    with pytest.raises(OutputError, match=runtime.VERSION):
        runtime.runtime_files()
    assert not (tmp_path / "cache").exists()


def test_without_npm_both_ways_are_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtraError, match=r"expected npm.*`onnxruntime_web`"):
        runtime.runtime_files()


def test_what_npm_says_is_one_line(npm):
    npm("echo 'npm error code E404\nnpm error more' >&2; exit 1")
    with pytest.raises(UnreachableError, match=r"code E404\. .*`onnxruntime_web`") as said:
        runtime.runtime_files()
    assert "\n" not in str(said.value)

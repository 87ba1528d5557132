"""``protohead page`` as a person meets it; what it writes: tests/exporter/site."""

import httpx
import pytest

from exporter.commands.targets import page
from exporter.site import runtime


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A small onnxruntime-web, as far as this program knows."""
    files = {runtime.SCRIPT: b"script", runtime.BINARY: b"binary"}
    hashes = {name: runtime.integrity(content) for name, content in files.items()}
    monkeypatch.setattr(runtime, "_HASHES", hashes)
    folder = tmp_path / "onnxruntime-web"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_it_says_what_a_visitor_loads_and_how_to_look_at_it(run, tiny_export, small, tmp_path):
    out = tmp_path / "a" / "site"
    command = ("page", tiny_export[1].folder, "--out", out, "--onnxruntime-web", small)
    code, said, err = run(*command)
    assert (code, err) == (0, "")
    assert said.startswith(f"{out}\n  a visitor's first picture loads ")
    assert f'http.server --bind 127.0.0.1 --directory "{out}"' in said
    assert (out / "page" / "server.js").exists()
    code, said, err = run(*command)
    assert (code, said) == (1, "")
    assert err.count("\n") == 1
    assert "Pass --overwrite" in err


def test_another_onnxruntime_web_is_refused_before_anything_is_written(run, tiny_export, tmp_path):
    (tmp_path / "other").mkdir()
    command = ("page", tiny_export[1].folder, "--onnxruntime-web", tmp_path / "other")
    code, said, err = run(*command, "--out", tmp_path / "site")
    assert (code, said, err.count("\n")) == (1, "", 1)
    assert runtime.VERSION in err
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_it_is_shown_until_somebody_ends_that(run, tiny_export, small, tmp_path, monkeypatch):
    answers = []

    def look(address):
        answers.append(httpx.get(address))
        raise KeyboardInterrupt

    monkeypatch.setattr(page, "open_page", look)
    command = ("page", tiny_export[1].folder, "--out", tmp_path / "site", "--open")
    code, said, err = run(*command, "--onnxruntime-web", small)
    assert (code, err) == (0, "")
    assert f"at {answers[0].url} until Ctrl-C" in said
    assert "<title>protohead" in answers[0].text

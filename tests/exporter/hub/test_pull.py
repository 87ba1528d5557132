"""Whoever answers, an artifact appears whole and as its manifest says, or nothing does."""

import hashlib
import json

import pytest
from file_server import broken, endless, large, redirect, serving
from trees import tree

from exporter.hub import pull as pulling
from serving.artifact import dump_manifest, manifest_contents
from serving.artifact.manifest import Manifest


@pytest.fixture
def server(tiny_export):
    folder = tiny_export[1].folder
    with serving({name: (folder / name).read_bytes() for name in tree(folder)}) as found:
        yield found


def refused(run, server, out, *options):
    """The one line that a pull ends with, when nothing may have appeared."""
    code, told, err = run("pull", server.url, "--out", out, *options)
    lines = [line for line in err.splitlines() if line.startswith("protohead: ")]
    assert code == 1
    assert told == ""
    assert len(lines) == 1
    assert err.splitlines()[-1] == lines[0]
    assert not out.exists()
    return lines[0]


def change_files(server, change):
    """Let the server offer a manifest of other files, whose hash is right."""
    content = json.loads(server.files["manifest.json"])
    change(content["files"])
    text = json.dumps(content).encode()
    server.files |= manifest_contents(text)


def test_what_is_pulled_is_the_artifact_byte_for_byte(run, server, tiny_export, tmp_path):
    out = tmp_path / "out"
    assert run("pull", f"{server.url}/", "--out", out)[0] == 0
    assert tree(out) == tree(tiny_export[1].folder)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_card_and_signature_come_with_it_and_are_no_strangers(run, server, tmp_path):
    server.files |= {"README.md": b"# A card", "signature.json": b"{}", "other.txt": b"no"}
    out = tmp_path / "out"
    assert run("pull", server.url, "--out", out)[0] == 0
    assert (out / "README.md").read_bytes() == b"# A card"
    assert (out / "signature.json").is_file()
    assert not (out / "other.txt").exists()
    code, told, _ = run("verify", out, "--json")
    assert code == 0
    assert json.loads(told)["gates"][0]["state"] == "passed"


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz", "evidence/00000/0-0.jpg"])
def test_a_file_that_is_not_what_the_manifest_says_is_refused(run, server, tmp_path, name):
    server.files[name] = server.files[name][:-1] + b"?"
    assert f"{name}: expected sha256" in refused(run, server, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_changed_manifest_is_refused(run, server, tmp_path):
    server.files["manifest.json"] = server.files["manifest.json"].replace(b"tiny", b"tinx")
    server.files["manifest.json"] += b" "
    assert "manifest.json has changed" in refused(run, server, tmp_path / "out")


@pytest.mark.parametrize(
    "name",
    [
        "../outside.txt", "/etc/outside.txt", "a/../../outside", "..\\outside", "C:outside",
        ".git/hooks/pre-commit", "manifest.json", "manifest.sha256", "README.md", "signature.json",
        "model.onnx/inside", "a\u0000b", "a\nb", "con.",
    ],
)  # fmt: skip
def test_a_manifest_that_names_files_elsewhere_is_refused(run, server, tmp_path, name):
    digest = hashlib.sha256(b"evil").hexdigest()
    change_files(server, lambda files: files.update({name: digest}))
    server.files.setdefault(name, b"evil")
    (tmp_path / "place").mkdir()
    line = refused(run, server, tmp_path / "place" / "out")
    assert "plain" in line or "files" in line
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert name not in server.asked or name in ("manifest.json", "manifest.sha256")


def test_a_missing_file_is_named(run, server, tmp_path):
    del server.files["steerable.onnx"]
    line = refused(run, server, tmp_path / "out")
    assert "steerable.onnx: no such file" in line
    assert "not whole" in line


@pytest.mark.parametrize("content", [b"", b"[]", b"<html>", b"\xff", b"[" * 5000, b'{"format": 1}'])
def test_what_is_no_manifest_is_refused(run, server, tmp_path, content):
    server.files["manifest.json"] = content
    assert "manifest.json" in refused(run, server, tmp_path / "out")


def test_a_manifest_of_gigabytes_is_not_read(run, server, tmp_path):
    server.faults["manifest.json"] = large(5 << 30)
    assert "expected at most" in refused(run, server, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("manifest.json", "LARGEST_MANIFEST"),
        ("model.onnx", "_LARGEST_FILE"),
        ("evidence/00000/0-0.jpg", "_LARGEST_CROP"),
        ("README.md", "_LARGEST_BESIDE"),
    ],
)
def test_a_file_without_an_end_is_left(run, server, tmp_path, monkeypatch, name, limit):
    monkeypatch.setattr(pulling, limit, 1 << 20)
    server.faults[name] = endless
    line = refused(run, server, tmp_path / "out")
    assert f"{name}: expected at most 1048576 bytes" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a", "data:,a"])
def test_a_redirect_out_of_http_is_not_followed(run, server, tmp_path, target):
    server.faults["model.onnx"] = redirect(target)
    assert "redirect to" in refused(run, server, tmp_path / "out")


def test_a_redirect_inside_http_is_followed(run, server, tmp_path):
    server.files["elsewhere"] = server.files["model.onnx"]
    server.faults["model.onnx"] = redirect(f"{server.url}/elsewhere")
    assert run("pull", server.url, "--out", tmp_path / "out")[0] == 0


def test_a_redirect_in_a_circle_ends(run, server, tmp_path):
    server.faults["model.onnx"] = redirect(f"{server.url}/model.onnx")
    refused(run, server, tmp_path / "out")


def test_a_pull_that_broke_off_goes_on(run, server, tmp_path, tiny_export):
    out = tmp_path / "out"
    server.faults["steerable.onnx"] = broken(server.files["steerable.onnx"])
    assert "run it again" in refused(run, server, out)
    arrived = set(tree(tmp_path / "out.part" / "artifact"))
    assert "model.onnx" in arrived
    server.faults.clear()
    server.asked.clear()
    assert run("pull", server.url, "--out", out)[0] == 0
    assert tree(out) == tree(tiny_export[1].folder)
    assert "steerable.onnx" in server.asked
    assert "model.onnx" not in server.asked
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_a_broken_pull_left_of_another_artifact_is_not_used(run, server, tmp_path):
    out = tmp_path / "out"
    server.faults["steerable.onnx"] = broken(server.files["steerable.onnx"])
    refused(run, server, out)
    server.faults.clear()
    content = json.loads(server.files["manifest.json"])
    content["source"]["file"] = "other.onnx"
    server.files |= manifest_contents(dump_manifest(Manifest.model_validate(content, strict=False)))
    server.asked.clear()
    assert run("pull", server.url, "--out", out)[0] == 0
    assert "model.onnx" in server.asked
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_server_that_is_not_there_is_named(run, tmp_path):
    with serving() as gone:
        pass
    assert "cannot be read" in refused(run, gone, tmp_path / "out")


def test_what_is_at_out_stays_unless_it_may_be_replaced(run, server, tmp_path):
    out = tmp_path / "out"
    assert run("pull", server.url, "--out", out)[0] == 0
    before = tree(out)
    assert run("pull", server.url, "--out", out)[0] == 1
    server.files["model.onnx"] += b"?"
    assert run("pull", server.url, "--out", out, "--overwrite")[0] == 1
    assert tree(out) == before
    server.files["model.onnx"] = server.files["model.onnx"][:-1]
    assert run("pull", server.url, "--out", out, "--overwrite")[0] == 0
    assert tree(out) == before


def test_nothing_is_pushed_to_plain_http(run, server, tiny_export):
    code, _, err = run("push", tiny_export[1].folder, server.url)
    assert code == 1
    assert "pulled from, not pushed to" in err
    assert server.asked == []


def test_a_folder_of_this_machine_is_an_address_too(run, tiny_export, tmp_path):
    address = f"file://{tmp_path}/store/birds"
    assert run("push", tiny_export[1].folder, address)[1] == f"{address}\n"
    assert run("pull", address, "--out", tmp_path / "out")[0] == 0
    assert tree(tmp_path / "out") == tree(tiny_export[1].folder)


def test_a_damaged_artifact_is_not_pushed(run, tiny_export, tmp_path):
    run("push", tiny_export[1].folder, f"file://{tmp_path}/a")
    (tmp_path / "a" / "model.onnx").write_bytes(b"?")
    code, _, err = run("push", tmp_path / "a", f"file://{tmp_path}/b")
    assert code == 1
    assert "model.onnx has changed" in err
    assert not (tmp_path / "b").exists()

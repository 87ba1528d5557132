"""Verbs take an address; what it has is kept by the hash of its manifest."""

import json

import pytest
from file_server import serving
from trees import tree

from exporter.hub.cache import cache_folder, cached


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def server(tiny_export):
    folder = tiny_export[1].folder
    with serving({name: (folder / name).read_bytes() for name in tree(folder)}) as found:
        yield found


def test_an_address_is_verified_and_pulled_once(run, server):
    code, told, _ = run("verify", server.url, "--json")
    assert code == 0
    assert {gate["state"] for gate in json.loads(told)["gates"]} <= {"passed", "skipped"}
    server.asked.clear()
    assert cached(server.url).parent == cache_folder()
    assert set(server.asked) == {"manifest.json", "manifest.sha256", "signature.json"}


def test_a_damaged_copy_is_pulled_again(server, tiny_export):
    folder = cached(server.url)
    (folder / "model.onnx").write_bytes(b"?")
    assert cached(server.url) == folder
    assert tree(folder) == tree(tiny_export[1].folder)


def test_a_signature_made_later_comes_with_the_next_look(server):
    folder = cached(server.url)
    server.files["signature.json"] = b"{}"
    assert (cached(server.url) / "signature.json").read_bytes() == b"{}"
    del server.files["signature.json"]
    cached(server.url)
    assert not (folder / "signature.json").exists()


def test_what_can_change_is_not_read_without_a_network(run, server):
    cached(server.url)
    url = server.url
    server.faults["manifest.json"] = lambda handler: handler.send_error(503)
    code, _, err = run("verify", url)
    assert code == 1
    assert "only hf:// addresses with a commit" in err

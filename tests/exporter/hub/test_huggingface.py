"""Push to a model hub and pull from it, by its own library against a hub of this machine."""

import os
import re
import subprocess
import sys

import pytest
from hub_server import TOKEN, hub
from places import ROOT
from trees import tree

pytestmark = pytest.mark.hub

NAME = "hf://someone/birds"


@pytest.fixture
def server():
    with hub() as found:
        yield found


@pytest.fixture
def protohead(server, tmp_path):
    """Run the program as a process, whose hub is ours: code, stdout, stderr."""

    def run_(*arguments, token=TOKEN):
        own = {
            "HF_ENDPOINT": server.url,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_TOKEN": token,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",  # the other way to upload, which only the real hub speaks
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "PYTHONPATH": str(ROOT),
        }
        done = subprocess.run(
            [sys.executable, "-m", "exporter.cli", *map(str, arguments)],
            cwd=tmp_path, env={**os.environ, **own}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    return run_


def test_what_is_pushed_is_pulled_by_the_commit_it_got(protohead, server, tiny_export, tmp_path):
    folder = tiny_export[1].folder
    code, told, err = protohead("push", folder, NAME, "--license", "mit")
    assert code == 0, err
    assert re.fullmatch(rf"{NAME}@[0-9a-f]{{40}}\n", told)
    assert server.private == {"someone/birds": True}
    files = server.commits[server.branches["someone/birds@main"]]
    assert files.keys() == tree(folder).keys() | {"README.md"}
    assert b"pipeline_tag: image-classification" in files["README.md"]

    code, _, err = protohead("pull", told.strip(), "--out", tmp_path / "out")
    assert code == 0, err
    pulled = tree(tmp_path / "out")
    del pulled["README.md"]
    assert pulled == tree(folder)


def test_a_card_that_is_there_stays_and_a_folder_of_it_can_be_named(
    protohead, server, tiny_export, tmp_path
):
    assert protohead("push", tiny_export[1].folder, f"{NAME}/small", "--public")[0] == 0
    assert server.private == {"someone/birds": False}
    server.commit("someone/birds", "main", {"small/README.md": b"# Mine"})
    code, told, err = protohead("push", tiny_export[1].folder, f"{NAME}/small")
    assert code == 0, err
    assert told.endswith("/small\n")
    head = server.branches["someone/birds@main"]
    assert server.commits[head]["small/README.md"] == b"# Mine"
    assert protohead("pull", f"{NAME}/small", "--out", tmp_path / "out")[0] == 0
    assert (tmp_path / "out" / "README.md").read_bytes() == b"# Mine"


def test_a_commit_is_verified_from_the_cache_without_a_network(
    protohead, server, tiny_export, tmp_path
):
    address = protohead("push", tiny_export[1].folder, NAME)[1].strip()
    assert protohead("verify", address)[0] == 0
    server.asked.clear()
    assert protohead("verify", address)[0] == 0
    assert server.asked == []


def test_a_changed_file_on_the_hub_is_refused(protohead, server, tiny_export, tmp_path):
    protohead("push", tiny_export[1].folder, NAME)
    server.commit("someone/birds", "main", {"model.onnx": b"evil"})
    code, told, err = protohead("pull", NAME, "--out", tmp_path / "out")
    assert (code, told) == (1, "")
    assert "model.onnx: expected sha256" in err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("address", "token"),
    [("hf://someone/none", TOKEN), (NAME, "hf_wrong"), (f"{NAME}@{'1' * 40}", TOKEN)],
)
def test_what_the_hub_refuses_is_one_line(protohead, tiny_export, address, token):
    verb = ("pull", address, "--out", "out") if token == TOKEN else ()
    verb = verb or ("push", tiny_export[1].folder, address)
    code, _, err = protohead(*verb, token=token)
    assert code == 1
    assert len(err.splitlines()) == 1
    assert address.split("@")[0] in err or "someone" in err

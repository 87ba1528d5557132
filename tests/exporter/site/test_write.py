"""The files of a static site, and how they appear."""

import json
import re

import numpy as np
import pytest
from places import ROOT
from safetensors.numpy import load_file

from exporter.errors import OutputError
from exporter.site.runtime import BINARY, SCRIPT
from exporter.site.write import write_site

RUNTIME = {SCRIPT: b"script", BINARY: b"binary"}
ANSWERS = (("index.html", b"page"), ("page/app.js", b"app"), ("v1/model.json", b"{}"))


def write(artifact, out, **options):
    options = {"answers": ANSWERS, "runtime": RUNTIME, **options}
    return write_site(artifact, out, **options)


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


@pytest.fixture
def artifact(tiny_export):
    return tiny_export[1]


def test_the_graph_is_there_in_pieces_of_a_size_that_hosts_take(artifact, tmp_path):
    loaded = write(artifact, tmp_path / "site", piece=1000)
    said = json.loads((tmp_path / "site" / "graph.json").read_bytes())
    names = [piece["url"].partition("?")[0] for piece in said["pieces"]]
    parts = [(tmp_path / "site" / name).read_bytes() for name in names]
    assert b"".join(parts) == artifact.path("steerable.onnx").read_bytes()
    assert [len(part) for part in parts] == [piece["bytes"] for piece in said["pieces"]]
    assert max(map(len, parts)) == 1000
    assert loaded == sum(map(len, parts)) + len(RUNTIME[BINARY])


def test_the_bias_is_exact(artifact, tmp_path):
    write(artifact, tmp_path / "site")
    said = json.loads((tmp_path / "site" / "graph.json").read_bytes())
    bias = load_file(artifact.path("prototypes.safetensors"))["bias"]
    np.testing.assert_array_equal(np.array(said["bias"], dtype=np.float64), bias)


def test_same_inputs_same_bytes(artifact, tmp_path):
    write(artifact, tmp_path / "a")
    write(artifact, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_site_is_replaced_only_where_that_is_asked(artifact, tmp_path):
    out = tmp_path / "site"
    write(artifact, out)
    with pytest.raises(OutputError, match=r"already here\. Pass `overwrite`"):
        write(artifact, out)
    write(artifact, out, answers=(("index.html", b"new"),), overwrite=True)
    assert (out / "index.html").read_bytes() == b"new"
    assert not (out / "v1").exists()
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_other_files_is_left_alone(artifact, tmp_path, overwrite):
    out = tmp_path / "site"
    out.mkdir()
    (out / "mine").write_text("mine")
    with pytest.raises(OutputError, match="expected a new folder"):
        write(artifact, out, overwrite=overwrite)
    assert [path.name for path in out.iterdir()] == ["mine"]


def test_a_file_among_a_sites_own_is_not_lost(artifact, tmp_path):
    out = tmp_path / "site"
    write(artifact, out)
    (out / "CNAME").write_text("birds.example")
    with pytest.raises(OutputError, match="CNAME"):
        write(artifact, out, overwrite=True)
    assert (out / "index.html").exists()


def test_a_site_that_fails_leaves_the_older_one(artifact, tmp_path):
    out = tmp_path / "site"
    write(artifact, out)
    before = contents(tmp_path)

    def broken():
        yield "index.html", b"new"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write(artifact, out, answers=broken(), overwrite=True)
    assert contents(tmp_path) == before


SITE, PAGE = ROOT / "exporter" / "site" / "page", ROOT / "serving" / "page"


def test_no_file_of_the_page_is_replaced_but_the_api():
    both = {path.name for path in SITE.iterdir()} & {path.name for path in PAGE.iterdir()}
    assert both == {"api.js"}


def test_whatever_asks_the_server_is_said_anew():
    """A function of the page's api.js that names a route would find no server behind a site."""
    text = (PAGE / "api.js").read_text()
    pieces = re.split(r"\nexport (?:async function|const|function) (\w+)", text)[1:]
    asking = {
        name
        for name, body in zip(pieces[::2], pieces[1::2], strict=True)
        if re.search(r"""["'`]v1/""", body.partition("\n}")[0].partition("\nexport")[0])
    }
    anew = set(
        re.findall(r"^export (?:async function|const) (\w+)", (SITE / "api.js").read_text(), re.M)
    )
    assert {"model", "classes", "explain", "contrast"} <= asking
    assert asking <= anew

"""`protohead diff` as a person and as a script meet it."""

import json
import re
import shutil

import pytest
from file_server import serving
from manifests import write_manifest
from trees import tree

from exporter.editing.decision import parse_name, parse_prototype
from exporter.pipelines.edit import edit


@pytest.fixture(scope="module")
def edited(tiny_export, tmp_path_factory):
    """The tiny artifact with a hostile name, a mute and a reason."""
    out = tmp_path_factory.mktemp("edited") / "new"
    edit(
        tiny_export[0].out, out, reason="a <script> & a | pipe",
        mute=[parse_prototype("green:1")], names=[parse_name("red:0=<b>bill</b>|x")],
    )  # fmt: skip
    return out


def test_the_same_artifact_has_no_difference(run, tiny_export, tmp_path):
    old = tiny_export[0].out
    copied = shutil.copytree(old, tmp_path / "copy")
    code, out, _ = run("diff", old, copied, "--exit-code")
    assert (code, out.splitlines()[0]) == (0, f"### {old} → {copied}: no difference")
    assert "- They are one artifact, byte for byte." in out


def test_what_changed_is_markdown_and_an_exit_code_where_it_is_asked_for(run, tiny_export, edited):
    asked = ("diff", tiny_export[0].out, edited)
    code, out, err = run(*asked)
    assert (code, err) == (0, "")
    assert "- Parts: 6 kept, 1 renamed, 1 muted." in out
    assert r"| red | `#0` | \<b\>bill\</b\>\|x | kept, renamed | cosine 1.00 |" in out
    assert "| green | `#1` | `#1` | kept, muted | cosine 1.00 |" in out
    assert r"- 1 edit gained: a \<script\> \& a \| pipe." in out
    assert "| `parents/` | · | " in out
    assert run(*asked, "--exit-code")[0] == 1


def test_on_images_best_classes_and_contributions_are_compared(run, tiny_export, edited, tmp_path):
    data = tiny_export[0].data
    code, out, err = run("diff", tiny_export[0].out, edited, "--data", data, "--json", "-")
    found = json.loads(out)["shifts"]
    assert (code, found["images"], found["skipped"]) == (0, 24, 0)
    assert "compare: 24 of 24 images" in err
    # All that was taken away is the muted part, on the images that are given to its class.
    (shift,) = found["parts"]
    assert (shift["label"], shift["old"], shift["new"], shift["new_mean"]) == ("green", 1, 1, 0)
    changed = found["predictions"]
    assert found["corrected"] + found["broken"] <= len(changed)
    assert all(image["old"] == "green" != image["new"] for image in changed)
    (tmp_path / "empty").mkdir()
    code, _, err = run("diff", edited, edited, "--data", tmp_path / "empty")
    assert (code, err.splitlines()[-1].endswith("expected images, found none.")) == (1, True)


def test_of_another_head_images_tell_which_part_is_which(run, tiny_export, tmp_path):
    config, artifact = tiny_export
    other = shutil.copytree(artifact.folder, tmp_path / "other")
    source = artifact.manifest.source.model_copy(update={"sha256": "0" * 64})
    write_manifest(other, artifact.manifest.model_copy(update={"source": source}))
    code, out, _ = run("diff", artifact.folder, other)
    assert (code, "parts are taken for the same by their training crops" in out) == (0, True)
    code, out, _ = run("diff", artifact.folder, other, "--data", config.data, "--max-images", "6")
    assert (code, "parts are taken for the same by their heatmaps" in out) == (0, True)
    assert "- Parts: 6 kept." in out
    assert "- On 6 images of data, no best class changed." in out


def test_files_are_written_and_the_page_asks_for_nothing(run, tiny_export, edited, tmp_path):
    page, record, summary = tmp_path / "a.html", tmp_path / "a.json", tmp_path / "a.md"
    code, out, _ = run(
        "diff", tiny_export[0].out, edited, "--html", page, "--json", record, "--summary", summary
    )
    assert code == 0
    assert summary.read_text() == out
    assert json.loads(record.read_text())["format"] == "protohead-diff/1"
    html = page.read_text()
    assert "&lt;b&gt;bill&lt;/b&gt;|x" in html
    assert "<b>bill" not in html
    assert "<script" not in html
    assert not re.search(r"(src|href)=(?!\"data:|\"#)", html)
    # Both sides of the two parts that changed and of the two that stand folded below them.
    assert html.count('<img src="data:image/webp') == 2 * 4 * 5


def test_an_address_is_one_side(run, tiny_export, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tiny_export[1].folder
    with serving({name: (folder / name).read_bytes() for name in tree(folder)}) as found:
        code, out, _ = run("diff", found.url, folder, "--exit-code")
    assert (code, out.startswith(f"### {found.url} → ")) == (0, True)


def test_what_is_no_artifact_is_one_line(run, tiny_export, tmp_path):
    code, out, err = run("diff", tiny_export[0].out, tmp_path)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "expected an artifact" in err
    code, _, err = run("diff", tiny_export[0].out, tiny_export[0].out, "--html", tmp_path)
    assert code == 2

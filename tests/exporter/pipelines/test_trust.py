"""Figures of held-out images: measured by a report, put in by an edit, taken out by its undoing."""

import json

import pytest
import tiny
from click.testing import CliRunner
from trusted import with_trust

from exporter import edit, undo_edit
from exporter.cli import cli
from exporter.errors import EditError
from exporter.verification.run import passed, verify
from serving.artifact import MANIFEST, TRUST, load_artifact, sha256_of
from serving.artifact.trust import parse_trust, read_trust
from serving.errors import IntegrityError, ManifestError


def protohead(*arguments):
    """What the program prints."""
    found = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert found.exit_code == 0, found.output
    return found.output


@pytest.fixture(scope="module")
def measured(tiny_export, tmp_path_factory):
    """What a report says of the tiny classifier, as it is written; of one class it has no image."""
    root = tmp_path_factory.mktemp("held-out")
    for index, label in enumerate(tiny.LABELS):
        (root / label).mkdir()
        for number in range(4 if index else 0):
            tiny.image(index, 600 + number).save(root / label / f"{number}.png")
    out = tmp_path_factory.mktemp("trust")
    protohead(
        "report", tiny_export[0].out, "--data", root,
        "--out", out / "report.html", "--trust", out / "held-out.json",
    )  # fmt: skip
    return out / "held-out.json"


@pytest.fixture(scope="module")
def edited(tiny_export, measured, tmp_path_factory):
    out = tmp_path_factory.mktemp("edited") / "edited"
    said = protohead(
        "edit", tiny_export[1].folder, "--trust", measured,
        "--name", "green:0=the square", "--reason", "held out", "--out", out,
    )  # fmt: skip
    assert "held-out figures put in" in said
    return load_artifact(out)


def test_a_report_measures_each_part_on_held_out_images(tiny_export, measured):
    found = parse_trust(measured.read_bytes(), "held-out.json")
    assert found.training == read_trust(tiny_export[1]).training
    assert found.held_out.artifact == sha256_of(tiny_export[1].path(MANIFEST))
    assert [one.images for one in found.held_out.classes] == [0, 4, 4]
    assert [len(one.parts) for one in found.held_out.classes] == [0, 2, 2]
    parts = [part for one in found.held_out.classes for part in one.parts]
    assert all(part.border is not None and part.share is not None for part in parts)
    assert {part.steady for part in parts} == {None}  # nothing is annotated


def test_an_edit_puts_it_into_the_artifact_and_on_record(edited, measured):
    assert edited.path(TRUST).read_bytes() == measured.read_bytes()
    assert edited.manifest.edits[-1].trust == edited.manifest.files[TRUST]
    assert passed(edited.manifest.verification)


def test_undoing_gives_back_the_artifact_before(tiny_export, edited, tmp_path):
    back = undo_edit(edited.folder, tmp_path / "back")
    assert back.manifest == tiny_export[1].manifest
    assert back.path(TRUST).read_bytes() == tiny_export[1].path(TRUST).read_bytes()


def test_a_further_edit_keeps_the_figures(edited, tmp_path):
    more = edit(edited.folder, tmp_path / "more", reason="more", mute=[("red", 0)])
    assert read_trust(more) == read_trust(edited)
    assert more.manifest.edits[-1].trust is None


def test_figures_that_no_edit_put_in_are_found(edited, tmp_path):
    with pytest.raises(ManifestError, match=r"trust\.json that the last edit of it put in"):
        with_trust(edited, tmp_path / "changed", edited.path(TRUST).read_bytes() + b"\n")


def test_an_artifact_without_figures_can_have_those_of_held_out_images(
    tiny_export, measured, tmp_path
):
    old = with_trust(tiny_export[1], tmp_path / "old", None)
    content = json.loads(measured.read_text())
    content["training"] = None
    content["held_out"]["artifact"] = sha256_of(old.path(MANIFEST))
    (tmp_path / "old.json").write_text(json.dumps(content))
    out = tmp_path / "new"
    made = edit(old.folder, out, reason="held out", trust=tmp_path / "old.json")
    assert read_trust(made).training is None
    back = undo_edit(out, tmp_path / "back")
    assert TRUST not in back.manifest.files
    assert passed(verify(out))


def test_figures_of_another_artifact_or_of_none_are_refused(
    tiny_export, edited, measured, tmp_path
):
    out = tmp_path / "out"
    with pytest.raises(EditError, match="expected figures of this artifact"):
        edit(edited.folder, out, reason="again", trust=measured)
    own = tiny_export[1].path(TRUST)
    with pytest.raises(EditError, match="expected figures of held-out images"):
        edit(tiny_export[1].folder, out, reason="own", trust=own)
    with pytest.raises(EditError, match="cannot read the figures"):
        edit(tiny_export[1].folder, out, reason="none", trust=tmp_path / "none.json")
    with pytest.raises(IntegrityError, match="format"):
        edit(tiny_export[1].folder, out, reason="foreign", trust=tiny_export[1].path(MANIFEST))
    assert not out.exists()

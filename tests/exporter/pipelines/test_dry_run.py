"""A dry run says what an export would use and take, refuses what it would, and writes nothing."""

import json

import pytest
import tiny
from PIL import Image
from trees import tree

import exporter.pipelines.dry_run
from exporter import export
from exporter.errors import DatasetError, OutputError, VerificationError
from exporter.pipelines.dry_run import dry_run


@pytest.fixture
def config(tmp_path):
    return tiny.write(tmp_path)


def change(config, **changes):
    return config.model_copy(update=changes)


def test_nothing_is_written(config, tmp_path):
    before = tree(tmp_path)
    dry_run(change(config, context=True))
    assert tree(tmp_path) == before


def test_it_counts_what_the_export_would_use(config):
    tiny.image(0, 99).save(config.data / "red" / "one_more.png")
    (config.data / "red" / "notes.txt").touch()
    (config.data / "blue" / "001.png").write_bytes(b"no picture")
    found = dry_run(change(config, min_images=9))
    assert found.images == {"red": 9, "green": 8, "blue": 8}
    assert (found.other_files, found.sampled, len(found.unreadable)) == (1, 25, 1)
    rows = dict(found.rows())
    assert rows["classes"].endswith("fewer than 9 images, so kept whole: green, blue")
    assert rows["images"] == "25, of a class 8 to 9, 8 in the median"
    assert "001.png" in rows["skipped"]


def test_what_is_held_out_is_told(config):
    found = dry_run(change(config, holdout=0.5))
    assert found.held_out == 24 - sum(found.images.values())
    assert dict(found.rows())["images"].endswith(f"; {found.held_out} more are held out")


def test_of_few_images_all_are_read_and_recognised_as_the_export_does(config):
    found = dry_run(config)
    classes = export(config).manifest.classes
    assert found.sampled == 24
    assert found.accuracy == pytest.approx(sum(c.images * c.accuracy for c in classes) / 24)


def test_the_artifact_is_about_as_large_as_was_said(config):
    found = dry_run(change(config, context=True))
    artifact = export(change(config, context=True))
    size = sum(artifact.path(name).stat().st_size for name in artifact.manifest.files)
    assert found.disk == pytest.approx(size, rel=0.5)


def test_time_and_memory_are_told(config):
    found = dry_run(config)
    assert found.seconds > 0
    assert found.memory is None or found.memory > 2**20
    assert dict(found.rows())["time"].startswith("about ")


def test_a_system_that_tells_no_memory_is_no_reason_to_fail(config, monkeypatch):
    monkeypatch.setattr(exporter.pipelines.dry_run, "_peak", lambda: None)
    found = dry_run(config)
    assert found.memory is None
    assert "memory" not in dict(found.rows())


def test_a_place_that_is_taken_is_refused_as_by_the_export(config):
    export(config)
    with pytest.raises(OutputError, match="an artifact is already here"):
        dry_run(config)
    assert dry_run(change(config, overwrite=True)).images


def test_finished_classes_of_an_interrupted_export_are_refused_too(config):
    part = config.out.with_name("artifact.part")
    (part / "classes").mkdir(parents=True)
    (part / "classes" / "00000.saved").touch()
    with pytest.raises(OutputError, match=r"left 1 finished classes here. Pass `resume`"):
        dry_run(config)
    assert dry_run(change(config, resume=True)).images


def test_too_few_recognised_images_are_refused(config):
    with pytest.raises(VerificationError, match=r"expected at least 100.0% \(`min_accuracy`\)"):
        dry_run(change(config, min_accuracy=1.0, labels=("green", "red", "blue")))


def test_a_folder_without_a_readable_image_is_refused(config):
    for path in config.data.rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="expected images that can be read, of 24 tried"):
        dry_run(config)


def test_the_largest_class_is_split_even_where_its_first_image_is_of_another_size(config):
    Image.new("RGB", (7, 300)).save(config.data / "green" / "000.png")
    assert dry_run(config).sampled == 24


def test_the_program_prints_it_for_people_and_machines(run, config, tmp_path):
    asked = ("export", config.model, "--data", config.data, "--out", tmp_path / "new", "--dry-run")
    code, told, _ = run(*asked, "--preset", "unit")
    assert code == 0
    assert told.splitlines()[-1] == "Nothing was written."
    code, told, _ = run(*asked, "--preset", "unit", "--json")
    assert (code, sum(json.loads(told)["images"].values())) == (0, 24)
    code, told, err = run(
        *asked, "--preset", "unit", "--min-accuracy", "1", "--labels", *labels(tmp_path)
    )
    assert (code, told) == (1, "")
    assert "--min-accuracy" in err.splitlines()[-1]
    assert not (tmp_path / "new").exists()


def labels(folder):
    """Labels in a wrong order."""
    (folder / "labels.txt").write_text("green\nred\nblue\n")
    return (folder / "labels.txt",)

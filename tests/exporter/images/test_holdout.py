"""The images that an export leaves for measuring are told by their names alone."""

from dataclasses import replace

import pytest
import tiny

from exporter import export
from exporter.errors import DatasetError
from exporter.evaluate import EvaluationConfig
from exporter.images.dataset import read_dataset
from exporter.images.holdout import Split, held_out_of, sides_of
from exporter.pipelines.evaluate import evaluate
from exporter.pipelines.report import make_report
from exporter.report import ReportConfig

NAMES = [f"kite/{number:04d}.jpg" for number in range(5000)]


def names(dataset):
    return {dataset.image_id(path) for entry in dataset.classes for path in entry.paths}


@pytest.mark.parametrize("share", [0.01, 0.2, 0.75])
def test_about_the_share_is_held_out(share):
    split = Split(share, seed=0, held_out=True)
    # Four standard deviations of the mean of 5000 draws.
    four = 4 * (share * (1 - share) / len(NAMES)) ** 0.5
    assert sum(map(split.has, NAMES)) / len(NAMES) == pytest.approx(share, abs=four)


def test_every_image_is_on_one_side():
    split = Split(0.2, seed=3, held_out=True)
    assert all(split.has(name) != split.rest.has(name) for name in NAMES)
    assert split.rest.rest == split


def test_more_are_held_out_with_a_larger_share_and_others_with_another_seed():
    def side(split):
        return {name for name in NAMES if split.has(name)}

    split = Split(0.2, seed=0, held_out=True)
    assert side(split) < side(replace(split, share=0.3))
    assert side(split) != side(replace(split, seed=1))


def test_a_name_counts_the_same_however_its_accents_are_written():
    split = Split(0.5, seed=0)
    for number in range(50):
        assert split.has(f"käuzchen/{number}.jpg") == split.has(f"ka\u0308uzchen/{number}.jpg")


def test_images_that_come_later_move_no_other(tmp_path):
    config = tiny.write(tmp_path, images=20)
    split = Split(0.3, seed=0, held_out=True)

    def held_out():
        asked = {"class_count": 3, "labels": tiny.LABELS, "max_images": 99, "seed": 0}
        return names(read_dataset(config.data, split=split, **asked))

    before = held_out()
    for number in range(20, 30):
        tiny.image(0, number).save(config.data / "red" / f"{number:03d}.png")
    assert before <= held_out()


@pytest.fixture(scope="module")
def halved(tmp_path_factory):
    config = tiny.write(tmp_path_factory.mktemp("halved"), images=16)
    config = config.model_copy(update={"holdout": 0.4, "seed": 5})
    return config, export(config)


def test_evidence_is_of_the_rest_and_the_manifest_says_so(halved):
    config, artifact = halved
    split = held_out_of(artifact.manifest, config.data)
    assert (split.share, split.seed, split.held_out) == (0.4, 5, True)
    shown = {e.image for c in artifact.manifest.classes for p in c.prototypes for e in p.evidence}
    assert not any(map(split.has, shown))
    images = sum(record.images for record in artifact.manifest.classes)
    assert 3 * 5 <= images < 3 * 16


def test_evaluation_and_report_measure_on_the_others(halved):
    config, artifact = halved
    split = held_out_of(artifact.manifest, config.data)
    every = read_dataset(config.data, class_count=3, labels=tiny.LABELS, max_images=99, seed=0)
    images = sum(map(split.has, names(every)))
    asked = {"artifact": artifact.folder, "data": config.data, "holdout": True}
    options = {"baselines": ("centre",), "seeds": 1, "network_images": 1, "jobs": 1}
    found = evaluate(EvaluationConfig(**asked, **options))
    assert found.images == images
    assert "The images are those that the export held out, a share of 0.4." in found.notes
    assert f"{images} " in make_report(ReportConfig(**asked)).markdown


def test_training_images_of_the_same_folder_are_the_rest(halved, tmp_path):
    config, artifact = halved
    held_out, training = sides_of(artifact.manifest, config.data, config.data)
    assert training == held_out.rest
    assert sides_of(artifact.manifest, config.data, tmp_path)[1] is None


def test_what_was_exported_without_has_nothing_to_measure_on(tiny_export):
    config, artifact = tiny_export
    with pytest.raises(DatasetError, match=r"held no images out.*Export with `holdout`"):
        held_out_of(artifact.manifest, config.data)


def test_another_folder_is_refused(halved, tmp_path):
    with pytest.raises(DatasetError, match=r"expected the folder .* such as 'red/"):
        held_out_of(halved[1].manifest, tmp_path)
    config = halved[0]
    with pytest.raises(DatasetError, match=rf"Did you mean {config.data}\?$"):
        held_out_of(halved[1].manifest, config.data.parent)


def test_a_split_that_leaves_no_image_is_refused(tmp_path):
    config = tiny.write(tmp_path, images=2)
    with pytest.raises(DatasetError, match=r"both sides of a `holdout` of 0\.9999, all 6"):
        export(config.model_copy(update={"holdout": 0.9999}))

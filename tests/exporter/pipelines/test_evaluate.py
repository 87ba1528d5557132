"""The road from an artifact and images to figures, on the tiny classifier."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
import tiny
from PIL import Image

from exporter import export
from exporter.decompose import decompose
from exporter.errors import DatasetError, DecompositionError, OutputError
from exporter.evaluate import EvaluationConfig, read_evaluation
from exporter.evaluate.baselines.methods import BASELINES, FROM_TRAINING, baselines, ours
from exporter.evaluate.metrics.catalog import METRICS
from exporter.evaluate.tables import number, to_markdown
from exporter.evaluate.trial.subject import Picture, open_subject
from exporter.pipelines.evaluate import evaluate, write_evaluation
from exporter.smoothing import NONE
from serving.artifact import Preprocessing
from serving.model.preprocess import make_view, to_tensor

TRUTH_ONLY = {
    "comprehensiveness",
    "part_purity",
    "part_iou",
    "deletion_rank",
    "deletion_share",
    "background_independence",
    "background_evidence",
}


@pytest.fixture(scope="module")
def heldout(tmp_path_factory):
    """Images of the tiny classifier that the export has not seen, and their keypoints."""
    root = tmp_path_factory.mktemp("heldout")
    rows = []
    for index, label in enumerate(tiny.LABELS):
        (root / "test" / label).mkdir(parents=True)
        for number_ in range(4):
            picture = tiny.image(index, 500 + number_)
            name = f"{number_:03d}.png"
            picture.save(root / "test" / label / name)
            y, x = np.argwhere(np.asarray(picture)[:, :, index] == 255)[0]
            rows.append(("test", label, name, "square", x + 3, y + 3, 1))
    with (root / "parts.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("split", "species", "file", "part", "x", "y", "visible"), *rows]
        )
    return root


@pytest.fixture(scope="module")
def evaluated(tiny_export, heldout):
    config, _ = tiny_export
    return evaluate(
        EvaluationConfig(
            artifact=config.out,
            data=heldout / "test",
            parts=heldout / "parts.csv",
            train=config.data,
            network_images=1,
            jobs=1,
        )
    )


def test_every_metric_but_those_of_drawn_pictures_is_measured(evaluated):
    measured = {metric.name for metric in evaluated.metrics}
    assert measured == {metric.name for metric in METRICS} - TRUTH_ONLY
    assert evaluated.images == 12
    assert evaluated.classes == tiny.LABELS


def test_every_baseline_stands_beside_ours(evaluated):
    assert evaluated.methods == ("ours", *BASELINES, "grad-cam", "rise")
    for method in ("cam", "nmf", "naive", "even", "paper"):
        assert evaluated.figures[method]["consistency"].ours is not None


def test_copies_of_one_map_are_not_distinct_and_all_redundant(evaluated):
    assert evaluated.figures["cam"]["distinctiveness"].mean == 0
    assert evaluated.figures["cam"]["cosine"].mean == pytest.approx(1)
    assert evaluated.figures["centre"]["stability"].mean == 1  # it looks at no image


def test_what_sums_to_the_head_is_complete(evaluated):
    for method in ("ours", "cam", "naive", "even", "paper"):
        assert evaluated.figures[method]["completeness"].mean < 1e-5
    assert "completeness" not in evaluated.figures["nmf"]  # no classifier


def test_methods_of_the_same_sum_share_the_pixel_curves(evaluated):
    figures = evaluated.figures
    for metric in ("pixel_deletion", "pixel_insertion"):
        assert figures["naive"][metric].classes == figures["cam"][metric].classes


def test_only_what_draws_noise_has_a_deviation(evaluated):
    with_deviation = {
        metric
        for figures in evaluated.figures.values()
        for metric, figure in figures.items()
        if figure.deviation is not None
    }
    assert with_deviation == {"stability"}


def test_the_same_inputs_give_the_same_bytes(evaluated, tiny_export, heldout, tmp_path):
    config, _ = tiny_export
    again = evaluate(
        EvaluationConfig(
            artifact=config.out,
            data=heldout / "test",
            parts=heldout / "parts.csv",
            train=config.data,
            network_images=1,
            jobs=2,
        )
    )
    assert again.dump() == evaluated.dump()
    paths = write_evaluation(evaluated, tmp_path / "one"), write_evaluation(again, tmp_path / "two")
    for first, second in zip(*paths, strict=True):
        assert first.read_bytes() == second.read_bytes()


def test_the_record_reads_back_equal(evaluated, tmp_path):
    write_evaluation(evaluated, tmp_path)
    assert read_evaluation(tmp_path / "evaluation.json") == evaluated


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": "other"}'])
def test_what_is_no_record_is_refused(tmp_path, content):
    path = tmp_path / "evaluation.json"
    path.write_text(content)
    with pytest.raises(DatasetError, match=r"evaluation\.json"):
        read_evaluation(path)


def test_without_training_images_the_note_says_what_is_left_out(tiny_export, heldout):
    config, _ = tiny_export
    found = evaluate(
        EvaluationConfig(
            artifact=config.out, data=heldout / "test", network_images=1, seeds=1, jobs=1
        )
    )
    assert set(FROM_TRAINING).isdisjoint(found.methods)
    assert "nmf" in found.notes[0]
    assert "consistency" not in found.figures["ours"]  # no annotations
    assert found.figures["ours"]["mirror"].mean > 0.5


def test_a_class_without_training_images_keeps_the_baselines_of_the_others(
    tiny_export, heldout, tmp_path
):
    config, _ = tiny_export
    for label in tiny.LABELS[1:]:
        shutil.copytree(config.data / label, tmp_path / label)
    found = evaluate(
        EvaluationConfig(
            artifact=config.out,
            data=heldout / "test",
            train=tmp_path,
            baselines=("nmf", "cam"),
            network_images=1,
            seeds=1,
            jobs=1,
        )
    )
    assert found.methods == ("ours", "cam", "nmf", "grad-cam", "rise")
    classes = found.figures["nmf"]["distinctiveness"].classes
    assert classes[0] is None
    assert None not in classes[1:]
    assert any("'red'" in note and "training images" in note for note in found.notes)


def test_the_papers_solver_is_left_out_where_it_cannot_run_and_refused_where_it_is_asked_for(
    tiny_export, heldout, monkeypatch
):
    monkeypatch.setattr("exporter.decompose.refinement.SIMPLEX_BYTES", 1)
    config, _ = tiny_export
    options = {"artifact": config.out, "data": heldout / "test", "train": config.data}
    quick = {"network_images": 1, "seeds": 1, "jobs": 1}
    found = evaluate(EvaluationConfig(**options, **quick))
    assert set(found.methods) == {"ours", *BASELINES, "grad-cam", "rise"} - {"paper"}
    assert any("solver" in note for note in found.notes)
    with pytest.raises(DecompositionError, match="simplex"):
        evaluate(EvaluationConfig(**options, **quick, baselines=("cam", "paper")))


def test_a_class_that_shows_no_part_is_left_out_of_what_asks_for_parts(
    tiny_export, heldout, tmp_path
):
    config, _ = tiny_export
    parts = tmp_path / "parts.csv"
    lines = (heldout / "parts.csv").read_text().splitlines()
    hidden = [re.sub(r"1$", "0", line) if ",red," in line else line for line in lines]
    parts.write_text("\n".join(hidden))
    found = evaluate(
        EvaluationConfig(
            artifact=config.out,
            data=heldout / "test",
            parts=parts,
            baselines=("centre",),
            network_images=1,
            jobs=1,
        )
    )
    for metric in ("consistency", "distinct_parts", "stability"):
        for method in ("ours", "centre"):
            classes = found.figures[method][metric].classes
            assert classes[0] is None
            assert None not in classes[1:]


def test_without_backdrops_only_their_metric_is_left_out(tiny_export, heldout, tmp_path):
    config, _ = tiny_export
    shutil.copytree(heldout, tmp_path, dirs_exist_ok=True)
    for index, label in enumerate(tiny.LABELS):
        (tmp_path / "masks" / "test" / label).mkdir(parents=True)
        for path in sorted((tmp_path / "test" / label).iterdir()):
            square = np.asarray(Image.open(path))[:, :, index] == 255
            mask = Image.fromarray(square.astype(np.uint8) * 129)
            mask.save(tmp_path / "masks" / "test" / label / path.name)
    shutil.copytree(tmp_path / "test", tmp_path / "without" / "square" / "test")
    found = evaluate(
        EvaluationConfig(
            artifact=config.out,
            data=tmp_path / "test",
            parts=tmp_path / "parts.csv",
            network_images=1,
            jobs=1,
        )
    )
    measured = {metric.name for metric in found.metrics}
    # Nothing was taken away, so no rank and no share of a change can be told.
    assert TRUTH_ONLY - measured <= {
        "background_independence", "deletion_rank", "deletion_share"
    }  # fmt: skip
    assert "background_independence" not in measured
    assert any("backdrops/" in note for note in found.notes)
    # A fixed point has evidence too: it may score where its parts lie, which shows gaming.
    assert found.figures["centre"]["part_purity"].mean > 0
    # RISE is measured on other images than ours, so that nothing is paired.
    assert found.figures["rise"]["comprehensiveness"].ours is None
    assert found.figures["grad-cam"]["comprehensiveness"].ours is not None


def test_one_annotation_for_several_images_is_refused(tiny_export, heldout, tmp_path):
    config, _ = tiny_export
    parts = tmp_path / "parts.csv"
    parts.write_text("file,part,x,y,visible\n000.png,square,1,1,1\n")
    with pytest.raises(DatasetError, match=r"'000\.png' belongs to, found .*red.* and .*green"):
        evaluate(EvaluationConfig(artifact=config.out, data=heldout / "test", parts=parts))


def test_images_that_cannot_be_decoded_are_not_blamed_on_the_annotations(
    tiny_export, heldout, tmp_path
):
    config, _ = tiny_export
    shutil.copytree(heldout, tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "test").rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(DatasetError, match="none that can be decoded"):
        evaluate(
            EvaluationConfig(
                artifact=config.out, data=tmp_path / "test", parts=tmp_path / "parts.csv"
            )
        )


def test_an_evaluation_is_written_whole_or_not_at_all(evaluated, tmp_path):
    (tmp_path / "evaluation.md").mkdir()
    with pytest.raises(OutputError, match=r"evaluation\.md: expected a file"):
        write_evaluation(evaluated, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation.md"]


def test_the_axioms_are_measured_in_the_precision_that_is_served(evaluated):
    # Rounding of float32; float64 would leave 1e-16.
    assert 1e-9 < evaluated.figures["cam"]["axioms"].mean < 1e-5


def test_annotations_of_other_images_are_refused(tiny_export, heldout, tmp_path):
    config, _ = tiny_export
    parts = tmp_path / "parts.csv"
    parts.write_text("split,species,file,part,x,y,visible\ntest,red,other.png,square,1,1,1\n")
    with pytest.raises(DatasetError, match="found none for any"):
        evaluate(EvaluationConfig(artifact=config.out, data=heldout / "test", parts=parts))


def test_a_folder_that_is_no_label_is_refused(tiny_export, tmp_path):
    config, _ = tiny_export
    (tmp_path / "crimson").mkdir()
    with pytest.raises(DatasetError, match="folder name that is a label"):
        evaluate(EvaluationConfig(artifact=config.out, data=tmp_path))


def test_an_image_that_cannot_be_decoded_is_counted_not_fatal(tiny_export, tmp_path):
    config, _ = tiny_export
    for label in tiny.LABELS:
        (tmp_path / label).mkdir()
        tiny.image(tiny.LABELS.index(label), 700).save(tmp_path / label / "a.png")
    (tmp_path / "red" / "broken.png").write_bytes(b"no image")
    found = evaluate(EvaluationConfig(artifact=config.out, data=tmp_path, network_images=1, jobs=1))
    assert (found.images, found.skipped) == (3, 1)


def test_a_sigmoid_head_has_no_curves_of_probability(heldout, tmp_path):
    config = tiny.write(tmp_path).model_copy(update={"multilabel": True})
    export(config)
    found = evaluate(
        EvaluationConfig(artifact=config.out, data=heldout / "test", baselines=("cam",), jobs=1)
    )
    measured = {metric.name for metric in found.metrics}
    assert not measured & {"prototype_deletion", "prototype_insertion", "pixel_deletion"}
    assert found.methods == ("ours", "cam")
    assert any("softmax" in note for note in found.notes)


def test_classes_kept_whole_are_left_out_and_said(heldout, tmp_path):
    config = tiny.write(tmp_path).model_copy(update={"min_images": 5})
    for path in sorted((config.data / "blue").iterdir())[3:]:
        path.unlink()
    export(config)
    found = evaluate(
        EvaluationConfig(artifact=config.out, data=heldout / "test", baselines=(), jobs=1)
    )
    assert found.classes == ("red", "green")
    assert any("whole" in note and "blue" in note for note in found.notes)


def test_progress_ends_with_every_image(tiny_export, heldout):
    config, _ = tiny_export
    seen = []
    evaluate(
        EvaluationConfig(
            artifact=config.out, data=heldout / "test", network_images=1, baselines=(), jobs=1
        ),
        progress=lambda *call: seen.append(call),
    )
    assert seen[0] == ("evaluate", 0, 12)
    assert seen[-1] == ("evaluate", 12, 12)


def test_baselines_that_claim_a_sum_have_it():
    generator = np.random.default_rng(0)
    features = generator.random((4, 9, 6), dtype=np.float32)
    row = generator.normal(size=6)
    for method in baselines(BASELINES, row, 2, 0, features):
        if method.row is not None:
            np.testing.assert_allclose(method.prototypes.sum(axis=0), row, atol=1e-12)


def test_baselines_are_those_of_the_export_methods():
    generator = np.random.default_rng(1)
    features = generator.random((4, 9, 6), dtype=np.float32)
    row = generator.normal(size=6)
    found = {method.name: method for method in baselines(BASELINES, row, 2, 0, features)}
    for name in ("naive", "paper"):
        split = decompose(features, row, method=name, prototypes=2, seed=0)
        np.testing.assert_allclose(found[name].prototypes, split.prototypes, atol=1e-10)


def test_the_simplex_that_does_not_fit_is_named():
    features = np.ones((2, 40, 4000), dtype=np.float32)
    with pytest.raises(DecompositionError, match="simplex"):
        baselines(("paper",), np.ones(4000), 8, 0, features)


def test_the_centre_peaks_in_the_middle():
    method = baselines(("centre",), np.zeros(3), 2, 0, None)[0]
    heatmaps = method.heatmaps(np.zeros((1, 15, 3), dtype=np.float32), (3, 5))
    assert heatmaps.shape == (1, 2, 3, 5)
    assert heatmaps[0, 1].argmax() == 7
    assert heatmaps.min() == 0 < heatmaps.max() == 1
    assert method.heatmaps(np.zeros((1, 1, 3), dtype=np.float32), (1, 1)).max() == 1


def test_heatmaps_are_the_products_with_the_prototypes():
    prototypes = np.array([[1.0, 0.0], [0.0, 2.0]], dtype=np.float32)
    maps = np.arange(8, dtype=np.float32).reshape(1, 4, 2)
    heatmaps = ours(prototypes, NONE).heatmaps(maps, (2, 2))
    np.testing.assert_array_equal(heatmaps[0, 0], [[0, 2], [4, 6]])
    np.testing.assert_array_equal(heatmaps[0, 1], [[2, 6], [10, 14]])


def picture(width, height, preprocessing):
    image = Image.new("RGB", (width, height))
    view = make_view(image, preprocessing)
    return Picture(None, image.size, view, to_tensor(view.image, preprocessing))


def test_points_follow_resizing_and_cropping():
    # 200 x 100 is resized to 100 x 50; the crop of 40 x 40 starts at (30, 5).
    found = picture(200, 100, Preprocessing(resize=50, crop=40))
    points = found.to_view(np.array([[100.0, 50.0], [np.nan, np.nan], [10.0, 50.0]]))
    np.testing.assert_allclose(points[0], [20 - 0.25, 20 - 0.25])  # centres of pixels
    assert np.isnan(points[1:]).all()  # not visible, and outside the crop


def test_masks_follow_resizing_and_cropping():
    found = picture(200, 100, Preprocessing(resize=50, crop=40))
    masks = np.zeros((1, 100, 200), dtype=bool)
    masks[0, 40:60, 90:110] = True
    moved = found.masks_to_view(masks)
    assert moved.shape == (1, 40, 40)
    rows, columns = np.nonzero(moved[0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (15, 24, 15, 24)


def test_a_crop_beyond_the_image_shows_no_mask():
    found = picture(20, 20, Preprocessing(crop=24))
    moved = found.masks_to_view(np.ones((1, 20, 20), dtype=bool))
    assert moved.sum() == 400


def test_the_classifier_comes_out_of_the_artifact_unchanged(tiny_export):
    _, artifact = tiny_export
    subject = open_subject(artifact)
    total = subject.prototypes.sum(axis=1, dtype=np.float64) + subject.reference
    np.testing.assert_allclose(total, subject.head.weight, atol=1e-6)


def test_tables_mark_what_is_undefined_and_what_is_beyond_chance(evaluated):
    text = to_markdown(evaluated)
    completeness = next(line for line in text.splitlines() if line.startswith("| Completeness"))
    assert "·" in completeness
    assert "| ours minus |" in text
    assert "**" in text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.000"), (0.12345, "0.123"), (3.2e-7, "3.2e-07"), (-0.2, "-0.200")]
)
def test_figures_keep_what_people_read(value, text):
    assert number(value) == text


def test_the_record_is_plain_json(evaluated):
    record = json.loads(evaluated.dump())
    assert record["format"] == "protohead-evaluation/1"
    assert record["figures"]["ours"]["consistency"]["classes"]

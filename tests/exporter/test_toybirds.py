"""The whole road on the demo model, held against what is known of every picture."""

import numpy as np
import pytest
from PIL import Image
from places import TOYBIRDS

from exporter import ExportConfig, export
from exporter.evaluate import EvaluationConfig
from exporter.pipelines.evaluate import evaluate
from exporter.source.presets import read_preprocessing
from serving import Predictor

TRAIN, UNSEEN = 8, 3
SPECIES_SEEDS = 2_000_000  # far from the seeds that the model was trained on


@pytest.fixture(scope="module")
def artifact(toybirds, tmp_path_factory):
    folder = tmp_path_factory.mktemp("toybirds")
    for species in toybirds.SPECIES:
        (folder / "data" / species).mkdir(parents=True)
        for number in range(TRAIN):
            sample = toybirds.draw(toybirds.scene(SPECIES_SEEDS + number, species))
            Image.fromarray(np.asarray(sample.image)).save(
                folder / "data" / species / f"{number}.png"
            )
    return export(
        ExportConfig(
            model=str(TOYBIRDS / "toybirds.onnx"),
            data=folder / "data",
            out=folder / "artifact",
            preprocessing=read_preprocessing(TOYBIRDS / "preprocess.json"),
        )
    )


def test_every_promise_is_kept_and_every_species_decomposed(artifact):
    manifest = artifact.manifest
    assert [gate.state for gate in manifest.verification] == ["passed"] * 14
    assert {record.state for record in manifest.classes} == {"decomposed"}
    assert np.mean([record.accuracy for record in manifest.classes]) >= 0.95


def test_prototypes_look_at_the_bird_and_not_at_the_background(artifact, toybirds):
    predictor = Predictor(artifact, threads=1)
    on_bird, area = [], []
    for species in toybirds.SPECIES:
        for number in range(UNSEEN):
            sample = toybirds.draw(toybirds.scene(SPECIES_SEEDS + TRAIN + number, species))
            (explained,) = predictor.explain(
                Image.fromarray(np.asarray(sample.image)), classes=[species]
            ).classes
            bird = np.asarray(sample.bird)
            area.append(bird.mean())
            for prototype in explained.prototypes:
                cell = np.unravel_index(prototype.heatmap.argmax(), prototype.heatmap.shape)
                size = np.array(bird.shape) // prototype.heatmap.shape
                top, left = np.maximum(0, (np.array(cell) - 1) * size)
                bottom, right = (np.array(cell) + 2) * size
                on_bird.append(bird[top:bottom, left:right].any())
    # A bird covers a seventh of its picture; of random cells four in ten lie within one of it.
    assert np.mean(area) < 0.2
    assert np.mean(on_bird) > 0.9


def test_the_truth_of_a_picture_tells_parts_from_copies_of_one_map(artifact, toybirds, tmp_path):
    from birds.folder import write_folder

    write_folder(tmp_path / "birds", {"train": 1, "test": 1}, 128, jobs=2, truth=True)
    found = evaluate(
        EvaluationConfig(
            artifact=artifact.folder,
            data=tmp_path / "birds" / "test",
            parts=tmp_path / "birds" / "parts.csv",
            baselines=("cam",),
            network_images=1,
            seeds=1,
        )
    )
    mean = {name: {m: f.mean for m, f in of.items()} for name, of in found.figures.items()}
    assert found.images == 12
    # Whatever changes, a third of it falls on each of three copies.
    assert mean["cam"]["deletion_share"] <= 1 / 3 + 1e-6
    assert mean["ours"]["distinctiveness"] > 0.6 > mean["cam"]["distinctiveness"] == 0
    assert mean["ours"]["background_independence"] > 0.5
    assert 0 < mean["ours"]["background_evidence"] < 0.8

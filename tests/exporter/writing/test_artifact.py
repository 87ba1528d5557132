"""What an export writes down of its classes and of its golden batch."""

import numpy as np
import pytest
import tiny
from safetensors.numpy import load_file

from exporter import export
from serving.artifact import PROTOTYPES
from serving.model.golden import read_golden
from serving.model.predictor import Predictor


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An export with too few red images, and a green folder with a blue image in it."""
    config = tiny.write(tmp_path_factory.mktemp("made"))
    for path in sorted((config.data / "red").iterdir())[2:]:
        path.unlink()
    (config.data / "red" / "000.png").write_bytes(b"no image")
    tiny.image(2, 300).save(config.data / "green" / "astray.png")
    return config, export(config)


def test_the_accuracy_of_a_class_is_the_share_of_its_images_that_are_recognised(made):
    config, artifact = made
    predictor = Predictor(artifact, threads=1)
    for record in artifact.manifest.classes:
        paths = sorted((config.data / record.label).iterdir())
        if record.label == "red":
            paths = paths[1:]
        right = predictor.predict(paths).argmax(axis=1) == record.index
        assert record.images == len(paths)
        assert record.accuracy == pytest.approx(right.mean())
    green = artifact.manifest.classes[1]
    assert 0 < green.accuracy < 1


def test_a_class_that_was_kept_whole_has_no_scale(made):
    scale = load_file(made[1].path(PROTOTYPES))["scale"]
    assert made[1].manifest.classes[0].state == "whole"
    assert scale[0].tolist() == [0, 0]
    for record in made[1].manifest.classes[1:]:
        assert scale[record.index].tolist() == np.float32(record.scale).tolist()


def test_the_golden_batch_is_the_first_image_of_each_class_and_then_from_the_start(made):
    config, artifact = made
    predictor = Predictor(artifact, threads=1)
    names = ("red/001.png", "green/000.png", "blue/000.png", "red/001.png")  # red/000 is no image
    expected = [predictor.preprocess(config.data / name)[1] for name in names]
    np.testing.assert_array_equal(read_golden(artifact).inputs, np.stack(expected))

"""The placed share on a few pictures."""

import numpy as np
import pytest
import tiny

from exporter import inspect_model
from exporter.errors import DatasetError
from exporter.inspection.sample import sample_images
from serving.model.predictor import Predictor


def folders(root, count, images=3):
    for number in range(count):
        (root / f"{number:02}").mkdir(parents=True)
        for image in range(images):
            tiny.image(number % 3, image).save(root / f"{number:02}" / f"{image}.png")
    return root


@pytest.mark.parametrize(("count", "expected"), [(1, 2), (3, 6), (8, 16), (9, 10), (40, 16)])
def test_two_images_a_class_at_most_sixteen_in_all(tmp_path, count, expected):
    images = sample_images(folders(tmp_path, count))
    assert len(images) == len(set(images)) == expected


def test_a_folder_of_images_will_do(tmp_path):
    assert len(sample_images(folders(tmp_path, 1, images=20) / "00")) == 16
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="expected images, or one folder of images"):
        sample_images(tmp_path / "empty")


def test_images_that_cannot_be_read_are_told(two_layers_export, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    config, _ = two_layers_export
    with pytest.raises(DatasetError, match="expected images that can be read"):
        inspect_model(config.model, data=tmp_path, preprocess=config.preprocessing)


def test_the_share_is_that_of_the_answers(two_layers_export):
    config, artifact = two_layers_export
    placed = inspect_model(config.model, data=config.data, preprocess=config.preprocessing).placed
    predictor = Predictor(artifact, threads=1)
    explained = [predictor.explain(path).classes[0] for path in sample_images(config.data)]
    shares = [one.placed for one in explained]
    assert placed.images == len(shares) == 6
    assert placed.median == pytest.approx(np.median(shares), abs=1e-4)  # float32 in the graph
    assert (placed.least, placed.most) == pytest.approx((min(shares), max(shares)), abs=1e-4)
    assert placed.below_half == sum(share < 0.5 for share in shares)


def test_all_of_a_plain_head_is_placed(tiny_export):
    config, _ = tiny_export
    report = inspect_model(config.model, data=config.data, preprocess=config.preprocessing)
    assert report.placed.least == 1
    assert dict(report.rows())["placed"].startswith("all of the evidence")

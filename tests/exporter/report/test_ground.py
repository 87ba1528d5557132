"""What the report knows of where things are: by masks, by keypoints, or not at all."""

import re
import shutil

import numpy as np
import pytest
import tiny
from PIL import Image

from exporter.errors import DatasetError
from exporter.evaluate.annotations import read_truth
from exporter.images.dataset import ClassImages
from exporter.pipelines.report import make_report
from exporter.report import ReportConfig
from exporter.report.observe import observe
from serving.model.predictor import Predictor

PART, REST = 1, 1 << 7  # bits of a mask: the one part, and anything of the object


@pytest.fixture
def drawn(tmp_path):
    """Six images of each class with a keypoint each; masks of four of the red ones."""
    rows = ["image,a_x,a_y,a_visible"]
    for index, label in enumerate(tiny.LABELS):
        (tmp_path / "test" / label).mkdir(parents=True)
        for number in range(6):
            tiny.image(index, 500 + number).save(tmp_path / "test" / label / f"{number}.png")
            rows.append(f"test/{label}/{number}.png,4,4,1")
    (tmp_path / "parts.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "masks" / "test" / "red").mkdir(parents=True)
    mask = np.zeros((tiny.SIZE, tiny.SIZE), dtype=np.uint8)
    mask[2:8, 2:8] = PART | REST
    mask[8:20, 2:8] = REST
    for number in range(4):
        Image.fromarray(mask).save(tmp_path / "masks" / "test" / "red" / f"{number}.png")
    return tmp_path


def page(tiny_export, root, **options):
    config = ReportConfig(
        artifact=tiny_export[0].out, data=root / "test", parts=root / "parts.csv", **options
    )
    return make_report(config).html.decode()


def test_the_thing_is_all_that_is_drawn_of_it_not_its_parts_alone(tiny_export, drawn):
    truth = read_truth(drawn / "parts.csv")
    paths = tuple(sorted((drawn / "test" / "red").iterdir()))
    seen = observe(Predictor(tiny_export[0].out), ClassImages(0, "red", paths), truth=truth)
    np.testing.assert_array_equal(seen.marks.drawn, range(4))
    for path, shown in zip(paths[:4], seen.marks.foreground, strict=True):
        np.testing.assert_array_equal(shown, truth.foreground(path))  # the view is the whole image
        assert (shown & ~truth.masks(path).any(axis=0)).any()


def test_the_page_says_how_many_images_were_judged_by_masks_and_by_keypoints(tiny_export, drawn):
    text = page(tiny_export, drawn)
    assert "known to the pixel in 4, by 1 keypoint in 12 of 18 images" in text
    assert "known by 1 keypoint in 12 of 12 images" in page(
        tiny_export, drawn, classes=("green", "blue")
    )
    shutil.copytree(drawn / "masks" / "test" / "red", drawn / "masks" / "test" / "blue")
    assert "known to the pixel in 4 of 6 images" in page(tiny_export, drawn, classes=("blue",))


def test_keypoints_that_are_not_visible_tell_no_place(tiny_export, drawn):
    table = drawn / "parts.csv"
    table.write_text(re.sub(r"(/green/.*),4,4,1", r"\1,,,0", table.read_text()))
    text = page(tiny_export, drawn, classes=("green",))
    assert "known in none of 6 images" in text


def test_images_that_several_annotations_could_mean_are_said(tiny_export, drawn):
    table = drawn / "parts.csv"
    rows = table.read_text().replace("test/", "one/")
    table.write_text(rows + rows.partition("\n")[2].replace("one/", "two/"))
    with pytest.raises(DatasetError, match="a name that several annotations share belongs to none"):
        page(tiny_export, drawn)


def test_images_that_cannot_be_decoded_are_said_before_their_annotations(tiny_export, drawn):
    for path in (drawn / "test").rglob("*.png"):
        path.rename(path.with_stem(f"new-{path.stem}")).write_bytes(b"no image")
    with pytest.raises(DatasetError, match="that can be decoded, found none among 18"):
        page(tiny_export, drawn)


def test_a_class_without_images_does_not_lack_annotations(tiny_export, drawn):
    shutil.rmtree(drawn / "test" / "green")
    assert "known in none of 0 images" in page(tiny_export, drawn, classes=("green",))


def test_annotations_are_missed_of_the_classes_that_were_asked_for(tiny_export, drawn):
    table = drawn / "parts.csv"
    rows = [row for row in table.read_text().splitlines() if "/blue/" not in row]
    table.write_text("\n".join(rows) + "\n")
    assert "known to the pixel in 4" in page(tiny_export, drawn)
    with pytest.raises(DatasetError, match=r"of the images of blue in .*, found none"):
        page(tiny_export, drawn, classes=("blue",))


def test_one_annotation_for_several_images_is_refused(tiny_export, drawn):
    (drawn / "parts.csv").write_text("image,a_x,a_y,a_visible\n0.png,4,4,1\n")
    with pytest.raises(DatasetError, match=r"'0\.png' belongs to, found .* and "):
        page(tiny_export, drawn)

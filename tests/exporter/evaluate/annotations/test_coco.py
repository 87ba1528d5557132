import copy
import json
import re
from pathlib import Path

import numpy as np
import pytest

from exporter.errors import DatasetError
from exporter.evaluate.annotations import read_annotations

CONTENT = {
    "info": {"year": 2026},
    "images": [
        {"id": 5, "file_name": "kite/0.jpg", "width": 64, "height": 48, "license": 1},
        {"id": 6, "file_name": "wren/0.jpg", "width": 64, "height": 48},
    ],
    "categories": [{"id": 1, "name": "bird", "keypoints": ["beak", "eye", "tail"]}],
    "annotations": [
        {
            "id": 1,
            "image_id": 5,
            "category_id": 1,
            "keypoints": [10, 20.5, 2, 30, 40, 1, 0, 0, 0],
            "area": 99.0,
            "bbox": [8, 10, 32, 24],
            "iscrowd": 0,
        }
    ],
}
KITE = Path("data/kite/0.jpg")
HIDDEN = [np.nan, np.nan]


def changed(change):
    content = copy.deepcopy(CONTENT)
    change(content)
    return content


def read(folder, content, indent=1):
    path = folder / "keypoints.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=indent))
    return read_annotations(path)


def another(content, **values):
    """One more annotation of the first image."""
    content["annotations"].append(content["annotations"][0] | {"id": 2} | values)


def test_only_what_is_labelled_and_not_covered_is_visible(tmp_path):
    annotations = read(tmp_path, CONTENT)
    assert annotations.parts == ("beak", "eye", "tail")
    np.testing.assert_array_equal(annotations.find(KITE, (64, 48)), [[10, 20.5], HIDDEN, HIDDEN])
    assert annotations.images["kite/0.jpg"].box == (8, 10, 32, 24)


def test_an_image_without_annotation_has_none(tmp_path):
    assert read(tmp_path, CONTENT).find(Path("wren/0.jpg"), (64, 48)) is None


@pytest.mark.parametrize(("area", "beak"), [(98.0, 10), (99.0, 10), (100.0, 11)])
def test_of_several_annotations_the_largest_counts_and_the_first_of_equals(tmp_path, area, beak):
    content = changed(lambda c: another(c, area=area, keypoints=[11, 20, 2] + 6 * [0]))
    assert read(tmp_path, content).find(KITE, (64, 48))[0, 0] == beak


def test_an_annotation_that_labels_nothing_yields_to_a_smaller_one(tmp_path):
    content = changed(lambda c: another(c, area=1e6, keypoints=9 * [0]))
    assert read(tmp_path, content).find(KITE, (64, 48))[0, 0] == 10


def test_without_an_area_the_box_counts(tmp_path):
    def change(content):
        another(content, area=None, bbox=[0, 0, 11, 9.1], keypoints=[11, 20, 2] + 6 * [0])

    assert read(tmp_path, changed(change)).find(KITE, (64, 48))[0, 0] == 11


def test_crowds_and_categories_without_keypoints_are_left_out(tmp_path):
    def change(content):
        content["categories"].append({"id": "tree"})
        another(content, area=1e6, iscrowd=1, keypoints=[1, 1, 2] + 6 * [0])
        content["annotations"].append({"image_id": 6, "category_id": "tree"})

    annotations = read(tmp_path, changed(change))
    assert list(annotations.images) == ["kite/0.jpg"]
    assert annotations.find(KITE, (64, 48))[0, 0] == 10


def test_categories_share_the_parts_of_equal_name(tmp_path):
    def change(content):
        content["categories"].append({"id": 2, "keypoints": ["ear", "eye"]})
        content["annotations"].append(
            {"image_id": 6, "category_id": 2, "keypoints": [1, 2, 2, 3, 4, 2]}
        )

    annotations = read(tmp_path, changed(change))
    assert annotations.parts == ("beak", "eye", "tail", "ear")
    wren = annotations.find(Path("wren/0.jpg"), (64, 48))
    np.testing.assert_array_equal(wren, [HIDDEN, [3, 4], HIDDEN, [1, 2]])


def test_a_crop_to_the_box_is_recognised(tmp_path):
    points = read(tmp_path, CONTENT).find(KITE, (32, 24))
    np.testing.assert_array_equal(points[0], [2, 10.5])


def test_an_image_of_another_size_is_refused(tmp_path):
    with pytest.raises(DatasetError) as error:
        read(tmp_path, CONTENT).find(KITE, (48, 64))
    assert str(error.value) == (
        f"{KITE}: expected 64 x 48 pixels, or its crop to 32 x 24 pixels, as "
        f"{tmp_path / 'keypoints.json'} annotates 'kite/0.jpg', got 48 x 64 pixels. Use the images "
        "that were annotated."
    )


def put(*way, value):
    """A change that puts a value at the end of a way of keys and indices."""

    def change(content):
        for step in way[:-1]:
            content = content[step]
        content[way[-1]] = value

    return change


def drop(*way):
    def change(content):
        for step in way[:-1]:
            content = content[step]
        del content[way[-1]]

    return change


# Lines as json.dumps(indent=1) sets them.
@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        (drop("images"), 1, "expected 'images', found none"),
        (drop("images", 1, "file_name"), 13, "images[1]: expected 'file_name', found none"),
        (put("images", 1, "width", value=64.5), 16, "images[1].width: expected whole pixels as si"),
        (put("images", 1, "width", value="wide"), 16, "images[1].width: expected a number as side"),
        (put("images", 1, "id", value=5), 14, "images[1].id: expected 5 once, found it in images"),
        (put("images", 1, "id", value=2**70), 14, "images[1].id: expected a whole number"),
        (put("images", 1, "id", value=None), 14, "or a text as id, found null"),
        (put("images", 1, "file_name", value="kite/0.jpg"), 15, "expected 'kite/0.jpg' once"),
        (put("categories", 0, "keypoints", value=[]), 20, "categories: expected the names of key"),
        (put("categories", 0, "keypoints", value=["a", "a"]), 24, "expected each name once"),
        (lambda c: c["categories"].append({"id": 1}), 31, "[1].id: expected 1 once"),
        (put("annotations", value=[]), 31, "expected annotations with keypoints, found none"),
        (put("annotations", value={}), 31, "annotations: input should be a valid array, found {}"),
        (put("annotations", 0, "image_id", value=7), 31, "found none; left out 1 of 1 annotation"),
        (
            put("annotations", 0, "image_id", value=True),
            34,
            "whole number or a text as id, found t",
        ),
        (put("annotations", 0, "category_id", value=2), 35, "id of a category, found 2"),
        (drop("annotations", 0, "keypoints"), 31, "no keypoint is labelled (first: annotations[0"),
        (put("annotations", 0, "keypoints", value=[1, 1, 2]), 36, "expected 9 numbers, x, y and v"),
        (
            put("annotations", 0, "keypoints", 4, value="?"),
            41,
            "a number as y of part 'eye', found \"?",
        ),
        (put("annotations", 0, "keypoints", 4, value=True), 41, "as y of part 'eye', found true"),
        (
            put("annotations", 0, "keypoints", 1, value=float("nan")),
            38,
            "y of part 'beak', found n",
        ),
        (put("annotations", 0, "keypoints", 5, value=3), 42, "[5]: expected v of part 'eye' to be"),
        (put("annotations", 0, "keypoints", 0, value=65), 37, "expected part 'beak' inside the im"),
        (put("annotations", 0, "keypoints", 1, value=-1), 37, "found it at x 10, y -1"),
        (put("annotations", 0, "bbox", value=[1, 2]), 48, "annotations[0].bbox: expected x, y, w"),
        (put("annotations", 0, "area", value="big"), 47, "annotations[0].area: expected a number"),
        (put("annotations", 0, "iscrowd", value="no"), 54, "annotations[0].iscrowd: expected 0 or"),
    ],
)
def test_what_is_malformed_is_one_line_with_file_and_line(tmp_path, change, line, message):
    where = re.escape(f"{tmp_path / 'keypoints.json'}, line {line}: ")
    with pytest.raises(DatasetError, match=f"^{where}.*{re.escape(message)}") as error:
        read(tmp_path, changed(change))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("line_count", [1, 20, 50])
def test_truncated_json_names_the_line_where_it_ends(tmp_path, line_count):
    text = "\n".join(json.dumps(CONTENT, indent=1).split("\n")[:line_count])
    with pytest.raises(DatasetError, match=rf"json, line {line_count}: expected JSON: .*cut off"):
        read(tmp_path, text)


def test_json_of_one_line_names_the_way_to_the_value(tmp_path):
    content = changed(put("annotations", 0, "category_id", value=7))
    with pytest.raises(DatasetError, match=r"line 1: annotations\[0\]\.category_id: expected the"):
        read(tmp_path, content, indent=None)


@pytest.mark.parametrize("text", ["", "[1, 2]", '"images"', "null", "[" * 100_000])
def test_other_json_and_none_at_all_are_refused(tmp_path, text):
    with pytest.raises(DatasetError, match=r"keypoints\.json, line 1: "):
        read(tmp_path, text)


def test_bytes_that_are_not_utf_8_name_their_line(tmp_path):
    path = tmp_path / "keypoints.json"
    path.write_bytes(b'{"images": [],\n "by": "\xe4"}')
    with pytest.raises(DatasetError, match=r"json, line 2: expected UTF-8 text"):
        read_annotations(path)

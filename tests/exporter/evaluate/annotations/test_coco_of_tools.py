"""COCO keypoints as annotation tools and converters write them."""

import copy
import json
import math
from pathlib import Path

import numpy as np
import pytest

from exporter.errors import DatasetError
from exporter.evaluate.annotations import read_annotations

CONTENT = {
    "images": [
        {"id": 5, "file_name": "kite/0.jpg", "width": 64, "height": 48},
        {"id": 6, "file_name": "wren/0.jpg", "width": 64, "height": 48},
    ],
    "categories": [{"id": 1, "name": "bird", "keypoints": ["beak", "eye"]}],
    "annotations": [
        {"id": 1, "image_id": 5, "category_id": 1, "keypoints": [10, 20.5, 2, 30, 40, 1]},
        {"id": 2, "image_id": 6, "category_id": 1, "keypoints": [1, 2, 2, 3, 4, 2]},
    ],
}
KITE, WREN = "kite/0.jpg", "wren/0.jpg"
HIDDEN = [np.nan, np.nan]


def read(folder, content):
    path = folder / "keypoints.json"
    path.write_text(json.dumps(content, indent=1))
    return read_annotations(path)


def with_(*way, value):
    """The content with a value at the end of a way of keys and indices."""
    content = at = copy.deepcopy(CONTENT)
    for step in way[:-1]:
        at = at[step]
    if isinstance(at, list) and way[-1] == len(at):
        at.append(value)
    else:
        at[way[-1]] = value
    return content


def without(*way):
    content = at = copy.deepcopy(CONTENT)
    for step in way[:-1]:
        at = at[step]
    del at[way[-1]]
    return content


def annotation(**values):
    return {"image_id": 6, "category_id": 1, "keypoints": [7, 8, 2, 0, 0, 0]} | values


def kite(annotations):
    return annotations.images[KITE].points.tolist()


WHOLE = [[10, 20.5], HIDDEN]


def same(found, expected):
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("keypoints", [None, [], 6 * [0], [0, 0, False, None, None, 0]])
def test_an_annotation_that_labels_no_keypoint_is_left_out_and_counted(tmp_path, keypoints):
    annotations = read(tmp_path, with_("annotations", 1, "keypoints", value=keypoints))
    assert list(annotations.images) == [KITE]
    assert annotations.others == (WREN,)
    assert (
        "left out 1 of 2 annotations: no keypoint is labelled (first: annotations[1])"
        in annotations.notes
    )


def test_an_annotation_without_the_key_keypoints_is_left_out_too(tmp_path):
    annotations = read(tmp_path, without("annotations", 1, "keypoints"))
    assert list(annotations.images) == [KITE]
    assert "no keypoint is labelled" in annotations.notes[0]


def test_crowds_categories_without_keypoints_and_images_not_listed_are_each_counted(tmp_path):
    content = with_("categories", 1, value={"id": 2, "name": "tree"})
    content["annotations"] += [
        annotation(iscrowd=1),
        annotation(category_id=2, keypoints=[]),
        annotation(category_id=2),
        annotation(image_id=9),
        annotation(image_id=8),
    ]
    notes = "\n".join(read(tmp_path, content).notes)
    assert "1 of 7 annotations: it is of a crowd (first: annotations[2])" in notes
    assert "1 of 7 annotations: the category has no keypoints (first: annotations[3])" in notes
    assert "1 of 7 annotations: the category does not name the keypoints (first: annot" in notes
    assert "2 of 7 annotations: the image is not listed (first: annotations[5])" in notes


def test_of_several_annotations_of_an_image_it_says_that_one_was_used(tmp_path):
    larger = annotation(area=9, keypoints=[7, 8, 2, 9, 9, 2])
    annotations = read(tmp_path, with_("annotations", 2, value=larger))
    same(annotations.images[WREN].points, [[7, 8], [9, 9]])
    assert annotations.notes == (
        "left out 1 of 3 annotations: the largest of each image is used (first: annotations[1])",
    )


def test_a_file_as_the_format_says_has_no_notes(tmp_path):
    assert read(tmp_path, CONTENT).notes == ()


@pytest.mark.parametrize("crowd", [False, None, 0, 0.0, "0"])
def test_an_annotation_is_no_crowd_whichever_way_it_says_so(tmp_path, crowd):
    same(kite(read(tmp_path, with_("annotations", 0, "iscrowd", value=crowd))), WHOLE)


def test_a_crowd_may_be_true(tmp_path):
    annotations = read(tmp_path, with_("annotations", 0, "iscrowd", value=True))
    assert list(annotations.images) == [WREN]


@pytest.mark.parametrize(
    "box",
    [
        None,
        [],
        [1, 2, -1, -1],
        [1, 2, 0, 5],
        [1, 2, None, None],
        [None] * 4,
        [math.nan] * 4,
        [-1] * 4,
    ],
)
def test_a_box_that_has_no_size_is_no_box(tmp_path, box):
    annotations = read(tmp_path, with_("annotations", 0, "bbox", value=box))
    assert annotations.images[KITE].box is None
    same(kite(annotations), WHOLE)


def test_a_box_may_be_text(tmp_path):
    annotations = read(tmp_path, with_("annotations", 0, "bbox", value=["1", "2.5", "3", 4]))
    assert annotations.images[KITE].box == (1, 2.5, 3, 4)


@pytest.mark.parametrize("area", [None, "", -1, 0, math.nan])
def test_an_area_that_is_not_known_leaves_it_to_the_box(tmp_path, area):
    content = with_("annotations", 1, "area", value=30)
    content["annotations"].append(annotation(area=area, bbox=[0, 0, 10, 10]))
    assert read(tmp_path, content).images[WREN].points[0, 0] == 7


def test_an_area_may_be_text(tmp_path):
    content = with_("annotations", 2, value=annotation(area="99.5"))
    assert read(tmp_path, content).images[WREN].points[0, 0] == 7


@pytest.mark.parametrize("number", ["5", " 5", 5.0, "5f9b-aa", "007"])
def test_ids_are_the_same_as_numbers_and_as_text(tmp_path, number):
    own = 5 if str(number).strip() in ("5", "5.0") else number
    content = with_("annotations", 0, "image_id", value=number)
    content["images"][0]["id"] = own
    content["annotations"][0]["category_id"] = "1"
    same(kite(read(tmp_path, content)), WHOLE)


def test_an_id_with_zeros_in_front_is_a_text_of_its_own(tmp_path):
    content = with_("images", 0, "id", value="06")
    content["annotations"][0]["image_id"] = "06"
    assert list(read(tmp_path, content).images) == [KITE, WREN]


@pytest.mark.parametrize("category", [None, "absent"])
def test_one_category_need_not_be_named(tmp_path, category):
    content = with_("annotations", 0, "category_id", value=category)
    if category == "absent":
        content = without("annotations", 0, "category_id")
    same(kite(read(tmp_path, content)), WHOLE)


def test_of_several_categories_one_must_be_named(tmp_path):
    content = without("annotations", 0, "category_id")
    content["categories"].append({"id": 2, "keypoints": ["ear"]})
    with pytest.raises(DatasetError, match=r"line 33: annotations\[0\]: expected 'category_id'"):
        read(tmp_path, content)


@pytest.mark.parametrize(
    "keypoints",
    [
        [10, 20.5, 2.0, 30, 40, 1.0],
        ["10", "20.5", "2", "30", "40", "1"],
        [10, 20.5, 2, None, None, 0],
        [10, 20.5, 2, math.nan, math.nan, 0],
        [10, 20.5, 2, -1, -1, 0],
        [10, 20.5, 2, None, None, 1],
        [10, 20.5, 2, None, None, None],
        [10, 20.5, 2, 0, 0, None],
        [10, 20.5, 2, 9999, 9999, 0],
    ],
)
def test_keypoints_are_read_in_every_way_that_says_the_same(tmp_path, keypoints):
    same(kite(read(tmp_path, with_("annotations", 0, "keypoints", value=keypoints))), WHOLE)


@pytest.mark.parametrize(("yes", "no"), [(1, 0), (True, False), (1.0, 0.0), ("1", "0")])
def test_where_no_v_is_2_a_v_of_1_is_visible_and_it_says_so_once(tmp_path, yes, no):
    content = with_("annotations", 0, "keypoints", value=[10, 20.5, yes, 30, 40, no])
    content["annotations"][1]["keypoints"] = [1, 2, yes, 3, 4, yes]
    annotations = read(tmp_path, content)
    same(kite(annotations), WHOLE)
    same(annotations.images[WREN].points, [[1, 2], [3, 4]])
    assert annotations.notes == ("v is 0 or 1 throughout, never 2: 1 counts as visible",)


@pytest.mark.parametrize("elsewhere", [{}, {"iscrowd": 1}, {"image_id": 99}])
def test_one_v_of_2_anywhere_makes_1_covered(tmp_path, elsewhere):
    content = with_("annotations", 1, value=annotation(**elsewhere))
    content["annotations"][0]["keypoints"] = [10, 20.5, 1, 30, 40, 1]
    content["annotations"].append(annotation(keypoints=[5, 5, 2, 0, 0, 0]))
    same(kite(read(tmp_path, content)), [HIDDEN, HIDDEN])


def test_true_beside_2_says_two_things_and_is_refused(tmp_path):
    content = with_("annotations", 0, "keypoints", value=[10, 20.5, True, 30, 40, 2])
    with pytest.raises(DatasetError, match=r"keypoints\[2\]: expected v of part 'beak' to be 2"):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("keypoints", "message"),
    [
        ([None, 20.5, 2, 0, 0, 0], r"\[0\]: expected a number as x of part 'beak', found null"),
        ([10, math.nan, 2, 0, 0, 0], r"\[1\]: expected a number as y of part 'beak', found nan"),
        ([10, math.inf, 2, 0, 0, 0], r"\[1\]: expected a number as y of part 'beak', found inf"),
        ([10, 10**400, 2, 0, 0, 0], r"\[1\]: expected a number as y of part 'beak'"),
        ([10, "1_0", 2, 0, 0, 0], r"\[1\]: expected a number as y of part 'beak'"),
        ([10, 20.5, None, 0, 0, 0], r"\[2\]: expected v of part 'beak' to be 2"),
        ([10, 20.5, "yes", 0, 0, 0], r"\[2\]: expected v of part 'beak' to be 2"),
        ([10, 20.5, -1, 0, 0, 0], r"\[2\]: expected v of part 'beak' to be 2"),
        ([10, 20.5, 0.5, 0, 0, 0], r"\[2\]: expected v of part 'beak' to be 2"),
        ([10, 20.5, 30, 40], r": expected 6 numbers, x, y and v"),
        ({"beak": [1, 2]}, r": expected a list of numbers, found"),
    ],
)
def test_keypoints_whose_meaning_is_not_plain_are_refused(tmp_path, keypoints, message):
    content = with_("annotations", 0, "keypoints", value=keypoints)
    with pytest.raises(DatasetError, match=rf"line \d+: annotations\[0\]\.keypoints{message}"):
        read(tmp_path, content)


def test_points_less_than_a_pixel_outside_are_moved_to_the_border(tmp_path):
    content = with_("annotations", 0, "keypoints", value=[64.4, -0.5, 2, -0.9, 48.9, 2])
    points = read(tmp_path, content).find(Path(KITE), (64, 48))
    same(points, [[64, 0], [0, 48]])


@pytest.mark.parametrize("size", ["absent", None, 0, -1])
def test_an_image_may_have_no_size(tmp_path, size):
    content = with_("images", 0, "width", value=size)
    if size == "absent":
        content = without("images", 0, "width")
    content["annotations"][0]["keypoints"][:2] = [99, 98]
    annotations = read(tmp_path, content)
    same(annotations.find(Path(KITE), (100, 100)), [[99, 98], HIDDEN])
    with pytest.raises(DatasetError, match=r"expected part 'beak' inside kite/0\.jpg"):
        annotations.find(Path(KITE), (64, 48))


@pytest.mark.parametrize("size", ["64", 64.0])
def test_a_size_may_be_text_or_a_float(tmp_path, size):
    annotations = read(tmp_path, with_("images", 0, "width", value=size))
    assert annotations.images[KITE].size == (64, 48)


def test_names_may_have_folders_of_windows(tmp_path):
    annotations = read(tmp_path, with_("images", 0, "file_name", value=r"C:\birds\kite\0.jpg"))
    same(annotations.find(Path("/data/kite/0.jpg"), (64, 48)), WHOLE)


@pytest.mark.parametrize("kind", ["images", "categories"])
def test_what_is_listed_twice_identically_is_listed_once_and_counted(tmp_path, kind):
    annotations = read(tmp_path, with_(kind, len(CONTENT[kind]), value=CONTENT[kind][0]))
    same(kite(annotations), WHOLE)
    index = len(CONTENT[kind])
    assert annotations.notes == (f"left out 1 record repeating another (first: {kind}[{index}])",)


def test_names_of_keypoints_anywhere_else_are_not_guessed(tmp_path):
    content = without("categories", 0, "keypoints") | {"keypoints": ["beak", "eye"]}
    with pytest.raises(DatasetError, match=r"categories: expected the names of keypoints in a cat"):
        read(tmp_path, content)


def test_if_everything_is_left_out_the_error_says_what_and_why(tmp_path):
    content = with_("annotations", 0, "keypoints", value=[])
    content["annotations"][1]["iscrowd"] = 1
    with pytest.raises(DatasetError) as error:
        read(tmp_path, content)
    assert str(error.value).endswith(
        "annotations: expected annotations with keypoints, found none; left out 1 of 2 "
        "annotations: no keypoint is labelled (first: annotations[0]); left out 1 of 2 "
        "annotations: it is of a crowd (first: annotations[1]). Add them."
    )


@pytest.mark.parametrize(
    "content", [[CONTENT], {"shapes": [], "imagePath": "0.jpg"}, {"0.jpg53": {"regions": []}}]
)
def test_json_of_another_tool_says_which_export_to_take(tmp_path, content):
    with pytest.raises(DatasetError, match=r"line 1: .*xport.* COCO keypoints"):
        read(tmp_path, content)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["keypoints.json", "keypoints.txt"])
def test_json_may_be_in_every_encoding_of_unicode(tmp_path, encoding, name):
    path = tmp_path / name
    path.write_bytes(json.dumps(CONTENT).encode(encoding))
    same(kite(read_annotations(path)), WHOLE)

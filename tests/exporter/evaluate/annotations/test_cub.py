import re
from pathlib import Path

import numpy as np
import pytest

from exporter.errors import DatasetError
from exporter.evaluate.annotations import read_annotations

FILES = {
    "images.txt": "1 001.Kite/Kite_0001_11.jpg\n2 002.Wren/Wren_0001_22.jpg\n",
    "bounding_boxes.txt": "1 60.0 27.0 325.0 304.0\n2 10.0 20.0 100.0 50.0\n",
    "parts/parts.txt": "1 back\n2 left eye\n",
    "parts/part_locs.txt": "1 1 312.0 182.0 1\n1 2 0.0 0.0 0\n2 1 30.0 40.0 1\n2 2 10.5 69.0 1\n",
}
WREN = Path("test/002.Wren/Wren_0001_22.jpg")
HIDDEN = [np.nan, np.nan]


def publish(root):
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_published_folder_gives_points_parts_and_boxes(tmp_path):
    read = read_annotations(publish(tmp_path))
    assert read.parts == ("back", "left eye")
    assert list(read.images) == ["001.Kite/Kite_0001_11.jpg", "002.Wren/Wren_0001_22.jpg"]
    kite = read.images["001.Kite/Kite_0001_11.jpg"]
    assert kite.box == (60, 27, 325, 304)
    np.testing.assert_array_equal(kite.points, [[312, 182], HIDDEN])


def test_the_folder_above_is_the_same(tmp_path):
    publish(tmp_path / "CUB_200_2011")
    assert read_annotations(tmp_path).source == tmp_path / "CUB_200_2011"


def test_points_stay_in_a_published_image(tmp_path):
    points = read_annotations(publish(tmp_path)).find(WREN, (200, 150))
    np.testing.assert_array_equal(points, [[30, 40], [10.5, 69]])


@pytest.mark.parametrize("size", [(100, 50), (101, 50), (99, 49)])  # rounding moves a border by 1
def test_points_move_by_the_corner_of_the_box_in_a_crop_to_it(tmp_path, size):
    points = read_annotations(publish(tmp_path)).find(WREN, size)
    np.testing.assert_array_equal(points, [[20, 20], [0.5, 49]])


def test_each_image_tells_by_itself_whether_it_is_a_crop(tmp_path):
    read = read_annotations(publish(tmp_path))
    kite = read.find(Path("001.Kite/Kite_0001_11.jpg"), (325, 304))
    np.testing.assert_array_equal(kite, [[252, 155], HIDDEN])
    np.testing.assert_array_equal(read.find(WREN, (200, 150))[0], [30, 40])


def test_a_part_outside_the_crop_does_not_show_in_it(tmp_path):
    root = publish(tmp_path)
    points = root / "parts/part_locs.txt"
    points.write_text(points.read_text().replace("30.0 40.0", "5.0 40.0"))
    np.testing.assert_array_equal(read_annotations(root).find(WREN, (100, 50))[0], HIDDEN)


def test_an_image_that_is_neither_published_nor_the_crop_is_refused(tmp_path):
    read = read_annotations(publish(tmp_path))
    with pytest.raises(DatasetError) as error:
        read.find(WREN, (64, 64))
    assert str(error.value) == (
        f"{WREN}: expected an image that holds the box from x 10, y 20 to x 110, y 70, or its "
        f"crop to 100 x 50 pixels, as {tmp_path} annotates '002.Wren/Wren_0001_22.jpg', got "
        "64 x 64 pixels. Use the images that were annotated."
    )


def test_a_point_outside_a_published_image_names_its_line(tmp_path):
    root = publish(tmp_path)
    points = root / "parts/part_locs.txt"
    points.write_text(points.read_text().replace("10.5 69.0", "210.5 69.0"))
    where = re.escape(f"{points}, line 4: ")
    with pytest.raises(DatasetError, match=f"^{where}expected part 'left eye' inside {WREN}"):
        read_annotations(root).find(WREN, (200, 150))


IMAGES, BOXES, PARTS, POINTS = FILES


@pytest.mark.parametrize(
    ("file", "old", "new", "line", "message"),
    [
        (IMAGES, "2 002", "1 002", 2, "expected image id 1 once, found it on line 1 too"),
        (IMAGES, "002.Wren/Wren_0001_22", "001.Kite/Kite_0001_11", 2, "once, found it on line 1"),
        (IMAGES, " 002.Wren/Wren_0001_22.jpg", "", 2, "expected 2 values, found 1"),
        (IMAGES, FILES[IMAGES], "", 1, "expected a line for each image, found none"),
        (BOXES, "100.0", "wide", 2, "expected a number as side of a box, found 'wide'"),
        (BOXES, "100.0", "0.0", 2, "expected a box inside the image, with a width and a height"),
        (BOXES, "10.0", "-10.0", 2, "expected a box inside the image"),
        (BOXES, " 50.0", "", 2, "expected 5 values, found 4"),
        (BOXES, "2 10.0", "1 10.0", 2, "expected box of image 1 once, found it on line 1 too"),
        (PARTS, "2 left eye", "1 left eye", 2, "expected part id 1 once, found it on line 1 too"),
        (PARTS, "left eye", "back", 2, "expected part 'back' once, found it on line 1 too"),
        (POINTS, "182.0", "18z", 1, "expected a number as y of part 'back', found '18z'"),
        (POINTS, "182.0", "inf", 1, "expected a number as y of part 'back', found 'inf'"),
        (POINTS, "40.0 1", "40.0 3", 3, "1 (visible) or 0 (not) for part 'back', found '3'"),
        (POINTS, "40.0 1", "40.0 1 1", 3, "for part 'back', found '1 1'"),
        (POINTS, "69.0 1", "69.0", 4, "expected 5 values, found 4"),
        (POINTS, "2 2 10.5", "2 9 10.5", 4, "expected an id of parts/parts.txt, found 9"),
        (POINTS, "2 2 10.5", "2 -2 10.5", 4, "expected an id of parts/parts.txt, found -2"),
        (POINTS, "2 2 10.5", "2 1 10.5", 4, "'back' of image 2 once, found it on line 3 too"),
        (POINTS, "30.0 40.0", "-30.0 40.0", 3, "expected part 'back' inside the image"),
    ],
)
def test_what_is_malformed_is_one_line_with_file_and_line(tmp_path, file, old, new, line, message):
    path = publish(tmp_path) / file
    assert FILES[file].count(old) == 1
    path.write_text(FILES[file].replace(old, new))
    where = re.escape(f"{path}, line {line}: ")
    with pytest.raises(DatasetError, match=f"^{where}.*{re.escape(message)}") as error:
        read_annotations(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("file", "rest", "message"),
    [
        (BOXES, "1 60.0 27.0 325.0 304.0\n", "expected a box of image 2 in bounding_boxes.txt"),
        (POINTS, "1 1 1 1 1\n1 2 1 1 1\n2 1 1 1 1\n", "expected every part of image 2 in parts"),
    ],
)
def test_a_file_that_was_cut_off_names_the_first_image_that_it_lacks(tmp_path, file, rest, message):
    (publish(tmp_path) / file).write_text(rest)
    where = re.escape(f"{tmp_path / 'images.txt'}, line 2: ")
    with pytest.raises(DatasetError, match=where + re.escape(message)):
        read_annotations(tmp_path)


@pytest.mark.parametrize("file", [IMAGES, PARTS, POINTS])
def test_a_missing_file_is_named_with_what_belongs_there(tmp_path, file):
    path = publish(tmp_path) / file
    path.unlink()
    with pytest.raises(DatasetError, match=rf"^{re.escape(str(path))}: no such file\. Expected im"):
        read_annotations(tmp_path)


def test_bytes_that_are_not_utf_8_name_their_line(tmp_path):
    (publish(tmp_path) / "images.txt").write_bytes(b"1 001.Kite/a.jpg\n2 002.Wr\xe4n/b.jpg\n")
    with pytest.raises(DatasetError, match=r"images\.txt, line 2: expected UTF-8 text"):
        read_annotations(tmp_path)

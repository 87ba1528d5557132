from pathlib import Path

import numpy as np
import pytest

from exporter.errors import DatasetError
from exporter.evaluate.annotations import read_annotations

SIZE = (100, 80)


def annotate(folder, *names):
    """A wide table with one part, at x = the index of the image."""
    rows = [f"{name},{x},0,1" for x, name in enumerate(names)]
    path = folder / "parts.csv"
    path.write_text("\n".join(["image,eye_x,eye_y,eye_visible", *rows]))
    return read_annotations(path)


def found(annotations, path):
    """The index of the image that a path finds."""
    points = annotations.find(Path(path), SIZE)
    return None if points is None else int(points[0, 0])


def test_the_whole_name_decides_where_shorter_ones_are_shared(tmp_path):
    read = annotate(tmp_path, "train/kite/0.jpg", "test/kite/0.jpg", "test/crane/0.jpg")
    assert found(read, "/data/birds/train/kite/0.jpg") == 0
    assert found(read, "/data/birds/test/kite/0.jpg") == 1
    assert found(read, "test/crane/0.jpg") == 2


def test_class_and_file_are_enough_where_only_one_image_has_them(tmp_path):
    read = annotate(tmp_path, "train/kite/0.jpg", "test/kite/7.jpg", "test/crane/7.jpg")
    assert found(read, "/held-out/kite/7.jpg") == 1
    assert found(read, "kite/0.jpg") == 0


def test_the_file_is_enough_where_only_one_image_has_it(tmp_path):
    read = annotate(tmp_path, "001.Kite/Kite_0001.jpg", "002.Crane/Crane_0001.jpg")
    assert found(read, "/data/kite/Kite_0001.jpg") == 0
    assert found(read, "Crane_0001.jpg") == 1


def test_a_longer_name_is_found_by_fewer_folders_and_a_shorter_one_by_more(tmp_path):
    read = annotate(tmp_path, "a/b/c/d/0.jpg", "1.jpg")
    assert found(read, "d/0.jpg") == 0
    assert found(read, "x/y/z/1.jpg") == 1


def test_an_ambiguous_image_has_no_annotation(tmp_path):
    read = annotate(tmp_path, "train/kite/0.jpg", "test/kite/0.jpg", "test/crane/1.jpg")
    assert found(read, "/data/kite/0.jpg") is None
    assert found(read, "0.jpg") is None


def test_the_parts_of_one_image_are_not_those_of_several(tmp_path):
    read = annotate(tmp_path, "0.jpg", "1.jpg")
    read.require_one_image_each([Path("kite/0.jpg"), Path("crane/1.jpg"), Path("crane/2.jpg")])
    with pytest.raises(DatasetError, match=r"'0\.jpg' belongs to, found kite/0\.jpg and crane/0"):
        read.require_one_image_each([Path("kite/0.jpg"), Path("crane/0.jpg")])


def test_an_image_of_another_annotated_folder_is_another_image(tmp_path):
    # Only crane has a picture 7, but kite is a folder of its own that lacks it.
    read = annotate(tmp_path, "test/kite/0.jpg", "test/crane/7.jpg", "train/wren/8.jpg")
    assert found(read, "/data/test/kite/7.jpg") is None
    assert found(read, "/data/test/wren/8.jpg") is None


def test_an_image_of_another_split_is_another_image(tmp_path):
    read = annotate(tmp_path, "test/kite/0.jpg")
    assert found(read, "/data/train/kite/0.jpg") is None
    assert found(read, "/data/testing/kite/0.jpg") == 0


def test_an_image_that_is_not_annotated_has_none(tmp_path):
    read = annotate(tmp_path, "test/kite/0.jpg")
    assert found(read, "/data/test/kite/1.jpg") is None
    assert read.match(Path("/data/test/kite/1.jpg")) is None


def test_the_name_of_an_image_is_given_as_the_source_has_it(tmp_path):
    read = annotate(tmp_path, "test/kite/0.jpg")
    assert read.match(Path("/elsewhere/kite/0.jpg")) == "test/kite/0.jpg"


def test_names_with_backslashes_are_paths(tmp_path):
    read = annotate(tmp_path, "test\\kite\\0.jpg", "test\\crane\\0.jpg")
    assert found(read, "/data/kite/0.jpg") == 0


def test_what_is_found_can_be_changed_without_harm(tmp_path):
    read = annotate(tmp_path, "kite/0.jpg")
    read.find(Path("kite/0.jpg"), SIZE)[:] = np.nan
    assert found(read, "kite/0.jpg") == 0


@pytest.mark.parametrize("end", [(100, 80), (100, 0), (0, 80)])
def test_a_point_on_the_border_is_inside(tmp_path, end):
    path = tmp_path / "parts.csv"
    path.write_text(f"image,eye_x,eye_y,eye_visible\n0.jpg,{end[0]},{end[1]},1\n")
    points = read_annotations(path).find(Path("0.jpg"), SIZE)
    np.testing.assert_array_equal(points, [end])


def test_a_point_outside_the_image_names_its_line_and_the_image(tmp_path):
    path = tmp_path / "parts.csv"
    path.write_text(
        "split,species,file,part,x,y,visible\ntest,kite,0.jpg,eye,5,5,1\ntest,kite,0.jpg,tail,5,81,1\n"
    )
    read = read_annotations(path)
    with pytest.raises(DatasetError) as error:
        read.find(Path("/data/test/kite/0.jpg"), SIZE)
    assert str(error.value) == (
        f"{path}, line 3: expected part 'tail' inside /data/test/kite/0.jpg, which has 100 x 80 "
        "pixels, found it at x 5, y 81. Use the images that were annotated, or correct the point."
    )


def test_what_is_at_the_path_picks_the_reader(tmp_path):
    table = tmp_path / "toybirds" / "parts.csv"
    table.parent.mkdir()
    table.write_text("image,eye_x,eye_y,eye_visible\n0.jpg,1,2,1\n")
    coco = tmp_path / "keypoints.txt"
    coco.write_text(
        '\ufeff {"images": [{"id": 1, "file_name": "0.jpg", "width": 9, "height": 9}], '
        '"categories": [{"id": 1, "keypoints": ["eye"]}], '
        '"annotations": [{"image_id": 1, "category_id": 1, "keypoints": [1, 2, 2]}]}'
    )
    for path in (table, table.parent, coco):
        points = read_annotations(path).find(Path("0.jpg"), (9, 9))
        np.testing.assert_array_equal(points, [[1, 2]])


def test_a_path_where_nothing_is_lists_the_formats(tmp_path):
    with pytest.raises(DatasetError, match=r"gone\.csv: no such file or folder.*COCO.*CUB"):
        read_annotations(tmp_path / "gone.csv")


def test_a_folder_without_annotations_lists_the_formats(tmp_path):
    with pytest.raises(DatasetError, match=r"expected a CSV table.*found neither images\.txt nor"):
        read_annotations(tmp_path)


HEADER = "image,eye_x,eye_y,eye_visible,tail_x,tail_y,tail_visible\n"


def test_if_not_one_part_is_visible_in_any_image_the_file_is_refused(tmp_path):
    path = tmp_path / "parts.csv"
    path.write_text(f"{HEADER}0.jpg,1,2,0,,,0\n1.jpg,1,2,0,3,4,0\n")
    with pytest.raises(DatasetError) as error:
        read_annotations(path)
    assert str(error.value) == (
        f"{path}: expected parts that are visible, found none in any of 2 images. Correct the "
        "flags: visible is 1, in COCO v is 2, where a part shows."
    )


def test_a_part_that_no_image_shows_is_said(tmp_path):
    path = tmp_path / "parts.csv"
    path.write_text(f"{HEADER}0.jpg,1,2,1,3,4,0\n")
    assert read_annotations(path).notes == ("no image shows tail",)


def test_images_that_show_no_part_are_counted(tmp_path):
    path = tmp_path / "parts.csv"
    path.write_text(f"{HEADER}0.jpg,1,2,1,3,4,1\n1.jpg,,,0,,,0\n2.jpg,,,0,,,0\n")
    assert read_annotations(path).notes == (
        "2 of 3 annotated images: no part shows (first: 1.jpg)",
    )

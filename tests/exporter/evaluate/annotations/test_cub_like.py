"""Folders in the form of CUB-200-2011: NABirds, and what people make of the published ones."""

import re
from pathlib import Path

import numpy as np
import pytest

from exporter.errors import DatasetError
from exporter.evaluate.annotations import read_annotations

KITE, WREN = "0817/0000139e.jpg", "0860/0000d9fc.jpg"
FIRST, SECOND = "0000139e-21dc-4d0c-bfe1-4cae3c85c829", "0000d9fc-4e02-4c06-a0af-a55cfb16b12b"
FILES = {
    "images.txt": f"{FIRST} {KITE}\n{SECOND} {WREN}\n",
    "bounding_boxes.txt": f"{FIRST} 10 20 100 50\n{SECOND} 0 0 60 40\n",
    "sizes.txt": f"{FIRST} 296 341\n{SECOND} 640 427\n",
    "parts/parts.txt": "0 bill\n1 left eye\n",
    "parts/part_locs.txt": (
        f"{FIRST} 0 30 40.5 1\n{FIRST} 1 -1 -1 0\n{SECOND} 0 5 6 1\n{SECOND} 1 7 8 1\n"
    ),
}
HIDDEN = [np.nan, np.nan]


@pytest.fixture
def root(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def rewrite(root, name, old, new):
    text = (root / name).read_text()
    assert old in text
    (root / name).write_text(text.replace(old, new))


def test_the_folder_of_nabirds_is_read_with_its_ids_and_sizes(root):
    read = read_annotations(root)
    assert read.parts == ("bill", "left eye")
    assert list(read.images) == [KITE, WREN]
    assert read.images[KITE].size == (296, 341)
    assert read.images[KITE].box == (10, 20, 100, 50)
    np.testing.assert_array_equal(read.images[KITE].points, [[30, 40.5], HIDDEN])
    assert read.notes == ()


def test_a_size_that_is_known_is_held(root):
    with pytest.raises(DatasetError, match=r"expected 296 x 341 pixels, or its crop to 100 x 50"):
        read_annotations(root).find(Path(KITE), (300, 341))


def test_a_subset_of_the_images_is_read_and_the_rest_counted(root):
    rewrite(root, "images.txt", f"{FIRST} {KITE}\n", "")
    read = read_annotations(root)
    assert list(read.images) == [WREN]
    assert read.notes == (
        "left out 1 image of parts/part_locs.txt that images.txt does not list (first: line 1)",
    )


def test_images_without_parts_have_no_annotation_and_are_counted(root):
    rewrite(root, "images.txt", f"{SECOND} {WREN}\n", f"{SECOND} {WREN}\n77 a/b.jpg\n")
    for name in ("bounding_boxes.txt", "sizes.txt"):
        rewrite(
            root, name, SECOND, f"77 1 1 1 1\n{SECOND}" if "box" in name else f"77 9 9\n{SECOND}"
        )
    read = read_annotations(root)
    assert list(read.images) == [KITE, WREN]
    assert read.others == ("a/b.jpg",)
    assert read.notes == ("left out 1 of 3 images: no line in parts/part_locs.txt (first: line 3)",)


def test_if_no_image_is_listed_that_has_parts_it_is_refused(root):
    (root / "images.txt").write_text("1 a/b.jpg\n")
    with pytest.raises(
        DatasetError, match=r"part_locs\.txt: expected parts of the 1 image in imag"
    ):
        read_annotations(root)


def test_without_boxes_images_are_whole_and_it_says_so(root):
    (root / "bounding_boxes.txt").unlink()
    read = read_annotations(root)
    assert read.images[KITE].box is None
    assert read.notes == (
        "there is no bounding_boxes.txt: crops to the box cannot be told from whole images, use "
        "whole ones",
    )


def test_numbers_as_ids_may_have_zeros_in_front(root):
    for name in FILES:
        if "parts.txt" not in name:
            old = (root / name).read_text()
            number = "7" if name == "images.txt" else "0007"
            (root / name).write_text(old.replace(FIRST, number))
    assert list(read_annotations(root).images) == [KITE, WREN]


@pytest.mark.parametrize("hidden", ["nan nan", "0 0", "-1 -1", "-1.0 -1.0"])
def test_without_flags_a_part_shows_where_it_has_a_position(root, hidden):
    path = root / "parts/part_locs.txt"
    text = path.read_text().replace("-1 -1", hidden)
    path.write_text(re.sub(r" [01]$", "", text, flags=re.MULTILINE))
    read = read_annotations(root)
    np.testing.assert_array_equal(read.images[KITE].points, [[30, 40.5], HIDDEN])
    assert "there is no visible flag" in read.notes[0]


def test_flags_on_some_lines_alone_are_refused(root):
    rewrite(root, "parts/part_locs.txt", "7 8 1", "7 8")
    with pytest.raises(DatasetError, match=r"part_locs\.txt, line 4: expected 5 values, found 4"):
        read_annotations(root)


@pytest.mark.parametrize("flag", ["1.0", "True", "1"])
def test_flags_may_be_floats_or_words(root, flag):
    rewrite(root, "parts/part_locs.txt", "40.5 1", f"40.5 {flag}")
    np.testing.assert_array_equal(read_annotations(root).images[KITE].points[0], [30, 40.5])


def test_a_line_that_repeats_another_is_counted(root):
    rewrite(root, "images.txt", f"{SECOND} {WREN}\n", 2 * f"{SECOND} {WREN}\n")
    read = read_annotations(root)
    assert list(read.images) == [KITE, WREN]
    assert read.notes == ("left out 1 line of images.txt repeating another (first: line 3)",)


@pytest.mark.parametrize("size", ["0 341", "296.5 341", "wide 341", "nan 341"])
def test_a_size_that_is_none_names_its_line(root, size):
    rewrite(root, "sizes.txt", "296 341", size)
    with pytest.raises(DatasetError, match=r"sizes\.txt, line 1: expected "):
        read_annotations(root)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_tabs_windows_lines_and_any_encoding_do_no_harm(root, encoding):
    for name in FILES:
        path = root / name
        text = path.read_text().replace("left eye", "left_eye").replace(" ", "\t")
        path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert list(read_annotations(root).images) == [KITE, WREN]

import re
from pathlib import Path

import numpy as np
import pytest

from exporter.errors import DatasetError
from exporter.evaluate.annotations import read_annotations

LONG = """split,species,file,part,x,y,visible
test,kite,0.jpg,beak,12,34.5,1
test,kite,0.jpg,eye,,,0
test,wren,0.jpg,eye,7,8,1
test,wren,0.jpg,beak,9,10,1
"""
WIDE = """image,beak_x,beak_y,beak_visible,eye_x,eye_y,eye_visible
test/kite/0.jpg,12,34.5,1,,,0
test/wren/0.jpg,9,10,1,7,8,1
"""
HIDDEN = [np.nan, np.nan]


def read(folder, text):
    path = folder / "parts.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_annotations(path)


@pytest.mark.parametrize("text", [LONG, WIDE])
def test_both_forms_give_the_same_annotations(tmp_path, text):
    annotations = read(tmp_path, text)
    assert annotations.source == tmp_path / "parts.csv"
    assert annotations.parts == ("beak", "eye")  # as the first image has them
    assert list(annotations.images) == ["test/kite/0.jpg", "test/wren/0.jpg"]
    kite, wren = (annotations.find(Path(name), (64, 64)) for name in annotations.images)
    assert kite.dtype == np.float64
    np.testing.assert_array_equal(kite, [[12, 34.5], HIDDEN])
    np.testing.assert_array_equal(wren, [[9, 10], [7, 8]])


def test_a_long_table_may_name_images_in_one_column(tmp_path):
    annotations = read(tmp_path, "image,part,x,y,visible\nkite/0.jpg,eye,1,2,1\n")
    assert list(annotations.images) == ["kite/0.jpg"]


def test_a_hidden_part_may_have_coordinates(tmp_path):
    annotations = read(tmp_path, WIDE.replace("34.5,1,", "34.5,0,"))
    np.testing.assert_array_equal(annotations.images["test/kite/0.jpg"].points, [HIDDEN, HIDDEN])


def test_byte_order_mark_windows_lines_blank_lines_and_more_columns_do_no_harm(tmp_path):
    text = "\ufefffile,part,x,y,visible,by\r\n\r\n0.jpg,eye,1,2,1,me\r\n"
    np.testing.assert_array_equal(read(tmp_path, text).images["0.jpg"].points, [[1, 2]])


def test_a_part_may_have_an_underscore_in_its_name(tmp_path):
    text = "image,left_eye_x,left_eye_y,left_eye_visible\n0.jpg,1,2,1\n"
    assert read(tmp_path, text).parts == ("left_eye",)


@pytest.mark.parametrize(
    ("form", "old", "new", "line", "message"),
    [
        (LONG, "12,34.5", "12,up", 2, "expected a number as y of part 'beak', found 'up'"),
        (LONG, "12,34.5", "nan,34.5", 2, "expected a number as x of part 'beak', found 'nan'"),
        (LONG, "12,34.5", ",34.5", 2, "expected a number as x of part 'beak', found ''"),
        (LONG, "eye,,,0", "eye,?,,0", 3, "expected a number as x of part 'eye', found '?'"),
        (LONG, "12,34.5", "-1,34.5", 2, "'beak' inside the image, found it at x -1, y 34.5"),
        (LONG, "eye,,,0", "eye,,,2", 3, "expected 1 (visible) or 0 (not) for part 'eye', found"),
        (LONG, "wren,0.jpg,eye", "wren,0.jpg,ear", 4, "first image's parts (beak, eye), found 'ea"),
        (LONG, "wren,0.jpg,eye", "kite,0.jpg,eye", 4, "'eye' of test/kite/0.jpg, found another on"),
        (LONG, "test,wren,0.jpg,beak,9,10,1\n", "", 4, "every part of test/wren/0.jpg, found none"),
        (LONG, "9,10,1", "9,10", 5, "expected 7 values, one for each column, found 6"),
        (LONG, "9,10,1", "9,10,1,9", 5, "expected 7 values, one for each column, found 8"),
        (LONG, "kite,0.jpg,beak", "kite,,beak", 2, "expected a name in column 'file', found none"),
        (LONG, "0.jpg,eye,,,0", "0.jpg,,,,0", 3, "expected a name in column 'part', found none"),
        (LONG, ",y,", ",z,", 1, "found no column y among split, species, file, part, x, z"),
        (LONG, "file,", "name,", 1, "found no column image among"),
        (LONG, ",y,", ",x,", 1, "expected column 'x' once"),
        (LONG, LONG, "", 1, "expected a header, found an empty file"),
        (LONG, LONG[36:], "", 1, "expected rows below the header, found none"),
        (LONG, "kite,0.jpg,beak", '"kite"s,0.jpg,beak', 2, "expected comma-separated values"),
        (LONG, "9,10,1", '9,10,"1', 5, "expected comma-separated values"),
        (WIDE, "9,10", "9,1o", 3, "expected a number as y of part 'beak', found '1o'"),
        (WIDE, "9,10,1", "9,10,yes", 3, "for part 'beak', found 'yes'"),
        (WIDE, "wren", "kite", 3, "one row for test/kite/0.jpg, found another on line 2"),
        (WIDE, ",eye_y", ",eye_z", 1, "found no column eye_y among"),
        (WIDE, ",eye_visible", ",eye_seen", 1, "found no column eye_visible among"),
        (WIDE, "image,", "image,box_x,", 1, "found no column box_y, box_visible among"),
        (WIDE, "image,", "name,", 1, "found no column image among name, beak_x"),
        (WIDE, WIDE, "image\n0.jpg\n", 1, "found no part. Expected the columns file, part, x, y"),
        (WIDE, "test/wren/0.jpg", "", 3, "expected a name in column 'image', found none"),
    ],
)
def test_what_is_malformed_is_one_line_with_file_and_line(tmp_path, form, old, new, line, message):
    assert form.count(old) == 1
    where = re.escape(f"{tmp_path / 'parts.csv'}, line {line}: ")
    with pytest.raises(DatasetError, match=f"^{where}.*{re.escape(message)}") as error:
        read(tmp_path, form.replace(old, new))
    assert "\n" not in str(error.value)


def test_bytes_that_are_not_utf_8_name_their_line(tmp_path):
    with pytest.raises(DatasetError, match=r"line 4: expected UTF-8 text, found the byte 0xe4"):
        read(tmp_path, LONG.replace("wren,0.jpg,eye", "wrän,0.jpg,eye").encode("latin-1"))


def test_a_file_that_cannot_be_read_says_why(tmp_path, monkeypatch):
    path = tmp_path / "parts.csv"
    path.touch()

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)  # root may read everything
    with pytest.raises(DatasetError, match=r"parts\.csv: cannot read .*: Permission denied"):
        read_annotations(path)

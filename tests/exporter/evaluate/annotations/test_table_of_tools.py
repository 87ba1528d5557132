"""Tables as spreadsheets, pandas and people write them."""

import re
from pathlib import Path

import numpy as np
import pytest

from exporter.errors import DatasetError
from exporter.evaluate.annotations import read_annotations

LONG = """split,species,file,part,x,y,visible
test,kite,0.jpg,beak,12,34.5,1
test,kite,0.jpg,eye,,,0
test,wren,0.jpg,beak,9,10,1
test,wren,0.jpg,eye,7,8,1
"""
WIDE = """image,beak_x,beak_y,beak_visible,eye_x,eye_y,eye_visible
test/kite/0.jpg,12,34.5,1,,,0
test/wren/0.jpg,9,10,1,7,8,1
"""
BOTH = pytest.mark.parametrize("form", [LONG, WIDE])
KITE, WREN = "test/kite/0.jpg", "test/wren/0.jpg"
HIDDEN = [np.nan, np.nan]


def read(folder, text, encoding="utf-8"):
    path = folder / "parts.csv"
    path.write_bytes(text.encode(encoding))
    return read_annotations(path)


def check(annotations, notes=()):
    assert annotations.parts == ("beak", "eye")
    assert list(annotations.images) == [KITE, WREN]
    np.testing.assert_array_equal(annotations.images[KITE].points, [[12, 34.5], HIDDEN])
    np.testing.assert_array_equal(annotations.images[WREN].points, [[9, 10], [7, 8]])
    assert annotations.notes == notes


@BOTH
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_semicolons_and_tabs_separate_too(tmp_path, form, separator):
    check(read(tmp_path, form.replace(",", separator)))


@BOTH
@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_decimal_comma_is_one_where_something_else_separates(tmp_path, form, separator):
    check(read(tmp_path, form.replace(",", separator).replace("34.5", "34,5")))


@pytest.mark.parametrize("other", ["1.5", "1.000,5", "1,000.5"])
def test_a_table_has_one_decimal_sign(tmp_path, other):
    text = WIDE.replace(",", ";").replace("34.5", "34,5").replace("7;8", f"{other};8")
    with pytest.raises(DatasetError, match=r"csv, line 3: expected .*found"):
        read(tmp_path, text)


@BOTH
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_is_read_in_every_encoding(tmp_path, form, encoding):
    check(read(tmp_path, form.replace(",", "\t"), encoding))


@BOTH
@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_lines_end_as_on_any_system(tmp_path, form, end):
    check(read(tmp_path, form.replace("\n", end)))


@BOTH
def test_a_header_may_be_quoted_spaced_and_of_any_case(tmp_path, form):
    header, rows = form.split("\n", 1)
    header = ",".join(f'" {name} "' for name in header.replace("_x", "_X").split(","))
    header = header.replace("file", "File").replace("image", "IMAGE")
    check(read(tmp_path, f"{header}\n{rows}".replace(",", ", ")))


@BOTH
def test_empty_columns_and_rows_at_the_end_and_the_line_that_names_the_separator(tmp_path, form):
    lines = [f"{line};;".replace(",", ";") for line in form.splitlines()]
    lines[-1] = lines[-1].rstrip(";")  # spreadsheets stop writing them
    lines += [";" * lines[0].count(";"), " ; "]
    check(read(tmp_path, "\n".join(["sep=;", *lines])))


@BOTH
def test_the_index_of_pandas_is_ignored(tmp_path, form):
    header, *rows = form.splitlines()
    check(read(tmp_path, "\n".join([f",{header}", *(f"{i},{row}" for i, row in enumerate(rows))])))


def test_columns_that_are_not_read_may_repeat(tmp_path):
    lines = WIDE.splitlines()
    text = "\n".join([f"{lines[0]},by,by", *(f"{line},a,b" for line in lines[1:])])
    check(read(tmp_path, text))


@BOTH
@pytest.mark.parametrize(
    ("yes", "no"), [("1.0", "0.0"), ("True", "False"), ("TRUE", "FALSE"), (" 1", "0 ")]
)
def test_visible_is_read_as_programs_write_it(tmp_path, form, yes, no):
    text = re.sub(r",1(?=\n|,[e7,])", f",{yes}", form)
    text = re.sub(r",,,0", f",,,{no}", text)
    assert text.count(yes) >= 3
    check(read(tmp_path, text))


@BOTH
@pytest.mark.parametrize(
    "hidden", ["nan,NaN,0", "NA,,0", "-1,-1,0", ",,", "nan,nan,nan", "None,null,False", "0,0,0"]
)
def test_a_part_that_does_not_show_may_have_any_empty_coordinates(tmp_path, form, hidden):
    check(read(tmp_path, form.replace(",,,0", f",{hidden}")))


@BOTH
@pytest.mark.parametrize("open_", ["7,8,", "7,,1", "7,nan,1", "7,8,maybe", "7,8,2", "1_0,8,1"])
def test_a_part_whose_meaning_is_not_plain_is_refused(tmp_path, form, open_):
    line = 5 if form is LONG else 3
    with pytest.raises(DatasetError, match=rf"csv, line {line}: expected .*'eye', found"):
        read(tmp_path, form.replace("7,8,1", open_))


GUESSED = (
    "there is no visible flag: a part shows where it has a position, and not where that is empty, "
    "0 0 or -1 -1",
)


@pytest.mark.parametrize("hidden", [",,", ",nan,nan", ",0,0", ",-1,-1.0"])
def test_without_flags_a_part_shows_where_it_has_a_position(tmp_path, hidden):
    text = (
        f"image,beak_x,beak_y,eye_x,eye_y\ntest/kite/0.jpg,12,34.5{hidden}\n"
        "test/wren/0.jpg,9,10,7,8\n"
    )
    check(read(tmp_path, text), GUESSED)


def test_without_flags_a_long_table_need_not_list_what_does_not_show(tmp_path):
    text = "image,part,x,y\ntest/kite/0.jpg,beak,12,34.5\ntest/wren/0.jpg,eye,7,8\n"
    annotations = read(tmp_path, text + "test/wren/0.jpg,beak,9,10\n")
    check(
        annotations,
        (
            *GUESSED,
            "no row for 1 of 4 keypoints, which do not show (first: eye of test/kite/0.jpg)",
        ),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("image,part,x,y,Visibility\n0.jpg,eye,1,2,0\n", "visible, or none .*found 'Visibility'"),
        ("file,part,x,y,v\n0.jpg,eye,1,2,0\n", "visible, or none .*found 'v'"),
        ("image,eye_x,eye_y,eye_v\n0.jpg,1,2,0\n", "eye_visible, or none .*found 'eye_v'"),
        ("image,eye_x,eye_y,eye_likelihood\n0.jpg,1,2,0\n", "eye_visible, .*'eye_likelihood'"),
    ],
)
def test_a_flag_of_another_name_is_not_passed_over(tmp_path, text, expected):
    with pytest.raises(DatasetError, match=rf"line 1: expected a column {expected}"):
        read(tmp_path, text)


def test_without_flags_half_a_position_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"line 2: expected a number as y of part 'beak'"):
        read(tmp_path, "image,beak_x,beak_y\n0.jpg,12,\n")


@BOTH
def test_a_row_that_repeats_another_is_counted(tmp_path, form):
    last = form.splitlines()[-1]
    line = len(form.splitlines()) + 1
    check(
        read(tmp_path, f"{form}{last}\n"),
        (f"left out 1 row repeating another (first: line {line})",),
    )


def test_points_less_than_a_pixel_outside_are_moved_to_the_border(tmp_path):
    text = WIDE.replace("9,10,1,7,8", "-0.4,10,1,7,20.9")
    points = read(tmp_path, text).find(Path(WREN), (30, 20))
    np.testing.assert_array_equal(points, [[0, 10], [7, 20]])


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"PK\x03\x04 and more", "workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "workbook"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x1f\x8b\x08", "compressed"),
    ],
)
def test_files_of_other_kinds_say_what_to_save_instead(tmp_path, start, what):
    path = tmp_path / "parts.csv"
    path.write_bytes(start)
    with pytest.raises(DatasetError, match=rf"parts\.csv: expected text, found .*{what}"):
        read_annotations(path)


def test_the_three_header_rows_of_deeplabcut_say_what_to_make_of_them(tmp_path):
    text = "scorer,me,me\nbodyparts,beak,beak\ncoords,x,y\nimg0.png,1,2\n"
    with pytest.raises(DatasetError, match=r"line 1: .*DeepLabCut.*image, <part>_x, <part>_y"):
        read(tmp_path, text)


def test_markup_says_which_export_to_take(tmp_path):
    with pytest.raises(DatasetError, match=r"parts\.csv: expected .*found XML.*xport"):
        read(tmp_path, '<?xml version="1.0"?>\n<annotations></annotations>')

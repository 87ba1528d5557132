"""Keypoints in a CSV table, long or wide.

Long, a row for each image and part, as the toybirds generator writes it (`parts.csv`):

    split,species,file,part,x,y,visible
    test,kettlefinch,0003.jpg,beak,88,41,1

`file` may be preceded by any of the folders `split`, `species` and `class`, or `image` stands for
all of them. The rows of the first image name the parts and their order; every image has them all.

Wide, a row for each image, the parts in the order of the header:

    image,beak_x,beak_y,beak_visible,eye_x,eye_y,eye_visible
    test/kettlefinch/0003.jpg,88,41,1,,,0

x and y are pixels from the top left of the image file, upright; they may be empty where `visible`
is 0. A table may do without `visible` throughout: what has a position shows, and in the long form
only that needs a row. Further columns are ignored; in the wide form none of them may end in _x, _y
or _visible. The case of these names does not matter; `delimited` has what separates values.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from exporter.evaluate.annotations.delimited import Table, read_delimited
from exporter.evaluate.annotations.notes import Tally
from exporter.evaluate.annotations.parts import Annotations, ImageParts
from exporter.evaluate.annotations.place import HIDDEN, NO_FLAG, Place

_FOLDERS = ("split", "species", "class")
_VALUES = ("x", "y", "visible")
_NAMES = ("file", "image", "part", *_FOLDERS, *_VALUES)
_HOW = (
    "Expected the columns file, part, x, y, visible, or image and <part>_x, <part>_y, "
    "<part>_visible for each part."
)
_FLAGS = ("visibility", "vis", "v", "seen", "shown", "hidden", "occluded", "likelihood")
_REPEATED = "left out {n} row{s} repeating another"

Point = tuple[float, float]
Found = dict[str, tuple[Place, Point]]  # part -> where it was read, point


def read_table(path: Path) -> Annotations:
    """Read a table of keypoints.

    Args:
        path: CSV with a header, separated by commas, semicolons or tabs.

    Returns:
        The annotations; an image's name is its folders and file, joined by slashes.

    Raises:
        DatasetError: The file cannot be read, or something in it is malformed.
    """
    table = read_delimited(path, _column)
    if not any(table.header):
        raise table.error(f"expected a header, found an empty file. {_HOW}")
    if table.header[0].casefold() == "scorer":
        raise table.error(
            "found the three header rows of DeepLabCut. Make one row of them: image, <part>_x, "
            "<part>_y for each body part."
        )
    notes = Tally()
    read = _long if "part" in table.header else _wide
    parts, found = read(table, notes)
    if not found:
        raise table.error("expected rows below the header, found none.")
    images = {
        name: ImageParts(
            points=np.array([of[part][1] for part in parts], dtype=np.float64),
            places=tuple(of[part][0] for part in parts),
        )
        for name, of in found.items()
    }
    return Annotations(path, parts, images, notes=notes.lines())


def _column(name: str) -> str:
    """The name of a column; those that are read, in lower case."""
    if name.casefold() in _NAMES:
        return name.casefold()
    stem, _, value = name.rpartition("_")
    return f"{stem}_{value.casefold()}" if value.casefold() in _VALUES else name


def _long(table: Table, notes: Tally) -> tuple[tuple[str, ...], dict[str, Found]]:
    header = table.header
    file = "file" if "file" in header else "image"
    folders = [name for name in header if name in _FOLDERS] if file == "file" else []
    values = _values(table, notes, header)
    _require(table, [*dict.fromkeys(folders), file, "part", *values])
    parts: dict[str, None] = {}  # in their order
    found: dict[str, Found] = {}
    for place, row in table.rows():
        name, part = _name(place, row, [*folders, file]), _name(place, row, ["part"])
        point = _point(table, place, row, part, values)
        of = found.setdefault(name, {})
        if part in of:
            _require_equal(place, of[part], point, f"part {part!r} of {name}", notes)
            continue
        if len(found) == 1 or "visible" not in values:
            parts[part] = None
        elif part not in parts:
            raise place.error(
                f"expected one of the first image's parts ({', '.join(parts)}), found {part!r}. "
                "Correct the name, or give the first image a row for it."
            )
        of[part] = place, point
    _complete(found, tuple(parts), notes, flagged="visible" in values)
    return tuple(parts), found


def _complete(
    found: dict[str, Found], parts: tuple[str, ...], notes: Tally, *, flagged: bool
) -> None:
    """Refuse images that lack rows; without flags, the parts of these rows do not show."""
    for name, of in found.items():
        missing = [part for part in parts if part not in of]
        if not missing:
            continue
        last = max((place for place, _ in of.values()), key=lambda place: place.line)
        if flagged:
            raise last.error(
                f"expected a row for every part of {name}, found none for "
                f"{', '.join(missing)}. Add it, with visible 0 where the part does not show."
            )
        for part in missing:
            of[part] = last, HIDDEN
            notes.add(
                f"no row for {{n}} of {len(found) * len(parts)} keypoints, which do not show",
                f"{part} of {name}",
            )


def _wide(table: Table, notes: Tally) -> tuple[tuple[str, ...], dict[str, Found]]:
    stems = [column.rpartition("_") for column in table.header]
    parts = tuple(dict.fromkeys(stem for stem, _, value in stems if stem and value in _VALUES))
    values = _values(table, notes, tuple(value for stem, _, value in stems if stem), parts)
    _require(table, ["image", *(f"{part}_{value}" for part in parts for value in values)])
    if not parts:
        raise table.error(f"found no part. {_HOW}")
    found: dict[str, Found] = {}
    for place, row in table.rows():
        name = _name(place, row, ["image"])
        of = {
            part: (place, _point(table, place, row, part, [f"{part}_{value}" for value in values]))
            for part in parts
        }
        if name in found:
            before = found[name][parts[0]][0], [point for _, point in found[name].values()]
            _require_equal(place, before, [point for _, point in of.values()], name, notes)
        else:
            found[name] = of
    return parts, found


def _values(
    table: Table, notes: Tally, present: tuple[str, ...], parts: tuple[str, ...] = ()
) -> list[str]:
    """The values of a part: x, y and visible, or the first two in a table without flags.

    A column that may be the flag by another name is refused, for the table would be read without.
    """
    if "visible" in present or not {"x", "y"} <= set(present):
        return list(_VALUES)
    read = {f"{part}_{value}" for part in parts for value in _VALUES}
    for column in table.header:
        part, _, word = column.rpartition("_")
        if column not in read and (part in parts or column.casefold() in _FLAGS):
            raise table.error(
                f"expected a column {column.removesuffix(word)}visible, or none about whether a "
                f"part shows, found {column!r}. Rename it, with 1 and 0 in it, or remove it."
            )
    notes.say(NO_FLAG)
    return ["x", "y"]


def _point(table: Table, place: Place, row: dict[str, str], part: str, columns: list[str]) -> Point:
    x, y, *flag = (table.number(place, row[column]) for column in columns)
    return place.point(part, x, y, flag[0] if flag else None)


def _require_equal(
    place: Place, before: tuple[Place, object], now: object, what: str, notes: Tally
) -> None:
    """Count a row that repeats an earlier one; refuse one that says otherwise."""
    line, value = before
    if value != now:  # the NaN of a hidden part is one object, and so equal to itself
        raise place.error(f"expected one row for {what}, found another on {line}. Remove one.")
    notes.add(_REPEATED, str(place))


def _require(table: Table, columns: list[str]) -> None:
    header = [name for name in table.header if name]
    for column in columns:
        if header.count(column) > 1:
            raise table.error(f"expected column {column!r} once. Remove the others.")
    missing = [column for column in columns if column not in header]
    if missing:
        raise table.error(
            f"found no column {', '.join(missing)} among {', '.join(header[:8])}"
            f"{', …' if len(header) > 8 else ''}. {_HOW}"
        )


def _name(place: Place, row: dict[str, str], columns: list[str]) -> str:
    for column in columns:
        if not row[column]:
            raise place.error(f"expected a name in column {column!r}, found none. Add it.")
    return "/".join(row[column] for column in columns)

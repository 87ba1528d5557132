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
is 0. Further columns are ignored; in the wide form none of them may end in _x, _y or _visible.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from exporter.evaluate.annotations.parts import Annotations, ImageParts
from exporter.evaluate.annotations.place import Place, read_text

_FOLDERS = ("split", "species", "class")
_VALUES = ("x", "y", "visible")
_HOW = (
    "Expected the columns file, part, x, y, visible, or image and <part>_x, <part>_y, "
    "<part>_visible for each part."
)

Row = tuple[Place, dict[str, str]]
Found = dict[str, tuple[Place, tuple[float, float]]]  # part -> where it was read, point


def read_table(path: Path) -> Annotations:
    """Read a table of keypoints.

    Args:
        path: CSV in UTF-8 with a header.

    Returns:
        The annotations; an image's name is its folders and file, joined by slashes.

    Raises:
        DatasetError: The file cannot be read, or something in it is malformed.
    """
    header, rows = _rows(path)
    if "part" in header:
        parts, found = _long(path, header, rows)
    else:
        parts, found = _wide(path, header, rows)
    if not found:
        raise Place(path, 1).error("expected rows below the header, found none.")
    images = {
        name: ImageParts(
            points=np.array([of[part][1] for part in parts], dtype=np.float64),
            places=tuple(of[part][0] for part in parts),
        )
        for name, of in found.items()
    }
    return Annotations(path, parts, images)


def _rows(path: Path) -> tuple[list[str], Iterator[Row]]:
    """The header, and each row below it by column."""
    lines = _lines(path)
    _, header = next(lines, (Place(path, 1), []))
    if not header:
        raise Place(path, 1).error(f"expected a header, found an empty file. {_HOW}")
    for column in header:
        if header.count(column) > 1:
            raise Place(path, 1).error(f"expected column {column!r} once. Remove the others.")

    def rows() -> Iterator[Row]:
        for place, values in lines:
            if len(values) != len(header):
                raise place.error(
                    f"expected {len(header)} values, one for each column, found {len(values)}. "
                    "Correct the row."
                )
            yield place, dict(zip(header, values, strict=True))

    return header, rows()


def _lines(path: Path) -> Iterator[tuple[Place, list[str]]]:
    """The rows that are not blank, each with its line."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        for values in reader:
            if values:
                yield Place(path, reader.line_num), values
    except csv.Error as error:
        raise Place(path, reader.line_num).error(
            f"expected comma-separated values: {error}. Correct the row."
        ) from error


def _long(
    path: Path, header: list[str], rows: Iterator[Row]
) -> tuple[tuple[str, ...], dict[str, Found]]:
    file = "file" if "file" in header else "image"
    folders = [column for column in header if column in _FOLDERS] if file == "file" else []
    _require(path, header, [file, *_VALUES])
    parts: list[str] = []
    found: dict[str, Found] = {}
    for place, row in rows:
        name, part = _name(place, row, [*folders, file]), _name(place, row, ["part"])
        of = found.setdefault(name, {})
        if part in of:
            raise place.error(
                f"expected one row for part {part!r} of {name}, found another on line "
                f"{of[part][0].line}. Remove one."
            )
        if len(found) == 1:
            parts.append(part)
        elif part not in parts:
            raise place.error(
                f"expected one of the first image's parts ({', '.join(parts)}), found {part!r}. "
                "Correct the name, or give the first image a row for it."
            )
        of[part] = place, place.point(part, *(row[column] for column in _VALUES))
    for name, of in found.items():
        missing = [part for part in parts if part not in of]
        if missing:
            last = max((place for place, _ in of.values()), key=lambda place: place.line)
            raise last.error(
                f"expected a row for every part of {name}, found none for "
                f"{', '.join(missing)}. Add it, with visible 0 where the part does not show."
            )
    return tuple(parts), found


def _wide(
    path: Path, header: list[str], rows: Iterator[Row]
) -> tuple[tuple[str, ...], dict[str, Found]]:
    stems = [column.rpartition("_") for column in header]
    parts = tuple(dict.fromkeys(stem for stem, _, value in stems if stem and value in _VALUES))
    _require(path, header, ["image", *(f"{part}_{value}" for part in parts for value in _VALUES)])
    if not parts:
        raise Place(path, 1).error(f"found no part. {_HOW}")
    found: dict[str, Found] = {}
    for place, row in rows:
        name = _name(place, row, ["image"])
        if name in found:
            raise place.error(
                f"expected one row for {name}, found another on line "
                f"{found[name][parts[0]][0].line}. Remove one."
            )
        found[name] = {
            part: (place, place.point(part, *(row[f"{part}_{value}"] for value in _VALUES)))
            for part in parts
        }
    return parts, found


def _require(path: Path, header: list[str], columns: list[str]) -> None:
    missing = [column for column in columns if column not in header]
    if missing:
        raise Place(path, 1).error(
            f"found no column {', '.join(missing)} among {', '.join(header[:8])}"
            f"{', …' if len(header) > 8 else ''}. {_HOW}"
        )


def _name(place: Place, row: dict[str, str], columns: list[str]) -> str:
    for column in columns:
        if not row[column].strip():
            raise place.error(f"expected a name in column {column!r}, found none. Add it.")
    return "/".join(row[column] for column in columns)

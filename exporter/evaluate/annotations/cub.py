"""Keypoints and boxes of the CUB-200-2011 folder, as published (Wah et al., 2011).

    images.txt            <image id> <class folder>/<file>
    bounding_boxes.txt    <image id> <x> <y> <width> <height>
    parts/parts.txt       <part id> <part name, may hold spaces>
    parts/part_locs.txt   <image id> <part id> <x> <y> <visible>

Points and boxes are in pixels of the published images. Images may also be crops to the box, as
ProtoPNet and EvalProtoPNet prepare them; each is recognised by its size. The class of an image is
its folder, so classes.txt and image_class_labels.txt are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from exporter.errors import DatasetError
from exporter.evaluate.annotations.parts import Annotations, Box, ImageParts
from exporter.evaluate.annotations.place import Place, read_text

_IMAGES = "images.txt"
_BOXES = "bounding_boxes.txt"
_PARTS = "parts/parts.txt"
_POINTS = "parts/part_locs.txt"

Named = dict[int, tuple[Place, str]]  # id -> where it was read, name
Found = dict[int, tuple[Place, tuple[float, float]]]  # part id -> where it was read, point


def read_cub(folder: Path) -> Annotations:
    """Read the folder.

    Args:
        folder: The one that holds ``images.txt``.

    Returns:
        The annotations; an image's name is its class folder and file.

    Raises:
        DatasetError: A file is missing, or something in it is malformed.
    """
    names = _names(folder / _IMAGES, "image")
    parts = _names(folder / _PARTS, "part")
    boxes = _boxes(folder / _BOXES, names)
    points = _points(folder / _POINTS, names, parts)
    images = {}
    for number, (place, name) in names.items():
        if number not in boxes:
            raise place.error(f"expected a box of image {number} in {_BOXES}, found none. {_AGAIN}")
        of = points[number]
        missing = [part for part in parts if part not in of]
        if missing:
            raise place.error(
                f"expected every part of image {number} in {_POINTS}, found no part "
                f"{', '.join(map(str, missing))}. {_AGAIN}"
            )
        images[name] = ImageParts(
            points=np.array([of[part][1] for part in parts], dtype=np.float64),
            places=tuple(of[part][0] for part in parts),
            box=boxes[number],
        )
    return Annotations(folder, tuple(name for _, name in parts.values()), images)


_AGAIN = "Take the file as it was published."


def _records(path: Path, fields: int) -> Iterator[tuple[Place, list[str]]]:
    """The lines of a file, split at spaces; what follows the last field belongs to it."""
    if not path.is_file():
        raise DatasetError(
            f"{path}: no such file. Expected {_IMAGES}, {_BOXES}, {_PARTS} and {_POINTS}, as "
            "CUB-200-2011 is published."
        )
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        values = line.split(maxsplit=fields - 1)
        if not values:
            continue
        if len(values) != fields:
            raise Place(path, number).error(
                f"expected {fields} values, found {len(values)}. {_AGAIN}"
            )
        yield Place(path, number), [value.rstrip() for value in values]


def _names(path: Path, kind: str) -> Named:
    found: Named = {}
    lines: dict[str, int] = {}
    for place, (text, name) in _records(path, 2):
        number = place.identifier(text, f"{kind} id")
        if number in found:
            raise _twice(place, f"{kind} id {number}", found[number][0].line)
        if name in lines:
            raise _twice(place, f"{kind} {name!r}", lines[name])
        found[number] = place, name
        lines[name] = place.line
    if not found:
        raise Place(path, 1).error(f"expected a line for each {kind}, found none. {_AGAIN}")
    return found


def _boxes(path: Path, names: Named) -> dict[int, Box]:
    found: dict[int, Box] = {}
    lines: dict[int, int] = {}
    for place, (text, *sides) in _records(path, 5):
        number = _known(place, text, names, "image", _IMAGES)
        if number in found:
            raise _twice(place, f"box of image {number}", lines[number])
        left, top, width, height = (place.number(side, "side of a box") for side in sides)
        if min(width, height) <= 0 or min(left, top) < 0:
            raise place.error(
                "expected a box inside the image, with a width and a height, found "
                f"{' '.join(sides)}. {_AGAIN}"
            )
        found[number] = left, top, width, height
        lines[number] = place.line
    return found


def _points(path: Path, names: Named, parts: Named) -> dict[int, Found]:
    found: dict[int, Found] = {number: {} for number in names}
    for place, (image, part, x, y, visible) in _records(path, 5):
        of = found[_known(place, image, names, "image", _IMAGES)]
        number = _known(place, part, parts, "part", _PARTS)
        name = parts[number][1]
        if number in of:
            raise _twice(place, f"part {name!r} of image {image}", of[number][0].line)
        of[number] = place, place.point(name, x, y, visible)
    return found


def _known(place: Place, text: str, names: Named, kind: str, file: str) -> int:
    number = place.identifier(text, f"{kind} id")
    if number not in names:
        raise place.error(f"expected an id of {file}, found {number}. {_AGAIN}")
    return number


def _twice(place: Place, what: str, line: int) -> DatasetError:
    return place.error(f"expected {what} once, found it on line {line} too. {_AGAIN}")

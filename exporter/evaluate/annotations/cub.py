"""Keypoints and boxes of the CUB-200-2011 folder, as published (Wah et al., 2011), and like it.

    images.txt            <image id> <class folder>/<file>
    bounding_boxes.txt    <image id> <x> <y> <width> <height>
    parts/parts.txt       <part id> <part name, may hold spaces>
    parts/part_locs.txt   <image id> <part id> <x> <y> <visible>
    sizes.txt             <image id> <width> <height>, in NABirds (Van Horn et al., 2015)

Points and boxes are in pixels of the published images. Images may also be crops to the box, as
ProtoPNet and EvalProtoPNet prepare them; each is recognised by its size. The class of an image is
its folder, so classes.txt and image_class_labels.txt are not read.

1. An id is any word; of numbers, zeros in front do not count. NABirds has words.
2. images.txt may list some of the images: what the other files have of others is left out.
3. An image without a line in part_locs.txt has no annotation; one with some has all parts there.
4. Without bounding_boxes.txt there are no crops. Without <visible> the position decides.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from exporter.errors import DatasetError
from exporter.evaluate.annotations.notes import Tally, plural
from exporter.evaluate.annotations.parts import Annotations, Box, ImageParts, Size
from exporter.evaluate.annotations.place import NO_FLAG, Place, read_text

_IMAGES = "images.txt"
_BOXES = "bounding_boxes.txt"
_PARTS = "parts/parts.txt"
_POINTS = "parts/part_locs.txt"
_SIZES = "sizes.txt"

Point = tuple[float, float]
Named = dict[str, tuple[Place, str]]  # id -> where it was read, name
Found = dict[str, tuple[Place, Point]]  # part id -> where it was read, point


def read_cub(folder: Path) -> Annotations:
    """Read the folder.

    Args:
        folder: The one that holds ``images.txt``.

    Returns:
        The annotations; an image's name is its class folder and file.

    Raises:
        DatasetError: A file is missing, no image has parts, or something in it is malformed.
    """
    notes = Tally()
    names = _names(folder / _IMAGES, "image", notes)
    parts = _names(folder / _PARTS, "part", notes)
    boxes = _boxes(folder / _BOXES, names, notes)
    sizes = _sizes(folder / _SIZES, names)
    points = _points(folder / _POINTS, names, parts, notes)
    images, others = {}, []
    for number, (place, name) in names.items():
        of = points.get(number)
        if of is None:
            others.append(name)
            notes.add(f"left out {{n}} of {len(names)} images: no line in {_POINTS}", str(place))
            continue
        if boxes is not None and number not in boxes:
            raise place.error(f"expected a box of image {number} in {_BOXES}, found none. {_AGAIN}")
        missing = [part for part in parts if part not in of]
        if missing:
            raise place.error(
                f"expected every part of image {number} in {_POINTS}, found no part "
                f"{', '.join(missing)}. Add a line with 0 as <visible> where it does not show."
            )
        images[name] = ImageParts(
            points=np.array([of[part][1] for part in parts], dtype=np.float64),
            places=tuple(of[part][0] for part in parts),
            box=None if boxes is None else boxes[number],
            size=sizes.get(number),
        )
    if not images:
        raise DatasetError(
            f"{folder / _POINTS}: expected parts of the {plural(len(names), 'image')} in "
            f"{_IMAGES}, found none. Use the files of one data set."
        )
    return Annotations(
        folder, tuple(name for _, name in parts.values()), images, tuple(others), notes.lines()
    )


_AGAIN = "Take the file as it was published."


def _records(path: Path, *fields: int) -> Iterator[tuple[Place, list[str]]]:
    """The lines of a file, split at spaces; what follows the last field belongs to it.

    The first line tells which of several numbers of fields all of them have.
    """
    if not path.is_file():
        raise DatasetError(
            f"{path}: no such file. Expected {_IMAGES}, {_BOXES}, {_PARTS} and {_POINTS}, as "
            "CUB-200-2011 is published."
        )
    width = 0
    for number, line in enumerate(io.StringIO(read_text(path), newline=None), start=1):
        if not line.strip():
            continue
        if not width:
            count = len(line.split())
            width = count if count in fields else fields[0]
        values = line.split(maxsplit=width - 1)
        if len(values) != width:
            raise Place(path, number).error(
                f"expected {width} values, found {len(values)}. {_AGAIN}"
            )
        yield Place(path, number), [value.rstrip() for value in values]


def _names(path: Path, kind: str, notes: Tally) -> Named:
    found: Named = {}
    lines: dict[str, int] = {}
    for place, (text, name) in _records(path, 2):
        number = _id(text)
        if number in found and found[number][1] == name:
            _repeated(notes, place)
            continue
        if number in found:
            raise _twice(place, f"{kind} id {number}", found[number][0].line)
        if name in lines:
            raise _twice(place, f"{kind} {name!r}", lines[name])
        found[number] = place, name
        lines[name] = place.line
    if not found:
        raise Place(path, 1).error(f"expected a line for each {kind}, found none. {_AGAIN}")
    return found


def _boxes(path: Path, names: Named, notes: Tally) -> dict[str, Box] | None:
    """Boxes of the images that are listed; None where there are none at all."""
    if not path.is_file():
        notes.say(
            f"there is no {_BOXES}: crops to the box cannot be told from whole images, use whole "
            "ones"
        )
        return None
    found: dict[str, Box] = {}
    lines: dict[str, int] = {}
    for place, (text, *sides) in _records(path, 5):
        number = _id(text)
        if number not in names:
            continue
        left, top, width, height = (place.number(side, "side of a box") for side in sides)
        if min(width, height) <= 0 or min(left, top) < 0:
            raise place.error(
                "expected a box inside the image, with a width and a height, found "
                f"{' '.join(sides)}. {_AGAIN}"
            )
        box = left, top, width, height
        if number in found and found[number] != box:
            raise _twice(place, f"box of image {number}", lines[number])
        if number in found:
            _repeated(notes, place)
            continue
        found[number], lines[number] = box, place.line
    return found


def _sizes(path: Path, names: Named) -> dict[str, Size]:
    """Sizes of the images that are listed, as far as they are known."""
    found: dict[str, Size] = {}
    if not path.is_file():
        return found
    for place, (text, *sides) in _records(path, 3):
        if _id(text) not in names:
            continue
        width, height = (place.number(side, "side of an image") for side in sides)
        if min(width, height) < 1 or width % 1 or height % 1:
            raise place.error(
                f"expected a width and a height in whole pixels, found {' '.join(sides)}. {_AGAIN}"
            )
        found[_id(text)] = int(width), int(height)
    return found


def _points(path: Path, names: Named, parts: Named, notes: Tally) -> dict[str, Found]:
    """Points of the images that are listed and have some."""
    found: dict[str, Found] = {}
    unlisted: set[str] = set()
    for place, (image, part, x, y, *flag) in _records(path, 5, 4):
        if not flag:
            notes.say(NO_FLAG)
        key, number = _id(image), _id(part)
        if key not in names:
            if key not in unlisted:
                note = f"left out {{n}} image{{s}} of {_POINTS} that {_IMAGES} does not list"
                notes.add(note, str(place))
            unlisted.add(key)
            continue
        if number not in parts:
            raise place.error(f"expected an id of {_PARTS}, found {part}. {_AGAIN}")
        name, of = parts[number][1], found.setdefault(key, {})
        point = place.point(name, x, y, flag[0] if flag else None)
        if number in of and of[number][1] != point:
            raise _twice(place, f"part {name!r} of image {image}", of[number][0].line)
        if number in of:
            _repeated(notes, place)
            continue
        of[number] = place, point
    return found


def _id(text: str) -> str:
    """An id; of a number, without zeros in front."""
    return (text.lstrip("0") or "0") if text.isascii() and text.isdecimal() else text


def _repeated(notes: Tally, place: Place) -> None:
    notes.add(f"left out {{n}} line{{s}} of {place.file.name} repeating another", str(place))


def _twice(place: Place, what: str, line: int) -> DatasetError:
    return place.error(f"expected {what} once, found it on line {line} too. {_AGAIN}")

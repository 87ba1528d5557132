"""The records of COCO keypoints JSON, read as loosely as their meaning stays plain.

Numbers may be texts; an id of digits is a number; what has no size (null, empty, zero, negative or
NaN widths, areas and boxes) is not known.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError
from pydantic_core import PydanticCustomError

from exporter.errors import DatasetError
from exporter.evaluate.annotations.json_lines import line_of
from exporter.evaluate.annotations.parts import Box, Size
from exporter.evaluate.annotations.place import Place, read_text, to_number

Id = int | str
Where = tuple[str | int, ...]  # keys and indices that lead to a value

_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_FLAGS = {"0": False, "false": False, "1": True, "true": True}
_INSTEAD = "Add it, or export COCO keypoints from your tool."
_SIDE_LIMIT = 2**31


def as_number(value: object) -> float:
    """A number, also from its text; NaN for what is none, true and false among it."""
    if isinstance(value, str):
        return to_number(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def is_unknown(value: object) -> bool:
    """Whether a value is null, NaN or an empty text: no value at all."""
    blank = isinstance(value, str) and not value.strip()
    return value is None or blank or (isinstance(value, float) and math.isnan(value))


def _fail(expected: str) -> NoReturn:
    raise PydanticCustomError("expected", "expected {expected}", {"expected": expected})


def _id(value: object) -> Id:
    if isinstance(value, str) and value.strip():
        text = value.strip()
        return int(text) if _NUMBER.fullmatch(text) else text
    number = as_number(value)
    if abs(number) < 2**63 and not number % 1 and not isinstance(value, str):
        return int(value) if isinstance(value, int) else int(number)
    _fail("a whole number or a text as id")


def _optional_id(value: object) -> Id | None:
    return None if is_unknown(value) else _id(value)


def _size_or_nan(value: object, what: str) -> float:
    """A length or an area, NaN where it is not known."""
    number = as_number(value)
    if math.isnan(number) and not is_unknown(value):
        _fail(f"a number as {what}")
    return number if 0 < number < math.inf else math.nan


def _side(value: object) -> int | None:
    number = _size_or_nan(value, "side of an image")
    if math.isnan(number):
        return None
    if number % 1 or number >= _SIDE_LIMIT:
        _fail("whole pixels as side of an image")
    return int(number)


def _area(value: object) -> float | None:
    number = _size_or_nan(value, "area")
    return None if math.isnan(number) else number


def _box(value: object) -> Box | None:
    if value is None or value == []:
        return None
    if not isinstance(value, list) or len(value) != 4:
        _fail("x, y, width and height as box")
    width, height = (_size_or_nan(side, "side of a box") for side in value[2:])
    left, top = (as_number(side) for side in value[:2])
    for number, side in zip((left, top), value, strict=False):
        if math.isnan(number) and not is_unknown(side):
            _fail("a number as corner of a box")
    box = left, top, width, height
    return box if all(map(math.isfinite, box)) else None


def _crowd(value: object) -> bool:
    if is_unknown(value):
        return False
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().casefold() in _FLAGS:
        return _FLAGS[value.strip().casefold()]
    if as_number(value) in (0, 1):
        return bool(as_number(value))
    _fail("0 or 1 as iscrowd")


def _values(value: object) -> tuple[object, ...]:
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list) else _fail("a list of numbers")


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class CocoImage(_Record):
    """An entry of `images`."""

    id: Annotated[Id, PlainValidator(_id)]
    file_name: Annotated[str, Field(min_length=1)]
    width: Annotated[int | None, PlainValidator(_side)] = None
    height: Annotated[int | None, PlainValidator(_side)] = None

    @property
    def size(self) -> Size | None:
        """(width, height), None where not both are known."""
        return None if self.width is None or self.height is None else (self.width, self.height)


class CocoCategory(_Record):
    """An entry of `categories`; `parts` are the names of its keypoints."""

    id: Annotated[Id, PlainValidator(_id)]
    keypoints: tuple[str, ...] | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the keypoints, none in a category without."""
        return self.keypoints or ()


class CocoAnnotation(_Record):
    """An entry of `annotations`; its keypoints as they stand, since v tells what they may be."""

    image_id: Annotated[Id, PlainValidator(_id)]
    category_id: Annotated[Id | None, PlainValidator(_optional_id)] = None
    keypoints: Annotated[tuple[object, ...], PlainValidator(_values)] = ()
    area: Annotated[float | None, PlainValidator(_area)] = None
    bbox: Annotated[Box | None, PlainValidator(_box)] = None
    iscrowd: Annotated[bool, PlainValidator(_crowd)] = False

    @property
    def extent(self) -> float:
        """Area in pixels, from the box where there is no other, 0 without one."""
        if self.area is not None:
            return self.area
        return self.bbox[2] * self.bbox[3] if self.bbox else 0.0


class CocoContent(_Record):
    """A whole file."""

    images: tuple[CocoImage, ...]
    categories: tuple[CocoCategory, ...]
    annotations: tuple[CocoAnnotation, ...]


class CocoFile:
    """One file: its content, and its text for the lines of errors.

    Raises:
        DatasetError: The file cannot be read, or is no COCO JSON.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text = read_text(path)
        self.content = self._parse()

    def error(self, where: Where, message: str) -> DatasetError:
        """The error about a value, with its line."""
        place = Place(self.path, line_of(self._text, where))
        return place.error(f"{spelled(where)}: {message}" if where else message)

    def _parse(self) -> CocoContent:
        try:
            return CocoContent.model_validate_json(self._text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
        where, found = first["loc"], first["input"]
        if first["type"] == "json_invalid":
            raise self._not_json(first["msg"])
        if first["type"] == "missing":
            what = f"expected {str(where[-1])!r}, found none. "
            raise self.error(where[:-1], what + (_INSTEAD if len(where) == 1 else "Add it."))
        told = first["msg"][:1].lower() + first["msg"][1:]
        advice = "Correct it." if where else "Export COCO keypoints from your tool."
        raise self.error(where, f"{told}, found {short_json(found)}. {advice}")

    def _not_json(self, told: str) -> DatasetError:
        line, words = 1, told
        try:
            json.loads(self._text)
        except json.JSONDecodeError as error:
            line, words = error.lineno, error.msg
        except (ValueError, RecursionError):
            pass
        return Place(self.path, line).error(
            f"expected JSON: {words}. The file may be cut off; take it again whole."
        )


def spelled(where: Sequence[str | int]) -> str:
    """Like `annotations[3].keypoints`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in where)
    return "".join(steps).removeprefix(".")


def short_json(value: object) -> str:
    """A value as errors quote it."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."

"""COCO keypoints JSON (https://cocodataset.org/#format-data, Lin et al., 2014).

    {"images":      [{"id", "file_name", "width", "height"}, ...],
     "categories":  [{"id", "keypoints": [name, ...]}, ...],
     "annotations": [{"image_id", "category_id", "keypoints": [x, y, v, ...], "area", "bbox",
                      "iscrowd"}, ...]}

v = 2 is visible. v = 1 (labelled, but covered) and v = 0 (not labelled) are not visible.

1. Several annotations of one image: the one of the largest area among those that label a keypoint,
   the first of equals. Without `area`, the box's area counts.
2. Crowds, and annotations of categories without keypoints, are left out. An image that has no
   other annotation has none.
3. Several categories: the parts are all their keypoints, equal names being one part; a part that
   a category lacks is not visible.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exporter.errors import DatasetError
from exporter.evaluate.annotations.json_lines import line_of
from exporter.evaluate.annotations.parts import Annotations, Box, ImageParts
from exporter.evaluate.annotations.place import HIDDEN, Place, read_text

_VISIBLE = 2
_FLAGS = (0, 1, _VISIBLE)

Id = Annotated[int, Field(ge=-(2**63), lt=2**63)] | str
Where = tuple[str | int, ...]  # keys and indices that lead to a value
Side = Annotated[int, Field(ge=1, lt=2**31)]


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False, frozen=True)


class _Image(_Record):
    id: Id
    file_name: Annotated[str, Field(min_length=1)]
    width: Side
    height: Side


class _Category(_Record):
    id: Id
    keypoints: tuple[str, ...] = ()


class _Annotation(_Record):
    image_id: Id
    category_id: Id
    keypoints: tuple[float, ...] | None = None
    area: Annotated[float, Field(ge=0)] | None = None
    bbox: tuple[float, float, float, float] | None = None
    iscrowd: int = 0

    @property
    def extent(self) -> float:
        """Area in pixels, from the box where there is no other, 0 without one."""
        if self.area is not None:
            return self.area
        return self.bbox[2] * self.bbox[3] if self.bbox else 0.0

    @property
    def rank(self) -> tuple[bool, float]:
        """What decides between annotations of one image."""
        return any((self.keypoints or ())[2::3]), self.extent


class _File(_Record):
    images: tuple[_Image, ...]
    categories: tuple[_Category, ...]
    annotations: tuple[_Annotation, ...]


def read_coco(path: Path) -> Annotations:
    """Read COCO keypoints.

    Args:
        path: JSON in UTF-8.

    Returns:
        The annotations; an image's name is its ``file_name``.

    Raises:
        DatasetError: The file cannot be read, or something in it is malformed.
    """
    return _Reader(path).read()


class _Reader:
    """One file: its text, for the lines of errors, and its content."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = read_text(path)
        self.content = self._parse()
        self.images: dict[Id, int] = {}  # id -> index in the file
        self.categories: dict[Id, _Category] = {}

    def read(self) -> Annotations:
        self._index()
        parts = tuple(dict.fromkeys(p for c in self.content.categories for p in c.keypoints))
        if not parts:
            raise self.error(
                ("categories",),
                "expected the names of keypoints in a category, found none. Use a file with "
                "keypoints.",
            )
        chosen: dict[Id, int] = {}  # image id -> index of its annotation
        records = self.content.annotations
        for i, record in enumerate(records):
            if self._has_keypoints(i, record):
                best = chosen.setdefault(record.image_id, i)
                if record.rank > records[best].rank:
                    chosen[record.image_id] = i
        if not chosen:
            raise self.error(
                ("annotations",), "expected annotations with keypoints, found none. Add them."
            )
        found = {}
        for image_id, i in chosen.items():
            image = self.content.images[self.images[image_id]]
            found[image.file_name] = self._parts_of(image, records[i], parts)
        others = tuple(i.file_name for i in self.content.images if i.id not in chosen)
        return Annotations(self.path, parts, found, others)

    def error(self, where: Where, message: str) -> DatasetError:
        """The error about a value, with its line."""
        place = Place(self.path, line_of(self.text, where))
        return place.error(f"{_spelled(where)}: {message}" if where else message)

    def _parse(self) -> _File:
        try:
            return _File.model_validate_json(self.text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
        if first["type"] == "json_invalid":
            raise self._not_json(first["msg"])
        where, found = self._clean(first["loc"]), first["input"]
        if first["type"] == "missing" and isinstance(where[-1], int):
            short = f"expected more than {where[-1]} values, found no others. Add them."
            raise self.error(where[:-1], short)
        if first["type"] == "missing":
            raise self.error(where[:-1], f"expected {str(where[-1])!r}, found none. Add it.")
        told = first["msg"][:1].lower() + first["msg"][1:]
        raise self.error(where, f"{told}, found {_short(found)}. Correct it.")

    def _not_json(self, told: str) -> DatasetError:
        line, words = 1, told
        try:
            json.loads(self.text)
        except json.JSONDecodeError as error:
            line, words = error.lineno, error.msg
        except (ValueError, RecursionError):
            pass
        return Place(self.path, line).error(
            f"expected JSON: {words}. The file may be cut off; take it again whole."
        )

    @staticmethod
    def _clean(where: Sequence[str | int]) -> Where:
        """A location up to an id: what follows names a member of its union."""
        ends = (i for i, step in enumerate(where, start=1) if str(step).endswith("id"))
        return tuple(where[: next(ends, len(where))])

    def _index(self) -> None:
        """Look up images and categories by id; refuse what is there twice."""
        names: dict[str, int] = {}
        for i, image in enumerate(self.content.images):
            if image.id in self.images:
                raise self._twice(("images", i, "id"), image.id, self.images[image.id])
            if image.file_name in names:
                where: Where = ("images", i, "file_name")
                raise self._twice(where, image.file_name, names[image.file_name])
            self.images[image.id], names[image.file_name] = i, i
        for i, category in enumerate(self.content.categories):
            if category.id in self.categories:
                before = list(self.categories).index(category.id)
                raise self._twice(("categories", i, "id"), category.id, before)
            if len(set(category.keypoints)) < len(category.keypoints):
                raise self.error(
                    ("categories", i, "keypoints"), "expected each name once. Rename the others."
                )
            self.categories[category.id] = category

    def _twice(self, where: Where, value: Id, before: int) -> DatasetError:
        return self.error(
            where,
            f"expected {value!r} once, found it in {where[0]}[{before}] too. Remove one.",
        )

    def _has_keypoints(self, i: int, record: _Annotation) -> bool:
        """Whether an annotation counts; refuse one that is malformed."""
        at: Where = ("annotations", i)
        if record.image_id not in self.images:
            raise self.error(
                (*at, "image_id"),
                f"expected the id of an image, found {record.image_id!r}. Correct it.",
            )
        category = self.categories.get(record.category_id)
        if category is None:
            raise self.error(
                (*at, "category_id"),
                f"expected the id of a category, found {record.category_id!r}. Correct it.",
            )
        if not category.keypoints or record.iscrowd:
            return False
        self._check(i, record, category)
        return True

    def _check(self, i: int, record: _Annotation, category: _Category) -> None:
        values = record.keypoints
        if values is None:
            raise self.error(("annotations", i), "expected 'keypoints', found none. Add them.")
        where: Where = ("annotations", i, "keypoints")
        expected = 3 * len(category.keypoints)
        if len(values) != expected:
            raise self.error(
                where,
                f"expected {expected} numbers, x, y and v of each of the category's keypoints, "
                f"found {len(values)}. Correct them.",
            )
        image = self.content.images[self.images[record.image_id]]
        for part, name in enumerate(category.keypoints):
            x, y, flag = values[3 * part : 3 * part + 3]
            if flag not in _FLAGS:
                raise self.error(
                    (*where, 3 * part + 2),
                    f"expected v of part {name!r} to be 2 (visible), 1 (covered) or 0 (not "
                    f"labelled), found {flag:g}. Correct it.",
                )
            if flag == _VISIBLE and not (0 <= x <= image.width and 0 <= y <= image.height):
                raise self.error(
                    (*where, 3 * part),
                    f"expected part {name!r} inside the image of {image.width} x {image.height} "
                    f"pixels, found it at x {x:g}, y {y:g}. Correct it, or set v to 0.",
                )

    def _parts_of(self, image: _Image, record: _Annotation, parts: tuple[str, ...]) -> ImageParts:
        values = record.keypoints or ()
        names = self.categories[record.category_id].keypoints
        points = {
            name: (x, y) if flag == _VISIBLE else HIDDEN
            for name, x, y, flag in zip(names, values[::3], values[1::3], values[2::3], strict=True)
        }
        box: Box | None = record.bbox
        if box is not None and min(box[2:]) <= 0:
            box = None
        return ImageParts(
            points=np.array([points.get(part, HIDDEN) for part in parts], dtype=np.float64),
            box=box,
            size=(image.width, image.height),
        )


def _spelled(where: Where) -> str:
    """Like `annotations[3].keypoints`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in where)
    return "".join(steps).removeprefix(".")


def _short(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."

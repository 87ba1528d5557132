"""COCO keypoints JSON (https://cocodataset.org/#format-data, Lin et al., 2014).

    {"images":      [{"id", "file_name", "width", "height"}, ...],
     "categories":  [{"id", "keypoints": [name, ...]}, ...],
     "annotations": [{"image_id", "category_id", "keypoints": [x, y, v, ...], "area", "bbox",
                      "iscrowd"}, ...]}

v = 2 is visible. v = 1 (labelled, but covered) and v = 0 (not labelled) are not visible, and their
x and y are not read. A file without any v = 2 has flags of 0 and 1: there 1 is visible.

1. Several annotations of one image: the one of the largest area, the first of equals. Without
   `area`, the box's area counts.
2. Left out, and counted: crowds, annotations that label no keypoint, those of categories without
   keypoints, and those of images that are not listed. An image that has no other annotation has
   none.
3. Several categories: the parts are all their keypoints, equal names being one part; a part that
   a category lacks is not visible. Where there is one category, annotations need not name it.
4. Sizes and boxes may be missing; `coco_records` has what else a value may look like.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from exporter.errors import DatasetError
from exporter.evaluate.annotations.coco_records import (
    CocoAnnotation,
    CocoCategory,
    CocoFile,
    CocoImage,
    Id,
    Where,
    as_number,
    is_unknown,
    short_json,
    spelled,
)
from exporter.evaluate.annotations.notes import Tally, plural
from exporter.evaluate.annotations.parts import Annotations, ImageParts, Size
from exporter.evaluate.annotations.place import BORDER, HIDDEN

_VISIBLE = 2
_FLAGS = (0, 1, _VISIBLE)
_BINARY = "v is 0 or 1 throughout, never 2: 1 counts as visible"
_LIMIT = 2**31  # pixels of an image whose size is not known
_UNLABELLED = "no keypoint is labelled"


@dataclass(frozen=True, eq=False)
class _Labelled:
    """An annotation that counts.

    Attributes:
        index: Its place in the file.
        record: What stands there.
        parts: Names of the q' keypoints of its category.
        values: 3 q' numbers, x, y and v of each; NaN where one is unknown.
    """

    index: int
    record: CocoAnnotation
    parts: tuple[str, ...]
    values: tuple[float, ...]


def read_coco(path: Path) -> Annotations:
    """Read COCO keypoints.

    Args:
        path: JSON.

    Returns:
        The annotations; an image's name is its ``file_name``.

    Raises:
        DatasetError: The file cannot be read, or something in it is malformed.
    """
    return _Reader(CocoFile(path)).read()


class _Reader:
    """What one file means."""

    def __init__(self, file: CocoFile) -> None:
        self.file = file
        self.notes = Tally()
        self.visible = self._visible()
        self.images = self._index_images()
        self.categories = self._index_categories()
        self.parts = self._part_names()

    def read(self) -> Annotations:
        chosen: dict[Id, _Labelled] = {}
        for one in self._labelled():
            image = one.record.image_id
            best = chosen.setdefault(image, one)
            if best is not one:
                chosen[image] = max(best, one, key=lambda each: each.record.extent)
                other = best if chosen[image] is one else one
                self._leave_out(other.index, "the largest of each image is used")
        if not chosen:
            lines = "".join(f"; {line}" for line in self.notes.lines())
            raise self.file.error(
                ("annotations",),
                f"expected annotations with keypoints, found none{lines}. Add them.",
            )
        found = {
            self.images[image].file_name: self._parts_of(self.images[image], one)
            for image, one in chosen.items()
        }
        others = tuple(image.file_name for key, image in self.images.items() if key not in chosen)
        return Annotations(self.file.path, self.parts, found, others, self.notes.lines())

    def _visible(self) -> int:
        """The v of a visible part: 2, or 1 in a file without any 2."""
        records = self.file.content.annotations
        if any(_VISIBLE in record.keypoints[2::3] for record in records):  # the quick way
            return _VISIBLE
        flags = {_flag(value) for record in records for value in record.keypoints[2::3]}
        if _VISIBLE in flags or 1 not in flags:
            return _VISIBLE
        self.notes.say(_BINARY)
        return 1

    def _index_images(self) -> dict[Id, CocoImage]:
        """Images by id; refuse what is there twice and not the same."""
        found: dict[Id, CocoImage] = {}
        ids: dict[Id, int] = {}
        names: dict[str, int] = {}
        for i, image in enumerate(self.file.content.images):
            if found.get(image.id) == image:
                self._repeated("images", i)
                continue
            if image.id in ids:
                raise self._twice(("images", i, "id"), image.id, ids[image.id])
            if image.file_name in names:
                where: Where = ("images", i, "file_name")
                raise self._twice(where, image.file_name, names[image.file_name])
            found[image.id], ids[image.id], names[image.file_name] = image, i, i
        return found

    def _index_categories(self) -> dict[Id, CocoCategory]:
        """Categories by id; likewise."""
        found: dict[Id, CocoCategory] = {}
        ids: dict[Id, int] = {}
        for i, category in enumerate(self.file.content.categories):
            if found.get(category.id) == category:
                self._repeated("categories", i)
                continue
            if category.id in ids:
                raise self._twice(("categories", i, "id"), category.id, ids[category.id])
            if len(set(category.parts)) < len(category.parts):
                where: Where = ("categories", i, "keypoints")
                raise self.file.error(where, "expected each name once. Rename the others.")
            found[category.id], ids[category.id] = category, i
        return found

    def _part_names(self) -> tuple[str, ...]:
        parts = tuple(dict.fromkeys(p for c in self.categories.values() for p in c.parts))
        if not parts:
            raise self.file.error(
                ("categories",),
                "expected the names of keypoints in a category, found none. Use a file with "
                "keypoints.",
            )
        return parts

    def _twice(self, where: Where, value: Id, before: int) -> DatasetError:
        return self.file.error(
            where,
            f"expected {value!r} once, found it in {where[0]}[{before}] too. Remove one.",
        )

    def _repeated(self, kind: str, i: int) -> None:
        self.notes.add("left out {n} record{s} repeating another", spelled((kind, i)))

    def _leave_out(self, i: int, why: str) -> None:
        total = len(self.file.content.annotations)
        note = f"left out {{n}} of {plural(total, 'annotation')}: {why}"
        self.notes.add(note, spelled(("annotations", i)))

    def _labelled(self) -> Iterator[_Labelled]:
        """The annotations that count; refuse those that are malformed."""
        for i, record in enumerate(self.file.content.annotations):
            if record.image_id not in self.images:
                self._leave_out(i, "the image is not listed")
                continue
            category = self._category(i, record)
            if not category.parts and any(map(_flag, record.keypoints[2::3])):
                self._leave_out(i, "the category does not name the keypoints")
            elif not category.parts:
                self._leave_out(i, "the category has no keypoints")
            elif record.iscrowd:
                self._leave_out(i, "it is of a crowd")
            elif not record.keypoints:
                self._leave_out(i, _UNLABELLED)
            else:
                values = self._values(i, record, category.parts)
                if any(values[2::3]):
                    yield _Labelled(i, record, category.parts, values)
                else:
                    self._leave_out(i, _UNLABELLED)

    def _category(self, i: int, record: CocoAnnotation) -> CocoCategory:
        if record.category_id is None:
            if len(self.categories) == 1:
                return next(iter(self.categories.values()))
            raise self.file.error(
                ("annotations", i),
                f"expected 'category_id', since there are {len(self.categories)} categories, found "
                "none. Add it.",
            )
        category = self.categories.get(record.category_id)
        if category is None:
            raise self.file.error(
                ("annotations", i, "category_id"),
                f"expected the id of a category, found {record.category_id!r}. Correct it.",
            )
        return category

    def _values(self, i: int, record: CocoAnnotation, parts: tuple[str, ...]) -> tuple[float, ...]:
        """The keypoints of an annotation as numbers; refuse what is malformed."""
        where: Where = ("annotations", i, "keypoints")
        if len(record.keypoints) != 3 * len(parts):
            raise self.file.error(
                where,
                f"expected {3 * len(parts)} numbers, x, y and v of each of the category's "
                f"keypoints, found {len(record.keypoints)}. Correct them.",
            )
        size = self.images[record.image_id].size
        if self._is_plain(record.keypoints, size):
            return cast(tuple[float, ...], record.keypoints)
        found: list[float] = []
        for part, name in enumerate(parts):
            raw = record.keypoints[3 * part : 3 * part + 3]
            flag = self._checked_flag((*where, 3 * part + 2), name, raw)
            at = (*where, 3 * part)
            found += (*self._checked_point(at, name, raw, size, shown=flag == self.visible), flag)
        return tuple(found)

    def _is_plain(self, values: tuple[object, ...], size: Size | None) -> bool:
        """Whether keypoints are as the format says, as nearly all are: the quick way to know."""
        if not set(map(type, values)) <= {int, float}:
            return False
        numbers = cast(tuple[float, ...], values)
        return all(
            _is_inside(x, y, size) if flag == self.visible else flag in _FLAGS
            for x, y, flag in zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
        )

    def _checked_point(
        self, where: Where, part: str, raw: Sequence[object], size: Size | None, *, shown: bool
    ) -> tuple[float, float]:
        """The x and y of a keypoint from its x, y and v."""
        x, y = (as_number(value) for value in raw[:2])
        for axis, number in enumerate((x, y)):
            if not math.isfinite(number) and (shown or not is_unknown(raw[axis])):
                raise self.file.error(
                    (*where[:-1], cast(int, where[-1]) + axis),
                    f"expected a number as {'xy'[axis]} of part {part!r}, found "
                    f"{short_json(raw[axis])}. Correct it, or set v to 0.",
                )
        if shown and not _is_inside(x, y, size):
            pixels = "" if size is None else f" of {size[0]} x {size[1]} pixels"
            raise self.file.error(
                where,
                f"expected part {part!r} inside the image{pixels}, found it at x {x:g}, y {y:g}. "
                "Correct it, or set v to 0.",
            )
        return x, y

    def _checked_flag(self, where: Where, part: str, raw: Sequence[object]) -> float:
        """The v of a keypoint from its x, y and v."""
        if is_unknown(raw[2]) and all(is_unknown(v) or as_number(v) == 0 for v in raw[:2]):
            return 0.0
        flag = _flag(raw[2])
        if flag in _FLAGS and not (raw[2] is True and self.visible == _VISIBLE):
            return flag
        raise self.file.error(
            where,
            f"expected v of part {part!r} to be 2 (visible), 1 (covered) or 0 (not labelled), "
            f"found {short_json(raw[2])}. Correct it.",
        )

    def _parts_of(self, image: CocoImage, one: _Labelled) -> ImageParts:
        points = {
            name: (x, y) if flag == self.visible else HIDDEN
            for name, x, y, flag in zip(
                one.parts, one.values[::3], one.values[1::3], one.values[2::3], strict=True
            )
        }
        return ImageParts(
            points=np.array([points.get(part, HIDDEN) for part in self.parts], dtype=np.float64),
            box=one.record.bbox,
            size=image.size,
        )


def _flag(value: object) -> float:
    """The v of a keypoint, also true or false; NaN for what is none."""
    return float(value) if isinstance(value, bool) else as_number(value)


def _is_inside(x: float, y: float, size: Size | None) -> bool:
    """Whether a point lies in an image, or so little outside that it was rounded."""
    width, height = size or (_LIMIT, _LIMIT)
    return -BORDER < x < width + BORDER and -BORDER < y < height + BORDER

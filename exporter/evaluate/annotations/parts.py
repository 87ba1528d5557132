"""What every reader returns: the keypoints of images, and how an image on disk finds its own.

Symbols: q parts. Positions are (x, y) in pixels from the top left of the upright image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exporter.errors import DatasetError
from exporter.evaluate.annotations.matching import Names
from exporter.evaluate.annotations.place import BORDER, Place

Size = tuple[int, int]
"""(width, height) of an image, pixels."""

Box = tuple[float, float, float, float]
"""Left, top, width and height, pixels."""

_ROUNDING = 1  # pixel by which a crop may differ from its box


@dataclass(frozen=True, eq=False)
class ImageParts:
    """The parts of one image, as it was annotated.

    Attributes:
        points: (q, 2) float64, x and y in pixels of the annotated image; NaN where not visible.
        places: Where each part was read, for errors; empty if the points were checked on reading.
        box: The object's, where annotations have one. An image of its size is cropped to it.
        size: (width, height) of the annotated image, where the annotations say it.
    """

    points: NDArray[np.float64]
    places: tuple[Place, ...] = ()
    box: Box | None = None
    size: Size | None = None


@dataclass(frozen=True, eq=False)
class Annotations:
    """The annotated images of one source.

    Attributes:
        source: The file or folder that was read.
        parts: Names of the q parts.
        images: Name of an image, as the source gives it -> its parts.
        others: Names of images that the source lists without parts.
        notes: What a person should know of how it was read, a line each: what was left out, with
            counts, and what was taken in one of several ways.
    """

    source: Path
    parts: tuple[str, ...]
    images: Mapping[str, ImageParts]
    others: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def match(self, path: Path) -> str | None:
        """The name under which an image is annotated, from the end of its path; None for none."""
        name = self._names.find(path)
        return name if name in self.images else None

    def require_one_image_each(self, paths: Iterable[Path]) -> None:
        """Refuse to take the parts of one annotated image for those of several images on disk.

        Raises:
            DatasetError: Two of the paths match the same annotation.
        """
        seen: dict[str, Path] = {}
        for path in paths:
            name = self.match(path)
            if name is not None and seen.setdefault(name, path) != path:
                raise DatasetError(
                    f"{self.source}: expected one image that {name!r} belongs to, found "
                    f"{seen[name]} and {path}. Name images with their folders."
                )

    def find(self, path: Path, size: Size) -> NDArray[np.float64] | None:
        """The parts of an image on disk.

        Args:
            path: The image; the trailing components of its path decide, see
                :mod:`exporter.evaluate.annotations.matching`.
            size: (width, height) of the image as it is on disk, upright, pixels. It tells a crop
                to the annotated box from the whole image.

        Returns:
            (q, 2) float64, x and y in pixels of this image, NaN where not visible: parts outside a
            crop are not. Points less than `BORDER` outside a whole image were rounded, and are
            moved to its border. None where the image has no annotation.

        Raises:
            DatasetError: The annotations were made for an image of another size.
        """
        name = self.match(path)
        if name is None:
            return None
        image = self.images[name]
        corner = self._crop_corner(path, name, size)
        if corner is not None:
            points = image.points - corner
            points[((points < 0) | (points > size)).any(axis=1)] = np.nan
            return points
        far = np.abs(image.points - np.clip(image.points, 0, size)) >= BORDER  # false for NaN
        if far.any():
            raise self._outside(path, image, int(far.any(axis=1).argmax()), size)
        return np.clip(image.points, 0, size)

    @cached_property
    def _names(self) -> Names:
        return Names([*self.images, *self.others])

    def _crop_corner(self, path: Path, name: str, size: Size) -> tuple[int, int] | None:
        """Where the corner of an image lies in the annotated one, None if it is that image."""
        image = self.images[name]
        if image.size == size:
            return None
        if image.box is not None:
            left, top, width, height = image.box
            if max(abs(size[0] - width), abs(size[1] - height)) <= _ROUNDING:
                return round(left), round(top)
            reach = (left + width, top + height)
            if image.size is None and all(
                end <= side + _ROUNDING for end, side in zip(reach, size, strict=True)
            ):
                return None
            expected = (
                f"an image that holds the box from x {left:g}, y {top:g} to x {reach[0]:g}, "
                f"y {reach[1]:g}"
                if image.size is None
                else _pixels(image.size)
            )
            expected += f", or its crop to {width:g} x {height:g} pixels"
        elif image.size is not None:
            expected = _pixels(image.size)
        else:
            return None
        raise DatasetError(
            f"{path}: expected {expected}, as {self.source} annotates {name!r}, got "
            f"{_pixels(size)}. Use the images that were annotated."
        )

    def _outside(self, path: Path, image: ImageParts, part: int, size: Size) -> DatasetError:
        x, y = image.points[part]
        message = (
            f"expected part {self.parts[part]!r} inside {path}, which has {_pixels(size)}, found "
            f"it at x {x:g}, y {y:g}. Use the images that were annotated, or correct the point."
        )
        if image.places:
            return image.places[part].error(message)
        return DatasetError(f"{self.source}: {message}")


def _pixels(size: Size) -> str:
    return f"{size[0]} x {size[1]} pixels"

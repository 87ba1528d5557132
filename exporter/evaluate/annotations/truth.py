"""Pictures whose truth is known to the pixel, as `models/toybirds/generate.py --truth` draws them.

Beside parts.csv, each picture under the name that the table gives it:

    masks/<name>.png               8-bit grey; bit i is set where part i shows, in the order of the
                                   table, and bit 7 where any of the bird shows, part or not
    without/<part>/<name>.jpg      the same picture without a part that shows in it
    backdrops/<backdrop>/<name>.jpg  the same bird and scene before another backdrop

Parts overlap in a pixel that several of them share. Symbols: q parts, at most 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from exporter.errors import DatasetError
from exporter.evaluate.annotations.parts import Annotations
from exporter.evaluate.annotations.table import read_table

_FOREGROUND = 7  # the bit of the whole bird; those below are parts
_AGAIN = "Draw the pictures again, with the truth."


@dataclass(frozen=True, eq=False)
class PartTruth:
    """What is known of drawn pictures.

    Attributes:
        annotations: Their keypoints; find a picture's truth as they find its keypoints.
        root: Folder that holds the pictures and the truth.
    """

    annotations: Annotations
    root: Path

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the q parts, in the order of the masks."""
        return self.annotations.parts

    @cached_property
    def backdrop_names(self) -> tuple[str, ...]:
        """Names of the other backdrops, in the order of `backdrops`."""
        folder = self.root / "backdrops"
        if not folder.is_dir():
            return ()
        return tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir()))

    def covers(self, image: Path) -> bool:
        """Whether the truth of a picture is known: only then ask for it."""
        name = self.annotations.match(image)
        return name is not None and self._mask(name).is_file()

    def masks(self, image: Path) -> NDArray[np.bool_]:
        """Where each part shows.

        Args:
            image: The picture on disk.

        Returns:
            (q, height, width), true in every pixel that can change when the part is left out.

        Raises:
            DatasetError: The truth of this picture is not known, or its masks are malformed.
        """
        bits = self._bits(self._name(image), image)
        numbers = np.arange(len(self.parts), dtype=np.uint8)[:, None, None]
        return np.asarray((bits >> numbers) & 1 == 1)  # (q, height, width)

    def foreground(self, image: Path) -> NDArray[np.bool_]:
        """Where anything of the bird shows, also what is no part of the table.

        Args:
            image: The picture on disk.

        Returns:
            (height, width); holds every mask of a part.

        Raises:
            DatasetError: The truth of this picture is not known, or its masks are malformed.
        """
        return self._bits(self._name(image), image) > 0

    def without(self, image: Path, part: str) -> Path | None:
        """The same picture without a part.

        Args:
            image: The picture on disk.
            part: One of `parts`.

        Returns:
            The picture's path; None where the part does not show.

        Raises:
            DatasetError: The truth of this picture is not known or not whole.
            ValueError: No such part.
        """
        if part not in self.parts:
            raise ValueError(f"expected one of {', '.join(self.parts)}, got {part!r}")
        number, name = self.parts.index(part), self._name(image)
        path = self.root / "without" / part / name
        if path.is_file():
            return path
        if ((self._bits(name, image) >> number) & 1).any():
            raise _missing(path, f"a picture, since {part!r} shows in {image}")
        return None

    def backdrops(self, image: Path) -> tuple[Path, ...]:
        """The same bird before other backdrops, in the order of `backdrop_names`.

        Raises:
            DatasetError: The truth of this picture is not known or not whole.
        """
        name = self._name(image)
        paths = tuple(self.root / "backdrops" / other / name for other in self.backdrop_names)
        for path in paths:
            if not path.is_file():
                raise _missing(path, "a picture")
        return paths

    def _mask(self, name: str) -> Path:
        return (self.root / "masks" / name).with_suffix(".png")

    def _name(self, image: Path) -> str:
        name = self.annotations.match(image)
        if name is None:
            raise DatasetError(
                f"{image}: expected a picture of {self.annotations.source}, found none under this "
                "name. Use the pictures that were drawn with it."
            )
        return name

    def _bits(self, name: str, image: Path) -> NDArray[np.uint8]:
        """The masks of a picture (height, width), a bit for each part."""
        path = self._mask(name)
        if not path.is_file():
            raise _missing(path, f"the masks of {image}")
        size, _, _ = _decoded(image)
        got, mode, bits = _decoded(path)
        if mode != "L" or got != size:
            raise DatasetError(
                f"{path}: expected 8-bit grey of {size[0]} x {size[1]} pixels, as {image}, got "
                f"mode {mode}, {got[0]} x {got[1]}. {_AGAIN}"
            )
        top = int((bits & ((1 << _FOREGROUND) - 1)).max(initial=0))
        if top >> len(self.parts):
            raise DatasetError(
                f"{path}: expected bits of {len(self.parts)} parts, got the value {top} for them. "
                f"{_AGAIN}"
            )
        return bits


def read_truth(parts_csv: Path) -> PartTruth | None:
    """Find the truth beside a table of keypoints.

    Args:
        parts_csv: The table, or its folder, as for ``read_annotations``.

    Returns:
        The truth; None where there are no masks beside the table, or it is no table.

    Raises:
        DatasetError: The table is malformed, or has more parts than a mask has bits.
    """
    table = parts_csv / "parts.csv" if parts_csv.is_dir() else parts_csv
    root = table.parent
    if not (table.is_file() and (root / "masks").is_dir()):
        return None
    annotations = read_table(table)
    if len(annotations.parts) > _FOREGROUND:
        raise DatasetError(
            f"{table}: expected at most {_FOREGROUND} parts, a bit of the masks for each, got "
            f"{len(annotations.parts)}."
        )
    return PartTruth(annotations, root)


def _decoded(path: Path) -> tuple[tuple[int, int], str, NDArray[np.uint8]]:
    """A picture: its (width, height), mode and pixels."""
    try:
        with Image.open(path, formats=["PNG", "JPEG"]) as picture:
            return picture.size, picture.mode, np.asarray(picture)
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
        raise DatasetError(
            f"{path}: expected a picture that was drawn, could not decode it. {_AGAIN}"
        ) from error


def _missing(path: Path, what: str) -> DatasetError:
    return DatasetError(f"{path}: expected {what}, found no such file. {_AGAIN}")

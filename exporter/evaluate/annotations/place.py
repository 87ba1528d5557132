"""A line of a file: what stands there, and the error that names it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from exporter.errors import DatasetError

HIDDEN = (math.nan, math.nan)
"""Where a part is that does not show."""

_ID_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was read.

    Attributes:
        file: The file.
        line: Its line, counted from 1.
    """

    file: Path
    line: int

    def error(self, message: str) -> DatasetError:
        """The error to raise about what stands here."""
        return DatasetError(f"{self.file}, line {self.line}: {message}")

    def number(self, text: str, what: str) -> float:
        """A finite number.

        Raises:
            DatasetError: The text is no finite number.
        """
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(f"expected a number as {what}, found {text!r}. Correct it.")
        return value

    def identifier(self, text: str, what: str) -> int:
        """An id, a whole number.

        Raises:
            DatasetError: The text is no whole number.
        """
        if not (text.isascii() and text.isdecimal() and len(text) <= _ID_DIGITS):
            raise self.error(f"expected a whole number as {what}, found {text!r}. Correct it.")
        return int(text)

    def point(self, part: str, x: str, y: str, visible: str) -> tuple[float, float]:
        """A keypoint from its text: x and y, both NaN where the part is not visible.

        Args:
            part: Name of the part.
            x: Pixels from the left; may be empty where the part is not visible.
            y: Pixels from the top; likewise.
            visible: 1 or 0.

        Raises:
            DatasetError: A coordinate is no number or negative, or the flag is neither 0 nor 1.
        """
        if visible not in ("0", "1"):
            raise self.error(
                f"expected 1 (visible) or 0 (not) for part {part!r}, found {visible!r}. Correct it."
            )
        shown = visible == "1"
        found = tuple(
            self.number(text, f"{axis} of part {part!r}") if text or shown else 0.0
            for axis, text in (("x", x), ("y", y))
        )
        if not shown:
            return HIDDEN
        if min(found) < 0:
            raise self.error(
                f"expected part {part!r} inside the image, found it at x {x}, y {y}. Correct it, "
                "or set its visible flag to 0."
            )
        return found[0], found[1]


def read_text(path: Path) -> str:
    """Read a UTF-8 file, with or without a byte order mark.

    Raises:
        DatasetError: The file cannot be read or is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot read the annotations: {error.strerror}.") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Place(path, line).error(
            f"expected UTF-8 text, found the byte 0x{error.object[error.start]:02x}. Save the file "
            "as UTF-8."
        ) from error

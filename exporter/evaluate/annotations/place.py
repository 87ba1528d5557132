"""A line of a file: what stands there, and the error that names it."""

from __future__ import annotations

import codecs
import math
from dataclasses import dataclass
from pathlib import Path

from exporter.errors import DatasetError

HIDDEN = (math.nan, math.nan)
"""Where a part is that does not show."""

NO_FLAG = (
    "there is no visible flag: a part shows where it has a position, and not where that is empty, "
    "0 0 or -1 -1"
)
"""What to say once of a file in which `Place.point` has to do without flags."""

BORDER = 1
"""Pixels by which a point may be less than this outside an image: it was rounded."""

_FLAGS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
_EMPTY = ("", "nan", "na", "n/a", "<na>", "none", "null")
_UNSET = ((0.0, 0.0), (-1.0, -1.0))  # how tools without a flag write a part that is not there
_SHORT = 60
_OTHERS = {
    b"PK\x03\x04": "a workbook or an archive. Save the sheet as CSV, or unpack it.",
    b"\xd0\xcf\x11\xe0": "a workbook. Save the sheet as CSV.",
    b"\x89HDF": "HDF5. Write the table as CSV.",
    b"\x1f\x8b": "a compressed file. Unpack it.",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was read.

    Attributes:
        file: The file.
        line: Its line, counted from 1.
    """

    file: Path
    line: int

    def __str__(self) -> str:
        return f"line {self.line}"

    def error(self, message: str) -> DatasetError:
        """The error to raise about what stands here."""
        return DatasetError(f"{self.file}, line {self.line}: {one_line(message)}")

    def number(self, text: str, what: str) -> float:
        """A finite number.

        Raises:
            DatasetError: The text is no finite number.
        """
        value = to_number(text)
        if not math.isfinite(value):
            raise self.error(f"expected a number as {what}, found {short(text)}. Correct it.")
        return value

    def point(self, part: str, x: str, y: str, visible: str | None) -> tuple[float, float]:
        """A keypoint from its text: x and y, both NaN where the part is not visible.

        Args:
            part: Name of the part.
            x: Pixels from the left; may be empty where the part is not visible.
            y: Pixels from the top; likewise.
            visible: 1 or 0, also as true or false; empty where both coordinates are. None where
                the file has no flags: the position decides, as `NO_FLAG` says.

        Raises:
            DatasetError: A coordinate is no number or outside the image, or the flag is none.
        """
        flagged = visible is not None and not is_empty(visible)
        if not flagged and is_empty(x) and is_empty(y):
            return HIDDEN
        shown = True if visible is None else _FLAGS.get(visible.casefold())
        if shown is None:
            raise self.error(
                f"expected 1 (visible) or 0 (not) for part {part!r}, found {short(visible)}. "
                "Correct it."
            )
        found = tuple(
            self.number(text, f"{axis} of part {part!r}") if shown or not is_empty(text) else 0.0
            for axis, text in (("x", x), ("y", y))
        )
        if not shown or (visible is None and found in _UNSET):
            return HIDDEN
        if min(found) <= -BORDER:
            raise self.error(
                f"expected part {part!r} inside the image, found it at x {x}, y {y}. Correct it, "
                "or set its visible flag to 0."
            )
        return found[0], found[1]


def to_number(text: str) -> float:
    """A number from its text; NaN where it is none, or one that only programmers write (1_000)."""
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan


def is_empty(text: str) -> bool:
    """Whether a text is one of those that stand for no value."""
    return text.casefold() in _EMPTY


def short(text: str | None) -> str:
    """A text as errors quote it."""
    told = repr(text)
    return told if len(told) <= _SHORT else f"{told[: _SHORT - 4]}...'"


def one_line(text: str) -> str:
    """A text without line breaks, which names may have."""
    return " ".join(text.splitlines())


def read_text(path: Path) -> str:
    """Read a file of Unicode text: UTF-8, or UTF-16 or UTF-32 as its first bytes tell.

    Raises:
        DatasetError: The file cannot be read or is no text.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot read the annotations: {error.strerror}.") from error
    for start, what in _OTHERS.items():
        if data.startswith(start):
            raise DatasetError(f"{path}: expected text, found {what}")
    codec = encoding_of(data)
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].decode(codec, "ignore").count("\n") + 1
        raise Place(path, line).error(
            f"expected {codec.upper()[:6].rstrip('-')} text, found the byte "
            f"0x{error.object[error.start]:02x}. Save the file as UTF-8."
        ) from error


def encoding_of(data: bytes) -> str:
    """The codec of a text, from its byte order mark or from where its first zero bytes are."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    zeros = tuple(byte == 0 for byte in data[:4])
    if zeros == (False, True, False, True):
        return "utf-16-le"
    return "utf-16-be" if zeros == (True, False, True, False) else "utf-8-sig"

"""Rows of a table as spreadsheets, programs and people write them.

1. Commas, semicolons or tabs separate: what splits the header into most columns. A first line
   ``sep=;`` names it.
2. Where anything but a comma separates, 12,5 is 12.5; a table that has 12.5 too is refused.
3. Blanks around a value, rows without a value, columns without a name, and empty values behind the
   last column are ignored.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from exporter.errors import DatasetError
from exporter.evaluate.annotations.place import Place, read_text, short

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}

Row = tuple[Place, dict[str, str]]


class _Dialect(csv.excel):
    strict = True
    skipinitialspace = True


@dataclass
class Table:
    """A table below its header.

    Attributes:
        path: The file.
        header: Names of the columns, empty for those without.
        separator: Between values.
    """

    path: Path
    header: tuple[str, ...]
    separator: str
    _lines: Iterator[tuple[Place, list[str]]] = field(repr=False)
    _signs: dict[str, Place] = field(default_factory=dict, repr=False)  # where each was first

    def error(self, message: str) -> DatasetError:
        """The error about the header."""
        return Place(self.path, 1).error(message)

    def rows(self) -> Iterator[Row]:
        """Each row by column.

        Raises:
            DatasetError: A row has other columns than the header.
        """
        needed = max(i for i, name in enumerate(self.header, start=1) if name)
        for place, values in self._lines:
            if len(values) < needed or any(values[len(self.header) :]):
                raise place.error(
                    f"expected {len(self.header)} values, one for each column, found "
                    f"{len(values)}. Correct the row."
                )
            yield place, dict(zip(self.header, values, strict=False))

    def number(self, place: Place, text: str) -> str:
        """The text of a number with a point for a decimal comma, where commas can be one.

        Raises:
            DatasetError: The table has decimal commas and decimal points.
        """
        if self.separator == ",":
            return text
        for sign in ",.":
            if sign in text:
                self._signs.setdefault(sign, place)
        if len(self._signs) > 1:
            other = self._signs["." if "," in text else ","]
            raise place.error(
                f"expected one decimal sign in the table, found {short(text)} and another sign on "
                f"{other}. Write all numbers with a point."
            )
        return text.replace(",", ".")


def read_delimited(path: Path, clean: Callable[[str], str]) -> Table:
    """Read a table as far as its header.

    Args:
        path: The file.
        clean: What to make of the name of a column.

    Raises:
        DatasetError: It cannot be read, or is empty.
    """
    text = read_text(path)
    separator, named = _named_separator(text)
    if separator is None:
        separator = max(_SEPARATORS, key=lambda sign: _columns(text, sign))
    lines = _lines(path, text, separator)
    if named:
        next(lines)
    _, header = next(lines, (Place(path, 1), []))
    return Table(path, tuple(map(clean, header)), separator, lines)


def _named_separator(text: str) -> tuple[str | None, bool]:
    """The separator that the first line names, and whether it does."""
    first = text[: len("sep=;") + 1].strip("\r\n")
    if first[:4].casefold() == "sep=" and first[4:] in _SEPARATORS:
        return first[4:], True
    return None, False


def _columns(text: str, separator: str) -> int:
    """How many columns the header has if this separates them."""
    reader = csv.reader(io.StringIO(text, newline=""), _Dialect, delimiter=separator)
    try:
        return next((len(values) for values in reader if any(map(str.strip, values))), 0)
    except csv.Error:
        return 0


def _lines(path: Path, text: str, separator: str) -> Iterator[tuple[Place, list[str]]]:
    """The rows that are not blank, each with its line."""
    reader = csv.reader(io.StringIO(text, newline=""), _Dialect, delimiter=separator)
    try:
        for row in reader:
            values = [value.strip() for value in row]
            if any(values):
                yield Place(path, reader.line_num), values
    except csv.Error as error:
        raise Place(path, reader.line_num).error(
            f"expected {_SEPARATORS[separator]}-separated values: {error}. Correct the row."
        ) from error

"""Text for pictures: measured, shortened to fit, and drawn with a proper minus sign.

The embedded font of Pillow has basic Latin, no accents and no minus sign; another font file
covers other scripts.
"""

from __future__ import annotations

import math
import unicodedata
from bisect import bisect_right
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from serving.drawing.palette import Colour
from serving.errors import ArtifactError

MINUS = "\N{MINUS SIGN}"
ELLIPSIS = "…"
_ANCHORS = {"l": 0.0, "m": 0.5, "r": 1.0}
_NEEDED = "0123456789+.%" + ELLIPSIS
_NONCHARACTER = "\U0010fffe"  # no font has it, so it draws the font's sign for a missing glyph


def decimals_for(largest: float) -> int:
    """Decimals that show a value of this size with three digits or two decimals."""
    if largest == 0.0:
        return 2
    return min(max(2, 2 - math.floor(math.log10(largest))), 6)


def signed(value: float, decimals: int) -> str:
    """A number with its sign, a proper minus, and no sign where it rounds to zero."""
    text = f"{value:+.{decimals}f}" if abs(value) < 1e6 else f"{value:+.2e}"
    if not any(digit in text for digit in "123456789"):
        return text[1:]
    return text.replace("-", MINUS)


def percent(probability: float) -> str:
    """A probability in per cent; 0 % and 100 % are kept for exactly that."""
    if 0.0 < probability < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= probability < 1.0:
        return "> 99.9 %"
    return f"{100 * probability:.1f} %"


class Lettering:
    """A font at one size.

    Args:
        size: Height of the em square, pixels.
        font: TrueType or OpenType file; None takes the font embedded in Pillow.

    Raises:
        ArtifactError: The font file cannot be read, or lacks the signs that numbers need.
    """

    def __init__(self, size: int, font: Path | None = None) -> None:
        self.size = size
        try:
            self._font = (
                ImageFont.load_default(size) if font is None else ImageFont.truetype(font, size)
            )
        except OSError as error:
            raise ArtifactError(
                f"{font}: expected a TrueType or OpenType font, cannot read it: {error}."
            ) from error
        lacking = [sign for sign in _NEEDED if not self._in_font(sign)]
        if lacking:
            raise ArtifactError(
                f"{font}: expected a font with digits and {_NEEDED[10:]}, it lacks "
                f"{' '.join(lacking)}. Choose a text font."
            )

    def width(self, text: str) -> float:
        """The advance of a line of text, pixels."""
        parts = self._between_minuses(text)
        return sum(map(self._font.getlength, parts)) + self._minus_width * (len(parts) - 1)

    def write(
        self,
        page: Image.Image,
        at: tuple[float, float],
        text: str,
        ink: Colour,
        anchor: Literal["l", "m", "r"] = "l",
    ) -> None:
        """Draw one line.

        Args:
            page: The picture, changed in place.
            at: (x, y), y on the base line, pixels.
            text: A line without line breaks; see :meth:`printable`.
            ink: Its colour.
            anchor: ``l``, ``m`` or ``r``: x is the line's left end, middle or right end.
        """
        x = at[0] - self.width(text) * _ANCHORS[anchor]
        pen = ImageDraw.Draw(page)
        for number, part in enumerate(self._between_minuses(text)):
            if number:
                pen.bitmap((round(x), round(at[1]) - self.size), self._minus, fill=ink)
                x += self._minus_width
            pen.text((x, at[1]), part, fill=ink, font=self._font, anchor="ls")
            x += self._font.getlength(part)

    def fit(self, text: str, width: float) -> str:
        """The text, or as much of its beginning as fits with an ellipsis; empty if nothing does."""
        if self.width(text) <= width:
            return text

        def shortened(length: int) -> str:
            return text[:length].rstrip() + ELLIPSIS

        fitting = bisect_right(range(len(text)), width, key=lambda n: self.width(shortened(n)))
        return shortened(fitting - 1) if fitting else ""

    def wrapped(self, text: str, width: float, most: int) -> list[str]:
        """The text in lines that fit, at most so many; the last one ends in an ellipsis if cut."""
        lines = [""]
        for word in text.split(" "):
            longer = f"{lines[-1]} {word}".strip()
            if self.width(longer) <= width or not lines[-1]:
                lines[-1] = longer
            else:
                lines.append(word)
        kept, cut = lines[:most], lines[most:]
        return [self.fit(line, width) for line in [*kept[:-1], " ".join([kept[-1], *cut])]]

    def printable(self, text: str) -> str:
        """One line that this font can draw: line breaks become spaces.

        A character without a glyph is drawn without its accents. Where that does not help the
        font's sign for a missing glyph shows, and a text of nothing else comes back empty.
        """
        characters = [self._drawable(character) for character in text]
        line = " ".join("".join(characters).split())
        return line if any(map(self._has, line.replace(" ", ""))) else ""

    def _drawable(self, character: str) -> str:
        if character.isspace():
            return " "
        category = unicodedata.category(character)[0]
        if category == "C":  # control characters and invisible joiners
            return ""
        if self._has(character):
            return character
        plain = unicodedata.normalize("NFKD", character)
        known = "".join(part for part in plain if self._has(part))
        # A combining mark or variation selector changes a neighbour: alone it is nothing.
        return known or ("" if category == "M" else character)

    def _has(self, character: str) -> bool:
        return character == MINUS or self._in_font(character)

    def _in_font(self, character: str) -> bool:
        return bytes(self._font.getmask(character)) != self._hole

    @cached_property
    def _hole(self) -> bytes:
        return bytes(self._font.getmask(_NONCHARACTER))

    def _between_minuses(self, text: str) -> list[str]:
        return [text] if self._own_minus else text.split(MINUS)

    @cached_property
    def _own_minus(self) -> bool:
        return self._in_font(MINUS)

    @cached_property
    def _minus_width(self) -> float:
        return float(self._font.getlength("+"))

    @cached_property
    def _minus(self) -> Image.Image:
        """A minus sign of the font's own weight: the plus sign without its upright."""
        page = Image.new("L", (round(self._minus_width), 2 * self.size), 0)
        ImageDraw.Draw(page).text((0, self.size), "+", fill=255, font=self._font, anchor="ls")
        sign = np.array(page)
        left = np.flatnonzero(sign.max(axis=0))[0]
        sign[sign[:, left] == 0] = 0
        return Image.fromarray(sign)

"""The colours of the pictures: a fixed one for each prototype number, and the paper's inks.

The hues are those of Okabe and Ito, "Color Universal Design" (2008), with its black replaced by a
wine red, which still reads on a grey photograph. They are ordered so that the first few stay
furthest apart for every kind of colour vision.
"""

from __future__ import annotations

Colour = tuple[int, int, int]

PAPER: Colour = (250, 249, 247)
INK: Colour = (28, 31, 36)
SOFT: Colour = (104, 109, 117)
LINE: Colour = (216, 214, 209)
WHITE: Colour = (255, 255, 255)

_HUES: tuple[Colour, ...] = (
    (213, 94, 0),  # vermillion
    (0, 114, 178),  # blue
    (227, 210, 0),  # yellow
    (86, 180, 233),  # sky
    (136, 34, 85),  # wine
    (0, 158, 115),  # green
    (204, 121, 167),  # pink
    (230, 159, 0),  # orange
)
_SHADES: tuple[tuple[Colour, float], ...] = (
    (INK, 0.0),
    (INK, 0.38),
    (WHITE, 0.52),
    (INK, 0.64),
)


def prototype_colour(index: int) -> Colour:
    """The colour of a prototype, the same in every picture.

    The first eight are hues; after them come the same hues darker, lighter and darkest. Nobody
    tells 32 colours apart, so pictures also carry the number.

    Args:
        index: Number of the prototype in its class, from 0; colours repeat from 32 on.

    Returns:
        Red, green and blue, 0 to 255.
    """
    shade, amount = _SHADES[index // len(_HUES) % len(_SHADES)]
    return mix(_HUES[index % len(_HUES)], shade, amount)


def mix(colour: Colour, other: Colour, amount: float) -> Colour:
    """A colour with a share of another one, 0 to 1."""
    red, green, blue = (round(a + (b - a) * amount) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def luminance(colour: Colour) -> float:
    """Relative luminance of an sRGB colour, 0 to 1 (WCAG 2)."""
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ink_on(colour: Colour) -> Colour:
    """The ink for a numeral on a colour: white, or dark where white would not reach 3.5 : 1."""
    return WHITE if 1.05 / (luminance(colour) + 0.05) >= 3.5 else INK

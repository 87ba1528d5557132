"""Draw the letters of the kits' overlays: the kit's letters.js, and cpp/letters.hpp.

    python examples/embed/letters.py

The glyphs are those of Aileron (CC0), the printable characters of ASCII, one after another in a
strip of grey: four levels, three pixels a digit, row by row. Run it again where they should change.
"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).parent
KIT = HERE.parents[1] / "exporter" / "site" / "kit"
FONT = HERE.parents[1] / "serving" / "page" / "aileron.ttf"
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+-"
HEIGHT = 20

letters = [chr(code) for code in range(32, 127)]
font = ImageFont.truetype(FONT, 16)
widths = [round(font.getlength(letter)) + 1 for letter in letters]
strip = Image.new("L", (sum(widths), HEIGHT))
left = 0
for letter, width in zip(letters, widths, strict=True):
    glyph = Image.new("L", (width, HEIGHT))
    ImageDraw.Draw(glyph).text((0, 0), letter, 255, font)
    strip.paste(glyph, (left, 0))
    left += width
levels = [(value + 42) // 85 for value in strip.tobytes()]
levels += [0] * (-len(levels) % 3)
digits = [DIGITS[a * 16 + b * 4 + c] for a, b, c in zip(*[iter(levels)] * 3, strict=True)]
lines = ["".join(digits[start : start + 92]) for start in range(0, len(digits), 92)]
note = "Made by letters.py: ASCII in four levels of grey, three pixels a digit, row by row."
sizes = ", ".join(map(str, widths))
glyphs = "\n".join(f'  "{line}"' for line in lines)

SCRIPT = f"""// {note}

/** Of a line of text, pixels. */
export const HEIGHT = {HEIGHT};
const DIGITS = "{DIGITS}";
// prettier-ignore
const WIDTHS = [{sizes}];
const STRIP = [
{glyphs.replace(chr(10), "," + chr(10))},
].join("");
const LENGTH = WIDTHS.reduce((sum, width) => sum + width, 0);
const LEFTS = WIDTHS.map((_, i) => WIDTHS.slice(0, i).reduce((sum, width) => sum + width, 0));

/** Write a line into a picture, up to an edge; a letter that is not of ASCII becomes "?". */
export function write(picture, text, left, top, edge, ink) {{
  for (const letter of text) {{
    const code = letter.codePointAt(0);
    const glyph = (code >= 32 && code < 127 ? code : 63) - 32;
    if (left + WIDTHS[glyph] > edge) return;
    for (let y = 0; y < HEIGHT; y += 1) {{
      for (let x = 0; x < WIDTHS[glyph]; x += 1) {{
        const pixel = y * LENGTH + LEFTS[glyph] + x;
        const digit = DIGITS.indexOf(STRIP[Math.floor(pixel / 3)]);
        const level = ((digit >> (4 - 2 * (pixel % 3))) & 3) / 3;
        const at = ((top + y) * picture.width + left + x) * 3;
        for (let c = 0; c < 3; c += 1) {{
          picture.data[at + c] += (ink[c] - picture.data[at + c]) * level;
        }}
      }}
    }}
    left += WIDTHS[glyph];
  }}
}}
"""
HEADER = f"""// {note}
#pragma once

namespace protohead::letters {{
constexpr int height = {HEIGHT};
constexpr char digits[] = "{DIGITS}";
constexpr int widths[] = {{{sizes}}};
constexpr char strip[] =
{glyphs};
}}  // namespace protohead::letters
"""
(KIT / "letters.js").write_text(SCRIPT)
(HERE / "cpp" / "letters.hpp").write_text(HEADER)

// A fixed colour for each prototype number: serving/drawing/palette.py, for the browser.

export const PAPER = { light: [250, 249, 247], dark: [20, 22, 25] };
export const INK = [28, 31, 36];
const WHITE = [255, 255, 255];

const HUES = [
  [213, 94, 0], // vermillion
  [0, 114, 178], // blue
  [227, 210, 0], // yellow
  [86, 180, 233], // sky
  [136, 34, 85], // wine
  [0, 158, 115], // green
  [204, 121, 167], // pink
  [230, 159, 0], // orange
];
const SHADES = [
  [INK, 0],
  [INK, 0.38],
  [WHITE, 0.52],
  [INK, 0.64],
];

/** Red, green and blue of a prototype; colours repeat from 32 on. */
export function colourOf(index) {
  const [shade, amount] = SHADES[Math.floor(index / HUES.length) % SHADES.length];
  return HUES[index % HUES.length].map((value, i) =>
    Math.round(value + (shade[i] - value) * amount),
  );
}

/** Red, green and blue of one side of a comparison, "a" or "b": contrast.css has them. */
export function sideColour(side) {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(`--side-${side}`);
  return [1, 3, 5].map((start) => Number.parseInt(hex.trim().slice(start, start + 2), 16));
}

/** Relative luminance of an sRGB colour, 0 to 1 (WCAG 2). */
function luminance(colour) {
  const [r, g, b] = colour
    .map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** The ink for a numeral on a colour: white, or dark where white would not reach 3.5 : 1. */
export const inkOn = (colour) => (1.05 / (luminance(colour) + 0.05) >= 3.5 ? WHITE : INK);

export const css = (colour) => `rgb(${colour.join(" ")})`;

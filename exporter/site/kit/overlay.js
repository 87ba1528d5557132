// The picture of an explanation: where each prototype looked, its name, and how much it counted.

import { resize, taps } from "./resample.js";
import { HEIGHT, write } from "./letters.js";

const TILE = 224;
const GAP = 14;
const MOST = 4; // tiles beside each other
const GHOST = 0.02; // two bicubic dips, at most 1/8 each, multiply to evidence that is not there
const OPACITY = 0.86;
const PAPER = [250, 249, 247];
const INK = [28, 31, 36];
// Okabe and Ito's, as serving/drawing/palette.py has them.
const HUES = [
  [213, 94, 0],
  [0, 114, 178],
  [227, 210, 0],
  [86, 180, 233],
  [136, 34, 85],
  [0, 158, 115],
  [204, 121, 167],
  [230, 159, 0],
];

const signed = (value) => (value < 0 ? "-" : "+") + Math.abs(value).toFixed(2);
const words = (name) => name.replaceAll("_", " ");

/** A heatmap's positive part relative to its peak, upsampled: 0 to 1, row by row. */
function strength({ width: w, height: h, data }, { width, height }) {
  const most = data.reduce((a, b) => Math.max(a, b), 0) || 1;
  const [columns, rows] = [taps(w, width, "bicubic"), taps(h, height, "bicubic")];
  const values = new Float32Array(width * height);
  rows.forEach((row, y) => {
    columns.forEach((column, x) => {
      let sum = 0;
      row.weights.forEach((down, i) => {
        column.weights.forEach((across, j) => {
          const value = data[(row.first + i) * w + column.first + j];
          sum += Math.max(0, value) * down * across;
        });
      });
      const share = sum / most;
      values[y * width + x] = share < GHOST ? 0 : Math.min(share, 1);
    });
  });
  return values;
}

/** A pale grey picture with a heatmap in one colour over it. */
function tint(picture, heatmap, colour) {
  const opacity = strength(heatmap, picture);
  const data = new Uint8ClampedArray(picture.data.length);
  for (let i = 0; i < opacity.length; i += 1) {
    const [r, g, b] = picture.data.subarray(i * 3, i * 3 + 3);
    const light = 125 + (0.299 * r + 0.587 * g + 0.114 * b) / 2;
    const alpha = OPACITY * opacity[i];
    for (let c = 0; c < 3; c += 1) {
      const shaded = colour[c] * (0.5 + light / 510);
      data[i * 3 + c] = light * (1 - alpha) + shaded * alpha;
    }
  }
  return { ...picture, data };
}

function paste(page, picture, left, top) {
  for (let y = 0; y < picture.height; y += 1) {
    const row = picture.data.subarray(y * picture.width * 3, (y + 1) * picture.width * 3);
    page.data.set(row, ((top + y) * page.width + left) * 3);
  }
}

/**
 * Draw the explanation of one class.
 *
 * @param {import("./preprocess.js").Picture} view what the network saw
 * @param {import("./explain.js").Explained} explained
 * @returns {import("./preprocess.js").Picture}
 */
export function overlay(view, explained) {
  const across = Math.max(1, Math.round((TILE * view.width) / Math.max(view.width, view.height)));
  const down = Math.max(1, Math.round((TILE * view.height) / Math.max(view.width, view.height)));
  const seen = resize(view, [across, down], "bicubic");
  const tiles = explained.prototypes.map(({ heatmap, name, contribution }, index) => ({
    picture: tint(seen, heatmap, HUES[index % HUES.length]),
    lines: [`${index}: ${words(name)}`, signed(contribution)],
  }));
  tiles.unshift({ picture: seen, lines: ["seen by the network"] });
  const columns = Math.min(MOST, tiles.length);
  const [column, row] = [TILE + GAP, down + 2 * HEIGHT + GAP];
  const width = GAP + columns * column;
  const height = 4 * GAP + 2 * HEIGHT + Math.ceil(tiles.length / columns) * row;
  const page = { width, height, data: new Uint8ClampedArray(width * height * 3) };
  for (let i = 0; i < page.data.length; i += 1) page.data[i] = PAPER[i % 3];
  const { label, logit, probability } = explained;
  const best = `${words(label)}, ${(100 * probability).toFixed(1)} %`;
  write(page, best, GAP, GAP, width - GAP, INK);
  tiles.forEach(({ picture, lines }, index) => {
    const left = GAP + (index % columns) * column;
    const top = 2 * GAP + HEIGHT + Math.floor(index / columns) * row;
    paste(page, picture, left, top);
    lines.forEach((line, i) => write(page, line, left, top + down + i * HEIGHT, left + TILE, INK));
  });
  const terms = ["bias", "common", "unplaced", "rounding"].filter((name) => explained[name] !== 0);
  const rest = terms.map((name) => `${name} ${signed(explained[name])}`);
  const sum = ["contributions", ...rest].join(", ");
  write(page, `${sum}: logit ${signed(logit)}`, GAP, height - GAP - HEIGHT, width - GAP, INK);
  return page;
}

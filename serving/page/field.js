// Heatmaps as smooth fields: strength, outline and peak; serving/drawing/overlay.py and serving/drawing/peaks.py,
// for the browser.
//
// People read a heatmap relative to its own peak, so that is how it is drawn. Only evidence for
// the class is drawn: what speaks against it would look the same.

/** Share of the peak at which a region's outline is drawn. */
export const LEVEL = 0.5;
const GHOST = 0.02; // two bicubic dips, at most 1/8 each, multiply to evidence that is not there
const SIDE = 240;
const DRAWN = -0.5; // Keys' kernel as Pillow takes it
const JUDGED = -0.75; // as the metrics take it: the peak that is drawn is the one that is judged

/**
 * A heatmap's positive part relative to its peak, upsampled bicubically.
 *
 * @param {number[][]} heatmap h rows of w values
 * @param {number} aspect width / height of the picture
 * @returns {{width: number, height: number, values: Float32Array, peak: [number, number]}} values
 *   0 to 1, row by row; the peak in shares of width and height
 */
export function fieldOf(heatmap, aspect) {
  const [h, w] = [heatmap.length, heatmap[0].length];
  const width = Math.max(w, Math.round(aspect >= 1 ? SIDE : SIDE * aspect));
  const height = Math.max(h, Math.round(aspect >= 1 ? SIDE / aspect : SIDE));
  const positive = Float32Array.from(heatmap.flat(), (value) => Math.max(value, 0));
  const largest = positive.reduce((most, value) => Math.max(most, value), 0) || 1;
  const grid = positive.map((value) => value / largest);
  const values = bicubic(grid, [w, h], [width, height], inside);
  for (let i = 0; i < values.length; i += 1) {
    values[i] = values[i] < GHOST ? 0 : Math.min(values[i], 1);
  }
  return { width, height, values, peak: peakOf(heatmap, width, height) };
}

/** Where a heatmap peaks once it is upsampled, in shares of width and height. */
function peakOf(heatmap, width, height) {
  const [h, w] = [heatmap.length, heatmap[0].length];
  const values = bicubic(Float32Array.from(heatmap.flat()), [w, h], [width, height], repeated);
  const at = values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
  return [((at % width) + 0.5) / width, (Math.floor(at / width) + 0.5) / height];
}

/** A grid upsampled; `taps` says what each output position is made of. */
function bicubic(grid, [w, h], [width, height], taps) {
  const columns = taps(w, width);
  const rows = taps(h, height);
  const wide = new Float32Array(h * width);
  for (let y = 0; y < h; y += 1) {
    for (let x = 0; x < width; x += 1) {
      let sum = 0;
      for (const [i, weight] of columns[x]) sum += grid[y * w + i] * weight;
      wide[y * width + x] = sum;
    }
  }
  const values = new Float32Array(height * width);
  for (let y = 0; y < height; y += 1) {
    for (const [i, weight] of rows[y]) {
      for (let x = 0; x < width; x += 1) values[y * width + x] += wide[i * width + x] * weight;
    }
  }
  return values;
}

/** Input positions and weights of each output position; beyond the border there is nothing. */
function inside(from, to) {
  return taps(from, to, DRAWN).map((all) => {
    const pairs = all.filter(([i]) => i >= 0 && i < from);
    const total = pairs.reduce((sum, [, weight]) => sum + weight, 0);
    return pairs.map(([i, weight]) => [i, weight / total]);
  });
}

/** The same with the border repeated. */
function repeated(from, to) {
  return taps(from, to, JUDGED).map((all) =>
    all.map(([i, weight]) => [Math.min(from - 1, Math.max(0, i)), weight]),
  );
}

function taps(from, to, a) {
  return Array.from({ length: to }, (_, position) => {
    const centre = ((position + 0.5) * from) / to - 0.5;
    const first = Math.floor(centre) - 1;
    return [0, 1, 2, 3].map((k) => [first + k, keys(Math.abs(centre - first - k), a)]);
  });
}

/** Keys' cubic convolution kernel. */
function keys(d, a) {
  if (d < 1) return (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1;
  if (d < 2) return a * (d ** 3 - 5 * d ** 2 + 8 * d - 4);
  return 0;
}

/** The strength at a place, given in shares of width and height. */
export function strengthAt(field, x, y) {
  const column = Math.min(field.width - 1, Math.max(0, Math.floor(x * field.width)));
  const row = Math.min(field.height - 1, Math.max(0, Math.floor(y * field.height)));
  return field.values[row * field.width + column];
}

// The sides of a cell that its outline joins: 0 top, 1 right, 2 bottom, 3 left. The number of a
// case has a bit for each corner inside: 1 top left, 2 top right, 4 bottom right, 8 bottom left.
const CASES = [
  [],
  [[3, 0]],
  [[0, 1]],
  [[3, 1]],
  [[1, 2]],
  [
    [3, 0],
    [1, 2],
  ],
  [[0, 2]],
  [[3, 2]],
  [[2, 3]],
  [[2, 0]],
  [
    [0, 1],
    [2, 3],
  ],
  [[2, 1]],
  [[1, 3]],
  [[1, 0]],
  [[0, 3]],
  [],
];

/** The level line by marching squares, as a path in pixels of a picture of this size. */
export function outlineOf(field, width, height) {
  const path = new Path2D();
  // A frame of zeros closes regions at the picture's edge.
  const value = (x, y) =>
    x < 0 || y < 0 || x >= field.width || y >= field.height ? 0 : field.values[y * field.width + x];
  const [sx, sy] = [width / field.width, height / field.height];
  for (let y = -1; y < field.height; y += 1) {
    for (let x = -1; x < field.width; x += 1) {
      const corners = [value(x, y), value(x + 1, y), value(x + 1, y + 1), value(x, y + 1)];
      const number = corners.reduce((sum, v, bit) => sum + (v >= LEVEL ? 1 << bit : 0), 0);
      for (const [a, b] of CASES[number]) {
        const [[ax, ay], [bx, by]] = [onSide(a, corners), onSide(b, corners)];
        path.moveTo((x + 0.5 + ax) * sx, (y + 0.5 + ay) * sy);
        path.lineTo((x + 0.5 + bx) * sx, (y + 0.5 + by) * sy);
      }
    }
  }
  return path;
}

function onSide(side, [a, b, c, d]) {
  const share = (from, to) => (LEVEL - from) / (to - from);
  if (side === 0) return [share(a, b), 0];
  if (side === 1) return [1, share(b, c)];
  if (side === 2) return [share(d, c), 1];
  return [0, share(a, d)];
}

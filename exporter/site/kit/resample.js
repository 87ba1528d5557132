// The resize of Pillow 13 of 8-bit pictures, bit for bit: src/libImaging/Resample.c, Geometry.c.
//
// Weights are 22-bit integers. One direction is resized, rounded to 8 bits, then the other one.

const BITS = 32 - 8 - 2;

const sinc = (x) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

/** What each filter weighs at a distance, and the distance from which on it weighs nothing. */
const FILTERS = {
  box: [0.5, (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)],
  bilinear: [1, (x) => Math.max(0, 1 - Math.abs(x))],
  hamming: [1, (x) => hamming(Math.abs(x))],
  bicubic: [2, (x) => cubic(Math.abs(x))],
  lanczos: [3, (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0)],
};

function hamming(x) {
  if (x === 0) return 1;
  if (x >= 1) return 0;
  const angle = x * Math.PI;
  return (Math.sin(angle) / angle) * (Math.fround(0.54) + Math.fround(0.46) * Math.cos(angle));
}

function cubic(x) {
  const a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/**
 * What each place of a resized line is made of.
 *
 * @param {number} from length before
 * @param {number} to length after
 * @param {string} filter its name in a manifest, but nearest
 * @returns {{first: number, weights: Float64Array}[]} the first place before, and the weight of it
 *   and of those behind it; they sum to 1
 */
export function taps(from, to, filter) {
  const [reach, weigh] = FILTERS[filter];
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = reach * stretch;
  const inverse = 1 / stretch;
  return Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(from, Math.trunc(centre + support + 0.5));
    const weights = new Float64Array(last - first);
    let total = 0;
    for (let i = 0; i < weights.length; i += 1) {
      weights[i] = weigh((i + first - centre + 0.5) * inverse);
      total += weights[i];
    }
    if (total !== 0) for (let i = 0; i < weights.length; i += 1) weights[i] /= total;
    return { first, weights };
  });
}

const asInteger = (weight) => Math.trunc(weight * (1 << BITS) + (weight < 0 ? -0.5 : 0.5));

/**
 * Resize lines: `lines` of them lie `across` apart, their places `along` apart, in both pictures.
 */
function resizeLines(source, target, made, { lines, across, along, channels }) {
  const [fromAcross, toAcross] = across;
  const [fromAlong, toAlong] = along;
  for (let place = 0; place < made.length; place += 1) {
    const { first } = made[place];
    const weights = made[place].weights.map(asInteger);
    for (let line = 0; line < lines; line += 1) {
      for (let channel = 0; channel < channels; channel += 1) {
        let sum = 1 << (BITS - 1);
        let at = line * fromAcross + first * fromAlong + channel;
        for (let i = 0; i < weights.length; i += 1, at += fromAlong) sum += source[at] * weights[i];
        target[line * toAcross + place * toAlong + channel] = sum >> BITS; // clamped by its type
      }
    }
  }
}

/**
 * Resize a picture as Pillow's `Image.resize` does.
 *
 * @param {{width: number, height: number, data: Uint8Array | Uint8ClampedArray}} picture row by
 *   row, its channels together
 * @param {[number, number]} size width and height to reach
 * @param {string} filter its name in a manifest
 * @returns {{width: number, height: number, data: Uint8ClampedArray}}
 */
export function resize(picture, [width, height], filter) {
  if (filter !== "nearest" && !(filter in FILTERS)) {
    const known = ["nearest", ...Object.keys(FILTERS)].join(", ");
    throw new RangeError(`expected an interpolation of ${known}, got ${filter}.`);
  }
  if (width === picture.width && height === picture.height) return picture;
  if (filter === "nearest") return nearest(picture, [width, height]);
  // As in Pillow, older ones of which always resize rows first: whichever is less work.
  const down = picture.height - height;
  const rowsFirst = !(down > 0 && down > (picture.width - width) * 2);
  const passes = [
    (seen) => resizeRows(seen, width, filter),
    (seen) => resizeColumns(seen, height, filter),
  ];
  return (rowsFirst ? passes : passes.reverse()).reduce((seen, pass) => pass(seen), picture);
}

function resizeRows(picture, width, filter) {
  if (width === picture.width) return picture;
  const { height } = picture;
  const channels = picture.data.length / (picture.width * height);
  const data = new Uint8ClampedArray(width * height * channels);
  resizeLines(picture.data, data, taps(picture.width, width, filter), {
    lines: height,
    across: [picture.width * channels, width * channels],
    along: [channels, channels],
    channels,
  });
  return { width, height, data };
}

function resizeColumns(picture, height, filter) {
  if (height === picture.height) return picture;
  const { width } = picture;
  const channels = picture.data.length / (width * picture.height);
  const row = width * channels;
  const data = new Uint8ClampedArray(row * height);
  resizeLines(picture.data, data, taps(picture.height, height, filter), {
    lines: width,
    across: [channels, channels],
    along: [row, row],
    channels,
  });
  return { width, height, data };
}

/** Places are added up, as Pillow does, not multiplied: that rounds otherwise. */
function nearest(picture, [width, height]) {
  const channels = picture.data.length / (picture.width * picture.height);
  const [columns, rows] = [places(picture.width, width), places(picture.height, height)];
  const data = new Uint8ClampedArray(width * height * channels);
  let at = 0;
  for (const row of rows) {
    for (const column of columns) {
      const from = (row * picture.width + column) * channels;
      const there = row < picture.height && column < picture.width;
      for (let i = 0; i < channels; i += 1, at += 1) data[at] = there ? picture.data[from + i] : 0;
    }
  }
  return { width, height, data };
}

function places(from, to) {
  const step = from / to;
  let place = step * 0.5;
  return Array.from({ length: to }, () => {
    const found = Math.trunc(place);
    place += step;
    return found;
  });
}

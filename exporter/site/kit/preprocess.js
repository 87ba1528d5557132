// Picture to input tensor, exactly as an artifact's manifest says it: serving/model/preprocess.py.

import { resize } from "./resample.js";

/**
 * @typedef {object} Picture
 * @property {number} width
 * @property {number} height
 * @property {Uint8Array | Uint8ClampedArray} data red, green, blue of each pixel, row by row
 */

/** Half a number goes to the even one beside it, as in Python. */
function round(value) {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

/** The picture as canvases give it, without its alpha. */
export function fromRGBA({ width, height, data }) {
  const pixels = new Uint8ClampedArray(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    pixels[to] = data[from];
    pixels[to + 1] = data[from + 1];
    pixels[to + 2] = data[from + 2];
  }
  return { width, height, data: pixels };
}

/** The picture as canvases take it. */
export function toRGBA({ width, height, data }) {
  const pixels = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let from = 0, to = 0; from < data.length; from += 3, to += 4) {
    for (let i = 0; i < 3; i += 1) pixels[to + i] = data[from + i];
  }
  return { width, height, data: pixels };
}

/** Width and height that a picture of a size is resized to, before it is cropped. */
function resizedSize(width, height, wanted) {
  if (wanted === null) return [width, height];
  if (Array.isArray(wanted)) return [wanted[1], wanted[0]];
  const short = Math.min(width, height);
  // The long side is cut to an integer, as in the training pipelines people use.
  const side = (length) => Math.max(1, Math.trunc((wanted * length) / short));
  return [side(width), side(height)];
}

/**
 * What the network sees of a picture: resized, then cropped from the centre.
 *
 * @param {Picture} picture upright, of any size
 * @param {object} preprocessing of the manifest's input
 * @returns {Picture} black where the picture is smaller than the crop
 */
export function makeView(picture, preprocessing) {
  const size = resizedSize(picture.width, picture.height, preprocessing.resize);
  const resized = resize(picture, size, preprocessing.interpolation);
  const wanted = preprocessing.crop ?? preprocessing.resize;
  const [height, width] = Array.isArray(wanted) ? wanted : [wanted, wanted];
  const [left, top] = [round((size[0] - width) / 2), round((size[1] - height) / 2)];
  const data = new Uint8ClampedArray(width * height * 3);
  for (let y = Math.max(0, -top); y < Math.min(height, size[1] - top); y += 1) {
    const x = Math.max(0, -left);
    const from = ((y + top) * size[0] + x + left) * 3;
    const pixels = Math.min(width, size[0] - left) - x;
    data.set(resized.data.subarray(from, from + pixels * 3), (y * width + x) * 3);
  }
  return { width, height, data };
}

/** Pillow's grey of a pixel. */
const grey = (r, g, b) => (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;

/**
 * A view as the network's input: (pixel * scale - mean) / std, rounded as NumPy rounds it.
 *
 * @param {Picture} view of the manifest's size
 * @param {object} input of the manifest
 * @returns {{data: Float32Array | Uint8Array, dims: number[]}} a batch of one picture, or as many
 *   times the same one as the graph takes
 */
export function toTensor(view, { preprocessing, dtype, shape }) {
  const { mean, std, scale, channels, layout } = preprocessing;
  const count = channels.length;
  const pixels = view.width * view.height;
  const batch = shape[0] ?? 1;
  const data = new (dtype === "uint8" ? Uint8Array : Float32Array)(batch * pixels * count);
  const [apart, together] = layout === "NCHW" ? [pixels, 1] : [1, count];
  for (let channel = 0; channel < count; channel += 1) {
    const factor = Math.fround(scale / std[channel]);
    const shift = Math.fround(mean[channel] / std[channel]);
    const values = Float32Array.from({ length: 256 }, (_, i) => Math.fround(i * factor) - shift);
    const from = channels === "BGR" ? 2 - channel : channel;
    for (let i = 0, at = channel * apart; i < pixels; i += 1, at += together) {
      const p = i * 3;
      const { data: rgb } = view;
      data[at] = values[count === 1 ? grey(rgb[p], rgb[p + 1], rgb[p + 2]) : rgb[p + from]];
    }
  }
  for (let i = 1; i < batch; i += 1) data.copyWithin(i * pixels * count, 0, pixels * count);
  const { height, width } = view;
  const size = layout === "NCHW" ? [count, height, width] : [height, width, count];
  return { data, dims: [batch, ...size] };
}

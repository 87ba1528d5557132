// A picture as the network sees it, at the resolution it came in, and its pale twin.

import { PAPER } from "./palette.js";

const SIDE = 1120;

/** A picture in pixels, upright; null where this browser cannot decode the file: the server may. */
export async function decode(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    return null;
  }
}

/**
 * @param {ImageBitmap} bitmap upright
 * @param {object} preprocessing as in /v1/model
 * @returns {{canvas: HTMLCanvasElement, aspect: number, seen: number, whole: HTMLCanvasElement}}
 *   `seen`, the share of the photograph that is left, `whole`, the photograph, small, with what is
 *   left outlined
 */
export function seenBy(bitmap, preprocessing) {
  const box = viewBox(bitmap.width, bitmap.height, preprocessing);
  const enlarge = SIDE / Math.max(box.width, box.height);
  const canvas = makeCanvas(box.width * enlarge, box.height * enlarge);
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.fillRect(0, 0, canvas.width, canvas.height); // what lies outside the picture is black
  pen.drawImage(
    bitmap,
    -box.x * enlarge,
    -box.y * enlarge,
    bitmap.width * enlarge,
    bitmap.height * enlarge,
  );
  return { canvas, aspect: canvas.width / canvas.height, ...shareSeen(bitmap, box) };
}

const SMALL = 192;

/** How much of a photograph a box leaves, and a small picture of both. */
function shareSeen(bitmap, box) {
  const inside = (start, size, most) => Math.min(start + size, most) - Math.max(start, 0);
  const { width, height } = bitmap;
  const kept = inside(box.x, box.width, width) * inside(box.y, box.height, height);
  const scale = SMALL / Math.max(width, height);
  const whole = makeCanvas(width * scale, height * scale);
  const pen = whole.getContext("2d");
  pen.drawImage(bitmap, 0, 0, whole.width, whole.height);
  const edges = [box.x, box.y, box.width, box.height].map((value) => value * scale);
  const outside = new Path2D();
  outside.rect(0, 0, whole.width, whole.height);
  outside.rect(...edges);
  pen.fillStyle = "rgb(250 249 247 / 0.72)";
  pen.fill(outside, "evenodd");
  for (const [colour, size] of [
    ["#fff", 4],
    ["#1c1f24", 2],
  ]) {
    pen.strokeStyle = colour;
    pen.lineWidth = size;
    pen.strokeRect(...edges);
  }
  return { seen: kept / (width * height), whole };
}

/** The part of a picture that preprocessing keeps, in its own pixels: make_view, backwards. */
export function viewBox(width, height, { resize, crop }) {
  let [w, h] = [width, height];
  if (Array.isArray(resize)) [h, w] = resize;
  else if (typeof resize === "number") {
    const short = Math.min(width, height);
    w = Math.max(1, Math.trunc((resize * width) / short));
    h = Math.max(1, Math.trunc((resize * height) / short));
  }
  const [ch, cw] = Array.isArray(crop) ? crop : [crop ?? h, crop ?? w];
  const [sx, sy] = [width / w, height / h];
  return {
    x: roundHalf(w - cw) * sx,
    y: roundHalf(h - ch) * sy,
    width: cw * sx,
    height: ch * sy,
  };
}

/** Half of a whole number, halves rounded to even as Python rounds them. */
function roundHalf(number) {
  const below = Math.floor(number / 2);
  return number % 2 === 0 ? below : below + Math.abs(below % 2);
}

export function makeCanvas(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width));
  canvas.height = Math.max(1, Math.round(height));
  return canvas;
}

/** The picture grey and close to the paper, so that a colour drawn on it is the only one. */
export function pale(canvas, theme) {
  const copy = makeCanvas(canvas.width, canvas.height);
  const pen = copy.getContext("2d", { willReadFrequently: true });
  pen.drawImage(canvas, 0, 0);
  const image = pen.getImageData(0, 0, copy.width, copy.height);
  const pixels = image.data;
  const grey = new Uint8Array(pixels.length / 4);
  const counts = new Uint32Array(256);
  for (let i = 0; i < grey.length; i += 1) {
    grey[i] = 0.299 * pixels[4 * i] + 0.587 * pixels[4 * i + 1] + 0.114 * pixels[4 * i + 2];
    counts[grey[i]] += 1;
  }
  const [low, high] = ends(counts, grey.length);
  const paper = PAPER[theme];
  for (let i = 0; i < grey.length; i += 1) {
    // Stretching first keeps dark photographs from swallowing the colour.
    const level = (255 * Math.min(Math.max(grey[i] - low, 0), high - low)) / (high - low);
    for (let c = 0; c < 3; c += 1) pixels[4 * i + c] = (level + paper[c]) / 2;
  }
  pen.putImageData(image, 0, 0);
  return copy;
}

/** The levels between which 98 % of the pixels lie. */
function ends(counts, total) {
  const first = (order) => {
    let seen = 0;
    return order.find((level) => (seen += counts[level]) > total / 100);
  };
  const levels = [...counts.keys()];
  const low = first(levels);
  const high = first([...levels].reverse());
  return high > low ? [low, high] : [0, 255];
}

// What is sent of a picked file: the file itself, or a smaller copy where the server takes no more.

import { Problem } from "./api.js";
import { kindOf } from "./kinds.js";
import { decode, makeCanvas, seenBy } from "./picture.js";

const QUALITY = 0.95;
const ROUNDS = 8;

/**
 * Make a picked file ready; the picture can be shown before the server has answered.
 *
 * @param {File} file
 * @param {{limits: object, input: object}} model as in /v1/model
 * @returns {Promise<{file: File, picture: {canvas: HTMLCanvasElement, aspect: number} | null,
 *   note: string}>} what to send; what the network sees of it, null where this browser cannot
 *   decode it; what was done to it, empty where nothing was
 * @throws {Problem} it is no picture that the server reads, or too large and cannot be shrunk
 */
export async function prepare(file, { limits, input }) {
  await refuseForeign(file, limits.formats);
  const bitmap = await decode(file);
  if (bitmap === null) {
    refuseLarge(file, limits.max_body);
    return { file, picture: null, note: "" };
  }
  try {
    const picture = seenBy(bitmap, input.preprocessing);
    if (fits(file, limits) && area(bitmap) <= limits.max_pixels) return { file, picture, note: "" };
    return { picture, ...(await shrink(file, bitmap, limits)) };
  } finally {
    bitmap.close();
  }
}

async function refuseForeign(file, formats) {
  const { format = "", what, export: saved } = await kindOf(file);
  const read = formats.map((name) => name.toUpperCase());
  if (what === undefined || read.includes(format)) return;
  throw new Problem({
    title: `That is ${what}`,
    detail:
      file.size === 0
        ? `${file.name} holds nothing. Choose the picture again, or another one.`
        : saved
          ? `Export ${file.name} as JPEG and choose that; what is read: ${formats.join(", ")}.`
          : `${file.name} is no picture. What is read: ${formats.join(", ")}.`,
    status: 415,
  });
}

/** The refusal of a file that neither this page nor the server knows. */
export const noPicture = (file, formats) =>
  new Problem({
    title: `That file is not a picture (${formats.join(", ")})`,
    detail: `${file.name} is something else.`,
    status: 415,
  });

const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/** A server that refuses a body unread may cut the connection before its reason arrives. */
function refuseLarge(file, most) {
  if (file.size <= most) return;
  throw new Problem({
    title: "The picture is too large",
    detail:
      `At most ${mebibytes(most)} are taken, ${file.name} has ${mebibytes(file.size)}, ` +
      "and this browser cannot read it to make it smaller.",
    status: 413,
  });
}

const area = ({ width, height }) => width * height;

/** The form around the file, with all that may be switched off, counts too. */
const fits = ({ size }, { max_body: most }) => size <= most - Math.min(2 ** 16, most / 16);

/** A copy within the server's limits, as large as they allow. */
async function shrink(file, bitmap, limits) {
  let scale = Math.min(1, Math.sqrt(limits.max_pixels / area(bitmap)));
  // What keeps every pixel of a drawing would make a photograph larger than it came.
  let type = /png|gif|bmp/.test(file.type) ? "image/png" : "image/jpeg";
  for (let round = 0; round < ROUNDS; round += 1) {
    const size = [bitmap.width, bitmap.height].map((side) => Math.floor(side * scale) || 1);
    const blob = await encode(bitmap, size, type);
    if (blob !== null && fits(blob, limits)) {
      const [width, height] = size;
      return { file: renamed(file, blob), note: changed(file, bitmap, blob, { width, height }) };
    }
    if (type === "image/png") type = "image/jpeg";
    else scale *= blob === null ? 0.5 : Math.min(0.9, Math.sqrt(limits.max_body / blob.size));
  }
  throw new Problem({
    title: "The picture is too large",
    detail: `This browser could not make ${file.name} small enough.`,
    status: 413,
  });
}

function encode(bitmap, [width, height], type) {
  const canvas = makeCanvas(width, height);
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  if (type === "image/jpeg") {
    pen.fillStyle = "#fff"; // JPEG knows no transparency
    pen.fillRect(0, 0, width, height);
  }
  pen.drawImage(bitmap, 0, 0, width, height);
  return new Promise((done) => canvas.toBlob(done, type, QUALITY));
}

const renamed = (file, blob) => new File([blob], file.name, { type: blob.type });

function changed(file, from, blob, to) {
  if (from.width === to.width && from.height === to.height) {
    const sizes = `from ${mebibytes(file.size)} to ${mebibytes(blob.size)}`;
    return `recompressed ${sizes}: the numbers are of that picture`;
  }
  const small = area(to) < 1e5;
  const [before, after] = [from, to].map((size) =>
    small ? `${size.width} × ${size.height}` : `${(area(size) / 1e6).toFixed(1)} MP`,
  );
  return `shrunk from ${before} to ${after}: the numbers are of the smaller picture`;
}

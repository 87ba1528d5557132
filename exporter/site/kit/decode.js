// What a browser makes of an image file, in a page or in a worker of it.

import { fromRGBA } from "./preprocess.js";

/**
 * The pixels of an image file: upright, its colour profile left alone, as the exporter does.
 *
 * @param {Blob} file
 * @returns {Promise<import("./preprocess.js").Picture>}
 * @throws {DOMException} it is no picture that this browser can read
 */
export async function decode(file) {
  const bitmap = await createImageBitmap(file, {
    imageOrientation: "from-image",
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { width, height } = bitmap;
  bitmap.close();
  return fromRGBA(context.getImageData(0, 0, width, height));
}

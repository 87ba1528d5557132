// Runs cases through the JavaScript port: node ports.mjs CASES.json PIXELS OUT
//
// Each case takes its pixels from where the last one's end, and appends what it gives.

import { readFileSync, writeFileSync } from "node:fs";
import { makeView, resize, toTensor } from "@protohead/embed";

const [cases, pixels, out] = process.argv.slice(2);
const bytes = readFileSync(pixels);
let at = 0;
const found = JSON.parse(readFileSync(cases)).map(({ width, height, channels, ...wanted }) => {
  const length = width * height * channels;
  const picture = { width, height, data: bytes.subarray(at, at + length) };
  at += length;
  if (wanted.size) return Buffer.from(resize(picture, wanted.size, wanted.filter).data);
  const { data } = toTensor(makeView(picture, wanted.input.preprocessing), wanted.input);
  return new Uint8Array(data.buffer);
});
writeFileSync(out, Buffer.concat(found));

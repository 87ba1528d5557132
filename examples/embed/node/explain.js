// From an image file to an overlay in Node: node node/explain.js ARTIFACT IMAGE OUT.png
//
// Prints the explanation as JSON. sharp decodes the file and writes the overlay.

import { realpathSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { explain, makeView, numbersOf, openArtifact, overlay, toTensor } from "@protohead/embed";
import { InferenceSession, Tensor } from "onnxruntime-node";
import sharp from "sharp";

/** The pixels of an image file as the exporter saw them: upright, its colour profile left alone. */
export async function decode(file) {
  const image = sharp(file, { ignoreIcc: true }).rotate().removeAlpha().toColourspace("srgb");
  const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data };
}

/** An artifact that explains pictures: its `answer` gives what the network saw, and the classes. */
export async function open(folder) {
  const artifact = await openArtifact((name) => readFile(path.join(folder, name)));
  const session = await InferenceSession.create(path.join(folder, "model.onnx"));
  const { input } = artifact.manifest;
  async function answer(picture) {
    const view = makeView(picture, input.preprocessing);
    const { data, dims } = toTensor(view, input);
    const outputs = await session.run({ [input.name]: new Tensor(input.dtype, data, dims) });
    return { view, classes: explain(outputs, artifact, view) };
  }
  return { artifact, session, answer };
}

async function main([folder, file, out]) {
  if (!out) throw new Error("expected three arguments: ARTIFACT IMAGE OUT.png.");
  const { answer } = await open(folder);
  const { view, classes } = await answer(await decode(file));
  const { width, height, data } = overlay(view, classes[0]);
  await sharp(data, { raw: { width, height, channels: 3 } }).png().toFile(out);
  console.log(JSON.stringify(numbersOf(classes)));
}

const started = process.argv[1] && realpathSync(process.argv[1]);
if (started === fileURLToPath(import.meta.url)) {
  main(process.argv.slice(2)).catch((error) => {
    console.error(`explain.js: ${error.message.split("\n")[0]}`); // sharp writes many
    process.exit(1);
  });
}

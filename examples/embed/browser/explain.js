// From an image file to an overlay in a browser: WebGPU where there is one, else WebAssembly.

import { explain, makeView, openArtifact, overlay, toRGBA, toTensor } from "@protohead/embed";
import * as ort from "onnxruntime-web";

export { decode } from "@protohead/embed";

/** What runs the graph here, the best first. */
export async function providers() {
  return (await navigator.gpu?.requestAdapter()) ? ["webgpu", "wasm"] : ["wasm"];
}

async function bytesOf(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: expected a file, the server says ${answer.status}.`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** An artifact that explains pictures: its `answer` gives what the network saw, and the classes. */
export async function open(url) {
  const artifact = await openArtifact((name) => bytesOf(`${url}/${name}`));
  const model = await bytesOf(`${url}/model.onnx`);
  const session = await ort.InferenceSession.create(model, {
    executionProviders: await providers(),
  });
  const { input } = artifact.manifest;
  async function answer(picture) {
    const view = makeView(picture, input.preprocessing);
    const { data, dims } = toTensor(view, input);
    const outputs = await session.run({ [input.name]: new ort.Tensor(input.dtype, data, dims) });
    return { view, classes: explain(outputs, artifact, view) };
  }
  return { artifact, session, answer };
}

/** Draw the explanation of the best class. */
export function draw(canvas, { view, classes }) {
  const { width, height, data } = toRGBA(overlay(view, classes[0]));
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
}

// Runs the graph, so that the page stays quick: pictures in, the graph's outputs out.
//
// One graph is enough: with nothing muted the logits of steerable.onnx are the source's, bit for
// bit. One thread is: several would need headers that hosts of plain files do not send.

import { decode } from "./kit/decode.js";
import { makeView, toTensor } from "./kit/preprocess.js";
import * as ort from "./runtime/ort.wasm.bundle.min.mjs";

ort.env.wasm.numThreads = 1;

/** A failure that people can do something about; api.js makes a Problem of it. */
class Failure extends Error {
  constructor(title, detail, status) {
    super(detail);
    this.problem = { title, detail, status };
  }
}

// ---- Loading ------------------------------------------------------------------------------

const TELLING = 500; // ms between words of progress
let session = null;

/** The session, loaded when the first picture asks for it. */
function opened(graph) {
  session ??= load(graph).catch((error) => {
    session = null; // it may work when it is tried again
    throw error;
  });
  return session;
}

async function load({ runtime, pieces }) {
  const total = [runtime, ...pieces].reduce((all, { bytes }) => all + bytes, 0);
  let loaded = 0;
  let told = -Infinity;
  const arrived = (bytes) => {
    loaded += bytes;
    const now = performance.now();
    if (loaded < total && now - told < TELLING) return; // every word is read out to some
    told = now;
    postMessage({ loaded, total });
  };
  const binary = new Uint8Array(runtime.bytes);
  await fill(binary, [runtime], arrived);
  ort.env.wasm.wasmBinary = binary.buffer; // or it would be fetched again
  const model = new Uint8Array(total - runtime.bytes);
  await fill(model, pieces, arrived);
  return ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
}

/** Files one after another into one array. */
async function fill(array, files, arrived) {
  let at = 0;
  for (const { url, bytes } of files) {
    const end = at + bytes;
    for await (const chunk of chunks(url)) {
      if (at + chunk.length > end) throw incomplete(url);
      array.set(chunk, at);
      at += chunk.length;
      arrived(chunk.length);
    }
    if (at !== end) throw incomplete(url);
  }
}

async function* chunks(url) {
  // The worker lies in page/, the files are named from the page's own place.
  const response = await fetch(new URL(`../${url}`, import.meta.url)).catch(() => null);
  if (!response?.ok) throw incomplete(url);
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

const incomplete = (url) =>
  new Failure(
    "The model could not be loaded",
    `${url.split("?")[0]} is missing or is not whole. Try again; if it stays, the site is damaged.`,
    0,
  );

// ---- Explaining ---------------------------------------------------------------------------

let last = { number: null };

/** The picture as the network takes it; that of the last one is kept, as people switch and ask. */
async function prepared({ picture, number, model }) {
  if (last.number === number) return last;
  const pixels = await decode(picture).catch(() => {
    throw new Failure(
      "The picture cannot be read",
      `This browser knows no picture in ${picture.name}.`,
      415,
    );
  });
  if (pixels.width * pixels.height > model.limits.max_pixels) {
    const most = (model.limits.max_pixels / 1e6).toFixed(0);
    throw new Failure(
      "The picture is too large",
      `Expected at most ${most} million pixels, got ${pixels.width} x ${pixels.height}.`,
      422,
    );
  }
  const view = makeView(pixels, model.input.preprocessing);
  const { width, height } = view;
  last = { number, view: { width, height }, plain: null, ...toTensor(view, model.input) };
  return last;
}

async function answer(wish) {
  const { ids, mute, graph } = wish;
  const seen = await prepared(wish);
  const run = await opened(graph);
  if (seen.plain === null && mute.length > 0) {
    seen.plain = (await outputs(run, seen, wish, { ids: null, mute: [] })).logits;
  }
  const found = await outputs(run, seen, wish, { ids, mute });
  seen.plain ??= found.logits;
  if (!found.logits.every(Number.isFinite)) {
    throw new Failure(
      "The image cannot be used",
      "expected finite logits, the network overflows on this image.",
      422,
    );
  }
  return { ...found, plain: seen.plain, view: seen.view };
}

/** What the graph gives for the first picture of its batch. */
async function outputs(run, { data, dims }, { model, graph }, { ids, mute }) {
  const batch = dims[0];
  const wanted = ids === null ? Array(model.top).fill(-1) : [...new Set(ids)];
  const asked = BigInt64Array.from({ length: batch * wanted.length }, (_, i) =>
    BigInt(wanted[i % wanted.length]),
  );
  const mask = new Float32Array(model.classes * model.k).fill(1);
  for (const [id, prototype] of mute) mask[id * model.k + prototype] = 0;
  const { prefix } = graph;
  const given = await run.run({
    [model.input.name]: new ort.Tensor(model.input.dtype, data, dims),
    [`${prefix}prototype_mask`]: new ort.Tensor("float32", mask, [model.classes, model.k]),
    [`${prefix}classes`]: new ort.Tensor("int64", asked, [batch, wanted.length]),
  });
  const t = wanted.length;
  const first = (name, count) => given[prefix + name]?.data.slice(0, count);
  const [h, w] = model.grid;
  return {
    logits: given[model.head.logits].data.slice(0, model.classes),
    ids: Array.from(first("class_ids", t), Number),
    contributions: first("contributions", t * model.k),
    heatmaps: first("heatmaps", t * model.k * h * w),
    common: first("common", 1)[0],
    unplaced: first("unplaced", t) ?? new Float32Array(t),
    rounding: first("rounding", t) ?? new Float32Array(t),
  };
}

// ---- Wishes -------------------------------------------------------------------------------

const forgotten = new Set();
let queue = Promise.resolve(); // the graph runs one wish at a time

addEventListener("message", ({ data }) => {
  if (data.forget) forgotten.add(data.id);
  else queue = queue.then(() => take(data));
});

async function take(wish) {
  const { id } = wish;
  if (forgotten.delete(id)) return; // nobody waits for it any more
  try {
    postMessage({ id, answer: await answer(wish) });
  } catch (error) {
    const problem = error.problem ?? {
      title: "The model could not be run",
      detail: `This browser says: ${error.message}`,
      status: 500,
    };
    postMessage({ id, problem });
  }
}

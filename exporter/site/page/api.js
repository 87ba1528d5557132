// The server's interface without a server: answers from files, and from the graph in a worker.
//
// server.js is the server's own api.js; what is not said anew here is taken from it.

import { contrastAnswer, explainAnswer } from "./answers.js";
import { say } from "./attempt.js";
import { blob, learn, Problem } from "./server.js";

export * from "./server.js";

/** There is nothing to send the same request to as code. */
export const served = false;

const json = async (path) => JSON.parse(await (await blob(path)).text());

const kept = new Map();

/** A file of the site, asked for once. */
function file(path) {
  if (!kept.has(path)) {
    const found = json(path);
    found.catch(() => kept.delete(path)); // a failure may pass
    kept.set(path, found);
  }
  return kept.get(path);
}

export const model = () => file("v1/model.json");
export const classes = async () => learn((await file("v1/classes.json")).classes);
export const samples = async () => (await file("v1/samples.json")).samples;
export const prototypes = (id) => file(`v1/classes/${id}/prototypes.json`);

/** Explain one picture, as the server would. */
export async function explain(picture, { classes: ids, mute = [], heatmaps = null }, signal) {
  const run = await runGraph({ picture, ids: ids ?? null, mute }, signal);
  return explainAnswer(run, await factsOf(run), { mute, heatmaps });
}

/** Compare two classes, with pairs of class and prototype switched off, as the server would. */
export async function contrast(picture, a, b, mute, signal) {
  const run = await runGraph({ picture, ids: [a, b], mute }, signal);
  return contrastAnswer(run, await factsOf(run), { mute });
}

/** What is said of the model and of the explained classes beside their numbers. */
async function factsOf({ ids }) {
  const [known, labels, graph, ...owners] = await Promise.all([
    model(),
    classes(),
    file("graph.json"),
    ...ids.map(prototypes),
  ]);
  return { model: known, classes: labels, graph, owners };
}

// ---- The worker ---------------------------------------------------------------------------

let worker = null;
let asked = 0;
const waiting = new Map();
const numbers = new WeakMap(); // of the pictures, by which the worker knows one again

async function runGraph({ picture, ids, mute }, signal) {
  const [known, graph] = await Promise.all([model(), file("graph.json")]);
  signal?.throwIfAborted();
  const id = (asked += 1);
  if (!numbers.has(picture)) numbers.set(picture, id);
  const answer = new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
  signal?.addEventListener("abort", () => forget(id, signal.reason), { once: true });
  start().postMessage({ id, picture, number: numbers.get(picture), ids, mute, model: known, graph });
  return answer;
}

function forget(id, reason) {
  if (!waiting.has(id)) return; // it was answered
  waiting.get(id).reject(reason);
  waiting.delete(id);
  worker?.postMessage({ id, forget: true });
}

function start() {
  if (worker === null) {
    worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data }) => receive(data));
    worker.addEventListener("error", () => {
      worker = null; // the next wish begins anew
      for (const { reject } of waiting.values()) reject(new Problem(STOPPED));
      waiting.clear();
    });
  }
  return worker;
}

const STOPPED = {
  title: "The model stopped",
  detail: "This browser ended it; it may lack the memory. Try again, or in another browser.",
  status: 0,
};

function receive({ id, loaded, total, problem, answer }) {
  if (total !== undefined) return say(progress(loaded, total));
  const { resolve, reject } = waiting.get(id) ?? {};
  waiting.delete(id);
  return problem === undefined ? resolve?.(answer) : reject?.(new Problem(problem));
}

function progress(loaded, total) {
  if (loaded === total) return "Explaining …";
  const megabytes = (bytes) => (bytes / 1e6).toFixed(total < 1e7 ? 1 : 0);
  return `Loading the model: ${megabytes(loaded)} of ${megabytes(total)} MB …`;
}

// From the outputs of steerable.onnx to the answers of the server: serving/answers/answerer.py.
//
// Symbols: c classes, t explained classes, k prototypes, h×w grid.

import { probabilities } from "./kit/explain.js";

const REST = ["bias", "common", "unplaced", "rounding"];

/**
 * @typedef {object} Run what the worker gives
 * @property {Float32Array} logits (c), with what is muted
 * @property {Float32Array} plain (c), with nothing muted
 * @property {number[]} ids (t) of the explained classes
 * @property {Float32Array} contributions (t, k)
 * @property {Float32Array} heatmaps (t, k, h, w)
 * @property {number} common
 * @property {Float32Array} unplaced (t)
 * @property {Float32Array} rounding (t)
 * @property {{width: number, height: number}} view what the network saw
 */

/**
 * @typedef {object} Facts what is said of the model beside the numbers
 * @property {object} model of v1/model
 * @property {object[]} classes of v1/classes
 * @property {{bias: number[]}} graph
 * @property {object[]} owners of v1/classes/{id}/prototypes, one an explained class
 */

/**
 * The answer of /v1/explain.
 *
 * @param {Run} run
 * @param {Facts} facts
 * @param {{mute: [number, number][], heatmaps: string | null}} options
 */
export function explainAnswer(run, facts, { mute, heatmaps }) {
  const classes = explained(run, facts, mute, heatmaps !== "none");
  const result = {
    view: run.view,
    classes,
    residual: Math.max(...classes.map(residualOf)),
    before: mute.length > 0 ? before(run, facts) : null,
  };
  return { ...heading(facts), results: [result] };
}

/**
 * The answer of /v1/contrast: why the first explained class and not the second.
 *
 * @param {Run} run
 * @param {Facts} facts
 * @param {{mute: [number, number][]}} options
 */
export function contrastAnswer(run, facts, { mute }) {
  const [a, b] = explained(run, facts, mute, true);
  const difference = a.logit - b.logit;
  const terms = termsOf(a, b);
  return {
    ...heading(facts),
    view: run.view,
    a,
    b,
    logit_difference: difference,
    terms,
    residual: Math.abs(sum(terms.map(({ value }) => value)) - difference),
    before: mute.length > 0 ? before(run, facts) : null,
  };
}

const heading = ({ model: { name, sha256, artifact, grid } }) => ({
  model: { name, sha256, artifact },
  heatmap_grid: grid,
});

const sum = (values) => values.reduce((a, b) => a + b, 0);

/** Classes with their logits, in the order of their ids. */
function scores(logits, ids, { model, classes }) {
  const likely = probabilities(logits, model.activation);
  return ids.map((id) => ({
    id,
    label: classes[id].label,
    logit: logits[id],
    probability: likely[id],
  }));
}

/** The explained classes, and as many of the best, as they are with nothing muted. */
function before({ plain, ids }, facts) {
  const byLogit = (a, b) => plain[b] - plain[a] || a - b;
  const best = [...plain.keys()].sort(byLogit).slice(0, ids.length);
  return scores(plain, [...new Set([...ids, ...best])].sort(byLogit), facts);
}

function explained(run, facts, mute, withHeatmaps) {
  const muted = new Set(mute.map(([id, prototype]) => `${id}:${prototype}`));
  return scores(run.logits, run.ids, facts).map((score, slot) => {
    const prototypes = prototypesOf(run, facts, slot, muted, withHeatmaps);
    const unplaced = run.unplaced[slot];
    return {
      ...score,
      bias: facts.graph.bias[score.id],
      common: run.common,
      unplaced,
      rounding: run.rounding[slot],
      placed: placedShare(prototypes, unplaced),
      whole: facts.owners[slot].state === "whole",
      prototypes,
    };
  });
}

function prototypesOf(run, { model, owners }, slot, muted, withHeatmaps) {
  const { k, grid } = model;
  const cells = grid[0] * grid[1];
  const { id, prototypes } = owners[slot];
  const values = Array.from(run.contributions.subarray(slot * k, slot * k + prototypes.length));
  const positive = sum(values.filter((value) => value > 0));
  return prototypes.map((prototype, index) => {
    const at = (slot * k + index) * cells;
    const { name, evidence, doubts } = prototype;
    return {
      index,
      name,
      contribution: values[index],
      share: positive > 0 ? values[index] / positive : 0,
      muted: muted.has(`${id}:${index}`),
      heatmap: withHeatmaps ? rows(run.heatmaps.subarray(at, at + cells), grid) : null,
      evidence,
      ...(doubts && { doubts }),
    };
  });
}

const rows = (values, [height, width]) =>
  Array.from({ length: height }, (_, y) => Array.from(values.subarray(y * width, (y + 1) * width)));

function placedShare(prototypes, unplaced) {
  if (unplaced === 0) return 1;
  const placed = Math.abs(sum(prototypes.map(({ contribution }) => contribution)));
  return placed / (placed + Math.abs(unplaced));
}

function residualOf(one) {
  const rest = sum(REST.map((name) => one[name]));
  return Math.abs(sum(one.prototypes.map(({ contribution }) => contribution)) + rest - one.logit);
}

/** What a difference of logits is the sum of, largest first. */
function termsOf(a, b) {
  const ofPrototypes = [
    ["a", 1, a],
    ["b", -1, b],
  ].flatMap(([side, sign, { prototypes }]) =>
    prototypes.map(({ index, name, contribution }) => ({
      kind: "prototype",
      side,
      index,
      name,
      value: sign * contribution,
    })),
  );
  const ofTheRest = REST.map((kind) => ({
    kind,
    side: null,
    index: null,
    name: kind,
    value: a[kind] - b[kind],
  }));
  return [...ofPrototypes, ...ofTheRest].sort((x, y) => Math.abs(y.value) - Math.abs(x.value));
}

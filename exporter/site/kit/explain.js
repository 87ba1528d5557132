// From the outputs of model.onnx to an explanation in words and numbers.

import { peakOf } from "./peaks.js";

/**
 * @typedef {object} Prototype
 * @property {string} name
 * @property {number} contribution logit units
 * @property {[number, number]} peak pixels of the view
 * @property {{width: number, height: number, data: Float32Array}} heatmap its mean is the
 *   contribution
 */

/**
 * @typedef {object} Explained contributions + bias + common + unplaced + rounding = logit
 * @property {number} id of the class
 * @property {string} label
 * @property {number} logit
 * @property {number} probability
 * @property {number} bias
 * @property {number} common to all classes
 * @property {number} unplaced what comes from no place of the picture
 * @property {number} rounding what a quantised head adds
 * @property {Prototype[]} prototypes
 */

/**
 * The explained classes of one picture, best first.
 *
 * @param {Record<string, {data: ArrayLike<number | bigint>, dims: readonly number[]}>} outputs by
 *   name; of a batch the first picture is explained
 * @param {import("./artifact.js").Artifact} artifact
 * @param {{width: number, height: number}} view what the network saw
 * @returns {Explained[]}
 */
export function explain(outputs, { manifest, bias }, view) {
  const added = (name) => outputs[(manifest.prefix ?? "") + name];
  const number = (name, slot) => (added(name) ? added(name).data[slot] : 0);
  const logits = outputs[manifest.head.logits].data.slice(0, manifest.classes.length);
  const likely = probabilities(logits, manifest.activation);
  const { data: heat, dims } = added("heatmaps");
  const [top, k, height, width] = dims.slice(1);
  return Array.from(added("class_ids").data.slice(0, top), Number).map((id, slot) => ({
    id,
    label: manifest.classes[id].label,
    logit: logits[id],
    probability: likely[id],
    bias: bias[id],
    common: added("common").data[0],
    unplaced: number("unplaced", slot),
    rounding: number("rounding", slot),
    prototypes: manifest.classes[id].prototypes.map(({ name }, index) => {
      const at = slot * k + index;
      const cells = height * width;
      const heatmap = { width, height, data: heat.slice(at * cells, (at + 1) * cells) };
      const contribution = added("contributions").data[at];
      return { name, contribution, peak: peakOf(heatmap, view), heatmap };
    }),
  }));
}

/**
 * @param {ArrayLike<number>} logits
 * @param {"softmax" | "sigmoid"} activation
 * @returns {number[]}
 */
export function probabilities(logits, activation) {
  if (activation === "sigmoid") return Array.from(logits, (x) => 0.5 + 0.5 * Math.tanh(0.5 * x));
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const shares = Array.from(logits, (x) => Math.exp(x - most));
  const total = shares.reduce((a, b) => a + b, 0);
  return shares.map((share) => share / total);
}

/** An explanation for other programs: everything but the heatmaps. */
export function numbersOf(classes) {
  return classes.map(({ prototypes, ...rest }) => ({
    ...rest,
    prototypes: prototypes.map(({ name, contribution, peak }) => ({ name, contribution, peak })),
  }));
}

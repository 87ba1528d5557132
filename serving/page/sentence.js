// The answer in one sentence: what it says, how sure it is, and which parts speak for it.
// serving/drawing/sentence.py says the same; a test holds them together.

import { words } from "./dom.js";
import { percent } from "./numbers.js";
import { isNamed, ranked } from "./parts.js";

const MOST = 3; // parts that are named
const ENOUGH = 0.8; // share of the evidence for a class that the named ones hold

/**
 * The class that the best one is hardly ahead of.
 *
 * @param {Score[]} scores best first
 * @param {"softmax" | "sigmoid"} activation
 * @returns {{unsure: boolean, rival: Score | null}}
 */
export function doubtOf(scores, activation) {
  const [best, second] = scores;
  const close = second !== undefined && 2 * second.probability >= best.probability;
  const rival = close && activation === "softmax" ? second : null;
  return { unsure: best.probability < 0.5 || rival !== null, rival };
}

/** The strongest parts that hold most of what speaks for the class, at most three. */
function mainParts(explained) {
  const speaking = ranked(explained).filter(({ contribution }) => contribution > 0);
  const total = speaking.reduce((sum, { contribution }) => sum + contribution, 0);
  let held = 0;
  return speaking.filter(({ contribution }, i) => {
    const wanted = i < MOST && held < ENOUGH * total;
    held += contribution;
    return wanted;
  });
}

const listed = (items) =>
  items.length === 1 ? items[0] : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;

function partsSaid(explained) {
  const parts = mainParts(explained);
  if (!parts.some(isNamed)) {
    return `${parts.length === 1 ? "part" : "parts"} ${listed(parts.map((_, i) => String(i + 1)))}`;
  }
  const first = parts.findIndex(isNamed);
  return listed(
    parts.map((part, i) => {
      if (!isNamed(part)) return `part ${i + 1}`;
      return `${i === first ? "the " : ""}${words(part.name)} (${i + 1})`;
    }),
  );
}

/** What decided for a class: the end of a sentence, and whether it is one of its own. */
function reasonOf(explained) {
  if (explained.whole) return { own: true, text: "This class is not split into parts." };
  if (explained.placed < 0.5) return { own: false, text: "mostly from no place in the picture" };
  if (mainParts(explained).length === 0) {
    return { own: false, text: "though no part speaks for it" };
  }
  return { own: false, text: `mostly for ${partsSaid(explained)}` };
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

/**
 * @param {Score[]} scores best first
 * @param {object} explained the best class, as explained
 * @param {"softmax" | "sigmoid"} activation
 */
export function sentenceOf(scores, explained, activation) {
  const said = (score) => `${words(score.label)} (${percent(score.probability)})`;
  const { unsure, rival } = doubtOf(scores, activation);
  const { own, text } = reasonOf(explained);
  if (!unsure) {
    return own ? `It says ${said(scores[0])}. ${text}` : `It says ${said(scores[0])}, ${text}.`;
  }
  const also = rival === null ? "" : `, also ${said(rival)}`;
  let why = text;
  if (!own) why = rival === null ? `${capital(text)}.` : `${words(scores[0].label)} ${text}.`;
  return `It is not sure: ${said(scores[0])}${also}. ${why}`;
}

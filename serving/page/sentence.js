// The answer in one sentence: what it says, how sure it is, and which parts speak for it.
// serving/drawing/sentence.py says the same; a test holds them together.

import { words } from "./dom.js";
import { percent } from "./numbers.js";
import { isNamed, ranked } from "./parts.js";

const MOST = 3; // parts that are named
const ENOUGH = 0.8; // share of the evidence for a class that the named ones hold

/**
 * A piece of the sentence: text, or a part by its rank, in brackets behind its name.
 *
 * @typedef {string | {index: number, rank: number, bare: boolean}} Piece
 */

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
function mainParts(explained, muted) {
  const speaking = ranked(explained)
    .map((part, i) => ({ ...part, rank: i + 1 }))
    .filter(({ index, contribution }) => contribution > 0 && !muted.has(index));
  const total = speaking.reduce((sum, { contribution }) => sum + contribution, 0);
  let held = 0;
  return speaking.filter(({ contribution }, i) => {
    const wanted = i < MOST && held < ENOUGH * total;
    held += contribution;
    return wanted;
  });
}

/** Lists of pieces, one for each item, with commas and an "and" between them. */
const listed = (items) =>
  items.flatMap((item, i) => {
    if (i === 0) return item;
    return [i === items.length - 1 ? " and " : ", ", ...item];
  });

function partsSaid(parts) {
  const bare = ({ index, rank }) => ({ index, rank, bare: true });
  if (!parts.some(isNamed)) {
    return [parts.length === 1 ? "part " : "parts ", ...listed(parts.map((part) => [bare(part)]))];
  }
  const first = parts.findIndex(isNamed);
  return listed(
    parts.map((part, i) => {
      if (!isNamed(part)) return ["part ", bare(part)];
      const { index, rank } = part;
      return [`${i === first ? "the " : ""}${words(part.name)} `, { index, rank, bare: false }];
    }),
  );
}

/** What decided for a class: the end of the sentence; null where it is not split into parts. */
function reasonOf(explained, muted) {
  if (explained.whole) return null;
  if (explained.placed < 0.5) return ["mostly from no place in the picture"];
  const parts = mainParts(explained, muted);
  if (parts.length === 0) return ["though no part speaks for it"];
  return ["mostly for ", ...partsSaid(parts)];
}

const capital = ([first, ...rest]) => [first[0].toUpperCase() + first.slice(1), ...rest];
const UNSPLIT = "This class is not split into parts.";

/**
 * The sentence in pieces.
 *
 * @param {Score[]} scores best first
 * @param {object | null} explained the best class, as explained with nothing muted; null where
 *   its parts are not shown, so that their numbers would mean nothing
 * @param {"softmax" | "sigmoid"} activation
 * @param {Set<number>} muted its parts that are switched off
 * @returns {Piece[]}
 */
export function piecesOf(scores, explained, activation, muted = new Set()) {
  const said = (score) => `${words(score.label)} (${percent(score.probability)})`;
  const { unsure, rival } = doubtOf(scores, activation);
  const also = rival === null ? "" : `, also ${said(rival)}`;
  const start = `${unsure ? "It is not sure:" : "It says"} ${said(scores[0])}${also}`;
  if (explained === null) return [`${start}.`];
  const reason = reasonOf(explained, muted);
  if (reason === null) return [`${start}. ${UNSPLIT}`];
  if (!unsure) return [`${start}, `, ...reason, "."];
  if (rival === null) return [`${start}. `, ...capital(reason), "."];
  return [`${start}. ${words(scores[0].label)} `, ...reason, "."];
}

/** The sentence as text. */
export const sentenceOf = (...all) =>
  piecesOf(...all)
    .map((piece) => {
      if (typeof piece === "string") return piece;
      return piece.bare ? piece.rank : `(${piece.rank})`;
    })
    .join("");

// Which part of one class to hold against which of another.

import { ranked } from "./parts.js";

const SAME_PLACE = 0.5; // cosine of two heatmaps from which they look at the same place

/**
 * Parts that look at the same place, then the strongest left of each class with one another; the
 * pairs that count most come first.
 *
 * @param {object} a a class of a contrast answer
 * @param {object} b the other one
 * @returns {[object | null, object | null][]} null where the other class has no part left
 */
export function pairsOf(a, b) {
  const [mine, its] = [ranked(a), ranked(b)];
  const pairs = mine
    .flatMap((x) => its.map((y) => [overlap(x.heatmap, y.heatmap), x, y]))
    .filter(([alike]) => alike >= SAME_PLACE)
    .sort(([first], [second]) => second - first)
    .reduce((taken, [, x, y]) => {
      if (!taken.some((pair) => pair.includes(x) || pair.includes(y))) taken.push([x, y]);
      return taken;
    }, []);
  const left = (parts) => parts.filter((part) => !pairs.some((pair) => pair.includes(part)));
  const [alone, other] = [left(mine), left(its)];
  for (let i = 0; i < Math.max(alone.length, other.length); i += 1) {
    pairs.push([alone[i] ?? null, other[i] ?? null]);
  }
  const weight = (pair) => Math.max(...pair.map((part) => Math.abs(part?.contribution ?? 0)));
  return pairs.sort((first, second) => weight(second) - weight(first));
}

/** Cosine of what speaks for each class in two heatmaps, 0 where one has nothing. */
function overlap(first, second) {
  if (first === null || second === null) return 0;
  const [x, y] = [first, second].map((heatmap) => heatmap.flat().map((v) => Math.max(v, 0)));
  const dot = (u, v) => u.reduce((sum, value, i) => sum + value * v[i], 0);
  return dot(x, y) / (Math.sqrt(dot(x, x) * dot(y, y)) || 1);
}

// What the server says of each class's parts, asked for once and only for what comes into view.

import * as api from "./api.js";

const known = new Map();

/** Another model has other parts. */
export const forgetPrototypes = () => known.clear();

/** The answer about the parts of a class. */
export function prototypesOf(id) {
  if (!known.has(id)) {
    const answer = api.prototypes(id);
    answer.catch(() => known.delete(id)); // a failure may pass
    known.set(id, answer);
  }
  return known.get(id);
}

/** What to look at twice at a part; an artifact may not say. */
export const doubtsOf = ({ doubts = [] }) => doubts;

/** How many parts of a class have such. */
export const suspicious = ({ doubts = 0 }) => doubts;

const fills = new WeakMap();
const inView = new IntersectionObserver(
  (entries) => {
    for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
      inView.unobserve(target);
      fills.get(target)();
    }
  },
  { rootMargin: "200px" },
);

/** Fill an element once it comes near the window. */
export function whenSeen(node, fill) {
  fills.set(node, fill);
  inView.observe(node);
  return node;
}

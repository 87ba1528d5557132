// Why one class and not another: both classes' prototypes on one scale, on either side of zero.

import { el, onKeyboardFocus, words } from "./dom.js";
import { decimalsFor, signed, times } from "./numbers.js";
import { colourOf, css } from "./palette.js";
import { crops, tagOf } from "./tag.js";
import { NO_PLACE, NO_PLACE_IS, ROUNDING } from "./why.js";

/**
 * @param {HTMLElement} root
 * @param {object} answer of /v1/contrast
 * @param {"softmax" | "sigmoid"} activation
 * @param {{focus: (side: "a" | "b" | null, index: number | null) => void, swap: () => void,
 *   close: () => void}} actions
 */
export function showContrast(root, answer, activation, actions) {
  const { a, b, terms, logit_difference: difference } = answer;
  const decimals = decimalsFor(Math.max(...terms.map((term) => Math.abs(term.value))));
  const largest = Math.max(...terms.map((term) => Math.abs(term.value)), 1e-12);
  const [winner, loser] = difference >= 0 ? [a, b] : [b, a];
  const odds = activation === "softmax" ? `, ${times(difference)} as probable` : "";
  root.replaceChildren(
    el(
      "div",
      { class: "why-head" },
      el(
        "h1",
        { id: "class-title", tabindex: "-1" },
        `Why ${words(a.label)}`,
        el("span", { class: "not" }, ` and not ${words(b.label)}?`),
      ),
    ),
    el(
      "p",
      { class: "hint" },
      `${words(winner.label)} leads ${words(loser.label)} by ${signed(Math.abs(difference), decimals).slice(1)} logit units${odds}.`,
    ),
    el(
      "div",
      { class: "sides", "aria-hidden": "true" },
      el("span", {}, `◂\u00a0for ${words(b.label)}`),
      el("span", {}, `for ${words(a.label)}\u00a0▸`),
    ),
    el(
      "ul",
      { class: "rows pairs" },
      ...terms
        .filter(counts(decimals))
        .map((term) => termRow(term, answer, largest, decimals, actions)),
    ),
    el(
      "ul",
      { class: "sum pairs", "aria-label": "Sum" },
      el(
        "li",
        { class: "term total" },
        el("span", { class: "row-name" }, "difference of the logits"),
        el(
          "span",
          { class: "number", id: "difference", "data-value": difference },
          signed(difference, decimals),
        ),
      ),
    ),
    el(
      "div",
      { class: "foot" },
      el(
        "button",
        { type: "button", class: "button", on: { click: actions.swap } },
        "Swap the classes",
      ),
      el(
        "button",
        { type: "button", class: "button", on: { click: actions.close } },
        "Back to one class",
      ),
    ),
  );
}

/** Prototypes are always listed, every other term only where it moves the sum. */
const counts = (decimals) => (term) =>
  term.kind === "prototype" || Number(term.value.toFixed(decimals)) !== 0;

const NAMES = {
  bias: "difference of the biases",
  common: "common",
  unplaced: NO_PLACE,
  rounding: ROUNDING,
};

function termRow(term, answer, largest, decimals, { focus }) {
  const vars = {
    from: 0.5 + Math.min(0, term.value / largest) / 2,
    size: Math.abs(term.value / largest) / 2,
    zero: 0.5,
  };
  const bar = el(
    "span",
    { class: "track centred", "aria-hidden": "true" },
    el("i", { class: "bar" }),
  );
  const number = el("span", { class: "number" }, signed(term.value, decimals));
  if (term.kind !== "prototype") {
    const name = NAMES[term.kind];
    const title = term.kind === "unplaced" ? NO_PLACE_IS : null;
    return el(
      "li",
      { class: "term", vars, title },
      el("span", { class: "row-name" }, name),
      bar,
      number,
    );
  }
  const owner = answer[term.side];
  const prototype = owner.prototypes.find(({ index }) => index === term.index);
  const show = () => focus(term.side, term.index);
  const hide = () => focus(null, null);
  const says = prototype.muted
    ? "switched off"
    : `speaks for ${words((term.value >= 0 ? answer.a : answer.b).label)}`;
  const button = el(
    "button",
    {
      type: "button",
      class: "row",
      "aria-label": `${words(term.name)} of ${words(owner.label)}, ${signed(term.value, decimals)}, ${says}`,
      on: { ...onKeyboardFocus(show, hide), click: show },
    },
    tagOf(term.index, term.index, term.side === "b"),
    el("span", { class: "row-name" }, words(term.name), el("small", {}, words(owner.label))),
    bar,
    number,
  );
  const colour = css(colourOf(term.index));
  return el(
    "li",
    {
      class: prototype.muted ? "off" : "",
      vars: { ...vars, colour },
      data: { side: term.side, index: term.index },
      on: { pointerenter: show, pointerleave: hide },
    },
    button,
    crops(prototype.evidence, `${term.name} of ${owner.label}`),
  );
}

// Why one class and not another: the parts of both in pairs, one colour a class, from the middle.

import { el, onKeyboardFocus, words } from "./dom.js";
import { lookalikes } from "./lookalike.js";
import { decimalsFor, percent, signed, times } from "./numbers.js";
import { pairsOf } from "./pairs.js";
import { fixedName, isNamed, ranks, spokenName } from "./parts.js";
import { NO_PLACE, NO_PLACE_IS, ROUNDING } from "./why.js";

const CROPS = 3; // of a part, so that both fit beside each other

/**
 * @typedef {{answer: object, activation: "softmax" | "sigmoid", explained: Map<number, object>,
 *   canvas: HTMLCanvasElement | null}} View the answer of /v1/contrast; classes as they were
 *   explained with nothing switched off, by id; the picture as the network sees it
 * @param {HTMLElement} root
 * @param {View} view
 * @param {{focus: (side: "a" | "b" | null, index: number | null) => void, swap: () => void,
 *   close: () => void}} actions
 */
export function showContrast(root, { answer, activation, explained, canvas }, actions) {
  const [a, b] = [answer.a, answer.b].map((side) => asIfOn(side, explained.get(side.id)));
  const parts = [...a.prototypes, ...b.prototypes];
  const largest = Math.max(...parts.map(({ contribution }) => Math.abs(contribution)), 1e-12);
  const decimals = decimalsFor(largest);
  const half = (side, owner) => {
    const shared = { side, owner, places: ranks(owner), largest, decimals, canvas };
    return (part) => halfOf(part, shared, actions);
  };
  const [left, right] = [half("a", a), half("b", b)];
  root.replaceChildren(
    el("div", { class: "why-head" }, titleOf(answer)),
    leadOf(answer, activation),
    el(
      "div",
      { class: "versus", "aria-hidden": "true" },
      ...[a, b].map((side, i) =>
        el(
          "p",
          { class: i === 0 ? "side-a" : "side-b" },
          el("strong", {}, words(side.label)),
          ` ${percent(side.probability)}`,
        ),
      ),
    ),
    el(
      "ul",
      { class: "pairs" },
      ...pairsOf(a, b).map(([mine, its]) =>
        el(
          "li",
          { class: crosses(mine) || crosses(its) ? "pair crossing" : "pair" },
          mine === null ? "" : left(mine),
          its === null ? "" : right(its),
        ),
      ),
    ),
    sumOf(answer, decimals),
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

/**
 * A class of the answer, where what is switched off has its place and number as if it were on: it
 * keeps its rank and its partner, and its bar says what it would add.
 */
const asIfOn = (side, before) => ({
  ...side,
  prototypes: side.prototypes.map((part) =>
    part.muted && before ? { ...before.prototypes[part.index], muted: true } : part,
  ),
});

/** What speaks against its own class lies on the other side of the middle. */
const crosses = (part) => part !== null && part.contribution < 0;

/** The question that the numbers answer, which may not be the one that was asked. */
function titleOf({ a, b, logit_difference: difference }) {
  const [first, rest] =
    difference >= 0
      ? [a, ` and not ${words(b.label)}?`]
      : [b, `, though you asked for ${words(a.label)}?`];
  return el(
    "h2",
    { id: "class-title", tabindex: "-1" },
    `Why ${words(first.label)}`,
    el("span", { class: "not" }, rest),
  );
}

function leadOf({ a, b, logit_difference: difference }, activation) {
  const [winner, loser] = difference >= 0 ? [a, b] : [b, a];
  const decimals = decimalsFor(Math.abs(difference));
  const odds = activation === "softmax" ? `, ${times(difference)} as probable` : "";
  return el(
    "p",
    { class: "hint" },
    `${words(winner.label)} leads ${words(loser.label)} by `,
    el(
      "span",
      { id: "difference", "data-value": difference },
      signed(Math.abs(difference), decimals).replace("+", ""),
    ),
    ` logit units${odds}. Parts at the same place are side by side.`,
  );
}

/** "bill (1)", or "part 1". */
const titled = (part, places) =>
  isNamed(part)
    ? `${words(part.name)} (${places.get(part.index)})`
    : spokenName(part, places.get(part.index));

/** One class's part of a pair: its name, a bar from the middle, its number and crops. */
function halfOf(part, { side, owner, places, largest, decimals, canvas }, { focus }) {
  const rank = places.get(part.index);
  const show = () => focus(side, part.index);
  const hide = () => focus(null, null);
  const number = signed(part.contribution, decimals);
  const says = part.muted
    ? "switched off"
    : `speaks ${part.contribution < 0 ? "against" : "for"} it`;
  const look = { prototype: part, rank, canvas, heatmap: part.heatmap, label: owner.label };
  return el(
    "div",
    {
      class: `half side-${side}${part.muted ? " off" : ""}${crosses(part) ? " against" : ""}`,
      vars: { size: Math.abs(part.contribution) / largest },
      data: { side, index: part.index },
      on: { pointerenter: show, pointerleave: hide },
    },
    el(
      "button",
      {
        type: "button",
        class: "half-row",
        "aria-label": `${titled(part, places)} of ${words(owner.label)}, ${number}, ${says}`,
        on: { ...onKeyboardFocus(show, hide), click: show },
      },
      el("span", { class: "disc", "aria-hidden": "true" }, String(rank)),
      el(
        "span",
        { class: "half-name", title: `prototype ${part.index} in the API` },
        owner.whole ? "the whole class" : fixedName(part),
      ),
      el("span", { class: "half-number" }, number),
      el("span", { class: "half-track", "aria-hidden": "true" }, el("i", { class: "half-bar" })),
    ),
    lookalikes(look, CROPS),
  );
}

const NAMES = { bias: "difference of the biases", common: "common", unplaced: NO_PLACE };

/** The difference term by term, folded away: it is exact, and not what people came for. */
function sumOf({ a, b, terms, logit_difference: difference }, decimals) {
  const line = (name, value, properties = {}) =>
    el(
      "li",
      { class: "sum-line", ...properties },
      el("span", {}, name),
      el("span", { class: "number" }, signed(value, decimals)),
    );
  const partsOf = (wanted) =>
    terms
      .filter(({ kind, side }) => kind === "prototype" && side === wanted)
      .reduce((sum, { value }) => sum + value, 0);
  const others = terms.filter(
    ({ kind, value }) => kind !== "prototype" && Number(value.toFixed(decimals)) !== 0,
  );
  return el(
    "details",
    { class: "adds-up" },
    el("summary", {}, "How it adds up"),
    el(
      "p",
      { class: "note" },
      "A logit is the sum of its class's parts and of what follows; what all classes have in common cancels out.",
    ),
    el(
      "ul",
      {},
      line(`parts of ${words(a.label)}`, partsOf("a")),
      line(`parts of ${words(b.label)}, counted against it`, partsOf("b")),
      ...others.map(({ kind, value }) =>
        line(NAMES[kind] ?? ROUNDING, value, kind === "unplaced" ? { title: NO_PLACE_IS } : {}),
      ),
      line("difference of the logits", difference, { class: "sum-line sum-total" }),
    ),
  );
}

// Why one class: its prototypes, what each adds, what they look like, and the sum.

import { el, onKeyboardFocus, setVars, words } from "./dom.js";
import { decimalsFor, percent, scientific, signed } from "./numbers.js";
import { colourOf, css } from "./palette.js";
import { placeOf } from "./stage.js";
import { crops, mutedForGood, tagOf } from "./tag.js";

/** The prototypes of a class, those that count most first. */
export const strongest = (explained) =>
  [...explained.prototypes].sort(
    (a, b) => Math.abs(b.contribution) - Math.abs(a.contribution) || a.index - b.index,
  );

/** Why an edit of the model muted a prototype for good; null where none did. */
const reasonOf = (edits, id, index) =>
  edits.find(({ muted }) => muted.some((key) => key.class === id && key.prototype === index))
    ?.reason ?? null;

/** What comes from no place: how it is called, and what it is. */
export const NO_PLACE = "from no place";
export const ROUNDING = "rounding to 8 bits";
export const NO_PLACE_IS = "what the network adds without looking at a place of the picture";

const LITTLE = 0.8;

/** Said where much of the evidence has no place; null elsewhere. */
const placedNote = ({ placed }) =>
  placed >= LITTLE
    ? null
    : el(
        "p",
        { class: "note placed" },
        `Only ${percent(placed)} of this evidence has a place in the picture. The rest is ${NO_PLACE_IS}.`,
      );

/** How exactly the terms add up to the model's own logit. */
function completeness({ logit, bias, common, unplaced, rounding, prototypes }) {
  const residual = Math.abs(
    prototypes.reduce((sum, p) => sum + p.contribution, bias + common + unplaced + rounding) - logit,
  );
  return residual === 0
    ? "The terms are the model's own logit exactly."
    : `The terms and the model's own logit differ by ${scientific(residual)}.`;
}

/** The panel for one explained class; `update` changes it in place, so that the focus stays. */
export class Why {
  /**
   * @param {HTMLElement} root
   * @param {object} explained a class of an explain answer, nothing muted
   * @param {object[]} edits of /v1/model
   * @param {{focus: (index: number | null) => void, toggle: (index: number) => void,
   *   reset: () => void}} actions
   */
  constructor(root, explained, edits, actions) {
    [this.low, this.high] = [0, 0];
    this.decimals = decimalsFor(
      Math.max(...explained.prototypes.map((p) => Math.abs(p.contribution)), 0),
    );
    this.rows = strongest(explained).map((prototype) =>
      this.#row(prototype, reasonOf(edits, explained.id, prototype.index), actions),
    );
    this.terms = [
      this.#term("bias", explained.bias),
      this.#term("common to all classes", explained.common),
      ...(explained.unplaced === 0 ? [] : [this.#term(NO_PLACE, explained.unplaced, NO_PLACE_IS)]),
      ...(explained.rounding === 0 ? [] : [this.#term(ROUNDING, explained.rounding)]),
    ];
    this.rest = this.#term("difference", 0);
    this.total = this.#term("logit", explained.logit);
    this.total.node.classList.add("total");
    this.number = el("p", { class: "chance" });
    this.change = el("p", { class: "change", hidden: true });
    this.reset = el(
      "button",
      { type: "button", class: "button", hidden: true, on: { click: actions.reset } },
      "Switch all on",
    );
    root.replaceChildren(
      el(
        "div",
        { class: "why-top" },
        el(
          "div",
          { class: "why-head" },
          el("h1", { id: "class-title", tabindex: "-1" }, words(explained.label)),
          this.number,
        ),
        this.change,
      ),
      explained.whole
        ? el(
            "p",
            { class: "note" },
            "Too few training images to tell parts apart: the class is one prototype.",
          )
        : el(
            "p",
            { class: "hint" },
            "Each part adds to the logit; below it, training images that it looks like. Switch one off to see what changes.",
          ),
      el("ul", { class: "rows" }, ...this.rows.map((row) => row.node)),
      el(
        "ul",
        { class: "sum", "aria-label": "Sum" },
        ...[...this.terms, this.rest, this.total].map((term) => term.node),
      ),
      placedNote(explained),
      el("p", { class: "note exact" }, completeness(explained)),
      el("div", { class: "foot" }, this.reset),
    );
  }

  #row(prototype, reason, { focus, toggle }) {
    const { index, name, contribution, heatmap, evidence } = prototype;
    const where = contribution > 0 ? `, looks ${placeOf(heatmap)}` : "";
    const button = el(
      "button",
      {
        type: "button",
        class: "row",
        role: "switch",
        "aria-label": `${words(name)}, adds ${signed(contribution, this.decimals)}${where}`,
        on: {
          click: () => toggle(index),
          ...onKeyboardFocus(
            () => focus(index),
            () => focus(null),
          ),
        },
      },
      tagOf(index),
      el("span", { class: "row-name" }, words(name)),
      el("span", { class: "track", "aria-hidden": "true" }, el("i", { class: "bar" })),
      el("span", { class: "number" }, signed(contribution, this.decimals)),
      el("span", { class: "switch", "aria-hidden": "true" }, el("i")),
    );
    const vars = { colour: css(colourOf(index)) };
    const on = { pointerenter: () => focus(index), pointerleave: () => focus(null) };
    const node = el(
      "li",
      { data: { index }, vars, on },
      button,
      mutedForGood(reason),
      crops(evidence, name),
    );
    return { node, button, prototype };
  }

  #term(name, value, title = null) {
    const number = el("span", { class: "number" }, signed(value, this.decimals));
    const bar = el("span", { class: "track", "aria-hidden": "true" }, el("i", { class: "bar" }));
    return {
      node: el(
        "li",
        { class: "term", title },
        el("span", { class: "row-name" }, name),
        bar,
        number,
      ),
      number,
      value,
    };
  }

  /**
   * @param {{score: Score, before: Score, muted: Set<number>, anyMuted: boolean,
   *   focus: number | null, best: Score, bestBefore: Score}} view
   */
  update({ score, before, muted, anyMuted, focus, best, bestBefore }) {
    this.#bars(score, muted);
    for (const { node, button, prototype } of this.rows) {
      button.setAttribute("aria-checked", String(!muted.has(prototype.index)));
      node.classList.toggle("off", muted.has(prototype.index));
      node.classList.toggle("dim", focus !== null && focus !== prototype.index);
    }
    const changed =
      score.logit !== before.logit || percent(score.probability) !== percent(before.probability);
    this.number.replaceChildren(
      ...(changed ? [el("s", {}, percent(before.probability)), " "] : []),
      el("strong", {}, percent(score.probability)),
    );
    this.total.number.replaceChildren(
      ...(changed ? [el("s", {}, signed(before.logit, this.decimals)), " "] : []),
      el("span", { id: "logit", "data-value": score.logit }, signed(score.logit, this.decimals)),
    );
    this.reset.hidden = !anyMuted;
    this.#verdict(best, bestBefore);
  }

  #verdict(best, bestBefore) {
    const turned = best.id !== bestBefore.id;
    this.change.hidden = !turned;
    if (turned) {
      this.change.textContent =
        `Without what is switched off it says ${words(best.label)} ` +
        `(${percent(best.probability)}) instead of ${words(bestBefore.label)}.`;
    }
  }

  /** Each bar starts where the sum so far ends, so the last one ends at the logit. */
  #bars(score, muted) {
    const active = this.rows.filter((row) => !muted.has(row.prototype.index));
    const sum = [
      ...active.map((row) => row.prototype.contribution),
      ...this.terms.map((t) => t.value),
    ].reduce((a, b) => a + b, 0);
    // A verified artifact has no difference beyond rounding, but a sum in print must add up.
    const rest = score.logit - sum;
    this.rest.node.hidden = Math.abs(rest).toFixed(this.decimals) === (0).toFixed(this.decimals);
    this.rest.number.textContent = signed(rest, this.decimals);
    const all = [
      ...this.rows.map((row) => [
        row.node,
        row.prototype.contribution,
        muted.has(row.prototype.index),
      ]),
      ...this.terms.map((term) => [term.node, term.value, false]),
      [this.rest.node, rest, false],
    ];
    let level = 0;
    const spans = all.map(([node, value, off]) => {
      const span = [node, level, level + value];
      if (!off) level += value;
      return span;
    });
    spans.push([this.total.node, 0, score.logit]);
    const ends = spans.flatMap(([, from, to]) => [from, to]);
    // The scale only ever widens: bars must not grow because another one was switched off.
    this.low = Math.min(this.low, ...ends);
    this.high = Math.max(this.high, ...ends);
    const place = (value) => (value - this.low) / (this.high - this.low || 1);
    for (const [node, from, to] of spans) {
      setVars(node, {
        from: place(Math.min(from, to)),
        size: Math.abs(place(to) - place(from)),
        zero: place(0),
      });
    }
  }
}

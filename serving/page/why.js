// Why one class: its parts, how much each one counts, what each looks like, and the sum.

import { el, onKeyboardFocus, setVars, words } from "./dom.js";
import { lookalikes } from "./lookalike.js";
import { decimalsFor, percent, scientific, signed } from "./numbers.js";
import { colourOf, css } from "./palette.js";
import { fixedName, isNamed, ranked, spokenName } from "./parts.js";
import { placeOf } from "./stage.js";
import { doubtNotes, mutedForGood, tagOf } from "./tag.js";

/** Why an edit of the model muted a part for good; null where none did. */
const reasonOf = (edits, id, index) =>
  edits.find(({ muted }) => muted.some((key) => key.class === id && key.prototype === index))
    ?.reason ?? null;

/** What comes from no place: how it is called, and what it is. */
export const NO_PLACE = "from no place";
export const ROUNDING = "rounding to 8 bits";
export const NO_PLACE_IS = "what the network adds without looking at a place of the picture";
const MEANINGS = {
  bias: "what the class has without any picture",
  "common to all classes": "the same for every class: it moves no probability",
  [NO_PLACE]: NO_PLACE_IS,
  [ROUNDING]: "what the last layer loses or adds by rounding",
};

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
    prototypes.reduce((sum, p) => sum + p.contribution, bias + common + unplaced + rounding) -
      logit,
  );
  return residual === 0
    ? "The terms are the model's own logit exactly."
    : `The terms and the model's own logit differ by ${scientific(residual)}.`;
}

/** A share of the evidence for a class, in whole per cent. */
const sharePercent = (share) => `${signed(100 * share, 0).replace("+", "")} %`;

/**
 * The probability of a class whose logit is higher by this much: no other logit moves, because a
 * part belongs to one class.
 *
 * @param {number} probability now
 * @param {number} others the probability of the other classes together
 * @param {number} difference of the logit
 */
export function moved(probability, others, difference) {
  const odds = (probability / others) * Math.exp(difference);
  return Number.isFinite(odds) ? odds / (1 + odds) : 1;
}

/** The panel for one explained class; `update` changes it in place, so that the focus stays. */
export class Why {
  /**
   * @param {HTMLElement} root
   * @param {object} explained a class of an explain answer, nothing muted
   * @param {object[]} edits of /v1/model
   * @param {HTMLCanvasElement | null} canvas the picture as the network sees it
   * @param {{focus: (index: number | null) => void, toggle: (index: number) => void,
   *   rename: (index: number, name: string) => void}} actions
   */
  constructor(root, explained, edits, canvas, actions) {
    this.explained = explained;
    this.canvas = canvas;
    this.actions = actions;
    const sizes = explained.prototypes.map(({ contribution }) => contribution);
    [this.low, this.high] = [Math.min(...sizes, 0), Math.max(...sizes, 0)];
    this.decimals = decimalsFor(Math.max(...sizes.map(Math.abs), 0));
    this.rows = ranked(explained).map((prototype, i) =>
      this.#row(prototype, i + 1, reasonOf(edits, explained.id, prototype.index)),
    );
    this.chips = this.rows.map((row) => this.#chip(row));
    this.number = el("p", { class: "chance" });
    root.replaceChildren(
      el(
        "div",
        { class: "chips", "aria-hidden": "true" },
        ...this.chips.map(({ node }) => node),
      ),
      el(
        "div",
        { class: "why-head" },
        el(
          "div",
          {},
          el("p", { class: "small-title" }, "What speaks for"),
          el("h2", { id: "class-title", tabindex: "-1" }, words(explained.label)),
        ),
        this.number,
      ),
      el(
        "p",
        { class: "hint" },
        explained.whole
          ? "Too few training images to tell parts apart: the class is one part."
          : "Each part with its share of what speaks for the class, and training images that it looks like. Switch one off to see what changes.",
      ),
      el("ul", { class: "rows" }, ...this.rows.map((row) => row.node)),
      ...[placedNote(explained)].filter((note) => note !== null),
      this.#sum(),
    );
  }

  #row(prototype, rank, reason) {
    const { focus, toggle, rename } = this.actions;
    const { index, contribution, share, heatmap } = prototype;
    const { canvas, explained } = this;
    const against = contribution <= 0;
    const spoken = spokenName(prototype, rank);
    const where = against ? ", speaks against it" : `, looks ${placeOf(heatmap)}`;
    const button = el(
      "button",
      {
        type: "button",
        class: "switch",
        role: "switch",
        "aria-label": `${spoken}, ${sharePercent(share)} of the evidence${where}`,
        title: "Switch it off or on",
        on: {
          click: () => toggle(index),
          ...onKeyboardFocus(
            () => focus(index),
            () => focus(null),
          ),
        },
      },
      el("i", { "aria-hidden": "true" }),
    );
    const without = el("p", { class: "without" });
    const title = `prototype ${index} of the artifact: ${signed(contribution, this.decimals)} logit`;
    const node = el(
      "li",
      {
        class: against ? "against" : null,
        data: { index },
        vars: { colour: css(colourOf(index)), ...this.#bar(contribution) },
        on: { pointerenter: () => focus(index), pointerleave: () => focus(null) },
      },
      el(
        "div",
        { class: "row", title },
        tagOf(index, rank),
        naming(prototype, rank, (name) => rename(index, name)),
        el("span", { class: "track", "aria-hidden": "true" }, el("i", { class: "bar" })),
        el("span", { class: "number" }, sharePercent(share)),
        button,
        without,
      ),
      el(
        "div",
        { class: "row-more" },
        ...doubtNotes(prototype),
        ...[mutedForGood(reason)].filter((note) => note !== null),
        lookalikes({ prototype, rank, canvas, heatmap, label: explained.label }),
      ),
    );
    return { node, button, prototype, rank, without };
  }

  /** Where a bar starts and how long it is, in shares of the track. */
  #bar(value) {
    const place = (at) => (at - this.low) / (this.high - this.low || 1);
    return {
      from: place(Math.min(0, value)),
      size: Math.abs(place(value) - place(0)),
      zero: place(0),
    };
  }

  /** What stands for a row where there is no room for rows: under the picture of a phone. */
  #chip({ prototype, rank }) {
    const { index, contribution, share } = prototype;
    const press = () => this.actions.focus(node.classList.contains("on") ? null : index);
    const node = el(
      "button",
      {
        type: "button",
        class: contribution <= 0 ? "chip against" : "chip",
        tabindex: "-1", // the rows say the same to those who hear or type
        on: { click: press },
      },
      tagOf(index, rank),
      el("span", {}, fixedName(prototype)),
      el("span", { class: "soft" }, sharePercent(share)),
    );
    return { node, index };
  }

  /** How it adds up: the model's own logit, term by term. */
  #sum() {
    const { bias, common, unplaced, rounding, logit } = this.explained;
    this.parts = this.#term("the parts together", 0);
    this.terms = [
      this.#term("bias", bias),
      this.#term("common to all classes", common),
      ...(unplaced === 0 ? [] : [this.#term(NO_PLACE, unplaced)]),
      ...(rounding === 0 ? [] : [this.#term(ROUNDING, rounding)]),
    ];
    this.rest = this.#term("difference", 0);
    this.total = this.#term("logit", logit);
    this.total.node.classList.add("total");
    return el(
      "details",
      { class: "how" },
      el("summary", {}, "How it adds up"),
      el(
        "p",
        { class: "note" },
        "The class gets a number, its logit; the class with the largest one is the answer. The parts and these terms are that number, and nothing else is in it.",
      ),
      el(
        "ul",
        { class: "sum", "aria-label": "Sum" },
        ...[this.parts, ...this.terms, this.rest, this.total].map((term) => term.node),
      ),
      el("p", { class: "note exact" }, completeness(this.explained)),
    );
  }

  #term(name, value) {
    const number = el("span", { class: "number" }, signed(value, this.decimals));
    const meaning = MEANINGS[name] ?? null;
    const node = el(
      "li",
      { class: "term", title: meaning },
      el("span", { class: "row-name" }, name, meaning && el("small", {}, meaning)),
      number,
    );
    return { node, number, value };
  }

  /**
   * @param {{score: Score, before: Score, others: number, muted: Set<number>,
   *   focus: number | null}} view `others`: the probability of all other classes now; null where
   *   the classes do not share it (sigmoid)
   */
  update({ score, before, others, muted, focus }) {
    for (const { node, button, prototype, without } of this.rows) {
      const off = muted.has(prototype.index);
      const sign = off ? 1 : -1;
      const rest = others ?? 1 - score.probability;
      const other = moved(score.probability, rest, sign * prototype.contribution);
      button.setAttribute("aria-checked", String(!off));
      without.textContent = `${off ? "with" : "without"} it: ${percent(other)}`;
      node.classList.toggle("off", off);
      node.classList.toggle("dim", focus !== null && focus !== prototype.index);
    }
    for (const { node, index } of this.chips) {
      node.classList.toggle("off", muted.has(index));
      node.classList.toggle("on", focus === index);
    }
    const changed =
      score.logit !== before.logit || percent(score.probability) !== percent(before.probability);
    this.number.replaceChildren(
      ...(changed ? [el("s", {}, percent(before.probability)), " "] : []),
      el("strong", {}, percent(score.probability)),
    );
    this.#add(score, before, muted, changed);
  }

  #add(score, before, muted, changed) {
    const active = this.rows.filter(({ prototype }) => !muted.has(prototype.index));
    const parts = active.reduce((sum, { prototype }) => sum + prototype.contribution, 0);
    this.parts.number.textContent = signed(parts, this.decimals);
    // A verified artifact has no difference beyond rounding, but a sum in print must add up.
    const rest = score.logit - this.terms.reduce((sum, { value }) => sum + value, parts);
    this.rest.node.hidden = Math.abs(rest).toFixed(this.decimals) === (0).toFixed(this.decimals);
    this.rest.number.textContent = signed(rest, this.decimals);
    this.total.number.replaceChildren(
      ...(changed ? [el("s", {}, signed(before.logit, this.decimals)), " "] : []),
      el("span", { id: "logit", "data-value": score.logit }, signed(score.logit, this.decimals)),
    );
  }
}

/** The name of a part, which a press lets one type. */
function naming(part, rank, rename) {
  const name = el("span", { class: "fixed" }, fixedName(part));
  const button = el(
    "button",
    {
      type: "button",
      class: "row-name",
      title: "Name this part",
      "aria-label": `Name ${spokenName(part, rank)}`,
      on: { click: () => edit() },
    },
    name,
    el("small", {}, isNamed(part) ? `#${part.index}` : "name it"),
  );
  const input = el("input", {
    class: "row-name",
    type: "text",
    maxlength: "60",
    "aria-label": `Name of ${spokenName(part, rank)}`,
    placeholder: "bill, wing, …",
    autocomplete: "off",
  });
  let done = true;
  function edit() {
    done = false;
    input.value = isNamed(part) ? words(part.name) : "";
    button.replaceWith(input);
    input.focus();
    input.select();
  }
  function end(keep) {
    if (done) return;
    done = true;
    input.replaceWith(button);
    button.focus();
    if (keep) rename(input.value.trim());
  }
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") end(true);
    if (event.key === "Escape") end(false);
  });
  input.addEventListener("blur", () => end(true));
  return button;
}

// One class in full: its parts, what they look like, and what to look at twice.

import { doubtsOf, prototypesOf } from "./catalogue.js";
import { byId, el, words } from "./dom.js";
import { lookalikes } from "./lookalike.js";
import { percent, plural } from "./numbers.js";
import { colourOf, css } from "./palette.js";
import { fixedName, isNamed } from "./parts.js";
import { lastHash } from "./query.js";
import { doubtNotes, mutedForGood } from "./tag.js";

/**
 * @param {object} record of /v1/classes
 * @param {(() => void) | null} onExplain shows the class in the current picture; null without one
 */
export async function showClass(record, onExplain) {
  const { prototypes, warnings, state } = await prototypesOf(record.id);
  const doubted = prototypes.filter((part) => doubtsOf(part).length > 0).length;
  const facts = [
    state === "whole" ? "not split into parts" : plural(prototypes.length, "part"),
    plural(record.images, "training image"),
    ...(record.accuracy === null ? [] : [`training accuracy ${percent(record.accuracy)}`]),
  ].join(", ");
  byId("browser").replaceChildren(
    el("a", { href: lastHash(), class: "back" }, "‹ All classes"),
    el("h1", { id: "browser-title", tabindex: "-1" }, words(record.label)),
    el("p", { class: "lead" }, `${facts[0].toUpperCase()}${facts.slice(1)}.`),
    ...(state === "whole"
      ? [el("p", { class: "note" }, "Too few training images to tell parts apart.")]
      : []),
    ...(doubted === 0
      ? []
      : [el("p", { class: "note" }, `${plural(doubted, "part")} to look at twice.`)]),
    ...warnings.map((warning) => el("p", { class: "note" }, warning)),
    el("ul", { class: "portrait" }, ...prototypes.map((part) => partOf(part, record.label))),
    onExplain === null
      ? ""
      : el(
          "button",
          { type: "button", class: "button", on: { click: onExplain } },
          "See it in the current picture",
        ),
  );
}

/** A part with its name, its doubts and its training crops. */
export function partOf(part, label, heading = "h2") {
  const { index, muted, alike = [] } = part;
  const doubts = doubtsOf(part);
  // Where two parts look at one place, another place would be said of the same two.
  const elsewhere = doubts.some(({ kind }) => kind === "same_place") ? "" : ", in another place";
  const look = { prototype: part, rank: null, canvas: null, heatmap: null, label };
  return el(
    "li",
    { vars: { colour: css(colourOf(index)) } },
    el(
      heading,
      { class: "part-name", title: `prototype ${index} in the API` },
      el("i", { class: "dot", "aria-hidden": "true" }),
      fixedName(part),
      isNamed(part) ? el("small", {}, `#${index}`) : "",
    ),
    ...doubtNotes(part),
    alike.length === 0
      ? ""
      : el(
          "p",
          { class: "note" },
          `It shows the same thing as ${alike.map((other) => `#${other}`).join(" and ")}${elsewhere}.`,
        ),
    mutedForGood(muted),
    lookalikes(look),
  );
}

// What stands for a part everywhere: its number on its colour, its crops from training.

import { showImage } from "./api.js";
import { el } from "./dom.js";
import { colourOf, css, inkOn } from "./palette.js";

/**
 * A number on a disc of the part's colour; on a square for the second class of a comparison.
 *
 * @param {number} index the part's number in the artifact, which has the colour
 * @param {number} number the one that is shown: its rank in the picture
 */
export function tagOf(index, number, square = false) {
  const colour = colourOf(index);
  const vars = { colour: css(colour), "tag-ink": css(inkOn(colour)) };
  return el(
    "span",
    { class: square ? "tag square" : "tag", vars, "aria-hidden": "true" },
    String(number),
  );
}

/** A picture of the server's. */
export function picture(url, properties) {
  const image = el("img", { decoding: "async", ...properties });
  // A crop that fails to load leaves its alternative text, as any picture does.
  showImage(image, url).catch(() => image.removeAttribute("src"));
  return image;
}

/** What stands beside a part that an edit of the model muted; `reason` is null for others. */
export const mutedForGood = (reason) =>
  reason === null ? null : el("p", { class: "note" }, `Muted for good: ${reason}`);

/** What to look at twice, in the artifact's own words. */
export const doubtNotes = ({ doubts = [] }) =>
  doubts.map(({ says }) => el("p", { class: "doubt" }, says));

// What stands for a prototype everywhere: its number on its colour, its crops from training.

import { showImage } from "./api.js";
import { el, words } from "./dom.js";
import { colourOf, css, inkOn } from "./palette.js";

/** The number on a disc; on a square for the second class of a comparison. */
export function tagOf(index, square = false) {
  const colour = colourOf(index);
  const vars = { colour: css(colour), "tag-ink": css(inkOn(colour)) };
  return el(
    "span",
    { class: square ? "tag square" : "tag", vars, "aria-hidden": "true" },
    String(index),
  );
}

/** A picture of the server's. */
export function picture(url, properties) {
  const image = el("img", { decoding: "async", ...properties });
  // A crop that fails to load leaves its alternative text, as any picture does.
  showImage(image, url).catch(() => image.removeAttribute("src"));
  return image;
}

/** What stands beside a prototype that an edit of the model muted; `reason` is null for others. */
export const mutedForGood = (reason) =>
  reason === null ? "" : el("p", { class: "note" }, `Muted for good: ${reason}`);

/** Training crops that show what a prototype looks like. */
export function crops(evidence, name) {
  if (evidence.length === 0) return el("p", { class: "note" }, "No training crop shows it.");
  return el(
    "ul",
    { class: "crops", "aria-label": `${words(name)} looks like, in training images` },
    ...evidence.map((crop) =>
      el(
        "li",
        {},
        picture(crop.url, { alt: `Crop of ${crop.image}`, title: crop.image, loading: "lazy" }),
      ),
    ),
  );
}

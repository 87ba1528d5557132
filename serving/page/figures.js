// The picture of one class, or of both while two are compared, with words for what it shows.

import { byId, setVars, words } from "./dom.js";
import { colourOf } from "./palette.js";
import { placeOf, SHOWN } from "./stage.js";
import { strongest } from "./why.js";

/**
 * @param {object} state of the page
 * @param {{a: Stage, b: Stage}} stages
 * @param {boolean} dark
 */
export function showFigures({ session, contrast, picture, mode, focus }, stages, dark) {
  byId("figures").classList.toggle("two", contrast !== null);
  byId("figure-b").hidden = contrast === null;
  const common = { picture, mode, theme: dark ? "dark" : "light" };
  if (contrast === null) {
    const explained = session.explained.get(session.chosen);
    const parts = partsOf(explained, session.mutedOf(session.chosen), false);
    byId("stage-caption").textContent = caption(explained, parts, focus.index, picture);
    show(stages.a, explained, { ...common, parts, focus: focus.index });
    return;
  }
  for (const side of ["a", "b"]) {
    const explained = contrast[side];
    const parts = partsOf(explained, new Set(), side === "b");
    // While one class's prototype is isolated the other class's picture rests.
    const isolated = focus.side === null || focus.side === side ? focus.index : -1;
    byId(`stage${side === "b" ? "-b" : ""}-caption`).textContent = `for ${words(explained.label)}`;
    show(stages[side], explained, { ...common, parts, focus: isolated });
  }
}

/** Keep the picture in view, small, on screens too narrow for it to stand beside the numbers. */
export function followScrolling() {
  const atTop = ([{ isIntersecting }]) => {
    // What leaves the flow must leave its place behind, or all below would jump.
    if (isIntersecting) setVars(byId("figures"), { height: `${byId("figures").offsetHeight}px` });
    byId("result").classList.toggle("past", isIntersecting);
  };
  // Once the panel is all but at the window's upper edge, and its head beside the small picture.
  new IntersectionObserver(atTop, { rootMargin: "0px 0px -95%" }).observe(byId("why"));
}

function show(stage, explained, scene) {
  const places = looking(scene.parts)
    .slice(0, SHOWN)
    .map((part) => `${words(part.name)} ${placeOf(part.heatmap)}`);
  const label =
    `The picture, with where the model looks for ${words(explained.label)}: ` +
    `${places.join(", ") || "nowhere"}.`;
  stage.canvas.setAttribute("aria-label", label);
  stage.canvas.classList.toggle("missing", scene.picture === null);
  stage.show(scene);
}

const partsOf = (explained, muted, square) =>
  strongest(explained).map((prototype) => ({
    ...prototype,
    muted: muted.has(prototype.index),
    colour: colourOf(prototype.index),
    square,
  }));

const looking = (parts) => parts.filter((part) => part.contribution > 0 && !part.muted);

function caption(explained, parts, focused, picture) {
  if (picture === null) return "This browser cannot show the file; the numbers are right.";
  const label = words(explained.label);
  if (focused !== null) {
    const { name, contribution } = explained.prototypes[focused];
    return contribution > 0 ? words(name) : `${words(name)} speaks against ${label} here`;
  }
  const count = looking(parts).length;
  if (count === 0) return `Nothing here speaks for ${label}.`;
  return `${count > SHOWN ? `The ${SHOWN} strongest parts` : "Where it looks"} for ${label}`;
}

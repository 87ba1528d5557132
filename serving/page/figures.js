// The picture of one class, or of both while two are compared, with words for what it shows.

import { byId, words } from "./dom.js";
import { percent } from "./numbers.js";
import { colourOf, sideColour } from "./palette.js";
import { ranked, spokenName } from "./parts.js";
import { placeOf } from "./stage.js";

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
    const parts = partsOf(explained, (part) => ({
      muted: session.mutedOf(session.chosen).has(part.index),
      colour: colourOf(part.index),
    }));
    byId("stage-caption").textContent = caption(explained, parts, focus.index, picture);
    show(stages.a, explained, { ...common, parts, focus: focus.index });
    return;
  }
  for (const side of ["a", "b"]) {
    // As it is with all parts on: what is switched off keeps its rank, and is not drawn.
    const explained = session.explained.get(contrast[side].id) ?? contrast[side];
    const colour = sideColour(side);
    const parts = partsOf(explained, (part) => ({
      muted: session.mutedOf(explained.id).has(part.index),
      colour,
      square: side === "b",
    }));
    // While one class's part is isolated the other class's picture rests.
    const isolated = focus.side === null || focus.side === side ? focus.index : -1;
    byId(`stage${side === "b" ? "-b" : ""}-caption`).textContent = `for ${words(explained.label)}`;
    show(stages[side], explained, { ...common, parts, focus: isolated });
  }
}

function show(stage, explained, scene) {
  const places = looking(scene.parts).map(
    (part) => `${spokenName(part, part.rank)} ${placeOf(part.heatmap)}`,
  );
  const label =
    `The picture, with where the model looks for ${words(explained.label)}: ` +
    `${places.join(", ") || "nowhere"}.`;
  stage.canvas.setAttribute("aria-label", label);
  stage.canvas.classList.toggle("missing", scene.picture === null);
  stage.show(scene);
}

const partsOf = (explained, look) =>
  ranked(explained).map((part, i) => ({ ...part, rank: i + 1, ...look(part) }));

const looking = (parts) => parts.filter((part) => part.contribution > 0 && !part.muted);

function caption(explained, parts, focused, picture) {
  if (picture === null) return "This browser cannot show the file; the numbers are right.";
  const label = words(explained.label);
  if (focused !== null) {
    const part = parts.find(({ index }) => index === focused);
    const name = spokenName(part, part.rank);
    if (part.contribution <= 0) return `${capital(name)}: speaks against ${label} here`;
    return `${capital(name)}: ${placeOf(part.heatmap)}`;
  }
  if (looking(parts).length === 0) return `Nothing here speaks for ${label}.`;
  return `Where it looks for ${label}`;
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

const CUT = 0.97;

/** Show what preprocessing cuts off; nothing where the network sees all but a rim. */
export function showCut(picture) {
  const cut = byId("cut");
  cut.hidden = picture === null || picture.seen >= CUT;
  if (cut.hidden) return;
  byId("cut-text").textContent =
    `The model sees ${percent(picture.seen)} of this photograph; the rest is cut off before it looks.`;
  byId("cut-whole").replaceChildren(picture.whole);
}

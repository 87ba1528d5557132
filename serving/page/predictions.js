// The classes with their probabilities, now and before anything was switched off.

import { byId, calm, el, setVars, words } from "./dom.js";
import { percent } from "./numbers.js";

/**
 * @typedef {{id: number, label: string, logit: number, probability: number}} Score
 * @param {{now: Score[], before: Map<number, Score>, chosen: number, rival: number | null,
 *   muting: boolean}} view classes in the order to show
 * @param {{choose: (id: number) => void, compare: (id: number) => void}} actions
 */
export function showPredictions(view, actions) {
  const list = byId("predictions");
  const places = new Map([...list.children].map((row) => [row.dataset.id, row.offsetTop]));
  const rows = new Map([...list.children].map((row) => [row.dataset.id, row]));
  const wanted = view.now.map((score) => {
    const row = rows.get(String(score.id)) ?? newRow(score, actions);
    fill(row, score, view);
    return row;
  });
  arrange(list, wanted);
  for (const row of wanted) {
    const moved = (places.get(row.dataset.id) ?? row.offsetTop) - row.offsetTop;
    if (moved !== 0 && !calm()) {
      row.animate([{ transform: `translateY(${moved}px)` }, { transform: "none" }], {
        duration: 260,
        easing: "cubic-bezier(.2,.7,.2,1)",
      });
    }
  }
}

/** Put the rows in order, moving as few as possible: a moved element loses the focus. */
function arrange(list, wanted) {
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  for (const row of [...list.children]) if (!wanted.includes(row)) row.remove();
  wanted.forEach((row, i) => {
    if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null);
  });
  if (focused?.isConnected && document.activeElement !== focused)
    focused.focus({ preventScroll: true });
}

function newRow(score, { choose, compare }) {
  return el(
    "li",
    { data: { id: score.id } },
    el(
      "button",
      { type: "button", class: "prediction", on: { click: () => choose(score.id) } },
      el("span", { class: "prediction-name" }),
      el("span", { class: "prediction-number" }),
      el(
        "span",
        { class: "track", "aria-hidden": "true" },
        el("i", { class: "fill" }),
        el("i", { class: "was" }),
      ),
    ),
    el(
      "button",
      { type: "button", class: "compare", on: { click: () => compare(score.id) } },
      "compare",
    ),
  );
}

function fill(row, score, { before, chosen, rival, muting }) {
  const was = before.get(score.id);
  const [choose, compare] = row.children;
  const changed =
    muting && was !== undefined && percent(was.probability) !== percent(score.probability);
  choose.setAttribute("aria-pressed", String(score.id === chosen));
  choose.children[0].textContent = words(score.label); // another model may have another one
  choose.children[1].replaceChildren(
    ...(changed
      ? [
          el(
            "s",
            { "aria-label": `was ${percent(was.probability)}, now` },
            percent(was.probability),
          ),
          " ",
        ]
      : []),
    percent(score.probability),
  );
  setVars(choose, { now: score.probability, was: changed ? was.probability : score.probability });
  row.classList.toggle("changed", changed);
  compare.setAttribute("aria-pressed", String(score.id === rival));
  compare.setAttribute("aria-label", `Compare with ${words(score.label)}`);
  compare.classList.toggle("hollow", score.id === chosen);
  compare.disabled = score.id === chosen;
}

// What the model looks for in each class: a wall of classes to search, filter and sort.

import { prototypesOf, suspicious, whenSeen } from "./catalogue.js";
import { byId, el, words } from "./dom.js";
import { percent, plural } from "./numbers.js";
import { colourOf, css } from "./palette.js";
import { keep, readQuery, select, SHOW, SORT } from "./query.js";
import { suspects } from "./suspects.js";
import { picture } from "./tag.js";

export { forgetPrototypes } from "./catalogue.js";
export { showClass } from "./portrait.js";

const GLANCE = 4; // crops on a card

/** @param {{id: number, label: string}[]} classes of /v1/classes; the address holds the query */
export function showClasses(classes) {
  const query = readQuery(location.hash);
  const doubts = classes.reduce((sum, record) => sum + suspicious(record), 0);
  const cards = new Map(); // made when they are first shown, kept for the next search
  const cardOf = (record) => {
    if (!cards.has(record.id)) cards.set(record.id, card(record));
    return cards.get(record.id);
  };
  const found = el("p", { class: "note", id: "found", role: "status" });
  const list = el("ul", { class: "cards", id: "cards" });
  const search = searchField(query.q);
  const show = chooser("Show", SHOW, query.show, counts(classes));
  const sort = chooser("Sort by", SORT, query.sort);
  const finder = el(
    "button",
    { type: "button", class: "button", id: "suspects" },
    doubts === 0 ? "No suspicious parts" : `Find suspicious parts (${doubts})`,
  );
  finder.disabled = doubts === 0;
  if (doubts === 0) finder.title = "This artifact notes nothing to look at twice.";

  const update = () => {
    const selected = select(classes, query);
    const parts = query.show === "suspicious";
    list.className = parts ? "suspects" : "cards";
    list.replaceChildren(...selected.map(parts ? suspects : cardOf));
    found.textContent = foundText(selected, classes, parts);
    finder.setAttribute("aria-pressed", String(parts));
  };
  const change = (part) => {
    keep(Object.assign(query, part));
    update();
  };
  search.addEventListener("input", () => change({ q: search.value }));
  show.select.addEventListener("change", () => change({ show: show.select.value }));
  sort.select.addEventListener("change", () => change({ sort: sort.select.value }));
  finder.addEventListener("click", () => {
    show.select.value = query.show === "suspicious" ? "all" : "suspicious";
    change({ show: show.select.value });
  });

  byId("browser").replaceChildren(
    el("h1", { id: "browser-title", tabindex: "-1" }, "What does it look for?"),
    el("p", { class: "lead" }, leadOf(classes)),
    el(
      "div",
      { class: "search" },
      el("label", { for: "search", class: "unseen" }, "Search the classes"),
      search,
      show.label,
      sort.label,
      finder,
    ),
    found,
    list,
  );
  change({});
}

function leadOf(classes) {
  const split = classes.filter(({ state }) => state === "decomposed").length;
  const rest = classes.length - split;
  const whole = rest === 0 ? "" : `; ${rest} had too few training images to tell parts apart`;
  return (
    `${split} of ${plural(classes.length, "class is", "classes are")} split into parts${whole}. ` +
    "These are the training crops that show the parts best."
  );
}

const searchField = (value) =>
  el("input", {
    type: "search",
    id: "search",
    value,
    placeholder: "Search",
    autocomplete: "off",
    spellcheck: "false",
  });

/** How many classes each choice has. */
const counts = (classes) =>
  new Map([...SHOW].map(([key, [, belongs]]) => [key, classes.filter(belongs).length]));

function chooser(name, choices, chosen, sizes = null) {
  const select = el(
    "select",
    {},
    ...[...choices].map(([key, [text]]) =>
      el(
        "option",
        { value: key, selected: key === chosen },
        sizes === null ? text : `${text} (${sizes.get(key)})`,
      ),
    ),
  );
  return { select, label: el("label", { class: "choose" }, name, select) };
}

function foundText(selected, classes, parts) {
  if (selected.length === 0) return "No class is like that.";
  const shown = plural(selected.length, "class", "classes");
  if (parts) {
    const count = selected.reduce((sum, record) => sum + suspicious(record), 0);
    return `${plural(count, "part")} to look at twice, in ${shown}.`;
  }
  return selected.length === classes.length ? `${shown}.` : `${shown} of ${classes.length}.`;
}

function card(record) {
  const node = el(
    "li",
    { data: { id: record.id } },
    el(
      "a",
      { class: "card", href: `#class-${record.id}` },
      el("span", { class: "card-crops", "aria-hidden": "true" }),
      el("span", { class: "card-name" }, words(record.label)),
      el("small", { class: "card-facts" }, factsOf(record)),
    ),
  );
  return whenSeen(node, () => glance(node.querySelector(".card-crops"), record));
}

function factsOf(record) {
  const { state, images, accuracy, residual_ratio: residual } = record;
  const doubts = suspicious(record);
  return [
    ...(state === "whole" ? ["not split"] : []),
    ...(accuracy === null ? [] : [`training accuracy ${percent(accuracy)}`]),
    plural(images, "image"),
    ...(residual === null ? [] : [`residual ${residual.toFixed(2)}`]),
    ...(doubts === 0 ? [] : [`${plural(doubts, "suspicious part")}`]),
  ].join(" · ");
}

async function glance(place, { id }) {
  try {
    const { prototypes } = await prototypesOf(id);
    const seen = prototypes.filter(({ evidence }) => evidence.length > 0).slice(0, GLANCE);
    place.replaceChildren(
      ...seen.map(({ index, evidence: [{ url }] }) =>
        picture(url, { alt: "", vars: { colour: css(colourOf(index)) } }),
      ),
    );
    if (seen.length === 0) place.textContent = "No training crop.";
  } catch {
    place.textContent = "could not be loaded";
  }
}

// What the model looks for in each class: a searchable wall of classes, and one class in full.

import * as api from "./api.js";
import { byId, el, words } from "./dom.js";
import { plural } from "./numbers.js";
import { colourOf, css } from "./palette.js";
import { crops, mutedForGood, picture, tagOf } from "./tag.js";

const GLANCE = 4; // crops on a card

const known = new Map();

/** Another model has other prototypes. */
export const forgetPrototypes = () => known.clear();

/** The prototypes of a class, asked for once. */
function prototypesOf(id) {
  if (!known.has(id)) {
    const answer = api.prototypes(id);
    answer.catch(() => known.delete(id)); // a failure may pass
    known.set(id, answer);
  }
  return known.get(id);
}

/** @param {{id: number, label: string}[]} classes */
export function showClasses(classes) {
  const found = el("p", { class: "note", role: "status" });
  const cards = classes.map((record) => [words(record.label).toLowerCase(), card(record)]);
  const search = el("input", {
    type: "search",
    id: "search",
    placeholder: "Search",
    autocomplete: "off",
    spellcheck: "false",
  });
  const filter = () => {
    const wanted = search.value.trim().toLowerCase().split(/\s+/);
    let count = 0;
    for (const [label, node] of cards) {
      node.hidden = !wanted.every((part) => label.includes(part));
      count += node.hidden ? 0 : 1;
    }
    found.textContent =
      count === 0 ? "No class has that in its name." : plural(count, "class", "classes");
  };
  search.addEventListener("input", filter);
  byId("browser").replaceChildren(
    el("h1", { id: "browser-title", tabindex: "-1" }, "What does it look for?"),
    el(
      "p",
      { class: "lead" },
      "Each class is recognised by a few parts. These are the training crops that show them best.",
    ),
    el(
      "div",
      { class: "search" },
      el("label", { for: "search", class: "unseen" }, "Search the classes"),
      search,
      found,
    ),
    el("ul", { class: "cards", id: "cards" }, ...cards.map(([, node]) => node)),
  );
  filter();
}

/** A card fills itself when it comes into view. */
const inView = new IntersectionObserver(
  (entries) => {
    for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
      inView.unobserve(target);
      glance(target);
    }
  },
  { rootMargin: "200px" },
);

function card(record) {
  const node = el(
    "li",
    { data: { id: record.id } },
    el(
      "a",
      { class: "card", href: `#class-${record.id}` },
      el("span", { class: "card-crops", "aria-hidden": "true" }),
      el("span", { class: "card-name" }, words(record.label)),
    ),
  );
  inView.observe(node);
  return node;
}

async function glance(node) {
  const place = node.querySelector(".card-crops");
  try {
    const { prototypes } = await prototypesOf(Number(node.dataset.id));
    const seen = prototypes.filter(({ evidence }) => evidence.length > 0).slice(0, GLANCE);
    place.replaceChildren(...seen.map(({ index, evidence }) => thumbnail(evidence[0], index)));
    if (seen.length === 0) place.textContent = "One prototype: too few training images.";
  } catch {
    place.textContent = "could not be loaded";
  }
}

const thumbnail = ({ url }, index) =>
  picture(url, { alt: "", vars: { colour: css(colourOf(index)) } });

/** @param {{id: number, label: string, images: number, accuracy: number | null}} record */
export async function showClass(record, onExplain) {
  const { prototypes, warnings, state } = await prototypesOf(record.id);
  const facts = [
    plural(prototypes.length, "prototype"),
    `${plural(record.images, "training image")}`,
    ...(record.accuracy === null
      ? []
      : [`${Math.round(100 * record.accuracy)} % of them recognised`]),
  ];
  byId("browser").replaceChildren(
    el("a", { href: "#classes", class: "back" }, "‹ All classes"),
    el("h1", { id: "browser-title", tabindex: "-1" }, words(record.label)),
    el("p", { class: "lead" }, `${facts.join(", ")}.`),
    ...(state === "whole"
      ? [el("p", { class: "note" }, "Too few training images to tell parts apart.")]
      : []),
    ...warnings.map((warning) => el("p", { class: "note" }, warning)),
    el(
      "ul",
      { class: "portrait" },
      ...prototypes.map(({ index, name, muted, evidence }) =>
        el(
          "li",
          { vars: { colour: css(colourOf(index)) } },
          el("h2", {}, tagOf(index, index), words(name)),
          mutedForGood(muted) ?? "",
          crops(evidence, name),
        ),
      ),
    ),
    onExplain === null
      ? ""
      : el(
          "button",
          { type: "button", class: "button", on: { click: onExplain } },
          "See it in the current picture",
        ),
  );
}

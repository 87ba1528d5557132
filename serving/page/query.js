// Which classes to show and in which order; the address holds it, so that it can be shared.

import { suspicious } from "./catalogue.js";
import { words } from "./dom.js";

const SURE = 0.9; // training accuracy
const PERCENT = `${100 * SURE} %`;

/** What may be shown: words for people, and whether a class belongs to it. */
export const SHOW = new Map([
  ["all", ["All classes", () => true]],
  ["split", ["Split into parts", ({ state }) => state === "decomposed"]],
  ["whole", ["Not split", ({ state }) => state === "whole"]],
  ["sure", [`Sure: training accuracy from ${PERCENT}`, (c) => known(c) && c.accuracy >= SURE]],
  ["unsure", [`Unsure: training accuracy below ${PERCENT}`, (c) => known(c) && c.accuracy < SURE]],
  ["suspicious", ["With suspicious parts", (record) => suspicious(record) > 0]],
]);

const known = ({ accuracy }) => accuracy !== null;

/** Orders: words for people, and what is compared, smaller first; null comes last. */
export const SORT = new Map([
  ["model", ["The model's order", ({ id }) => id]],
  ["name", ["Name", null]],
  ["accuracy", ["Training accuracy, lowest first", ({ accuracy }) => accuracy]],
  ["images", ["Training images, fewest first", ({ images }) => images]],
  ["residual", ["Residual, largest first", ({ residual_ratio: ratio }) => ratio && -ratio]],
]);

const alphabet = new Intl.Collator("en", { numeric: true });

/**
 * @typedef {{q: string, show: string, sort: string}} Query
 * @param {string} hash of an address
 * @returns {Query} what is unknown is left out
 */
export function readQuery(hash) {
  const given = new URLSearchParams(hash.split("?")[1] ?? "");
  const one = (name, choices, otherwise) =>
    choices.has(given.get(name)) ? given.get(name) : otherwise;
  return {
    q: given.get("q") ?? "",
    show: one("show", SHOW, "all"),
    sort: one("sort", SORT, "model"),
  };
}

function hashOf({ q, show, sort }) {
  const said = new URLSearchParams();
  if (q.trim() !== "") said.set("q", q.trim());
  if (show !== "all") said.set("show", show);
  if (sort !== "model") said.set("sort", sort);
  return said.size === 0 ? "#classes" : `#classes?${said}`;
}

let last = "#classes";

/** The address of the classes as they were last looked at. */
export const lastHash = () => last;

/** Put a query into the address, in place: nobody goes back through letters. */
export function keep(query) {
  last = hashOf(query);
  history.replaceState(null, "", last);
}

const plain = (text) =>
  text.normalize("NFKD").replaceAll(/\p{M}/gu, "").toLowerCase().trim().split(/\s+/);

/** The classes that a query asks for, in its order. */
export function select(classes, { q, show, sort }) {
  const wanted = plain(q);
  const [, belongs] = SHOW.get(show);
  const found = classes.filter((record) => {
    const label = plain(words(record.label)).join(" ");
    return belongs(record) && wanted.every((part) => label.includes(part));
  });
  const [, value] = SORT.get(sort);
  if (value === null) {
    return found.sort((a, b) => alphabet.compare(words(a.label), words(b.label)) || a.id - b.id);
  }
  const size = (record) => value(record) ?? Infinity;
  return found.sort((a, b) => size(a) - size(b) || a.id - b.id);
}

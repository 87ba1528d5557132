// The parts of a class to look at twice, with why and with their crops.

import { doubtsOf, prototypesOf, suspicious, whenSeen } from "./catalogue.js";
import { el, words } from "./dom.js";
import { plural } from "./numbers.js";
import { partOf } from "./portrait.js";

/** One class of the list; its parts are asked for when it comes into view. */
export function suspects(record) {
  const parts = el(
    "ul",
    { class: "portrait" },
    el("li", { class: "note" }, plural(suspicious(record), "part")),
  );
  const node = el(
    "li",
    {},
    el("h2", {}, el("a", { href: `#class-${record.id}` }, words(record.label))),
    parts,
  );
  return whenSeen(node, () => fill(parts, record));
}

async function fill(parts, { id, label }) {
  try {
    const { prototypes } = await prototypesOf(id);
    const doubted = prototypes.filter((part) => doubtsOf(part).length > 0);
    parts.replaceChildren(...doubted.map((part) => partOf(part, label, "h3")));
  } catch {
    parts.replaceChildren(el("li", { class: "note" }, "could not be loaded"));
  }
}

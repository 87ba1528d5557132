// Which of the pages is shown: a picture's, the classes', one class's.

import { attempt } from "./attempt.js";
import { showClass, showClasses } from "./browser.js";
import { byId, words } from "./dom.js";

/**
 * Show what the address names: a picture, or nothing yet; #classes, or #class-7.
 *
 * @param {{classes: object[], session: Session | null, address: string}} state of the page
 * @param {(id: number) => void} explainHere explains a class of the picture that is open
 */
export function showPage(state, explainHere) {
  const { browsing, record } = showSections(state);
  if (!browsing) return undefined;
  const { classes, session } = state;
  const show = async () => {
    if (record === undefined) showClasses(classes);
    else await showClass(record, session === null ? null : () => explainHere(record.id));
    byId("browser-title").focus({ preventScroll: true });
    scrollTo({ top: 0 });
  };
  return attempt("", show, "classes");
}

/** Show the sections that the address names, as they are. */
export function showSections({ classes, session, address }) {
  const [, id] = /^#class-(\d+)$/.exec(location.hash) ?? [];
  const record = id === undefined ? undefined : classes[Number(id)];
  const browsing = /^#classes(\?|$)/.test(location.hash) || record !== undefined;
  const explaining = !browsing && session !== null && location.hash === address;
  byId("waiting").hidden = true;
  byId("browser").hidden = !browsing;
  byId("intake").hidden = browsing || explaining;
  byId("result").hidden = !explaining;
  for (const [name, here] of [
    ["nav-explain", !browsing],
    ["nav-classes", browsing],
  ]) {
    if (here) byId(name).setAttribute("aria-current", "page");
    else byId(name).removeAttribute("aria-current");
  }
  document.title = record
    ? `${words(record.label)} · protohead`
    : browsing
      ? "Classes · protohead"
      : "protohead";
  return { browsing, record };
}

// The head of a result: the sentence, what is switched off, and the command that would keep it.

import { key as apiKey } from "./api.js";
import { byId, words } from "./dom.js";
import { percent } from "./numbers.js";
import { doubtOf, piecesOf, sentenceOf } from "./sentence.js";
import { tagOf } from "./tag.js";

/**
 * @param {Session} session
 * @param {object} model of /v1/model
 * @param {number | null} shown the class whose parts are shown; null while two are compared
 */
export function showAnswer(session, model, shown) {
  const { best } = session;
  const scores = session.listed(session.now);
  const explained = session.explained.get(best.id) ?? best;
  const told = explained.whole || shown === best.id ? explained : null;
  const given = [scores, told, model.activation, session.mutedOf(best.id)];
  const title = byId("sentence");
  title.classList.toggle("unsure", doubtOf(scores, model.activation).unsure);
  title.setAttribute("aria-label", sentenceOf(...given));
  title.replaceChildren(
    ...piecesOf(...given).map((piece) =>
      typeof piece === "string" ? piece : tagOf(piece.index, piece.rank),
    ),
  );
  const instead = byId("instead");
  instead.hidden = shown === null || shown === best.id;
  const { label, probability } = session.now.get(shown ?? best.id);
  instead.textContent = `Shown below: what speaks for ${words(label)} (${percent(probability)}).`;
  showBanner(session);
}

/** The sentence as text, for the card. */
export const sentenceShown = () => byId("sentence").getAttribute("aria-label");

function showBanner(session) {
  const { switchedOff, best, bestBefore } = session;
  byId("banner").hidden = switchedOff.length === 0;
  const turned = best.id !== bestBefore.id;
  const before = `${words(bestBefore.label)} (${percent(bestBefore.probability)})`;
  byId("banner-text").textContent =
    `Switched off: ${switchedOff.join(", ")}. ` +
    (turned ? `It now says ${words(best.label)} instead of ${before}.` : `Before: ${before}.`);
}

const quoted = (text) =>
  /^[\w.:=@/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/**
 * Show the command that writes names and switches into a new artifact.
 *
 * @param {Session} session
 * @param {object[]} edits of /v1/model; what is muted for good cannot be muted again
 * @param {object[]} classes of /v1/classes
 */
export function showKeep(session, edits, classes) {
  const key = (id) => keyOf(id, classes);
  const gone = new Set(
    edits.flatMap(({ muted }) => muted.map((part) => `${part.class}.${part.prototype}`)),
  );
  const mute = session.mute.filter(([id, index]) => !gone.has(`${id}.${index}`));
  const names = session.names.all;
  byId("keep").hidden = mute.length + names.length === 0;
  byId("keep-command").textContent = [
    "protohead edit ARTIFACT --out EDITED",
    ...names.map(([id, index, name]) => `--name ${quoted(`${key(id)}:${index}=${name}`)}`),
    ...mute.map(([id, index]) => `--mute ${quoted(`${key(id)}:${index}`)}`),
    `--reason ${mute.length === 0 ? "'names given on the page'" : "'WHY'"}`,
  ].join(" \\\n  ");
}

/** How a command names a class: by its label, where that is one class's and no number. */
function keyOf(id, classes) {
  const { label } = classes[id];
  const own = classes.filter((record) => record.label === label).length === 1;
  return own && !/^\d+$|[:=]/.test(label) ? label : apiKey(id);
}

/** A copy button: says what became of it. */
export function wireCopy(button, take) {
  const label = button.textContent;
  button.addEventListener("click", async () => {
    button.textContent = await take();
    setTimeout(() => (button.textContent = label), 2500);
  });
}

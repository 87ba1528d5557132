// What the page shows, as the part of its address behind the #: to reload it, to share it.
//
//     #sample=2&class=3&against=5&view=heat&off=3.0&name=3.0.bill
//
// Classes and parts are numbers of the artifact; off and name may stand several times.

/**
 * @typedef {{sample: number | null, picture: string | null, class: number | null,
 *   against: number | null, view: string, off: [number, number][],
 *   names: [number, number, string][]}} Place one of `sample` (from 1) and `picture` (a key of
 *   kept.js) is not null
 */

export const VIEWS = ["parts", "heat", "photo"];

const whole = (text) => (/^\d{1,9}$/.test(text ?? "") ? Number(text) : null);

/**
 * @param {string} hash
 * @returns {Place | null} null where it names no picture
 */
export function readAddress(hash) {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const [sample, picture] = [whole(fields.get("sample")), fields.get("picture")];
  if (sample === null && picture === null) return null;
  const keys = (name, pattern) =>
    fields
      .getAll(name)
      .map((text) => pattern.exec(text))
      .filter((match) => match !== null)
      .map(([, id, index, ...rest]) => [Number(id), Number(index), ...rest]);
  const view = fields.get("view");
  return {
    sample,
    picture,
    class: whole(fields.get("class")),
    against: whole(fields.get("against")),
    view: VIEWS.includes(view) ? view : VIEWS[0],
    off: keys("off", /^(\d{1,9})\.(\d{1,3})$/),
    names: keys("name", /^(\d{1,9})\.(\d{1,3})\.(.{1,60})$/su),
  };
}

/**
 * The address of what is shown; empty where nothing could bring its picture back.
 *
 * @param {object} state of the page
 */
export function addressOf({ session, contrast, source, mode, names }) {
  const fields = new URLSearchParams();
  for (const [name, value] of Object.entries(source)) {
    if (value !== null) fields.append(name, value);
  }
  if (fields.size === 0) return "";
  const chosen = contrast?.a.id ?? session.chosen;
  if (chosen !== session.bestBefore.id) fields.append("class", chosen);
  if (contrast !== null) fields.append("against", contrast.b.id);
  if (mode !== VIEWS[0]) fields.append("view", mode);
  for (const key of session.mute) fields.append("off", key.join("."));
  for (const key of names.all) fields.append("name", key.join("."));
  return `#${fields}`;
}

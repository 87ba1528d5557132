// The request behind what is shown, as curl and as Python.

import { absolute, contrastFields, explainFields, hasToken } from "./api.js";

const shell = (text) => (/^[\w./:=@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/**
 * @typedef {{name: string, note: string, path: string, fields: [string, string][]}} Request file
 *   name, what was done to the file before it was sent, route and form fields
 * @param {Request} request
 */
export function curl({ name, note = "", path, fields }) {
  // curl reads ; and , in a bare file name as its own; inside double quotes it does not.
  const quoted = name.replace(/[\\"]/g, "\\$&");
  const file = /^[\w. -]+$/.test(name) ? name : `"${quoted}"`;
  const lines = [
    `curl ${shell(absolute(path))}`,
    ...(hasToken() ? ['-H "Authorization: Bearer $TOKEN"'] : []), // never the token itself
    `-F ${shell(`image=@${file}`)}`,
    ...fields.map(([key, value]) => `-F ${shell(`${key}=${value}`)}`),
  ];
  return remark(note) + lines.join(" \\\n  ");
}

/** A comment of both languages: the server would refuse the file as it is, or answer otherwise. */
const remark = (note) => (note === "" ? "" : `# The page sent the picture ${note}.\n`);

const READING = {
  "v1/explain": `best = answer.json()["results"][0]["classes"][0]
print(best["label"], best["probability"])
for prototype in best["prototypes"]:
    print(prototype["name"], prototype["contribution"])
`,
  "v1/contrast": `contrast = answer.json()
print(contrast["a"]["label"], "-", contrast["b"]["label"], contrast["logit_difference"])
for term in contrast["terms"]:
    print(term["side"], term["name"], term["value"])
`,
};

/** @param {Request} request */
export function python({ name, note = "", path, fields }) {
  const lists = [...Map.groupBy(fields, ([key]) => key)].map(
    ([key, pairs]) => `"${key}": ${JSON.stringify(pairs.map((p) => p[1]))}`,
  );
  const closed = hasToken();
  const given = [
    JSON.stringify(absolute(path)),
    ...(closed ? [`headers={"Authorization": "Bearer " + os.environ["TOKEN"]}`] : []),
    `files={"image": open(${JSON.stringify(name)}, "rb")}`,
    ...(lists.length === 0 ? [] : [`data={${lists.join(", ")}}`]),
  ];
  return `${remark(note)}${closed ? "import os\n\n" : ""}import requests

answer = requests.post(
${given.map((line) => `    ${line},`).join("\n")}
)
answer.raise_for_status()
${READING[path]}`;
}

/**
 * The wish behind what is shown.
 *
 * @param {object} state of the page
 * @returns {Request}
 */
export function requestOf({ session, contrast, note }) {
  const { name } = session.file;
  if (contrast !== null) {
    const fields = contrastFields(contrast.a.id, contrast.b.id, session.mute);
    return { name, note, path: "v1/contrast", fields };
  }
  // Without a wish the server explains the best class, which muting may change.
  const isBest = session.chosen === session.bestBefore.id && session.muted.size === 0;
  const classes = isBest ? [] : [session.chosen];
  return { name, note, path: "v1/explain", fields: explainFields({ classes, mute: session.mute }) };
}

/** Copy what stands in an element; where the browser gives no clipboard, select it instead. */
export function copy(node) {
  const range = document.createRange();
  range.selectNodeContents(node);
  const selection = getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
  return copyText(node.textContent);
}

/** Whether a text could be put on the clipboard; over plain HTTP the browser gives none. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

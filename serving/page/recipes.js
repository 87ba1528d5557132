// The request behind what is shown, as curl and as Python.

import { absolute, hasToken } from "./api.js";

const shell = (text) => (/^[\w./:=@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/**
 * @typedef {{name: string, path: string, fields: [string, string][]}} Request file name, route and
 *   form fields
 * @param {Request} request
 */
export function curl({ name, path, fields }) {
  // curl reads ; and , in a bare file name as its own; inside double quotes it does not.
  const quoted = name.replace(/[\\"]/g, "\\$&");
  const file = /^[\w. -]+$/.test(name) ? name : `"${quoted}"`;
  const lines = [
    `curl ${shell(absolute(path))}`,
    ...(hasToken() ? ['-H "Authorization: Bearer $TOKEN"'] : []), // never the token itself
    `-F ${shell(`image=@${file}`)}`,
    ...fields.map(([key, value]) => `-F ${shell(`${key}=${value}`)}`),
  ];
  return lines.join(" \\\n  ");
}

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
export function python({ name, path, fields }) {
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
  return `${closed ? "import os\n\n" : ""}import requests

answer = requests.post(
${given.map((line) => `    ${line},`).join("\n")}
)
answer.raise_for_status()
${READING[path]}`;
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

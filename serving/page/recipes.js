// The request behind what is shown, as curl and as Python.

import { absolute, explainFields } from "./api.js";

const shell = (text) => (/^[\w./:=@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** @param {{name: string, classes?: number[], mute?: [number, number][]}} request */
export function curl({ name, ...options }) {
  const fields = explainFields(options).map(([key, value]) => `-F ${shell(`${key}=${value}`)}`);
  // curl reads ; and , in a bare file name as its own; inside double quotes it does not.
  const quoted = name.replace(/[\\"]/g, "\\$&");
  const file = /^[\w. -]+$/.test(name) ? name : `"${quoted}"`;
  const lines = [
    `curl ${shell(absolute("v1/explain"))}`,
    `-F ${shell(`image=@${file}`)}`,
    ...fields,
  ];
  return lines.join(" \\\n  ");
}

/** @param {{name: string, classes?: number[], mute?: [number, number][]}} request */
export function python({ name, ...options }) {
  const lists = Map.groupBy(explainFields(options), ([key]) => key);
  const fields = [...lists].map(
    ([key, pairs]) => `"${key}": ${JSON.stringify(pairs.map((p) => p[1]))}`,
  );
  const data = fields.length === 0 ? "" : `\n    data={${fields.join(", ")}},`;
  return `import requests

answer = requests.post(
    ${JSON.stringify(absolute("v1/explain"))},
    files={"image": open(${JSON.stringify(name)}, "rb")},${data}
)
answer.raise_for_status()
best = answer.json()["results"][0]["classes"][0]
print(best["label"], best["probability"])
for prototype in best["prototypes"]:
    print(prototype["name"], prototype["contribution"])
`;
}

/** Copy a text; where the browser gives no clipboard (plain HTTP), select it instead. */
export async function copy(node) {
  const range = document.createRange();
  range.selectNodeContents(node);
  const selection = getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
  try {
    await navigator.clipboard.writeText(node.textContent);
    return true;
  } catch {
    return false;
  }
}

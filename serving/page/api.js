// The server's routes, and its failures as errors with words for people.

/** A failure that the server explains, as application/problem+json (RFC 9457). */
export class Problem extends Error {
  constructor({ title, detail, status, instance, retryAfter = 0 }) {
    super(detail || title);
    Object.assign(this, { title, detail, status, instance, retryAfter });
  }
}

/** Whether a server answers; a static site (exporter/site) brings another api.js. */
export const served = true;

// Relative addresses keep working behind a proxy that adds a prefix; at /prefix they would miss it.
if (!/\/(index\.html)?$/.test(location.pathname)) {
  history.replaceState(null, "", `${location.pathname}/${location.search}${location.hash}`);
}
const { pathname: home } = new URL(".", document.baseURI);

/** The address of one of the server's files, which may not know of the prefix before its path. */
export const local = (url) => (url.startsWith(home) ? url : url.replace(/^\//, ""));

/** The address of a route for use outside this page. */
export const absolute = (path) => new URL(path, document.baseURI).href;

const TOKEN = "protohead token";

/** Remember the bearer token of a closed server until this tab is closed. */
export const useToken = (token) => sessionStorage.setItem(TOKEN, token);
export const hasToken = () => sessionStorage.getItem(TOKEN) !== null;

async function request(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({
      title: "No answer from the server",
      detail: "It may have stopped, or the connection was lost. Check it and try again.",
      status: 0,
    });
  }
  if (response.ok) return response;
  throw await problemOf(response);
}

async function problemOf(response) {
  const fallback = {
    title: `The server answered ${response.status} ${response.statusText}`.trim(),
    detail: "It gave no further reason.",
    status: response.status,
  };
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  try {
    return new Problem({ ...fallback, ...(await response.json()), retryAfter });
  } catch {
    return new Problem({ ...fallback, retryAfter }); // a proxy's own page is not JSON
  }
}

/** Show a picture of the server's; a closed server wants the token, which <img> cannot send. */
export async function showImage(image, url) {
  if (!hasToken()) image.src = local(url);
  else image.src = URL.createObjectURL(await blob(url));
}

const json = async (path, options) => (await request(path, options)).json();

export const model = () => json("v1/model");

let labels = [];

/** Take the classes of an answer: by their labels `key` knows what is no id. */
export function learn(classes) {
  labels = classes.map(({ label }) => label);
  return classes;
}

export const classes = async () => learn((await json("v1/classes")).classes);

/**
 * A class in a form field or a path: its id, with zeros before it where it would be taken for a
 * label (serving's one rule, docs/format.md). The label itself would not do: classes may share one.
 */
export function key(id) {
  let text = String(id);
  while (labels.includes(text)) text = `0${text}`;
  return text;
}

export const samples = async () => (await json("v1/samples")).samples;
export const prototypes = (id) => json(`v1/classes/${key(id)}/prototypes`);
export const blob = async (url) => (await request(local(url))).blob();

/**
 * Explain one picture.
 *
 * @param {File} file
 * @param {{classes?: number[], mute?: [number, number][], heatmaps?: string}} options
 */
export const explain = (file, options, signal) =>
  post("v1/explain", file, explainFields(options), signal);

/** Compare two classes, with pairs of class and prototype switched off. */
export const contrast = (file, a, b, mute, signal) =>
  post("v1/contrast", file, contrastFields(a, b, mute), signal);

const mutes = (mute) => mute.map(([id, prototype]) => ["mute", `${key(id)}:${prototype}`]);

/** The form fields of an explain request; the recipes show the same ones. */
export function explainFields({ classes: ids = [], mute = [], heatmaps = null }) {
  return [
    ...ids.map((id) => ["classes", key(id)]),
    ...mutes(mute),
    ...(heatmaps === null ? [] : [["heatmaps", heatmaps]]),
  ];
}

/** The form fields of a contrast request; the recipes show the same ones. */
export const contrastFields = (a, b, mute) => [["a", key(a)], ["b", key(b)], ...mutes(mute)];

function post(path, file, fields, signal) {
  const body = new FormData();
  body.append("image", file, file.name);
  for (const [name, value] of fields) body.append(name, value);
  return json(path, { method: "POST", body, signal });
}

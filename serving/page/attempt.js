// Doing what takes time: says what happens meanwhile, and what to do when it fails.

import { Problem, useToken } from "./api.js";
import { byId } from "./dom.js";

const newest = new Map();
const active = new Set();

/**
 * @typedef {{title: string, detail: string}} Notice
 */

/**
 * Run what the user asked for; a failure is shown with a way on.
 *
 * @param {string} saying what is said meanwhile, empty for what takes no time to speak of
 * @param {(signal: AbortSignal) => Promise<Notice | void>} task may end with a notice to show
 * @param {string} lane within one lane the newest wish wins and ends the one before
 * @returns {Promise<boolean>} false where it failed; what a newer wish ended has not
 */
export async function attempt(saying, task, lane = "picture") {
  newest.get(lane)?.abort();
  const control = new AbortController();
  const { signal } = control;
  newest.set(lane, control);
  active.add(signal);
  showBusy();
  say(saying); // nothing too: what was said before is not about what is asked for now
  try {
    const notice = await task(signal);
    hideAlert();
    if (notice) showNotice(notice);
    return true;
  } catch (error) {
    if (signal.aborted) return true;
    showAlert(error, () => attempt(saying, task, lane));
    return false;
  } finally {
    active.delete(signal);
    showBusy();
  }
}

const showBusy = () => document.body.classList.toggle("busy", active.size > 0);

export const say = (text) => (byId("status").textContent = text);

export function showAlert(error, retry) {
  const isProblem = error instanceof Problem;
  if (!isProblem) console.error(error);
  fillAlert(isProblem ? error.title : "Something went wrong on this page", {
    detail: isProblem ? error.detail : String(error),
    id: error.instance ? `Request ${error.instance}` : "",
  });
  byId("token").hidden = error.status !== 401;
  byId("token").onsubmit = (event) => {
    event.preventDefault();
    useToken(byId("token-text").value.trim());
    retry();
  };
  byId("alert-retry").hidden = isProblem && !mayPass(error.status);
  byId("alert-retry").onclick = retry;
  say("");
}

/** Tell what happened without anybody's wish; there is nothing to try again. */
function showNotice({ title, detail }) {
  byId("token").hidden = true;
  byId("alert-retry").hidden = true;
  fillAlert(title, { detail });
}

function fillAlert(title, { detail, id = "" }) {
  byId("alert-title").textContent = title;
  byId("alert-detail").textContent = detail;
  byId("alert-id").textContent = id;
  byId("alert").hidden = false;
  byId("alert").scrollIntoView({ block: "nearest" });
}

/** Sending the same again helps where the server was away or busy, not where it refused. */
const mayPass = (status) => status === 0 || status === 429 || status >= 500;

export function hideAlert() {
  byId("alert").hidden = true;
}

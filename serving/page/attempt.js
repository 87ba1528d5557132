// Doing what takes time: says what happens meanwhile, and what to do when it fails.

import { Problem, useToken } from "./api.js";
import { byId } from "./dom.js";

const newest = new Map();
const active = new Set();

/**
 * Run what the user asked for; a failure is shown with a way on.
 *
 * @param {string} saying what is said meanwhile, empty for what takes no time to speak of
 * @param {(signal: AbortSignal) => Promise<void>} task
 * @param {string} lane within one lane the newest wish wins and ends the one before
 */
export async function attempt(saying, task, lane = "picture") {
  newest.get(lane)?.abort();
  const control = new AbortController();
  const { signal } = control;
  newest.set(lane, control);
  active.add(signal);
  showBusy();
  if (saying) say(saying);
  try {
    await task(signal);
    hideAlert();
  } catch (error) {
    if (!signal.aborted) showAlert(error, () => attempt(saying, task, lane));
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
  byId("alert-title").textContent = isProblem ? error.title : "Something went wrong on this page";
  byId("alert-detail").textContent = isProblem ? error.detail : String(error);
  byId("alert-id").textContent = error.instance ? `Request ${error.instance}` : "";
  byId("token").hidden = error.status !== 401;
  byId("token").onsubmit = (event) => {
    event.preventDefault();
    useToken(byId("token-text").value.trim());
    retry();
  };
  byId("alert-retry").hidden = isProblem && !mayPass(error.status);
  byId("alert-retry").onclick = retry;
  byId("alert").hidden = false;
  say("");
  byId("alert").scrollIntoView({ block: "nearest" });
}

/** Sending the same again helps where the server was away or busy, not where it refused. */
const mayPass = (status) => status === 0 || status === 429 || status >= 500;

export function hideAlert() {
  byId("alert").hidden = true;
}

// The page: state in one place, changed by what people do, shown by the modules beside.

import { addressOf, readAddress } from "./address.js";
import { showAnswer, showKeep } from "./answer.js";
import * as api from "./api.js";
import { attempt, hideAlert, say, showAlert } from "./attempt.js";
import { forgetPrototypes } from "./browser.js";
import { showContrast } from "./contrast.js";
import { byId, el, words } from "./dom.js";
import { showCut, showFigures } from "./figures.js";
import { offerSamples, sampleFile, takePictures } from "./intake.js";
import { keep, kept } from "./kept.js";
import { Names } from "./names.js";
import { percent, plural } from "./numbers.js";
import { showPage, showSections } from "./pages.js";
import { showPredictions } from "./predictions.js";
import { noPicture, prepare } from "./prepare.js";
import { requestOf } from "./recipes.js";
import { Replaced, Session } from "./session.js";
import { Stage } from "./stage.js";
import { wireTools } from "./tools.js";
import { Why } from "./why.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const state = {
  model: null,
  classes: [],
  names: new Names(),
  session: null,
  file: null, // as it was picked; the session has what was sent of it
  picture: null,
  note: "", // what was done to the picture before it was sent
  source: { sample: null, picture: null }, // where the picture is from, for the address
  address: "", // of what is shown
  mode: "parts",
  focus: { side: null, index: null },
  contrast: null, // the answer, while two classes are compared
};
let why = null;

const pointed = (side) => (index) => focus(index === null ? null : side, index);
const stages = {
  a: new Stage(byId("stage"), pointed("a")),
  b: new Stage(byId("stage-b"), pointed("b")),
};

// ---- One picture --------------------------------------------------------------------------

const open = (file, sample = null) =>
  waiting(`Explaining ${file.name} …`, async (signal) => {
    if (state.model === null) await learnModel(); // the server was away when the page was opened
    await explain(file, signal);
    state.source = { sample, picture: sample === null ? await keep(file) : null };
    remember(true);
    showResult();
  });

/** Attempt what shows another picture; it shows at once, the answer when it has come. */
const waiting = (saying, task) =>
  attempt(saying, async (signal) => {
    try {
      await task(signal);
    } catch (error) {
      if (!signal.aborted) showSections(state);
      throw error;
    }
  });

/** Explain a picture, nothing switched off. */
async function explain(file, signal) {
  const { file: sent, picture, note } = await prepare(file, state.model);
  signal.throwIfAborted();
  showWaiting(picture);
  const session = await Session.open(sent, state.names, signal).catch((error) => {
    throw error.status === 415 ? noPicture(file, state.model.limits.formats) : error;
  });
  if (session.artifact !== state.model.artifact) {
    await learnModel(); // it was replaced meanwhile, and may see other parts of a picture
    return explain(file, signal);
  }
  signal.throwIfAborted();
  Object.assign(state, { session, file, picture, note, contrast: null });
}

function showWaiting(picture) {
  if (picture === null) return;
  byId("waiting-picture").replaceChildren(picture.canvas);
  for (const id of ["intake", "browser", "result"]) byId(id).hidden = true;
  byId("waiting").hidden = false;
}

function showResult() {
  route();
  const { file, note } = state;
  byId("file-name").textContent = note === "" ? file.name : `${file.name}, ${note}`;
  showCut(state.picture);
  showChosen();
  say(summary());
  byId("sentence").focus({ preventScroll: true });
  scrollTo({ top: 0 });
}

/** Show what an address names: a picture, the class, what is switched off, the names. */
const arrive = (place) =>
  waiting("Opening the picture …", async (signal) => {
    if (state.model === null) await learnModel();
    const { sample, picture } = place;
    const file = sample === null ? await kept(picture) : await sampleFile(sample);
    if (file === null) throw gone();
    const known = (id) => id !== null && id < state.classes.length;
    const isPart = ([id, index]) => known(id) && index < state.model.k;
    for (const given of place.names.filter(isPart)) state.names.set(...given);
    await explain(file, signal);
    const { session } = state;
    const chosen = known(place.class) ? place.class : session.chosen;
    const off = place.off.filter(isPart);
    for (const id of new Set([...off.map(([id]) => id), chosen])) await session.choose(id, signal);
    for (const [id, index] of off) {
      if (index < session.explained.get(id).prototypes.length) session.toggle(id, index);
    }
    await session.refresh(signal);
    state.source = { sample, picture };
    setMode(place.view);
    remember();
    showResult();
    const { against } = place;
    if (known(against) && against !== chosen) await openContrast(against, chosen, signal);
  });

const gone = () =>
  new api.Problem({
    title: "That picture is not here",
    detail:
      "The link was made from somebody's own picture, which stays in the browser that opened it. " +
      "Open the picture again, or ask for the card.",
    status: 404,
  });

/** Write what is shown into the page's address; a new picture is a step that Back takes back. */
function remember(isNew = false) {
  state.address = addressOf(state);
  byId("nav-explain").setAttribute("href", state.address || "#");
  const address = state.address || location.pathname;
  if (isNew) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}

/** Ask about the picture that is open; where the model was replaced, explain it anew and say so. */
const ask = (saying, task) =>
  attempt(saying, async (signal) => {
    try {
      return await task(signal);
    } catch (error) {
      if (!(error instanceof Replaced)) throw error;
      await learnModel();
      await explain(state.file, signal);
      remember();
      showResult();
      return {
        title: "The model was replaced",
        detail: "The server has another one now. It has explained the picture anew.",
      };
    }
  });

function summary() {
  const { best } = state.session;
  return `${words(best.label)}, ${percent(best.probability)}.`;
}

const choose = (id) =>
  ask("", async (signal) => {
    await state.session.choose(id, signal);
    state.contrast = null;
    showChosen();
    remember();
    say(`Why ${words(state.session.explained.get(id).label)}.`);
  });

const compare = (b, a = state.contrast?.a.id ?? state.session.chosen) =>
  ask("Comparing …", async (signal) => {
    await openContrast(b, a, signal);
    focusTitle();
  });

async function openContrast(b, a, signal) {
  const answer = await state.session.contrast(a, b, signal);
  state.contrast = answer;
  focusNothing();
  const view = {
    answer,
    activation: state.model.activation,
    explained: state.session.explained,
    canvas: state.picture?.canvas ?? null,
  };
  showContrast(byId("why"), view, {
    focus,
    swap: () => compare(a, b),
    close: async () => {
      await choose(state.session.chosen);
      focusTitle();
    },
  });
  show();
  remember();
  say(`${words(answer.a.label)} against ${words(answer.b.label)}.`);
}

/** What was pressed may be gone or far from the answer: go on from the heading, where it shows. */
function focusTitle() {
  const title = byId("class-title");
  title.focus({ preventScroll: true });
  title.scrollIntoView({ block: "nearest" });
}

function showChosen() {
  const { session, model, picture } = state;
  focusNothing();
  const canvas = picture?.canvas ?? null;
  why = new Why(byId("why"), session.explained.get(session.chosen), model.edits, canvas, {
    focus: (index) => focus(index === null ? null : "a", index),
    toggle,
    rename,
  });
  show();
}

function toggle(index) {
  state.session.toggle(state.session.chosen, index);
  show(); // the switch moves at once, the numbers follow from the server
  return answerMuting();
}

function reset() {
  state.session.muted.clear();
  show();
  return answerMuting();
}

async function answerMuting() {
  const { session } = state;
  const done = await ask("", async (signal) => {
    await session.refresh(signal);
    if (state.contrast) await openContrast(state.contrast.b.id, state.contrast.a.id, signal);
    show();
    remember();
    const { label, probability } = session.now.get(session.chosen);
    say(`${words(label)} ${percent(probability)}. Best: ${summary()}`);
  });
  if (done || session !== state.session) return;
  session.revert(); // the numbers are those of before, so are the switches
  show();
}

function rename(index, name) {
  const { session } = state;
  const part = session.explained.get(session.chosen).prototypes[index];
  if (name === (part.name === part.own ? "" : part.name)) return;
  session.rename(session.chosen, index, name);
  showChosen();
  remember();
  say(name === "" ? "The part has its own name again." : `The part is called ${name}.`);
}

function focusNothing() {
  state.focus = { side: null, index: null };
}

function focus(side, index) {
  if (state.focus.side === side && state.focus.index === index) return;
  state.focus = { side, index };
  showFocus();
}

/** Show the session: the answer, predictions, panel and pictures. */
function show() {
  const { session, contrast, model } = state;
  showAnswer(session, model, contrast ? null : session.chosen);
  showKeep(session, model.edits, state.classes);
  showPredictions(
    {
      now: session.listed(session.now),
      before: session.before,
      chosen: contrast ? contrast.a.id : session.chosen,
      rival: contrast ? contrast.b.id : null,
      muting: session.muted.size > 0,
    },
    { choose, compare },
  );
  byId("other").value = contrast ? contrast.a.id : session.chosen;
  showFocus();
}

function showFocus() {
  const {
    session,
    contrast,
    focus: { side, index },
  } = state;
  if (contrast) {
    for (const row of byId("why").querySelectorAll("[data-index]")) {
      const same = row.dataset.side === side && row.dataset.index === String(index);
      row.classList.toggle("dim", side !== null && !same);
    }
  } else {
    why.update({
      score: session.now.get(session.chosen),
      before: session.before.get(session.chosen),
      others: session.others(state.model.activation),
      muted: session.mutedOf(session.chosen),
      focus: index,
    });
  }
  showStages();
}

const showStages = () => showFigures(state, stages, dark.matches);

function setMode(mode) {
  state.mode = mode;
  for (const input of byId("modes").querySelectorAll("input")) input.checked = input.value === mode;
}

// ---- Start and addresses ------------------------------------------------------------------

/** Show what the address names: a picture, or nothing yet; #classes, or #class-7. */
function route() {
  const place = readAddress(location.hash);
  if (place !== null && location.hash !== state.address) return arrive(place);
  return showPage(state, explainHere);
}

function explainHere(id) {
  history.pushState(null, "", state.address || location.pathname);
  route();
  return choose(id);
}

async function start() {
  await learnModel();
  route();
}

/** Learn the served model and all that hangs on it. */
async function learnModel() {
  forgetPrototypes();
  const before = state.model?.artifact;
  [state.model, state.classes] = await Promise.all([
    api.model(),
    api.classes(),
    offerSamples(open, showAlert),
  ]);
  const { model } = state;
  if (before !== undefined && before !== model.artifact) state.names.clear(); // of other parts
  byId("model").textContent =
    `${words(model.name)} · ${plural(model.classes, "class", "classes")} · ${plural(model.k, "part")} each`;
  byId("model").title = `sha256 ${model.sha256}`;
  byId("other").replaceChildren(
    ...state.classes.map(({ id, label }) => el("option", { value: id }, words(label))),
  );
}

takePictures(open);
wireTools({
  request: () => requestOf(state),
  view: () => ({ ...state, stages, dark: dark.matches }),
  again: () => {
    Object.assign(state, { session: null, picture: null, contrast: null, address: "" });
    byId("nav-explain").setAttribute("href", "#");
    history.pushState(null, "", location.pathname);
    hideAlert();
    say("");
    route();
    byId("file").focus();
  },
  reset,
});
byId("modes").addEventListener("change", (event) => {
  setMode(event.target.value);
  remember();
  showStages();
});
byId("other").addEventListener("change", (event) => choose(Number(event.target.value)));
byId("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address says which page is shown
  byId("main").focus();
});
byId("alert-close").addEventListener("click", hideAlert);
dark.addEventListener("change", () => state.session && showStages());
addEventListener("hashchange", route);
attempt("", start);

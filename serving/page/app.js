// The page: state in one place, changed by what people do, shown by the modules beside.

import * as api from "./api.js";
import { attempt, hideAlert, say, showAlert } from "./attempt.js";
import { forgetPrototypes, showClass, showClasses } from "./browser.js";
import { showContrast } from "./contrast.js";
import { byId, el, words } from "./dom.js";
import { savePicture } from "./download.js";
import { followScrolling, showFigures } from "./figures.js";
import { noPicture, offerSamples, refuseLarge, takePictures } from "./intake.js";
import { percent, plural, signed } from "./numbers.js";
import { readPicture } from "./picture.js";
import { showPredictions } from "./predictions.js";
import { copy, curl, python } from "./recipes.js";
import { Replaced, Session } from "./session.js";
import { Stage } from "./stage.js";
import { Why } from "./why.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const state = {
  model: null,
  classes: [],
  session: null,
  picture: null,
  mode: "heat",
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

const open = (file) =>
  attempt(`Explaining ${file.name} …`, async (signal) => {
    if (state.model === null) await learnModel(); // the server was away when the page was opened
    await explain(file, signal);
  });

async function explain(file, signal) {
  const { max_body: most, formats } = state.model.limits;
  refuseLarge(file, most);
  const session = await Session.open(file, signal).catch((error) => {
    throw error.status === 415 ? noPicture(file, formats) : error;
  });
  if (session.artifact !== state.model.artifact) await learnModel(); // it was replaced meanwhile
  const picture = await readPicture(file, state.model.input.preprocessing);
  signal.throwIfAborted();
  Object.assign(state, { session, picture, contrast: null });
  byId("file-name").textContent = file.name;
  if (location.hash !== "") history.pushState(null, "", location.pathname);
  route();
  showChosen();
  say(summary());
  byId("class-title").focus({ preventScroll: true });
  scrollTo({ top: 0 });
}

/** Ask about the picture that is open; where the model was replaced, explain it anew and say so. */
const ask = (saying, task) =>
  attempt(saying, async (signal) => {
    try {
      return await task(signal);
    } catch (error) {
      if (!(error instanceof Replaced)) throw error;
      await learnModel();
      await explain(state.session.file, signal);
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
    say(`Why ${words(state.session.explained.get(id).label)}.`);
  });

const compare = (b, a = state.contrast?.a.id ?? state.session.chosen) =>
  ask("Comparing …", async (signal) => {
    const answer = await state.session.contrast(a, b, signal);
    state.contrast = answer;
    focusNothing();
    showContrast(byId("why"), answer, state.model.activation, {
      focus,
      swap: () => compare(a, b),
      close: async () => {
        await choose(state.session.chosen);
        focusTitle();
      },
    });
    show();
    focusTitle();
    say(`${words(answer.a.label)} against ${words(answer.b.label)}.`);
  });

/** What was pressed may be gone or far from the answer: go on from the heading, where it shows. */
function focusTitle() {
  const title = byId("class-title");
  title.focus({ preventScroll: true });
  const { top, bottom } = title.getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) title.scrollIntoView();
}

function showChosen() {
  const { session } = state;
  focusNothing();
  why = new Why(byId("why"), session.explained.get(session.chosen), state.model.edits, {
    focus: (index) => focus(index === null ? null : "a", index),
    toggle,
    reset,
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
  focusTitle();
  return answerMuting();
}

const answerMuting = () =>
  ask("", async (signal) => {
    const { session } = state;
    await session.refresh(signal);
    show();
    const score = session.now.get(session.chosen);
    const number = signed(score.logit, why.decimals);
    say(`${words(score.label)} ${percent(score.probability)}, logit ${number}. Best: ${summary()}`);
  });

function focusNothing() {
  state.focus = { side: null, index: null };
}

function focus(side, index) {
  if (state.focus.side === side && state.focus.index === index) return;
  state.focus = { side, index };
  showFocus();
}

/** Show the session: predictions, panel and pictures. */
function show() {
  const { session, contrast } = state;
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
      muted: session.mutedOf(session.chosen),
      anyMuted: session.muted.size > 0,
      focus: index,
      best: session.best,
      bestBefore: session.bestBefore,
    });
  }
  showStages();
}

const showStages = () => showFigures(state, stages, dark.matches);

// ---- Code and picture to take away --------------------------------------------------------

function request() {
  const { session, contrast } = state;
  const { name } = session.file;
  if (contrast !== null) {
    const fields = api.contrastFields(contrast.a.id, contrast.b.id, session.mute);
    return { name, path: "v1/contrast", fields };
  }
  // Without a wish the server explains the best class, which muting may change.
  const isBest = session.chosen === session.bestBefore.id && session.muted.size === 0;
  const classes = isBest ? [] : [session.chosen];
  return { name, path: "v1/explain", fields: api.explainFields({ classes, mute: session.mute }) };
}

function wireTools() {
  const dialog = byId("code-dialog");
  byId("code").hidden = !api.served; // there is nothing to send it to
  byId("again").addEventListener("click", () => {
    Object.assign(state, { session: null, picture: null, contrast: null });
    hideAlert();
    say("");
    route();
    byId("file").focus();
  });
  byId("code").addEventListener("click", () => {
    byId("recipe-curl").textContent = curl(request());
    byId("recipe-python").textContent = python(request());
    dialog.showModal();
  });
  byId("code-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  for (const kind of ["curl", "python"]) {
    const button = byId(`copy-${kind}`);
    button.addEventListener("click", async () => {
      button.textContent = (await copy(byId(`recipe-${kind}`)))
        ? "Copied"
        : "Selected, press Ctrl+C";
      setTimeout(() => (button.textContent = "Copy"), 2500);
    });
  }
  byId("download").addEventListener("click", () =>
    attempt(
      "Drawing the picture …",
      async () => {
        await savePicture({ ...state, stages, dark: dark.matches });
        say("The picture is in your downloads.");
      },
      "download",
    ),
  );
  byId("modes").addEventListener("change", (event) => {
    state.mode = event.target.value;
    showStages();
  });
  byId("other").addEventListener("change", (event) => choose(Number(event.target.value)));
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address says which page is shown
    byId("main").focus();
  });
  byId("alert-close").addEventListener("click", hideAlert);
  dark.addEventListener("change", () => state.session && showStages());
}

// ---- Start and addresses ------------------------------------------------------------------

/** Show what the address names: a picture (nothing), #classes, or #class-7. */
function route() {
  const [, id] = /^#class-(\d+)$/.exec(location.hash) ?? [];
  const record = id === undefined ? undefined : state.classes[Number(id)];
  const browsing = location.hash === "#classes" || record !== undefined;
  byId("browser").hidden = !browsing;
  byId("intake").hidden = browsing || state.session !== null;
  byId("result").hidden = browsing || state.session === null;
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
  return browsing ? browse(record) : undefined;
}

function browse(record) {
  const show = async () => {
    if (record === undefined) showClasses(state.classes);
    else await showClass(record, state.session === null ? null : () => explainHere(record.id));
    byId("browser-title").focus({ preventScroll: true });
    scrollTo({ top: 0 });
  };
  return attempt("", show, "classes");
}

function explainHere(id) {
  location.hash = "";
  return choose(id);
}

async function start() {
  await learnModel();
  route();
}

/** Learn the served model and all that hangs on it. */
async function learnModel() {
  forgetPrototypes();
  [state.model, state.classes] = await Promise.all([
    api.model(),
    api.classes(),
    offerSamples(open, showAlert),
  ]);
  const { model } = state;
  byId("model").textContent =
    `${words(model.name)} · ${plural(model.classes, "class", "classes")} · ${plural(model.k, "prototype")} each`;
  byId("model").title = `sha256 ${model.sha256}`;
  byId("other").replaceChildren(
    ...state.classes.map(({ id, label }) => el("option", { value: id }, words(label))),
  );
}

takePictures(open);
followScrolling();
wireTools();
addEventListener("hashchange", route);
attempt("", start);

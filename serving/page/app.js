// The page: state in one place, changed by what people do, shown by the modules beside.

import * as api from "./api.js";
import { attempt, hideAlert, say, showAlert } from "./attempt.js";
import { showClass, showClasses } from "./browser.js";
import { showContrast } from "./contrast.js";
import { byId, el, words } from "./dom.js";
import { savePicture } from "./download.js";
import { showFigures } from "./figures.js";
import { offerSamples, takePictures } from "./intake.js";
import { percent, plural, signed } from "./numbers.js";
import { readPicture } from "./picture.js";
import { showPredictions } from "./predictions.js";
import { copy, curl, python } from "./recipes.js";
import { Session } from "./session.js";
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

function open(file) {
  if (location.hash !== "") history.pushState(null, "", location.pathname);
  return attempt(`Explaining ${file.name} …`, async (signal) => {
    if (state.model === null) await learnModel(); // the server was away when the page was opened
    refuseLarge(file);
    const session = await Session.open(file, signal);
    if (session.artifact !== state.model.artifact) await learnModel(); // it was replaced meanwhile
    const picture = await readPicture(file, state.model.input.preprocessing);
    signal.throwIfAborted();
    Object.assign(state, { session, picture, contrast: null });
    byId("file-name").textContent = file.name;
    route();
    showChosen();
    say(summary());
    byId("class-title").focus({ preventScroll: true });
    scrollTo({ top: 0 });
  });
}

/** A server that refuses a body unread may cut the connection before its reason arrives. */
function refuseLarge(file) {
  const most = state.model.limits.max_body;
  if (file.size <= most) return;
  const size = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  throw new api.Problem({
    title: "The picture is too large",
    detail: `This server takes at most ${size(most)}, ${file.name} has ${size(file.size)}.`,
    status: 413,
  });
}

function summary() {
  const { best } = state.session;
  return `${words(best.label)}, ${percent(best.probability)}.`;
}

const choose = (id) =>
  attempt("", async (signal) => {
    await state.session.choose(id, signal);
    state.contrast = null;
    showChosen();
    say(`Why ${words(state.session.explained.get(id).label)}.`);
  });

const compare = (b, a = state.session.chosen) =>
  attempt("Comparing …", async (signal) => {
    const answer = await api.contrast(state.session.file, a, b, state.session.mute, signal);
    state.contrast = answer;
    focusNothing();
    showContrast(byId("why"), answer, state.model.activation, {
      focus,
      swap: () => compare(a, b),
      close: async () => {
        await choose(state.session.chosen);
        byId("class-title").focus({ preventScroll: true });
      },
    });
    show();
    byId("class-title").focus({ preventScroll: true });
    say(`${words(answer.a.label)} against ${words(answer.b.label)}.`);
  });

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
  byId("class-title").focus({ preventScroll: true });
  return answerMuting();
}

const answerMuting = () =>
  attempt("", async (signal) => {
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
  byId("other").value = "";
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
  const { session } = state;
  // Without a wish the server explains the best class, which muting may change.
  const isBest = session.chosen === session.bestBefore.id && session.muted.size === 0;
  return { name: session.file.name, classes: isBest ? [] : [session.chosen], mute: session.mute };
}

function wireTools() {
  const dialog = byId("code-dialog");
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
  byId("other").addEventListener(
    "change",
    (event) => event.target.value !== "" && choose(Number(event.target.value)),
  );
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
  await offerSamples(open, showAlert);
  route();
}

async function learnModel() {
  [state.model, state.classes] = await Promise.all([api.model(), api.classes()]);
  const { model } = state;
  byId("model").textContent =
    `${words(model.name)} · ${plural(model.classes, "class", "classes")} · ${plural(model.k, "prototype")} each`;
  byId("model").title = `sha256 ${model.sha256}`;
  byId("other").replaceChildren(
    el("option", { value: "" }, "choose …"),
    ...state.classes.map(({ id, label }) => el("option", { value: id }, words(label))),
  );
}

takePictures(open);
wireTools();
addEventListener("hashchange", route);
attempt("", start);

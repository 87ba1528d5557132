// This looks like that: a training image beside the picture, the same part marked on both.

import { byId, el, setVars, words } from "./dom.js";
import { fieldOf, outlineOf } from "./field.js";
import { colourOf, css } from "./palette.js";
import { fixedName, isNamed, spokenName } from "./parts.js";
import { makeCanvas } from "./picture.js";
import { picture } from "./tag.js";

const ONLY_CROP = "Only the crop is kept in this artifact.";
const SHOWN = 380; // pixels of the page that the picture takes, about

/**
 * Crops that open beside the picture when they are pressed.
 *
 * @param {object} look as of showLookalike, without the crop
 * @param {number} most crops to show
 */
export function lookalikes(look, most = Infinity) {
  const { evidence } = look.prototype;
  const name = nameOf(look);
  if (evidence.length === 0) return el("p", { class: "note" }, "No training crop shows it.");
  return el(
    "ul",
    { class: "lookalikes", "aria-label": `${name} looks like, in training images` },
    ...evidence.slice(0, most).map((crop, i) =>
      el(
        "li",
        {},
        el(
          "button",
          {
            type: "button",
            "aria-label": `Training image ${i + 1} of ${evidence.length}, ${name}`,
            on: { click: () => showLookalike({ ...look, evidence: crop }) },
          },
          picture(crop.url, { alt: "", title: crop.image, loading: "lazy" }),
        ),
      ),
    ),
  );
}

/**
 * Open the dialog; arrows go to the part's other crops, and the focus returns when it is closed.
 *
 * @param {{evidence: object, prototype: object, rank: number | null,
 *   canvas: HTMLCanvasElement | null, heatmap: number[][] | null, label: string}} look a crop of
 *   the part; the part, its rank in the picture and its class's label; the picture as the network
 *   sees it with the part's heatmap, null where there is no picture
 */
export function showLookalike(look) {
  const crops = look.prototype.evidence;
  let at = Math.max(0, crops.indexOf(look.evidence));
  const seen = el("figure", { class: "alike-trained" });
  const count = el("p", { role: "status" });
  const show = (step) => {
    at = (at + step + crops.length) % crops.length;
    seen.replaceChildren(...trained(crops[at], look));
    count.textContent = crops.length === 1 ? "" : `${at + 1} of ${crops.length}`;
  };
  const dialog = theDialog();
  dialog.onkeydown = ({ key }) => {
    if (key === "ArrowRight") show(1);
    if (key === "ArrowLeft") show(-1);
  };
  const step = (text, label, by) =>
    el(
      "button",
      { type: "button", class: "button", "aria-label": label, on: { click: () => show(by) } },
      text,
    );
  dialog.replaceChildren(
    el(
      "div",
      { class: "dialog-head" },
      el("h2", { id: "alike-title" }, ...title(look)),
      el(
        "button",
        {
          type: "button",
          class: "quiet",
          "aria-label": "Close",
          on: { click: () => dialog.close() },
        },
        "✕",
      ),
    ),
    el("div", { class: "alike" }, seen, look.canvas === null ? "" : mine(look)),
    el(
      "div",
      { class: "alike-foot" },
      ...(crops.length === 1
        ? []
        : [step("‹", "Previous training image", -1), count, step("›", "Next training image", 1)]),
    ),
  );
  setVars(dialog, { colour: css(colourOf(look.prototype.index)) });
  show(0);
  const opener = document.activeElement;
  dialog.onclose = () => opener?.isConnected && opener.focus({ preventScroll: true });
  dialog.showModal();
}

function theDialog() {
  const known = byId("lookalike");
  if (known !== null) return known;
  const dialog = el("dialog", {
    id: "lookalike",
    class: "lookalike",
    "aria-labelledby": "alike-title",
    on: { click: (event) => event.target === dialog && dialog.close() },
  });
  document.body.append(dialog);
  return dialog;
}

/** The part's name; one that is not of the picture has no rank in it. */
const nameOf = ({ prototype, rank }) =>
  rank === null ? fixedName(prototype) : spokenName(prototype, rank);

/** "Bill (1) of Horned Puffin". */
function title(look) {
  const { prototype, rank, label } = look;
  const name = nameOf(look);
  const number = rank === null || !isNamed(prototype) ? "" : ` (${rank})`;
  return [
    `${name[0].toUpperCase()}${name.slice(1)}${number}`,
    el("small", {}, ` of ${words(label)}`),
  ];
}

/** The training image with the crop's box on it, or the crop alone where no more is kept. */
function trained({ url, image, context = null }, { label }) {
  const kept = context !== null;
  const shown = picture(kept ? context.url : url, {
    alt: kept
      ? `A training image of ${words(label)}`
      : `Crop of a training image of ${words(label)}`,
  });
  const frame = el("div", { class: "alike-frame" }, shown);
  shown.addEventListener("load", () =>
    setVars(frame, { aspect: shown.naturalWidth / shown.naturalHeight }),
  );
  if (kept) {
    const [left, top, right, bottom] = context.box;
    frame.append(el("i", { class: "alike-box", vars: { left, top, right, bottom } }));
  }
  return [
    frame,
    el("figcaption", {}, "Training image ", el("span", { class: "alike-id" }, image), "."),
    kept ? "" : el("p", { class: "note" }, ONLY_CROP),
  ];
}

/** The picture, with an outline where the part looks. */
function mine({ canvas, heatmap, prototype, rank, label }) {
  const looks = heatmap !== null && heatmap.some((row) => row.some((value) => value > 0));
  const name = spokenName(prototype, rank);
  const sheet = makeCanvas(canvas.width, canvas.height);
  sheet.setAttribute("role", "img");
  sheet.setAttribute("aria-label", "Your picture, outlined where the part looks");
  const pen = sheet.getContext("2d");
  pen.drawImage(canvas, 0, 0);
  if (looks)
    mark(pen, fieldOf(heatmap, canvas.width / canvas.height), css(colourOf(prototype.index)));
  return el(
    "figure",
    {},
    el("div", { class: "alike-frame", vars: { aspect: canvas.width / canvas.height } }, sheet),
    el(
      "figcaption",
      {},
      looks
        ? `Your picture: here the model sees ${name} most.`
        : `Your picture: nothing in it speaks for ${words(label)} by this part.`,
    ),
  );
}

function mark(pen, field, colour) {
  const { width, height } = pen.canvas;
  const outline = outlineOf(field, width, height);
  pen.lineCap = "round";
  for (const [stroke, size] of [
    ["#fff", 7],
    [colour, 4],
  ]) {
    pen.strokeStyle = stroke;
    pen.lineWidth = (size * width) / SHOWN;
    pen.stroke(outline);
  }
}

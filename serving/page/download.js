// The shown explanation as one picture: what was seen, the parts, their numbers and crops.

import { showImage } from "./api.js";
import { words } from "./dom.js";
import { decimalsFor, percent, signed } from "./numbers.js";
import { colourOf, css, inkOn, INK, PAPER } from "./palette.js";
import { makeCanvas } from "./picture.js";
import { NO_PLACE, ROUNDING, strongest } from "./why.js";

const WIDTH = 1600;
const MARGIN = 56;
const SIDE = 600;
const ROW = 132;
const CROP = 72;
const ROWS = 6;
const LINE = 40;
const NOTE = 28;

/** Draw the current view and hand it to the browser as a download. */
export async function savePicture(view) {
  await document.fonts.ready;
  const page = view.contrast ? contrastPage(view) : classPage(view);
  const images = await Promise.all(
    page.rows.map((row) => Promise.all(row.evidence.slice(0, 5).map(load))),
  );
  const blob = await new Promise((done) => draw(page, images, view).toBlob(done, "image/png"));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${view.session.file.name.replace(/\.\w+$/, "")}-explained.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

async function load({ url }) {
  const image = new Image();
  await showImage(image, url);
  await image.decode();
  return image;
}

function classPage({ session, stages }) {
  const explained = session.explained.get(session.chosen);
  const muted = session.mutedOf(session.chosen);
  const score = session.now.get(session.chosen);
  const all = strongest(explained);
  const rows = all.slice(0, ROWS).map((prototype) => ({
    ...prototype,
    value: prototype.contribution,
    off: muted.has(prototype.index),
  }));
  const hidden = all.slice(ROWS).filter(({ index }) => !muted.has(index));
  const sum = [
    ["bias", explained.bias],
    ["common to all classes", explained.common],
  ];
  if (explained.unplaced !== 0) sum.push([NO_PLACE, explained.unplaced]);
  if (explained.rounding !== 0) sum.push([ROUNDING, explained.rounding]);
  if (hidden.length > 0) {
    sum.unshift([`${hidden.length} more`, hidden.reduce((total, p) => total + p.contribution, 0)]);
  }
  return {
    title: words(explained.label),
    right: percent(score.probability),
    note: noteOf(session),
    figures: [stages.a],
    rows,
    sum,
    total: ["logit", score.logit],
  };
}

/** Also what another class had switched off: it changes the probability here. */
const noteOf = ({ switchedOff }) =>
  switchedOff.length === 0 ? "" : `switched off: ${switchedOff.join(", ")}`;

function contrastPage({ session, contrast, stages }) {
  const prototypes = contrast.terms.filter(({ kind }) => kind === "prototype");
  const rows = prototypes.slice(0, ROWS).map((term) => {
    const owner = contrast[term.side];
    const { muted, evidence } = owner.prototypes.find(({ index }) => index === term.index);
    return { ...term, of: words(owner.label), square: term.side === "b", off: muted, evidence };
  });
  const shown = rows.reduce((total, row) => total + row.value, 0);
  const rest = contrast.logit_difference - shown;
  return {
    title: `${words(contrast.a.label)}, not ${words(contrast.b.label)}`,
    right: "",
    note: noteOf(session),
    figures: [stages.a, stages.b],
    rows,
    sum: [["all else", rest]],
    total: ["difference of the logits", contrast.logit_difference],
  };
}

function draw(page, images, { dark, picture }) {
  const figures = picture === null ? [] : page.figures;
  const column = figures.length * (SIDE / picture.aspect + 24);
  const list = page.rows.length * ROW + (page.sum.length + 1) * LINE + 40;
  const right = page.right === "" ? 0 : 240;
  const titles = wrap(page.title, 44, WIDTH - 2 * MARGIN - right, 2);
  const notes = wrap(page.note, 20, WIDTH - 2 * MARGIN, 4);
  const top = MARGIN + 58 + titles.length * 52 + notes.length * NOTE;
  const canvas = makeCanvas(WIDTH, top + Math.max(column, list) + MARGIN);
  const pen = canvas.getContext("2d");
  const ink = dark ? "rgb(236 234 230)" : css(INK);
  const soft = dark ? "rgb(160 166 174)" : "rgb(104 109 117)";
  const text = writer(pen, ink);
  pen.fillStyle = css(dark ? PAPER.dark : PAPER.light);
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = ink;
  pen.fillRect(MARGIN, MARGIN, WIDTH - 2 * MARGIN, 2);
  titles.forEach((line, i) => text(line, MARGIN, MARGIN + 62 + i * 52, 44));
  text(page.right, WIDTH - MARGIN, MARGIN + 62, 44, { align: "right" });
  notes.forEach((line, i) =>
    text(line, MARGIN, top - 38 - (notes.length - 1 - i) * NOTE, 20, { colour: soft }),
  );
  figures.forEach((stage, i) => {
    const sheet = makeCanvas(stage.canvas.width, stage.canvas.height);
    stage.draw(sheet.getContext("2d"), stage.targets());
    const height = SIDE / picture.aspect;
    pen.drawImage(sheet, MARGIN, top + i * (height + 24), SIDE, height);
  });
  const left = MARGIN + SIDE + 48;
  const decimals = decimalsFor(Math.max(...page.rows.map((row) => Math.abs(row.value))));
  const bars = { left, width: 300, decimals, soft, text, pen };
  let y = top;
  page.rows.forEach((row, i) => {
    drawRow(row, images[i], y, page, bars);
    y += ROW;
  });
  for (const [name, value] of page.sum) {
    text(name, left, y + 20, 22, { colour: soft });
    text(signed(value, decimals), left + 400, y + 20, 24, { align: "right" });
    y += LINE;
  }
  pen.fillStyle = ink;
  pen.fillRect(left, y, 400, 2);
  text(page.total[0], left, y + 34, 22);
  text(signed(page.total[1], decimals), left + 400, y + 34, 24, { align: "right" });
  return canvas;
}

function drawRow(row, crops, y, page, { left, width, decimals, soft, text, pen }) {
  const colour = colourOf(row.index);
  const values = page.rows.map(({ value }) => value);
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  const place = (value) => left + ((value - low) / (high - low || 1)) * width;
  pen.globalAlpha = row.off ? 0.4 : 1;
  pen.fillStyle = css(colour);
  pen.beginPath();
  pen.roundRect(left, y, 34, 34, row.square ? 7 : 17);
  pen.fill();
  text(String(row.index), left + 17, y + 25, 21, { align: "center", colour: css(inkOn(colour)) });
  const off = row.off ? " (off)" : "";
  const room = 352 - widthOf(off, 24);
  text(wrap(words(row.name), 24, room, 1)[0] + off, left + 48, y + 25, 24);
  if (row.of) text(wrap(row.of, 18, 352, 1)[0], left + 48, y + 47, 18, { colour: soft });
  pen.fillStyle = css(colour);
  pen.fillRect(
    Math.min(place(0), place(row.value)),
    y + 58,
    Math.abs(place(row.value) - place(0)),
    24,
  );
  pen.fillStyle = soft;
  pen.fillRect(place(0) - 1, y + 54, 2, 32);
  text(signed(row.value, decimals), left + 400, y + 78, 24, { align: "right" });
  crops.forEach((crop, i) => pen.drawImage(crop, left + 436 + i * (CROP + 8), y, CROP, CROP));
  pen.globalAlpha = 1;
}

function writer(pen, ink) {
  return (line, x, y, size, { align = "left", colour = ink } = {}) => {
    pen.font = font(size);
    pen.textAlign = align;
    pen.fillStyle = colour;
    pen.fillText(line, x, y);
  };
}

const font = (size) => `${size}px Aileron, system-ui, sans-serif`;
const ruler = makeCanvas(1, 1).getContext("2d");

function widthOf(text, size) {
  ruler.font = font(size);
  return ruler.measureText(text).width;
}

/** A text in lines of at most this width; an ellipsis ends one that does not fit. */
function wrap(text, size, width, most) {
  const fits = (line) => widthOf(line, size) <= width;
  const lines = [];
  let rest = text;
  while (rest !== "") {
    if (fits(rest)) return [...lines, rest];
    const last = lines.length === most - 1;
    const letters = [...rest];
    let count = letters.length;
    while (count > 1 && !fits(letters.slice(0, count).join("") + (last ? "…" : ""))) count -= 1;
    const line = letters.slice(0, count).join("");
    if (last) return [...lines, `${line.trimEnd()}…`];
    // Between words, unless one alone is longer than the line.
    const end = rest[line.length] === " " ? line.length : line.lastIndexOf(" ");
    lines.push(rest.slice(0, end > 0 ? end : line.length));
    rest = rest.slice(lines.at(-1).length).trimStart();
  }
  return lines;
}

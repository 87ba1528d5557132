// The shown answer as one card: the picture, the sentence, the parts and the model, to share.

import { sentenceShown } from "./answer.js";
import { showImage } from "./api.js";
import { words } from "./dom.js";
import { decimalsFor, percent, signed } from "./numbers.js";
import { colourOf, css, inkOn, INK, PAPER, sideColour } from "./palette.js";
import { fixedName, ranked, ranks } from "./parts.js";
import { makeCanvas } from "./picture.js";

const WIDTH = 1600;
const MARGIN = 56;
const SIDE = 600;
const ROW = 132;
const CROP = 72;
const ROWS = 6;
const LINE = 40;
const NOTE = 28;
const TITLE = 40;

/** Hand the card to the browser as a download. */
export async function saveCard(view) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await drawCard(view));
  link.download = `${view.session.file.name.replace(/\.\w+$/, "")}-explained.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Put the card on the clipboard; throws where the browser gives none (plain HTTP). */
export async function copyCard(view) {
  // The promise, not the picture: the browser lets a press write, and drawing takes longer.
  await navigator.clipboard.write([new ClipboardItem({ "image/png": drawCard(view) })]);
}

async function drawCard(view) {
  await document.fonts.ready;
  const page = view.contrast ? contrastPage(view) : classPage(view);
  const images = await Promise.all(
    page.rows.map((row) => Promise.all(row.evidence.slice(0, 5).map(load))),
  );
  return new Promise((done) => draw(page, images, view).toBlob(done, "image/png"));
}

async function load({ url }) {
  const image = new Image();
  await showImage(image, url);
  await image.decode();
  return image;
}

function classPage({ session, stages, model }) {
  const explained = session.explained.get(session.chosen);
  const muted = session.mutedOf(session.chosen);
  const score = session.now.get(session.chosen);
  const all = ranked(explained).map((part, i) => ({
    ...part,
    rank: i + 1,
    title: fixedName(part),
    colour: colourOf(part.index),
    value: part.contribution,
    number: `${Math.round(100 * part.share)} %`.replace("-", "\u2212"),
    off: muted.has(part.index),
  }));
  const hidden = all.slice(ROWS).filter(({ off }) => !off);
  const share = hidden.reduce((total, part) => total + part.share, 0);
  const others =
    session.chosen === session.best.id
      ? ""
      : `Shown: what speaks for ${words(score.label)} (${percent(score.probability)}).`;
  const placed =
    explained.placed < 0.8
      ? `Only ${percent(explained.placed)} of this evidence has a place in the picture.`
      : "";
  return {
    title: sentenceShown(),
    note: [others, placed, noteOf(session)].filter((note) => note !== "").join(" "),
    figures: [stages.a],
    rows: all.slice(0, ROWS),
    sum: hidden.length > 0 ? [[`${hidden.length} more`, `${Math.round(100 * share)} %`]] : [],
    total: null,
    model,
  };
}

/** Also what another class had switched off: it changes the probability here. */
const noteOf = ({ switchedOff }) =>
  switchedOff.length === 0 ? "" : `Switched off: ${switchedOff.join(", ")}.`;

function contrastPage({ session, contrast, stages, model }) {
  const terms = contrast.terms.filter(({ kind }) => kind === "prototype");
  const decimals = decimalsFor(Math.max(...terms.map(({ value }) => Math.abs(value))));
  const rows = terms.slice(0, ROWS).map((term) => {
    const owner = contrast[term.side];
    const part = owner.prototypes.find(({ index }) => index === term.index);
    return {
      ...term,
      rank: ranks(owner).get(term.index),
      title: fixedName(part),
      colour: sideColour(term.side),
      number: signed(term.value, decimals),
      of: words(owner.label),
      square: term.side === "b",
      off: part.muted,
      evidence: part.evidence,
    };
  });
  const shown = rows.reduce((total, row) => total + row.value, 0);
  const rest = contrast.logit_difference - shown;
  return {
    title: `${words(contrast.a.label)}, not ${words(contrast.b.label)}`,
    note: noteOf(session),
    figures: [stages.a, stages.b],
    rows,
    sum: [["all else", signed(rest, decimals)]],
    total: ["difference of the logits", signed(contrast.logit_difference, decimals)],
    model,
  };
}

function draw(page, images, { dark, picture }) {
  const figures = picture === null ? [] : page.figures;
  const column = figures.length * (SIDE / picture.aspect + 24);
  const sums = page.sum.length + (page.total === null ? 0 : 1);
  const list = page.rows.length * ROW + sums * LINE;
  const titles = wrap(page.title, TITLE, WIDTH - 2 * MARGIN, 3);
  const notes = wrap(page.note, 20, WIDTH - 2 * MARGIN, 4);
  const top = MARGIN + 54 + titles.length * 50 + notes.length * NOTE;
  const foot = top + Math.max(column, list) + 24;
  const canvas = makeCanvas(WIDTH, foot + MARGIN);
  const pen = canvas.getContext("2d");
  const ink = dark ? "rgb(236 234 230)" : css(INK);
  const soft = dark ? "rgb(160 166 174)" : "rgb(104 109 117)";
  const text = writer(pen, ink);
  pen.fillStyle = css(dark ? PAPER.dark : PAPER.light);
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = ink;
  pen.fillRect(MARGIN, MARGIN, WIDTH - 2 * MARGIN, 2);
  titles.forEach((line, i) => text(line, MARGIN, MARGIN + 58 + i * 50, TITLE));
  notes.forEach((line, i) =>
    text(line, MARGIN, top - 32 - (notes.length - 1 - i) * NOTE, 20, { colour: soft }),
  );
  figures.forEach((stage, i) => {
    const sheet = makeCanvas(stage.canvas.width, stage.canvas.height);
    stage.draw(sheet.getContext("2d"), stage.targets());
    const height = SIDE / picture.aspect;
    pen.drawImage(sheet, MARGIN, top + i * (height + 24), SIDE, height);
  });
  const left = MARGIN + SIDE + 48;
  const bars = { left, width: 300, soft, text, pen };
  let y = top;
  page.rows.forEach((row, i) => {
    drawRow(row, images[i], y, page, bars);
    y += ROW;
  });
  for (const [name, number] of page.sum) {
    text(name, left, y + 20, 22, { colour: soft });
    text(number, left + 400, y + 20, 24, { align: "right" });
    y += LINE;
  }
  if (page.total !== null) {
    pen.fillStyle = ink;
    pen.fillRect(left, y, 400, 2);
    text(page.total[0], left, y + 34, 22);
    text(page.total[1], left + 400, y + 34, 24, { align: "right" });
  }
  const { name, sha256 } = page.model;
  text(`${words(name)} · ${sha256.slice(0, 12)} · explained by protohead`, MARGIN, foot + 20, 20, {
    colour: soft,
  });
  return canvas;
}

function drawRow(row, crops, y, page, { left, width, soft, text, pen }) {
  const { colour } = row;
  const values = page.rows.map(({ value }) => value);
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  const place = (value) => left + ((value - low) / (high - low || 1)) * width;
  pen.globalAlpha = row.off ? 0.4 : 1;
  pen.fillStyle = css(colour);
  pen.beginPath();
  pen.roundRect(left, y, 34, 34, row.square ? 7 : 17);
  pen.fill();
  text(String(row.rank), left + 17, y + 25, 21, { align: "center", colour: css(inkOn(colour)) });
  const off = row.off ? " (off)" : "";
  const room = 352 - widthOf(off, 24);
  text(wrap(row.title, 24, room, 1)[0] + off, left + 48, y + 25, 24);
  if (row.of) text(wrap(row.of, 18, 352, 1)[0], left + 48, y + 47, 18, { colour: soft });
  const [from, to] = [place(0), place(row.value)].sort((a, b) => a - b);
  pen.fillStyle = css(colour);
  if (row.value >= 0) pen.fillRect(from, y + 58, to - from, 24);
  else hatch(pen, from, y + 58, to - from, 24, css(colour));
  pen.fillStyle = soft;
  pen.fillRect(place(0) - 1, y + 54, 2, 32);
  text(row.number, left + 400, y + 78, 24, { align: "right" });
  crops.forEach((crop, i) => pen.drawImage(crop, left + 436 + i * (CROP + 8), y, CROP, CROP));
  pen.globalAlpha = 1;
}

/** What speaks against, as on the page. */
function hatch(pen, x, y, width, height, colour) {
  pen.save();
  pen.beginPath();
  pen.rect(x, y, width, height);
  pen.clip();
  pen.strokeStyle = colour;
  pen.lineWidth = 4;
  pen.strokeRect(x, y, width, height);
  pen.beginPath();
  for (let start = x - height; start < x + width; start += 9) {
    pen.moveTo(start, y + height);
    pen.lineTo(start + height, y);
  }
  pen.stroke();
  pen.restore();
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

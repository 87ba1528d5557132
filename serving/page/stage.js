// The picture with the parts drawn on it; one can be isolated, all fade smoothly.

import { calm } from "./dom.js";
import { fieldOf, LEVEL, outlineOf, strengthAt } from "./field.js";
import { css, inkOn } from "./palette.js";
import { makeCanvas, pale } from "./picture.js";

const OPACITY = 0.86;
const FADE = 160; // ms
const HIT = 0.3; // share of the peak from which a pointer means that part

/**
 * @typedef {{index: number, rank: number, heatmap: number[][], contribution: number,
 *   muted: boolean}} Part
 * @typedef {{picture: {canvas: HTMLCanvasElement, aspect: number} | null, parts: Part[],
 *   mode: "heat" | "parts" | "photo", focus: number | null, theme: "light" | "dark"}} Scene
 */
export class Stage {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {(index: number | null) => void} onPoint the part under the pointer
   */
  constructor(canvas, onPoint) {
    this.canvas = canvas;
    this.weights = new Map();
    this.layers = new Map();
    canvas.addEventListener("pointermove", (event) => onPoint(this.#under(event)));
    canvas.addEventListener("pointerdown", (event) => onPoint(this.#under(event)));
    canvas.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse") onPoint(null);
    });
    // Lines and numbers keep their size while the picture's changes.
    new ResizeObserver(() => this.scene?.picture && this.draw(canvas.getContext("2d"))).observe(
      canvas,
    );
  }

  /** @param {Scene} scene */
  show(scene) {
    const before = this.scene;
    this.scene = scene;
    if (scene.picture === null) return;
    if (before?.picture !== scene.picture || before.theme !== scene.theme) {
      this.canvas.width = scene.picture.canvas.width;
      this.canvas.height = scene.picture.canvas.height;
      this.pale = pale(scene.picture.canvas, scene.theme);
      this.layers.clear();
    }
    if (!sameParts(before, scene)) {
      this.layers.clear();
      this.weights.clear();
    }
    this.#fade();
  }

  /** What is drawn for a part, made when it is first seen: most of many never are. */
  #layer(part) {
    if (!this.layers.has(part.index)) this.layers.set(part.index, this.#makeLayer(part));
    return this.layers.get(part.index);
  }

  #makeLayer(part) {
    const { width, height } = this.canvas;
    const against = part.contribution <= 0;
    // What speaks against the class is drawn only when it is pointed at, hatched as its bar is.
    const heatmap = against ? part.heatmap.map((row) => row.map((value) => -value)) : part.heatmap;
    const field = fieldOf(heatmap, width / height);
    const colour = css(part.colour);
    return {
      ...part,
      against,
      css: colour,
      ink: css(inkOn(part.colour)),
      field,
      tint: against ? this.#hatch(field, colour) : this.#tint(field, colour),
      mask: mask(field, (s) => (s - LEVEL) * 8 + 0.5),
      outline: outlineOf(field, width, height),
      peak: [field.peak[0] * width, field.peak[1] * height],
    };
  }

  /** The colour keeps half of the photograph's light and shade, so the part stays visible. */
  #tint(field, colour) {
    const tint = makeCanvas(this.canvas.width / 2, this.canvas.height / 2);
    const pen = tint.getContext("2d");
    const area = [0, 0, tint.width, tint.height];
    pen.drawImage(this.pale, ...area);
    pen.fillStyle = "rgb(255 255 255 / 0.5)";
    pen.fillRect(...area);
    pen.globalCompositeOperation = "multiply";
    pen.fillStyle = colour;
    pen.fillRect(...area);
    pen.globalCompositeOperation = "destination-in";
    pen.drawImage(
      mask(field, (s) => OPACITY * s),
      ...area,
    );
    return tint;
  }

  /** Stripes of the colour inside the outline. */
  #hatch(field, colour) {
    const hatch = makeCanvas(this.canvas.width, this.canvas.height);
    const pen = hatch.getContext("2d");
    const { width, height } = hatch;
    const step = 12 * this.#unit();
    pen.strokeStyle = colour;
    pen.lineWidth = 0.36 * step;
    for (let x = -height; x < width; x += step) {
      pen.moveTo(x, height);
      pen.lineTo(x + height, 0);
    }
    pen.stroke();
    pen.globalCompositeOperation = "destination-in";
    pen.drawImage(
      mask(field, (s) => (s - LEVEL) * 8 + 0.5),
      ...[0, 0, width, height],
    );
    return hatch;
  }

  /** The weight that each layer moves towards. */
  targets() {
    const { parts, focus, mode } = this.scene;
    const speaking = new Set(this.#speaking().map((part) => part.index));
    const wanted = (index) => (focus === null ? speaking.has(index) : index === focus);
    return new Map(parts.map(({ index }) => [index, mode !== "photo" && wanted(index) ? 1 : 0]));
  }

  #fade() {
    cancelAnimationFrame(this.frame);
    const targets = this.targets();
    const from = new Map(this.weights);
    const start = performance.now();
    const step = (now) => {
      const t = calm() ? 1 : Math.min(1, Math.max(0, (now - start) / FADE));
      for (const [index, target] of targets) {
        const origin = from.get(index) ?? 0;
        this.weights.set(index, origin + (target - origin) * t * (2 - t));
      }
      this.draw(this.canvas.getContext("2d"));
      if (t < 1) this.frame = requestAnimationFrame(step);
    };
    step(start);
  }

  /** Draw the scene as it stands; also onto another pen, for the downloaded picture. */
  draw(pen, weights = this.weights) {
    const { mode, picture } = this.scene;
    const { width, height } = this.canvas;
    pen.drawImage(mode === "photo" ? picture.canvas : this.pale, 0, 0);
    if (mode === "photo") return;
    const visible = this.scene.parts
      .filter(({ index }) => weights.get(index) > 0)
      .map((part) => this.#layer(part))
      .reverse();
    if (mode === "parts") pen.drawImage(this.#reveal(visible, weights), 0, 0);
    for (const layer of visible.filter(({ against }) => against || mode === "heat")) {
      pen.globalAlpha = weights.get(layer.index);
      pen.drawImage(layer.tint, 0, 0, width, height);
    }
    // No colour hides an outline or a number, its own or another part's.
    for (const layer of visible) {
      pen.globalAlpha = weights.get(layer.index);
      this.#stroke(pen, layer);
    }
    this.#tags(pen, visible, weights);
    pen.globalAlpha = 1;
  }

  /** The photograph in its own colours where a part looks. */
  #reveal(visible, weights) {
    const sheet = makeCanvas(this.canvas.width, this.canvas.height);
    const pen = sheet.getContext("2d");
    for (const layer of visible) {
      pen.globalAlpha = weights.get(layer.index);
      pen.drawImage(layer.mask, 0, 0, sheet.width, sheet.height);
    }
    pen.globalAlpha = 1;
    pen.globalCompositeOperation = "source-in";
    pen.drawImage(this.scene.picture.canvas, 0, 0);
    return sheet;
  }

  #stroke(pen, layer) {
    const unit = this.#unit();
    pen.lineCap = "round";
    for (const [colour, size] of [
      ["#fff", 6],
      [layer.css, 3.5],
    ]) {
      pen.strokeStyle = colour;
      pen.lineWidth = size * unit;
      pen.stroke(layer.outline);
    }
  }

  /**
   * Pixels of the canvas in a pixel of the page: lines and numbers look the same at any size, but
   * leave something to see of the smallest picture.
   */
  #unit() {
    return this.canvas.width / Math.max(this.canvas.clientWidth || 560, 160);
  }

  #tags(pen, visible, weights) {
    const radius = 13 * this.#unit();
    const centres = apart(
      visible.map((layer) => layer.peak),
      2.3 * radius,
    );
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.font = `${1.15 * radius}px Aileron, sans-serif`;
    visible.forEach((layer, i) => {
      const [x, y] = [0, 1].map((axis) => {
        const end = axis === 0 ? this.canvas.width : this.canvas.height;
        return Math.min(Math.max(centres[i][axis], 1.3 * radius), end - 1.3 * radius);
      });
      pen.globalAlpha = weights.get(layer.index);
      for (const [colour, size] of [
        ["#fff", 1.16],
        [layer.css, 1],
      ]) {
        pen.fillStyle = colour;
        pen.beginPath();
        const half = size * radius;
        pen.roundRect(x - half, y - half, 2 * half, 2 * half, layer.square ? 0.45 * half : half);
        pen.fill();
      }
      pen.fillStyle = layer.ink;
      pen.fillText(String(layer.rank), x, y + 0.06 * radius);
    });
  }

  #under(event) {
    if (!this.scene?.picture || this.scene.mode === "photo") return null;
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    const best = this.#speaking()
      .map((part) => this.#layer(part))
      .map((layer) => [strengthAt(layer.field, x, y), layer.index])
      .sort((a, b) => b[0] - a[0])[0];
    return best && best[0] >= HIT ? best[1] : null;
  }

  #speaking() {
    return this.scene.parts.filter((part) => part.contribution > 0 && !part.muted);
  }
}

/** Whether two scenes are of one class in the same colours; each answer has heatmaps of its own. */
function sameParts(before, scene) {
  const [a, b] = [before?.parts[0], scene.parts[0]];
  return a?.heatmap === b?.heatmap && String(a?.colour) === String(b?.colour);
}

/** A field as opacity. */
function mask(field, opacity) {
  const canvas = makeCanvas(field.width, field.height);
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(field.width, field.height);
  field.values.forEach((value, i) => {
    image.data[4 * i + 3] = 255 * Math.min(1, Math.max(0, opacity(value)));
  });
  pen.putImageData(image, 0, 0);
  return canvas;
}

/** Centres moved apart until none is closer to another than the distance. */
function apart(centres, distance) {
  const moved = centres.map((centre) => [...centre]);
  for (let round = 0; round < 20; round += 1) {
    for (let i = 0; i < moved.length; i += 1) {
      for (let j = 0; j < i; j += 1) {
        const [dx, dy] = [moved[i][0] - moved[j][0], moved[i][1] - moved[j][1]];
        const length = Math.hypot(dx, dy);
        if (length >= distance) continue;
        const push = (distance - length) / 2;
        const [ux, uy] = length > 0 ? [dx / length, dy / length] : [1, 0];
        moved[i] = [moved[i][0] + ux * push, moved[i][1] + uy * push];
        moved[j] = [moved[j][0] - ux * push, moved[j][1] - uy * push];
      }
    }
  }
  return moved;
}

/** Where a peak lies, in words. */
export function placeOf(heatmap) {
  const flat = heatmap.flat();
  const at = flat.indexOf(Math.max(...flat));
  const [h, w] = [heatmap.length, heatmap[0].length];
  const third = (position, count, names) => names[Math.min(2, Math.floor((3 * position) / count))];
  const row = third(Math.floor(at / w), h, ["top", "middle", "bottom"]);
  const column = third(at % w, w, ["left", "centre", "right"]);
  return row === "middle" && column === "centre" ? "in the centre" : `${row} ${column}`;
}

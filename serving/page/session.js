// One picture and what the server has said of it. Every number shown is the server's own.

import * as api from "./api.js";
import { words } from "./dom.js";

/** The server answered with another model than the one that explained the picture. */
export class Replaced extends Error {}

export class Session {
  /**
   * @param {File} file
   * @param {object} answer to an explain request without anything muted
   */
  constructor(file, { model, results: [result] }) {
    this.file = file;
    this.artifact = model.artifact;
    this.explained = new Map(result.classes.map((explained) => [explained.id, explained]));
    this.before = new Map(result.classes.map((score) => [score.id, score]));
    this.bestBefore = result.classes[0];
    this.chosen = this.bestBefore.id;
    this.ranking = result.classes.map(({ id }) => id);
    this.muted = new Map();
    this.now = new Map(this.before);
  }

  static async open(file, signal) {
    return new Session(file, await api.explain(file, { heatmaps: "values" }, signal));
  }

  async #ask(options, signal) {
    const { results } = this.#same(await api.explain(this.file, options, signal));
    return results[0];
  }

  /** Why class a and not class b, with what is muted now. */
  async contrast(a, b, signal) {
    return this.#same(await api.contrast(this.file, a, b, this.mute, signal));
  }

  /** An answer, if it is the same model's: numbers of two models must not stand side by side. */
  #same(answer) {
    if (answer.model.artifact !== this.artifact) throw new Replaced();
    return answer;
  }

  /** What is switched off, as pairs of class and prototype. */
  get mute() {
    return [...this.muted].flatMap(([id, indices]) => [...indices].map((index) => [id, index]));
  }

  /** What is switched off, in words; only what is shown, and thus explained, can be. */
  get switchedOff() {
    return this.mute.map(([id, index]) => {
      const { label, prototypes } = this.explained.get(id);
      return `${words(prototypes[index].name)} of ${words(label)}`;
    });
  }

  mutedOf(id) {
    return this.muted.get(id) ?? new Set();
  }

  /**
   * The classes to list, most probable first.
   *
   * @param {Map<number, object>} scores `now`, or `before` anything was muted
   */
  listed(scores) {
    const ids = new Set([...this.ranking, ...this.muted.keys(), this.chosen]);
    return [...ids].map((id) => scores.get(id)).sort((a, b) => b.logit - a.logit);
  }

  get best() {
    return this.listed(this.now)[0];
  }

  toggle(id, index) {
    const indices = new Set(this.mutedOf(id));
    if (!indices.delete(index)) indices.add(index);
    if (indices.size > 0) this.muted.set(id, indices);
    else this.muted.delete(id);
  }

  /** Explain one more class. */
  async choose(id, signal) {
    if (!this.explained.has(id)) {
      const { classes } = await this.#ask({ classes: [id], heatmaps: "values" }, signal);
      this.explained.set(id, classes[0]);
      this.before.set(id, classes[0]);
      if (!this.now.has(id)) this.now.set(id, classes[0]);
    }
    // Also where the class is known: this wish may have ended one that was about to refresh.
    await this.refresh(signal, id);
    this.chosen = id;
  }

  /** Ask how the prediction is with what is muted now. */
  async refresh(signal, alsoId = this.chosen) {
    const mute = this.mute;
    if (mute.length === 0) {
      this.now = new Map(this.before);
      this.ranking = this.rankingBefore ?? this.ranking;
      return;
    }
    const best = await this.#ask({ mute, heatmaps: "none" }, signal);
    const answers = [best];
    const known = new Set(best.classes.map(({ id }) => id));
    this.rankingBefore ??= this.ranking;
    const missing = [...new Set([...this.rankingBefore, ...this.muted.keys(), alsoId])].filter(
      (id) => !known.has(id),
    );
    if (missing.length > 0) {
      answers.push(await this.#ask({ mute, classes: missing, heatmaps: "none" }, signal));
    }
    for (const { classes, before } of answers) {
      for (const score of classes) this.now.set(score.id, score);
      for (const score of before) if (!this.before.has(score.id)) this.before.set(score.id, score);
    }
    this.ranking = [...new Set([...best.classes.map(({ id }) => id), ...this.rankingBefore])];
  }
}

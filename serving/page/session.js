// One picture and what the server has said of it. Every number shown is the server's own.

import * as api from "./api.js";
import { words } from "./dom.js";
import { ranks, spokenName } from "./parts.js";

/** The server answered with another model than the one that explained the picture. */
export class Replaced extends Error {}

export class Session {
  /**
   * @param {File} file
   * @param {Names} names what people called parts
   * @param {object} answer to an explain request without anything muted
   */
  constructor(file, names, { model, results: [result] }) {
    this.file = file;
    this.names = names;
    this.artifact = model.artifact;
    names.give(result.classes);
    this.explained = new Map(result.classes.map((explained) => [explained.id, explained]));
    this.before = new Map(result.classes.map((score) => [score.id, score]));
    this.bestBefore = result.classes[0];
    // A class that is not split has nothing to show: the best one with parts stands in for it.
    this.chosen = (result.classes.find(({ whole }) => !whole) ?? this.bestBefore).id;
    this.ranking = result.classes.map(({ id }) => id);
    this.muted = new Map();
    this.answered = new Map(); // what was muted in the answer that is shown
    this.now = new Map(this.before);
  }

  static async open(file, names, signal) {
    return new Session(file, names, await api.explain(file, { heatmaps: "values" }, signal));
  }

  async #ask(options, signal) {
    const { results } = this.#same(await api.explain(this.file, options, signal));
    this.names.give(results[0].classes);
    return results[0];
  }

  /** Why class a and not class b, with what is muted now. */
  async contrast(a, b, signal) {
    const answer = this.#same(await api.contrast(this.file, a, b, this.mute, signal));
    this.names.give([answer.a, answer.b]);
    for (const term of answer.terms.filter(({ kind }) => kind === "prototype")) {
      term.name = answer[term.side].prototypes[term.index].name;
    }
    return answer;
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
      const explained = this.explained.get(id);
      const name = spokenName(explained.prototypes[index], ranks(explained).get(index));
      return `${name} of ${words(explained.label)}`;
    });
  }

  /** Switch back to what the shown numbers are of. */
  revert() {
    this.muted = new Map(this.answered);
  }

  /** Call a part something; nothing gives it back the artifact's own name. */
  rename(id, index, name) {
    this.names.set(id, index, name);
    this.names.give([...this.explained.values(), ...this.now.values()]);
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

  /** The probability of all other classes than the chosen one; null where they do not share it. */
  others(activation) {
    if (activation !== "softmax") return null;
    const { id, probability } = this.now.get(this.chosen);
    const known = this.listed(this.now).filter((score) => score.id !== id);
    // Close to 1 the difference has no digits left, the others' sum has.
    return Math.max(
      1 - probability,
      known.reduce((sum, score) => sum + score.probability, 0),
    );
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
    const { mute } = this;
    const muted = new Map(this.muted);
    if (mute.length === 0) {
      this.now = new Map(this.before);
      this.ranking = this.rankingBefore ?? this.ranking;
      this.answered = new Map();
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
    this.answered = muted;
  }
}

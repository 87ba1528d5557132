// What people call a part: its rank in this picture, and its name in the artifact.

import { words } from "./dom.js";

/** Whether somebody gave the part a name; "prototype 2" is what the export writes. */
export const isNamed = ({ name, index }) => name !== `prototype ${index}`;

/** The name that a part has in every picture: its own, or its number in the artifact. */
export const fixedName = (part) => (isNamed(part) ? words(part.name) : `#${part.index}`);

/** The name of a part in a sentence or to a screen reader: its own, or its rank. */
export const spokenName = (part, rank) => (isNamed(part) ? words(part.name) : `part ${rank}`);

/** The parts of an explained class, those that speak for it most first. */
export const ranked = (explained) =>
  [...explained.prototypes].sort((a, b) => b.contribution - a.contribution || a.index - b.index);

/** The rank of each part in this picture, from 1, by its number in the artifact. */
export const ranks = (explained) =>
  new Map(ranked(explained).map(({ index }, i) => [index, i + 1]));

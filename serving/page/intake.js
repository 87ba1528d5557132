// How pictures come in: picked, dropped, pasted, or one of the server's samples. What becomes of
// them before they are sent: prepare.js.

import * as api from "./api.js";
import { byId, el } from "./dom.js";
import { picture } from "./tag.js";

/** @param {(file: File) => void} accept */
export function takePictures(accept) {
  const input = byId("file");
  input.addEventListener("change", () => {
    if (input.files.length > 0) accept(input.files[0]);
    input.value = ""; // the same file may be picked again
  });
  addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (file) accept(file);
  });
  takeDrops(accept);
}

function takeDrops(accept) {
  const veil = byId("veil");
  const carriesFile = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    veil.classList.add("on");
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) veil.classList.remove("on");
  });
  addEventListener("drop", (event) => {
    veil.classList.remove("on");
    if (!carriesFile(event)) return;
    event.preventDefault();
    accept(event.dataTransfer.files[0]);
  });
}

/** One of the server's samples, by its number from 1. */
export async function sampleFile(number) {
  const sample = (await api.samples())[number - 1];
  if (sample === undefined) {
    throw new api.Problem({
      title: "That sample is not here",
      detail: `The address names sample ${number}; the model that is served now has fewer.`,
      status: 404,
    });
  }
  const blob = await api.blob(sample.url);
  return new File([blob], `sample-${number}.jpg`, { type: blob.type });
}

/**
 * Offer the server's samples; a server without any offers none.
 *
 * @param {(file: File, number: number) => void} accept
 */
export async function offerSamples(accept, fail) {
  const samples = (await api.samples()).slice(0, 8);
  byId("samples-block").hidden = samples.length === 0;
  byId("samples").replaceChildren(
    ...samples.map((sample, i) => {
      const image = picture(sample.url, { alt: "", width: 128, height: 128 });
      const take = async () => {
        try {
          accept(await sampleFile(i + 1), i + 1);
        } catch (error) {
          fail(error, take);
        }
      };
      const label = `Sample ${i + 1}`;
      return el(
        "li",
        {},
        el("button", { type: "button", "aria-label": label, on: { click: take } }, image),
      );
    }),
  );
}

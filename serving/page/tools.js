// What can be taken away from a result: its link, its card, the request as code, the edit command.

import { wireCopy } from "./answer.js";
import { served } from "./api.js";
import { attempt, say } from "./attempt.js";
import { copyCard, saveCard } from "./card.js";
import { byId } from "./dom.js";
import { copy, copyText, curl, python } from "./recipes.js";

const SELECTED = "Selected, press Ctrl+C";

/**
 * @param {{request: () => Request, view: () => object, again: () => void, reset: () => void}}
 *   actions `view`: what is shown, for the card
 */
export function wireTools({ request, view, again, reset }) {
  const dialog = byId("code-dialog");
  byId("code").hidden = !served; // there is nothing to send it to
  byId("again").addEventListener("click", again);
  byId("reset").addEventListener("click", () => {
    reset();
    byId("sentence").focus({ preventScroll: true }); // the button goes
  });
  byId("code").addEventListener("click", () => {
    byId("recipe-curl").textContent = curl(request());
    byId("recipe-python").textContent = python(request());
    dialog.showModal();
  });
  byId("code-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  for (const [button, text] of [
    ["copy-curl", "recipe-curl"],
    ["copy-python", "recipe-python"],
    ["copy-keep", "keep-command"],
  ]) {
    wireCopy(byId(button), async () => ((await copy(byId(text))) ? "Copied" : SELECTED));
  }
  wireCopy(byId("copy-link"), async () =>
    (await copyText(location.href)) ? "Copied" : "It is the address above",
  );
  wireCopy(byId("copy-card"), async () => {
    try {
      await copyCard(view());
      return "Copied";
    } catch {
      return "Not here: download it";
    }
  });
  byId("download").addEventListener("click", () =>
    attempt(
      "Drawing the card …",
      async () => {
        await saveCard(view());
        say("The card is in your downloads.");
      },
      "download",
    ),
  );
}

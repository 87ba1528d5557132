"use strict";
// The page says everything without this: it finds classes, and shows an image large.
const all = (query, root = document) => [...root.querySelectorAll(query)];
const make = (tag, more = {}, ...inside) => {
  const node = Object.assign(document.createElement(tag), more);
  node.append(...inside);
  return node;
};

const find = document.getElementById("find");
const kind = document.getElementById("kind");
function filter() {
  const words = find.value.trim().replaceAll("_", " ").toLowerCase();
  let count = 0;
  for (const node of all("[data-label]")) {
    const kinds = node.dataset.kinds.split(" ").filter(Boolean);
    const wanted = !kind.value || (kind.value === "*" ? kinds.length > 0 : kinds.includes(kind.value));
    node.hidden = !(wanted && node.dataset.label.includes(words));
    if (!node.hidden && node.matches("tr")) count += 1;
  }
  document.getElementById("found").textContent = `${count} ${count === 1 ? "class" : "classes"}`;
}
find.addEventListener("input", filter);
kind.addEventListener("change", filter);
all("a[data-kind]").forEach((link) =>
  link.addEventListener("click", (event) => {
    event.preventDefault();
    kind.value = link.dataset.kind;
    find.value = "";
    filter();
    document.getElementById("overview").scrollIntoView();
  }),
);
// A link to a class must work although a filter hides it.
addEventListener("hashchange", () => {
  const target = document.getElementById(location.hash.slice(1));
  if (!target?.hidden) return;
  kind.value = find.value = "";
  filter();
  target.scrollIntoView();
});
document.querySelector(".tools").hidden = false;
filter();
addEventListener("beforeprint", () => all("details").forEach((node) => (node.open = true)));

const dialog = make("dialog");
const bar = make("div", { className: "bar" });
const stage = make("div", { className: "stage" });
dialog.append(bar, stage);
document.body.append(dialog);
let tiles = [];
let place = 0;

function show(step) {
  place = (place + step + tiles.length) % tiles.length;
  const tile = tiles[place];
  const article = tile.closest("article");
  const views = all(`[data-photo="${tile.dataset.photo}"]`, article);
  const picture = tile.querySelector("svg").cloneNode(true);
  stage.replaceChildren(picture);
  const title = `${article.querySelector("h3").textContent}, ${tile.querySelector("figcaption").innerText.split("\n")[0]}`;
  const buttons = views.map((view) => {
    const number = view.dataset.number;
    const button = make("button", { type: "button" }, number ? `#${number}` : "photograph");
    if (number !== undefined) {
      button.className = [...view.closest(".part").classList].find((name) => /^p\d/.test(name));
      button.ariaLabel = `Part #${number}`;
    }
    button.setAttribute("aria-pressed", String(view === tile));
    button.addEventListener("click", () => {
      place = tiles.indexOf(view);
      show(0);
      bar.querySelector("[aria-pressed=true]").focus();
    });
    return button;
  });
  const close = make("button", { type: "button", ariaLabel: "Close" }, "✕");
  close.addEventListener("click", () => dialog.close());
  bar.replaceChildren(make("p", {}, title), ...buttons, close);
}
for (const tile of all(".tile")) {
  const picture = tile.querySelector("svg");
  const button = make("button", { type: "button", className: "zoom" });
  button.ariaLabel = `Enlarge: ${picture.getAttribute("aria-label")}`;
  picture.replaceWith(button);
  button.append(picture);
  button.addEventListener("click", () => {
    tiles = all(".tile", tile.closest("article"));
    place = tiles.indexOf(tile);
    show(0);
    dialog.showModal();
  });
}
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
dialog.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step) show(step);
});

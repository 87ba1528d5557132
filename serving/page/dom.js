// Building and finding elements, without markup in strings: labels are data, never HTML.

/**
 * @param {string} tag
 * @param {Record<string, unknown>} properties `class`, `on` (listeners), `vars` (CSS variables),
 *   `data`; true and false set and omit an attribute, anything else is its value
 * @param {...(Node | string | null)} children null is left out
 */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (key === "vars") setVars(node, value);
    else if (key === "data") Object.assign(node.dataset, value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null) node.setAttribute(key, String(value));
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** CSS variables go through the object model: the content security policy forbids style="". */
export function setVars(node, values) {
  for (const [name, value] of Object.entries(values)) node.style.setProperty(`--${name}`, value);
}

export const byId = (id) => document.getElementById(id);

/** A class label for people: folder names write spaces as underscores. */
export const words = (label) => label.replaceAll("_", " ");

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Listeners for focus by keyboard: a touch would leave its focus behind on what was tapped. */
export const onKeyboardFocus = (enter, leave) => ({
  focus: (event) => event.target.matches(":focus-visible") && enter(),
  blur: leave,
});

// Building the page without markup in strings: text is always text.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. `attributes` whose value is null, undefined or false are left out; functions become listeners ("click", "input").
 * Children that are strings become text; null and undefined are left out.
 */
export function el(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same, for SVG. */
export function svg(name, attributes, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(key, value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** A link to somewhere else, or plain words when the address is not one for a browser. */
export function link(label, address, newTab) {
  let url = null;
  try {
    url = new URL(address, location.href);
  } catch {
    // Falls through to plain words.
  }
  if (!url || (url.protocol !== "https:" && url.protocol !== "http:")) return el("span", {}, label);
  const hint = el("span", { class: "unseen" }, ` ${newTab}`);
  return el("a", { href: url.href, target: "_blank", rel: "noopener noreferrer" }, label, hint);
}

/** Words for assistive technology only. */
export function unseen(text) {
  return el("span", { class: "unseen" }, text);
}

/** A box that scrolls sideways and can be reached by keyboard. */
export function scroller(label, ...children) {
  return el("div", { class: "scroller", role: "region", tabindex: "0", "aria-label": label }, ...children);
}

// The list of patients: grouped by twin, folded, and searchable.

import { el } from "./dom.js";
import { say } from "./strings.js";

const at = (id) => document.getElementById(id);
/** Groups that somebody opened or closed by hand keep that. */
const opened = new Map();

/** Draws the list. `choose(id)` is called when a patient is chosen. */
export function drawPeople(people, current, choose) {
  const groups = new Map();
  for (const one of people) groups.set(one.twin, [...(groups.get(one.twin) ?? []), one]);
  at("people").replaceChildren(...[...groups].map(([twin, members]) => group(twin, members, current, choose)));
  at("find").oninput = () => filter(people);
  filter(people, true);
}

function group(twin, members, current, choose) {
  const { twin_name: name = capital(twin), twin_about: about } = members[0];
  const holds = members.some((one) => one.id === current);
  const items = members.map((one) =>
    el(
      "li",
      { "data-id": one.id },
      el(
        "button",
        { type: "button", "aria-current": one.id === current ? "true" : null, "data-id": one.id, click: () => choose(one.id) },
        el("span", { class: "person-title" }, one.title),
        el("span", { class: "person-name" }, one.name),
      ),
    ),
  );
  const count = el("span", { class: "count" }, el("span", { "aria-hidden": "true" }, String(members.length)), el("span", { class: "unseen" }, `, ${say("inGroup", members.length)}`));
  const summary = el("summary", {}, el("span", { class: "group-name" }, name, about ? el("small", {}, about) : null), count);
  const details = el("details", { class: "group", "data-twin": twin, open: opened.get(twin) ?? holds }, summary, el("ul", {}, items));
  summary.addEventListener("click", () => opened.set(twin, !details.open));
  return details;
}

/** Marks the chosen one and opens the group that holds it. */
export function markCurrent(id) {
  for (const button of at("people").querySelectorAll("button")) {
    const own = button.dataset.id === id;
    if (own) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
    const details = button.closest("details");
    details.classList.toggle("holds", Boolean(details.querySelector("[aria-current]")));
    if (!own) continue;
    details.open = true;
    reveal(button);
  }
}

/** Scrolls the list, and nothing but the list, so far that the button can be seen. */
function reveal(button) {
  const list = button.closest(".people");
  const [own, whole] = [button.getBoundingClientRect(), list.getBoundingClientRect()];
  const bottom = Math.min(whole.bottom, innerHeight) - 24;
  if (own.bottom > bottom) list.scrollTop += own.bottom - bottom;
  else if (own.top < whole.top) list.scrollTop -= whole.top - own.top + 48;
}

/** Shows only those whose words hold every word that is looked for. */
function filter(people, quietly) {
  const words = plainText(at("find").value).split(/\s+/).filter(Boolean);
  const fits = new Set(people.filter((one) => words.every((word) => searched(one).includes(word))).map((one) => one.id));
  for (const details of at("people").querySelectorAll("details")) {
    const items = [...details.querySelectorAll("li")];
    for (const item of items) item.hidden = !fits.has(item.dataset.id);
    details.hidden = items.every((item) => item.hidden);
    if (!quietly || words.length) details.open = words.length ? !details.hidden : (opened.get(details.dataset.twin) ?? Boolean(details.querySelector("[aria-current]")));
  }
  at("found").textContent = !words.length ? "" : fits.size ? say("found", fits.size) : say("nobody");
}

function searched(one) {
  return plainText([one.name, one.title, one.story, one.twin, one.twin_name, one.twin_about, one.order].join(" "));
}

/** Small letters without accents. */
function plainText(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1).replaceAll("-", " ");
}

// The playground: who is chosen, what is asked, and where the answer is drawn.

import { drawCard, failure, silence } from "./cards.js";
import { el } from "./dom.js";
import { language, say, setLanguage } from "./strings.js";
import { twinPanel } from "./twin.js";
import { get, outcomeTexts, post, requestPanel, responsePanel } from "./wire.js";

const at = (id) => document.getElementById(id);
const HOOKS = ["patient-view", "order-select", "order-sign"];
const state = { people: [], services: [], patient: null, hook: null, service: null, mode: "prefetch", last: null };
let running = null;

/** What is chosen lives in the address, so that it can be kept and shared. */
function remember() {
  const chosen = new URLSearchParams({ patient: state.patient ?? "", hook: state.hook ?? "", mode: state.mode, lang: language() });
  history.replaceState(null, "", `#${chosen}`);
}

function recalled() {
  const chosen = new URLSearchParams(location.hash.slice(1));
  const tag = chosen.get("lang") ?? navigator.languages?.find((l) => /^(en|fr)/i.test(l))?.slice(0, 2).toLowerCase() ?? "en";
  return { patient: chosen.get("patient"), hook: chosen.get("hook"), mode: chosen.get("mode") === "server" ? "server" : "prefetch", tag };
}

function person() {
  return state.people.find((one) => one.id === state.patient);
}

function drawPeople() {
  const items = state.people.map((one) => {
    const current = one.id === state.patient;
    const choose = () => choosePatient(one.id);
    return el(
      "li",
      {},
      el(
        "button",
        { type: "button", "aria-current": current ? "true" : null, "data-id": one.id, click: choose },
        el("span", { class: "person-title" }, one.title),
        el("span", { class: "person-name" }, one.name),
      ),
    );
  });
  at("people").replaceChildren(...items);
}

function drawBanner() {
  const one = person();
  if (!one) return;
  const facts = [say(`gender.${one.gender}`), Number.isFinite(one.age) ? say("years", one.age) : null];
  at("who").textContent = one.name;
  at("facts").textContent = facts.filter(Boolean).join(" · ");
  at("story").textContent = one.story;
  at("order").textContent = one.order ?? "";
  at("in-hand").hidden = !one.order || state.hook === "patient-view";
}

function drawHooks() {
  const offered = [...new Set(state.services.map((service) => service.hook))];
  offered.sort((a, b) => HOOKS.indexOf(a) - HOOKS.indexOf(b));
  const radios = offered.map((hook) => {
    const choose = () => {
      state.hook = hook;
      drawServices();
      drawBanner();
      ask();
    };
    const input = el("input", { type: "radio", name: "hook", value: hook, checked: hook === state.hook, change: choose });
    return el("label", {}, input, el("span", {}, say(`hookNames.${hook}`) ?? hook, el("small", { lang: "en" }, hook)));
  });
  at("hooks").replaceChildren(at("hooks").querySelector("legend"), ...radios);
}

/** The services of the chosen hook; the selector shows when there is a choice. */
function drawServices() {
  const own = state.services.filter((service) => service.hook === state.hook);
  if (!own.some((service) => service.id === state.service)) state.service = own[0]?.id ?? null;
  const options = own.map((service) => el("option", { value: service.id, selected: service.id === state.service }, service.title));
  at("service").replaceChildren(...options);
  at("service-pick").hidden = own.length < 2;
}

function choosePatient(id) {
  state.patient = id;
  const hooks = person()?.hooks ?? [];
  const offered = new Set(state.services.map((service) => service.hook));
  if (!hooks.includes(state.hook)) state.hook = hooks.find((hook) => offered.has(hook)) ?? [...offered][0] ?? null;
  for (const button of at("people").querySelectorAll("button")) {
    if (button.dataset.id === id) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
  drawHooks();
  drawServices();
  drawBanner();
  ask();
}

/** Builds the request as an EHR would, sends it, draws the answer. A newer question ends an older one. */
async function ask() {
  remember();
  if (!state.patient || !state.service) return;
  running?.abort();
  const own = (running = new AbortController());
  at("answer").setAttribute("aria-busy", "true");
  at("timing").textContent = say("asking");
  try {
    const query = new URLSearchParams({ mode: state.mode, hook: state.hook });
    const built = await get(`/demo/request/${encodeURIComponent(state.patient)}/${encodeURIComponent(state.service)}?${query}`);
    if (own.signal.aborted) return;
    const result = await post(built.url, built.request, own.signal);
    state.last = { built, result };
  } catch (problem) {
    if (own.signal.aborted) return;
    state.last = { built: null, result: null, problem };
  }
  if (own !== running) return;
  at("answer").removeAttribute("aria-busy");
  drawAnswer();
}

function drawAnswer() {
  const { built, result } = state.last ?? {};
  at("request").replaceChildren(...(built ? requestPanel(built.url, built.request) : [say("waiting")]));
  at("response").replaceChildren(...(result ? responsePanel(result) : [say("waiting")]));
  at("timing").textContent = result ? say("answeredIn", result.milliseconds) : "";
  if (!result?.ok || !Array.isArray(result.body?.cards)) {
    const drawn = failure(result?.status, outcomeTexts(result?.body));
    at("cards").replaceChildren(drawn);
    drawTwins([]);
    at("status").textContent = drawn.textContent;
    return;
  }
  const { cards, extension } = result.body;
  const twins = cards.length ? cards.map((card) => card.extension?.jumeau) : [extension?.jumeau];
  const panels = drawTwins(twins);
  const drawn = cards.map((card, n) => drawCard(card, built.url, (suggestion) => panels[n]?.select(suggestion.label)));
  at("cards").replaceChildren(...(drawn.length ? drawn : [silence()]));
  const first = cards[0] ? `${say(`indicator.${cards[0].indicator}`)}${say("colon")}${cards[0].summary}` : say("silentTitle");
  at("status").textContent = `${say("answered", cards.length)} ${first}`;
}

/** One panel for each card that brought its numbers. Two cards may bring the same ones; then the first stands for both. */
function drawTwins(twins) {
  const panels = [];
  const seen = new Map();
  for (const twin of twins) {
    const key = twin ? twin.twin : null;
    if (twin && !seen.has(key)) seen.set(key, twinPanel(twin));
    panels.push(twin ? seen.get(key) : null);
  }
  at("twin-body").replaceChildren(...[...seen.values()].map((panel) => panel.body));
  at("twin").hidden = seen.size === 0;
  return panels;
}

async function changeLanguage(tag) {
  setLanguage(tag);
  for (const input of document.querySelectorAll('input[name="language"]')) input.checked = input.value === language();
  const [people, discovery] = await Promise.all([get(`/demo/patients?lang=${language()}`), get("/cds-services")]);
  state.people = people;
  state.services = discovery.services ?? [];
}

async function start() {
  const before = recalled();
  state.mode = before.mode;
  state.hook = before.hook;
  for (const input of document.querySelectorAll('input[name="mode"]')) {
    input.checked = input.value === state.mode;
    input.addEventListener("change", () => {
      state.mode = input.value;
      ask();
    });
  }
  for (const input of document.querySelectorAll('input[name="language"]')) {
    input.addEventListener("change", async () => {
      await changeLanguage(input.value);
      drawPeople();
      choosePatient(state.patient);
    });
  }
  at("service").addEventListener("change", (event) => {
    state.service = event.target.value;
    ask();
  });
  at("send").addEventListener("click", () => ask());
  await changeLanguage(before.tag);
  drawPeople();
  if (!state.services.length) at("cards").replaceChildren(el("p", { class: "plain-error" }, say("noServices")));
  const known = state.people.some((one) => one.id === before.patient);
  if (state.people.length) choosePatient(known ? before.patient : state.people[0].id);
}

start().catch(() => {
  at("cards").replaceChildren(failure(null, []));
});

// The playground: who is chosen, what is asked, and where the answer is drawn.

import { drawCard, failure, silence, unserved } from "./cards.js";
import { el } from "./dom.js";
import { drawPeople, markCurrent } from "./people.js";
import { language, say, setLanguage } from "./strings.js";
import { twinPanel } from "./twin.js";
import { get, outcomeTexts, post, requestPanel, responsePanel } from "./wire.js";

const at = (id) => document.getElementById(id);
const HOOKS = ["patient-view", "order-select", "order-sign"];
const state = { people: [], services: [], patient: null, hook: null, service: null, others: false, mode: "prefetch", last: null };
const narrow = matchMedia("(max-width: 56rem)");
let running = null;

/** What is chosen lives in the address, so that it can be kept and shared. */
function remember() {
  const chosen = new URLSearchParams({ patient: state.patient ?? "", hook: state.hook ?? "", mode: state.mode, lang: language() });
  if (state.service && state.service !== ownService()?.id) chosen.set("service", state.service);
  history.replaceState(null, "", `#${chosen}`);
}

function recalled() {
  const chosen = new URLSearchParams(location.hash.slice(1));
  const tag = chosen.get("lang") ?? navigator.languages?.find((l) => /^(en|fr)/i.test(l))?.slice(0, 2).toLowerCase() ?? "en";
  return { patient: chosen.get("patient"), hook: chosen.get("hook"), service: chosen.get("service"), mode: chosen.get("mode") === "server" ? "server" : "prefetch", tag };
}

function person() {
  return state.people.find((one) => one.id === state.patient);
}

/** The services of this patient's twin: `<twin>-<hook>`. */
function ownServices() {
  const twin = person()?.twin;
  return state.services.filter((service) => service.id === `${twin}-${service.hook}`);
}

function ownService() {
  return ownServices().find((service) => service.hook === state.hook);
}

function drawBanner() {
  const one = person();
  if (!one) return;
  const facts = [say(`${one.age < 18 ? "child" : "gender"}.${one.gender}`), Number.isFinite(one.age) ? say("years", one.age) : null];
  at("who").textContent = one.name;
  at("facts").textContent = facts.filter(Boolean).join(" · ");
  at("story").textContent = one.story;
  at("order").textContent = one.order ?? "";
  at("in-hand").hidden = !one.order || state.hook === "patient-view";
}

/** The moments that make sense for this patient and that the patient's twin serves; all of them when its twin is not served. */
function offeredHooks() {
  const own = ownServices().map((service) => service.hook);
  const served = new Set(own.length ? own : state.services.map((service) => service.hook));
  const hooks = (person()?.hooks ?? []).filter((hook) => served.has(hook));
  return hooks.length ? hooks : [...served];
}

function drawHooks() {
  const offered = [...offeredHooks()].sort((a, b) => HOOKS.indexOf(a) - HOOKS.indexOf(b));
  const radios = offered.map((hook) => {
    const choose = () => {
      state.hook = hook;
      state.service = null;
      drawServices();
      drawBanner();
      ask();
    };
    const input = el("input", { type: "radio", name: "hook", value: hook, checked: hook === state.hook, change: choose });
    return el("label", {}, input, el("span", {}, say(`hookNames.${hook}`) ?? hook, el("small", { lang: "en" }, hook)));
  });
  at("hooks").replaceChildren(at("hooks").querySelector("legend"), ...radios);
}

/** The patient's own service stands by itself; the selector with all of this moment shows on demand. */
function drawServices() {
  const own = ownService();
  const listed = state.services.filter((service) => service.hook === state.hook);
  if (!listed.some((service) => service.id === state.service)) state.service = own?.id ?? null;
  const others = state.others || Boolean(state.service && state.service !== own?.id);
  const options = listed.map((service) => el("option", { value: service.id, selected: service.id === state.service }, `${service.title} (${service.id})`));
  if (!state.service) options.unshift(el("option", { value: "", selected: true }, "–"));
  at("service").replaceChildren(...options);
  at("service-pick").hidden = !others;
  at("service-own").hidden = others;
  at("service-id").textContent = state.service ?? "–";
  const toggle = at("service-other");
  toggle.hidden = listed.length < (own ? 2 : 1);
  toggle.setAttribute("aria-expanded", String(others));
  toggle.textContent = say(others ? "ownService" : "otherService");
}

function choosePatient(id, service) {
  state.patient = id;
  const hooks = offeredHooks();
  if (!hooks.includes(state.hook)) state.hook = hooks[0] ?? null;
  state.service = service ?? null;
  state.others = false;
  markCurrent(id);
  drawHooks();
  drawServices();
  drawBanner();
  ask();
}

/** Builds the request as an EHR would, sends it, draws the answer. A newer question ends an older one. */
async function ask() {
  remember();
  running?.abort();
  if (!state.patient || !state.service) return drawUnserved();
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

/** Instead of an answer when this server has no service for the patient's twin. */
function drawUnserved() {
  state.last = null;
  at("answer").removeAttribute("aria-busy");
  at("timing").textContent = "";
  at("request").replaceChildren(say("waiting"));
  at("response").replaceChildren(say("waiting"));
  drawTwins([]);
  at("cards").replaceChildren(unserved());
  at("status").textContent = say("notServed");
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
  const drawn = cards.map((card, n) => drawCard(card, built.url, built.request.context.patientId, (suggestion) => panels[n]?.select(suggestion.label)));
  at("cards").replaceChildren(...(drawn.length ? drawn : [silence(result.milliseconds)]));
  const first = cards[0] ? `${say(`indicator.${cards[0].indicator}`)}${say("colon")}${cards[0].summary}` : "";
  at("status").textContent = `${say("answered", cards.length)} ${first || at("cards").textContent}`;
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
  const [people, services] = await Promise.all([get(`/demo/patients?lang=${language()}`), get("/demo/services")]);
  state.people = people;
  state.services = services;
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
      drawPeople(state.people, state.patient, pick);
      choosePatient(state.patient, state.service);
    });
  }
  at("service").addEventListener("change", (event) => {
    state.service = event.target.value;
    drawServices();
    ask();
  });
  at("service-other").addEventListener("click", () => {
    state.others = at("service-pick").hidden;
    const before = state.service;
    if (!state.others) state.service = ownService()?.id ?? null;
    drawServices();
    if (state.others) at("service").focus();
    if (state.service !== before) ask();
  });
  at("send").addEventListener("click", () => ask());
  await changeLanguage(before.tag);
  fold();
  if (!state.services.length) at("cards").replaceChildren(el("p", { class: "plain-error" }, say("noServices")));
  const known = state.people.some((one) => one.id === before.patient);
  const first = known ? before.patient : state.people[0]?.id;
  drawPeople(state.people, first, pick);
  if (first) choosePatient(first, known ? before.service : null);
}

/** A patient of the list was chosen. On a narrow page the list folds away again. */
function pick(id) {
  choosePatient(id);
  if (!narrow.matches) return;
  at("people-fold").open = false;
  at("people-fold").querySelector("summary").focus();
}

/** On a wide page the list is always there. */
function fold() {
  const follow = () => (at("people-fold").open = !narrow.matches);
  narrow.addEventListener("change", follow);
  follow();
}

start().catch(() => {
  at("cards").replaceChildren(failure(null, []));
});

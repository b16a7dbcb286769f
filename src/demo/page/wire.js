// Talking to the server, and showing what was said.

import { el } from "./dom.js";
import { language, say } from "./strings.js";

/** GET as JSON; throws when there is none. */
export async function get(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json", "Accept-Language": language() } });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

/** POST of JSON. Never throws for a status; `body` is null when the answer was not JSON. */
export async function post(path, payload, signal) {
  const started = performance.now();
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json", "Accept-Language": language() },
    body: JSON.stringify(payload),
    signal,
  });
  const text = await answer.text();
  const milliseconds = Math.max(1, Math.round(performance.now() - started));
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    // Shown as it came.
  }
  return { status: answer.status, ok: answer.ok, body, text, milliseconds };
}

/** The address that opens a SMART link for a patient: an EHR asks its own server for a launch and adds it. */
export async function launchAddress(item, patient) {
  const iss = new URL("/demo/fhir", item.url).href;
  const parameters = { patient };
  if (item.appContext) parameters.appContext = item.appContext;
  const made = await post("/demo/fhir/_services/smart/Launch", { launchUrl: item.url, parameters });
  if (!made.body?.launch_id) throw new Error(String(made.status));
  const address = new URL(item.url);
  if (address.protocol !== "https:" && address.protocol !== "http:") throw new Error(address.protocol);
  address.searchParams.set("iss", iss);
  address.searchParams.set("launch", made.body.launch_id);
  return address.href;
}

/** The words of an OperationOutcome, or nothing. */
export function outcomeTexts(body) {
  if (body?.resourceType !== "OperationOutcome" || !Array.isArray(body.issue)) return [];
  return body.issue.map((issue) => issue?.details?.text ?? issue?.diagnostics).filter((text) => typeof text === "string");
}

/** Panel with the request and a button that copies it as a command. */
export function requestPanel(url, payload) {
  const pretty = JSON.stringify(payload, null, 2);
  const state = el("span", { class: "quiet", role: "status" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(curl(url, payload));
      state.textContent = say("copied");
    } catch {
      state.textContent = say("copyFailed");
    }
  };
  const bar = el("p", { class: "bar" }, el("code", {}, `POST ${url}`), el("button", { type: "button", click: copy }, say("copyCurl")), state);
  return [bar, code(pretty, say("request"))];
}

/** Panel with the answer. */
export function responsePanel(result) {
  const pretty = result.body === null ? result.text : JSON.stringify(result.body, null, 2);
  return [el("p", { class: "bar" }, say("responseHead", result.status, result.milliseconds)), code(pretty, say("response"))];
}

function code(text, label) {
  return el("pre", { tabindex: "0", role: "region", "aria-label": label, lang: "en" }, el("code", {}, text));
}

function curl(url, payload) {
  const address = new URL(url, location.href).href;
  return [
    `curl -sS '${address}' -H 'Content-Type: application/json' -H 'Accept-Language: ${language()}' --data-binary @- <<'REQUEST'`,
    JSON.stringify(payload),
    "REQUEST",
  ].join("\n");
}

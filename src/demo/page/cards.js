// Cards as an EHR draws them, with what a clinician can do about them.

import { el, link, unseen } from "./dom.js";
import { markdown } from "./markdown.js";
import { draftOrder } from "./order.js";
import { say } from "./strings.js";
import { launchAddress, outcomeTexts, post } from "./wire.js";

const ICONS = { info: "i", warning: "!", critical: "!!" };

/**
 * One card about a patient. `service` is its service's URL; `chosen(suggestion)` is told when a suggestion is accepted.
 */
export function drawCard(card, service, patient, chosen) {
  const indicator = ICONS[card.indicator] ? card.indicator : "info";
  const id = `card-${card.uuid ?? Math.random().toString(36).slice(2)}`;
  const actions = el("div", { class: "card-actions" });
  const body = el(
    "div",
    { class: "card-body" },
    el(
      "p",
      { class: "indicator" },
      el("span", { class: "mark", "aria-hidden": "true" }, ICONS[indicator]),
      say(`indicator.${indicator}`),
    ),
    el("h3", { id }, card.summary),
    actions,
    apps(card.links, patient),
    card.detail
      ? el("details", { class: "why", open: !matchMedia("(max-width: 56rem)").matches }, el("summary", {}, say("why")), el("div", { class: "prose" }, markdown(card.detail, say("newTab"))))
      : null,
    links(card.links),
    source(card.source),
  );
  const article = el("article", { class: `card ${indicator}`, "aria-labelledby": id }, body);
  choices(actions, article, card, service, chosen);
  return article;
}

function source(source) {
  if (!source?.label) return null;
  return el("p", { class: "source" }, `${say("source")}${say("colon")}`, source.url ? link(source.label, source.url, say("newTab")) : source.label);
}

/** Links to SMART apps, which the EHR launches: each gets a launch of its own first. */
function apps(list, patient) {
  const found = (list ?? []).filter((item) => item.type === "smart");
  return found.map((item) => {
    const anchor = el("a", { class: "app", target: "_blank", rel: "noopener" }, item.label, el("span", { "aria-hidden": "true" }, " ↗"), unseen(` ${say("newTab")}`));
    launchAddress(item, patient).then(
      (address) => anchor.setAttribute("href", address),
      () => anchor.replaceWith(el("span", { class: "quiet" }, say("noLaunch"))),
    );
    return el("p", { class: "apps" }, anchor);
  });
}

function links(all) {
  const list = (all ?? []).filter((item) => item.type !== "smart");
  if (!list.length) return null;
  const items = list.map((item) => el("li", {}, link(item.label, item.url, say("newTab"))));
  return el("ul", { class: "links", "aria-label": say("furtherReading") }, items);
}

/** Suggestions as buttons, and the way out. */
function choices(actions, article, card, service, chosen) {
  const suggestions = card.suggestions ?? [];
  const buttons = suggestions.map((suggestion) => {
    const accept = () => {
      chosen(suggestion);
      accepted(actions, article, card, suggestion, service);
    };
    const tag = suggestion.isRecommended ? el("span", { class: "tag" }, "★ ", say("recommended")) : null;
    return el("li", {}, el("button", { type: "button", class: suggestion.isRecommended ? "suggestion best" : "suggestion", click: accept }, el("span", {}, suggestion.label), tag));
  });
  const parts = buttons.length ? [el("ul", { class: "suggestions", "aria-label": say("suggestions") }, buttons)] : [];
  if (card.uuid) {
    const open = el("button", { type: "button", class: "ghost", "aria-expanded": "false" }, say("dismiss"));
    open.addEventListener("click", () => {
      const form = dismissal(actions, article, card, service, () => {
        form.remove();
        open.hidden = false;
        open.focus();
      });
      open.hidden = true;
      actions.append(form);
      form.querySelector("input, textarea")?.focus();
    });
    parts.push(open);
  }
  actions.replaceChildren(...parts);
}

/** The form that asks why. */
function dismissal(actions, article, card, service, cancel) {
  const name = `reason-${card.uuid}`;
  const reasons = (card.overrideReasons ?? []).filter((reason) => reason?.code);
  const all = [...reasons, null];
  const radios = all.map((reason, n) =>
    el("label", {}, el("input", { type: "radio", name, value: n, checked: n === 0 }), el("span", {}, reason ? (reason.display ?? reason.code) : say("noReason"))),
  );
  const comment = el("textarea", { rows: "2", maxlength: "2000" });
  const submit = (event) => {
    event.preventDefault();
    const reason = all[Number(form.querySelector(`input[name="${name}"]:checked`)?.value ?? all.length - 1)];
    const words = comment.value.trim();
    const entry = { card: card.uuid, outcome: "overridden", outcomeTimestamp: new Date().toISOString() };
    if (reason || words) {
      entry.overrideReason = {};
      if (reason) entry.overrideReason.reason = { code: reason.code, system: reason.system };
      if (words) entry.overrideReason.userComment = words;
    }
    article.classList.add("done");
    const title = reason ? say("dismissedAs", reason.display ?? reason.code) : say("dismissed");
    const done = outcome("–", title);
    actions.replaceChildren(done);
    done.focus();
    sendFeedback(done, service, entry);
  };
  const form = el(
    "form",
    { class: "dismissal", submit },
    el("fieldset", {}, el("legend", {}, say("dismissTitle")), radios),
    el("label", { class: "stacked" }, say("comment"), comment),
    el("div", { class: "row" }, el("button", { type: "submit" }, say("dismissSend")), el("button", { type: "button", class: "ghost", click: cancel }, say("cancel"))),
  );
  return form;
}

function accepted(actions, article, card, suggestion, service) {
  article.classList.add("done");
  const done = outcome("✓", `${say("accepted")}${say("colon")}${suggestion.label}`);
  const drafts = (suggestion.actions ?? []).map(draftOrder);
  if (drafts.length) done.append(el("h4", {}, say("draftOrder")), ...drafts, el("p", { class: "quiet" }, say("nothingSigned")));
  actions.replaceChildren(done);
  done.focus();
  const entry = { card: card.uuid, outcome: "accepted", outcomeTimestamp: new Date().toISOString() };
  entry.acceptedSuggestions = [{ id: suggestion.uuid }];
  if (card.uuid) sendFeedback(done, service, entry);
}

function outcome(mark, title) {
  return el("div", { class: "outcome", tabindex: "-1" }, el("p", { class: "outcome-title" }, el("span", { "aria-hidden": "true" }, `${mark} `), title));
}

/** Posts the feedback and says under the outcome what became of it. */
async function sendFeedback(under, service, entry) {
  const line = el("p", { class: "feedback", role: "status" }, say("feedbackSending"));
  under.append(line);
  let problem = null;
  try {
    const result = await post(`${service}/feedback`, { feedback: [entry] });
    if (!result.ok) problem = outcomeTexts(result.body)[0] ?? String(result.status);
  } catch {
    problem = say("offline");
  }
  if (problem === null) {
    line.classList.add("stored");
    line.textContent = `✓ ${say("feedbackStored")}`;
    return;
  }
  const again = () => {
    line.remove();
    sendFeedback(under, service, entry);
  };
  line.replaceChildren(`${say("feedbackFailed", problem)} `, el("button", { type: "button", class: "ghost", click: again }, say("tryAgain")));
}

/** Longer than this, and a service may have had to stop before it was done. */
const LATE = 1500;

/** Instead of cards when there are none. */
export function silence(milliseconds) {
  if (milliseconds > LATE) {
    return el("div", { class: "card failed" }, el("div", { class: "card-body" }, el("h3", {}, say("lateTitle")), el("p", {}, say("late", milliseconds))));
  }
  return el(
    "div",
    { class: "card silent" },
    el("div", { class: "card-body" }, el("p", { class: "indicator" }, el("span", { class: "mark", "aria-hidden": "true" }, "✓"), unseen("OK")), el("h3", {}, say("silentTitle")), el("p", {}, say("silent"))),
  );
}

/** Instead of cards when there is nobody to ask. */
export function unserved() {
  return el("div", { class: "card failed" }, el("div", { class: "card-body" }, el("h3", {}, say("notServed"))));
}

/** Instead of cards when the call failed. */
export function failure(status, texts) {
  const title = status ? say("errorTitle", status) : say("offline");
  const meaning = status ? say(status === 412 ? "error412" : "errorOther") : null;
  return el(
    "div",
    { class: "card failed" },
    el("div", { class: "card-body" }, el("h3", {}, title), meaning ? el("p", {}, meaning) : null, texts.map((text) => el("p", { class: "diagnostic" }, text))),
  );
}

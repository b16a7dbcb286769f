// A draft order, drawn as a slip of paper would be.

import { el } from "./dom.js";
import { plain, quantity as measured } from "./format.js";
import { say } from "./strings.js";

/** One action of an accepted suggestion. */
export function draftOrder(action) {
  const resource = action.resource ?? null;
  const kind = say(`actions.${action.type}`) ?? action.type;
  const rows = resource ? facts(resource) : [];
  return el(
    "div",
    { class: "slip" },
    el("p", { class: "slip-title" }, el("span", { class: "tag" }, kind), ` ${action.description ?? ""}`),
    rows.length ? el("dl", {}, rows.map(([key, value]) => el("div", {}, el("dt", {}, say(`orderParts.${key}`)), el("dd", {}, value)))) : null,
    resource
      ? el("details", {}, el("summary", {}, say("raw")), el("pre", { tabindex: "0", role: "region", "aria-label": say("raw"), lang: "en" }, el("code", {}, JSON.stringify(resource, null, 2))))
      : null,
  );
}

/** The few facts that matter of a MedicationRequest or a ServiceRequest. */
function facts(resource) {
  const rows = [];
  const add = (key, value) => value && rows.push([key, value]);
  const concept = resource.medicationCodeableConcept ?? resource.code;
  add(resource.medicationCodeableConcept ? "medication" : "what", words(concept));
  for (const dosage of resource.dosageInstruction ?? []) {
    add("dosage", dosage.text);
    if (!dosage.text) add("dose", regimen(dosage));
    add("route", words(dosage.route));
  }
  add("when", resource.occurrenceDateTime);
  add("status", resource.status);
  return rows;
}

function words(concept) {
  return concept?.text ?? concept?.coding?.find((coding) => coding.display)?.display ?? null;
}

function regimen(dosage) {
  const quantity = dosage.doseAndRate?.[0]?.doseQuantity;
  const repeat = dosage.timing?.repeat;
  const dose = quantity ? measured(quantity.value, quantity.unit ?? quantity.code, plain) : null;
  const every = repeat?.period ? `/ ${say(`periods.${repeat.periodUnit}`, plain(repeat.period), repeat.period) ?? plain(repeat.period)}` : null;
  return [dose, every].filter(Boolean).join(" ") || null;
}

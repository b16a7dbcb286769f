// The twin behind a card: finding, curve, options, and where the numbers come from.

import { el, link, scroller, svg, unseen } from "./dom.js";
import { drawCurve, extent, INSET, valuesAt } from "./curve.js";
import { chance, fromNow, moment, number, plain, unit, zone } from "./format.js";
import { measureLabel, measureNames, optionTable, unitOf } from "./options.js";
import { say } from "./strings.js";

/** A panel for the numbers of one card; `select(label)` shows the option of that name. */
export function twinPanel(sent) {
  const options = (sent.options ?? []).map((option) => ({ ...option, label: capital(option.label ?? option.id) }));
  const twin = { ...sent, options };
  const byId = (id) => options.find((option) => option.id === id);
  const keep = options.find((option) => option.current) ?? byId("keep");
  const stop = options.find((option) => option.kind === "stop");
  const first = options.find((option) => option.recommended) ?? options.find((o) => o.kind === "change" && o.curve) ?? keep ?? options[0];
  const state = { selected: first?.id, keep: true, stop: false, logarithmic: false, hour: null };

  const finding = el("p", { class: "finding" });
  const plot = el("div", { class: "plot" });
  const legend = el("ul", { class: "legend" });
  const slider = el("input", { type: "range", step: "0.5", id: "read-at" });
  const readout = el("output", { for: "read-at", class: "readout" });
  const table = el("div");
  const numbers = el("div");
  let drawing = null;
  let width = 0;

  const series = () => {
    const chosen = byId(state.selected);
    const list = [];
    if (state.stop && stop?.curve && stop !== chosen) list.push({ name: stop.label, style: "stop", curve: stop.curve });
    if (state.keep && keep?.curve && keep !== chosen) list.push({ name: keep.label, style: "keep", curve: keep.curve });
    if (chosen?.curve) list.push({ name: chosen.label, style: chosen === keep ? "keep" : chosen === stop ? "stop" : "chosen", curve: chosen.curve });
    return list;
  };

  const read = (hour) => {
    const shown = series();
    drawing?.mark(state.hour);
    const time = new Date(new Date(twin.now).getTime() + hour * 3_600_000).toISOString();
    const values = valuesAt(twin, shown, hour);
    const said = (v) => `${number(v.median)} ${unit(twin.unit)} (${say("intervalOf", number(v.low), number(v.high))})`;
    const head = `${moment(time)}, ${fromNow(hour)}`;
    slider.value = String(hour);
    slider.setAttribute("aria-valuetext", [head, ...values.map((v) => `${v.name}${say("colon")}${said(v)}`)].join("; "));
    readout.textContent = head;
    for (const item of legend.querySelectorAll("[data-style]")) {
      const own = values.find((v) => v.style === item.dataset.style);
      item.lastChild.replaceChildren(...(own ? [el("strong", {}, `${number(own.median)} ${unit(twin.unit)}`), ` ${say("intervalOf", number(own.low), number(own.high))}`] : []));
    }
  };

  const point = (hour) => {
    state.hour = hour;
    read(hour);
  };

  const draw = () => {
    const shown = series();
    finding.replaceChildren(...findings(twin, byId(state.selected), keep));
    legend.replaceChildren(...legendItems(twin, shown, byId(state.selected)));
    numbers.replaceChildren(numberTables(twin, shown));
    const [from, to] = extent(twin, shown);
    slider.min = String(Math.ceil(from * 2) / 2);
    slider.max = String(Math.floor(to * 2) / 2);
    if (width < 200) return;
    drawing = drawCurve(twin, shown, { width, logarithmic: state.logarithmic, title: say("chartTitle", twin.quantity), finding: description(twin, shown) });
    plot.replaceChildren(drawing.root);
    if (state.hour !== null) state.hour = Math.min(to, Math.max(from, state.hour));
    read(state.hour ?? 0);
  };

  const choose = (id) => {
    state.selected = id;
    draw();
  };
  const toggle = (key, label) =>
    el("label", { class: "check" }, el("input", { type: "checkbox", checked: state[key], change: (event) => ((state[key] = event.target.checked), draw()) }), el("span", {}, label));

  plot.addEventListener("pointermove", (event) => {
    if (!drawing) return;
    const hour = drawing.hourAt(event.clientX - plot.getBoundingClientRect().left);
    point(Math.min(Number(slider.max), Math.max(Number(slider.min), Math.round(hour * 2) / 2)));
  });
  slider.addEventListener("input", () => point(Number(slider.value)));
  slider.style.marginInline = `${INSET.left - 8}px ${INSET.right - 8}px`;
  new ResizeObserver(([entry]) => {
    const now = Math.floor(entry.contentRect.width);
    if (now === width) return;
    width = now;
    draw();
  }).observe(plot);
  table.append(optionTable(twin, state.selected, choose));

  const tools = el(
    "div",
    { class: "tools", role: "group", "aria-label": say("show") },
    el("span", { class: "quiet", "aria-hidden": "true" }, say("show")),
    keep?.curve ? toggle("keep", say("showKeep")) : null,
    stop?.curve ? toggle("stop", say("showStop")) : null,
    toggle("logarithmic", say("logScale")),
  );
  const body = el(
    "div",
    { class: "panel" },
    finding,
    el("figure", {}, plot, el("label", { class: "unseen", for: "read-at" }, say("readAt")), slider, readout, legend, tools),
    options.length ? el("p", { class: "quiet" }, say("optionsHint")) : null,
    table,
    el("details", {}, el("summary", {}, say("dataTable")), numbers),
    inputTable(twin),
    modelTable(twin),
  );
  draw();
  const select = (label) => {
    const named = options.filter((one) => label.toLowerCase().includes(one.label.toLowerCase()));
    const option = named.sort((a, b) => b.label.length - a.label.length)[0];
    if (!option) return;
    const radio = table.querySelector(`input[value="${CSS.escape(option.id)}"]`);
    if (radio) radio.checked = true;
    choose(option.id);
  };
  return { body, select };
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The finding in one or two sentences, from the numbers of the selected option and the current one. */
function findings(twin, chosen, keep) {
  const name = measureNames(twin).includes(twin.target?.measure) ? twin.target.measure : measureNames(twin)[0];
  const one = (option) => {
    const measure = option?.measures?.[name];
    if (!measure) return null;
    const words = { label: option.label, measure: measureLabel(name), value: number(measure.median), low: number(measure.p05), high: number(measure.p95), unit: unitOf(twin, name) };
    const target = Number.isFinite(option.on_target) ? say("findingTarget", chance(option.on_target)) : "";
    return `${say("finding", words)}${target}.`;
  };
  const main = one(chosen);
  const other = keep && keep !== chosen ? one(keep) : null;
  return [main ? el("span", { class: "main" }, main) : null, other ? el("span", {}, other) : null].filter(Boolean);
}

/** The chart in words. */
function description(twin, shown) {
  const sentences = shown.map(({ name, curve }) => {
    const medians = curve.p50.filter(Number.isFinite);
    return say("chartRange", { label: name, low: number(Math.min(...medians)), high: number(Math.max(...medians)), unit: unit(twin.unit), hours: plain(Math.max(...curve.hours)) });
  });
  const last = [...(twin.points ?? [])].filter((point) => point.used).pop();
  if (last) sentences.push(say("chartLast", { value: number(last.value), unit: unit(twin.unit), when: fromNow(last.hours) }));
  if (twin.target) sentences.push(`${say("target")}${say("colon")}${twin.target.label}.`);
  return sentences.join(" ");
}

function legendItems(twin, shown, chosen) {
  const line = (style, name) => el("li", { "data-style": style, class: "series" }, swatch(style), el("span", {}, name), el("span", { class: "at" }));
  const items = [...shown].reverse().map((one) => line(one.style, one.name));
  if (chosen && !chosen.curve) items.unshift(el("li", { class: "series" }, `${chosen.label}${say("colon")}${say("noCurve")}`));
  if (twin.past?.hours?.length) items.push(line("past", say("past")));
  const points = twin.points ?? [];
  const marks = [];
  if (points.some((point) => point.used)) marks.push(el("span", {}, shape("point"), say("measured")));
  if (points.some((point) => !point.used)) marks.push(el("span", {}, shape("ignored"), say("ignored")));
  if (twin.doses?.length) marks.push(el("span", {}, shape("dose"), say("dose")));
  items.push(el("li", { class: "marks" }, marks, el("span", { class: "quiet" }, say("bandHint"))));
  return items;
}

function swatch(style) {
  const attributes = { class: "swatch", width: 30, height: 12, viewBox: "0 0 30 12", "aria-hidden": "true", focusable: "false" };
  return svg("svg", attributes, svg("rect", { class: `band ${style}`, width: 30, height: 12, rx: 3 }), svg("line", { class: `line ${style}`, x1: 1, x2: 29, y1: 6, y2: 6 }));
}

function shape(kind) {
  const attributes = { class: "swatch", width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true", focusable: "false" };
  if (kind === "point") return svg("svg", attributes, svg("circle", { class: "point", r: 5 }));
  if (kind === "ignored") return svg("svg", attributes, svg("path", { class: "point ignored", d: "M-5 -5l10 10m0-10l-10 10" }));
  return svg("svg", attributes, svg("path", { class: "dose", d: "M0 -5l5 10h-10z" }));
}

/** Doses, measured values and curves as tables. */
function numberTables(twin, shown) {
  const of = unit(twin.unit);
  const clock = el("p", { class: "quiet" }, say("zone", zone()));
  const points = (twin.points ?? []).map((p) => [moment(p.time), `${number(p.value)} ${of}`, say(p.used ? "used" : "notUsed"), p.note || "–"]);
  const doses = (twin.doses ?? []).map((d) => [moment(d.time), `${plain(d.amount)} ${unit(d.unit)}`, say("hours", plain(d.duration_hours)), d.assumed ? say("doseAssumed") : "–"]);
  const curves = shown.map(({ name, curve }) => {
    const every = Math.max(1, Math.ceil(curve.hours.length / 24));
    const rows = curve.hours.flatMap((hour, n) => (n % every ? [] : [[fromNow(hour), number(curve.p50[n]), say("intervalOf", number(curve.p05?.[n]), number(curve.p95?.[n]))]]));
    return grid(`${name} (${of})`, [say("time"), say("median"), say("interval")], rows);
  });
  return el(
    "div",
    { class: "grids" },
    clock,
    points.length ? grid(say("levels"), [say("time"), say("value"), say("used"), say("note")], points) : null,
    doses.length ? grid(say("doses"), [say("time"), say("amount"), say("infusion"), say("note")], doses) : null,
    curves,
  );
}

function modelTable(twin) {
  if (!twin.models?.length) return null;
  const rows = twin.models.map((model) => [
    model.id,
    model.version ?? "–",
    chance(model.weight),
    model.doi ? link(model.doi, `https://doi.org/${encodeURI(model.doi)}`, say("newTab")) : "–",
    model.sha256 ? el("code", { title: model.sha256 }, model.sha256.slice(0, 12)) : "–",
  ]);
  const heads = [say("model"), say("version"), say("weight"), say("paper"), say("fingerprint")];
  const parameters = twin.models.flatMap((model) =>
    Object.entries(model.parameters ?? {}).map(([name, p]) => [`${model.id} ${name}`, `${number(p.personal)} ${unit(p.unit)}`, `${number(p.typical)} ${unit(p.unit)}`]),
  );
  const fitted = parameters.length ? grid(say("parameters"), [say("parameter"), say("personal"), say("typical")], parameters) : null;
  const summary = el("summary", {}, say("models"), unseen(` (${twin.models.length})`));
  return el("details", {}, summary, el("div", { class: "grids" }, grid(say("models"), heads, rows), fitted));
}

/** What was read from the record besides levels and doses. */
function inputTable(twin) {
  if (!twin.inputs?.length) return null;
  const rows = twin.inputs.map((input) => [
    say(`inputs.${input.name}`) ?? input.name,
    `${number(input.value)} ${unit(input.unit)}`,
    input.recorded ?? "–",
    moment(input.time),
    el("code", {}, input.source?.reference ?? "–"),
  ]);
  const heads = [say("what"), say("value"), say("recorded"), say("time"), say("from")];
  return el("details", {}, el("summary", {}, say("inputsTitle")), grid(say("inputsTitle"), heads, rows));
}

function grid(caption, heads, rows) {
  const head = el("tr", {}, heads.map((text) => el("th", { scope: "col" }, text)));
  const body = rows.map(([name, ...cells]) => el("tr", {}, el("th", { scope: "row" }, name), cells.map((cell) => el("td", {}, cell))));
  return scroller(caption, el("table", {}, el("caption", {}, caption), el("thead", {}, head), el("tbody", {}, body)));
}

// The twin behind a card: finding, curve, options, and where the numbers come from.

import { el, link, scroller, svg, unseen } from "./dom.js";
import { drawCurve, drawnTarget, extent, inset, ownPoints, valuesAt } from "./curve.js";
import { chance, fromNow, moment, number, plain, quantity, span, unit, zone } from "./format.js";
import { capital, mainMeasure, measureLabel, optionTable, targetLabel, unitOf } from "./options.js";
import { spansMagnitudes } from "./scales.js";
import { say } from "./strings.js";

let panels = 0;

/** A panel for the numbers of one card; `select(label)` shows the option of that name. */
export function twinPanel(sent) {
  const options = (sent.options ?? []).map((option) => ({ ...option, label: capital(option.label ?? option.id) }));
  const twin = { ...sent, options };
  const byId = (id) => options.find((option) => option.id === id);
  const keep = options.find((option) => option.current) ?? byId("keep");
  const stop = options.find((option) => option.kind === "stop");
  const first = options.find((option) => option.recommended) ?? keep ?? options.find((o) => o.kind === "change" && o.curve) ?? options[0];
  const recommended = options.find((option) => option.recommended);
  const state = { selected: first?.id, keep: true, stop: true, logarithmic: null, hour: null };
  panels += 1;
  const names = { option: `option-${panels}`, slider: `read-at-${panels}` };

  const finding = el("p", { class: "finding" });
  const plot = el("div", { class: "plot" });
  const legend = el("ul", { class: "legend" });
  const slider = el("input", { type: "range", id: names.slider });
  const readout = el("output", { for: names.slider, class: "readout" });
  const table = el("div");
  const numbers = el("div");
  let drawing = null;
  let width = 0;

  /** What is drawn, lowest first: the course without treatment, the one as ordered, and the chosen one (or, when none was computed
   * for it, the recommended one). */
  const series = () => {
    const chosen = byId(state.selected);
    const main = chosen?.curve ? chosen : recommended?.curve ? recommended : null;
    const list = [];
    const add = (option, style) => option?.curve && list.push({ name: option.label, short: shortName(option), style, curve: option.curve });
    if (state.stop && stop !== main) add(stop, "stop");
    if (state.keep && keep !== main) add(keep, "keep");
    add(main, main === stop ? "stop" : main === keep && !keep.recommended ? "keep" : "chosen");
    return list;
  };
  const logarithmic = () => state.logarithmic ?? spansMagnitudes(series(), ownPoints(twin));

  const read = (hour) => {
    const shown = series();
    drawing?.mark(state.hour);
    const time = new Date(new Date(twin.now).getTime() + hour * 3_600_000).toISOString();
    const values = valuesAt(twin, shown, hour);
    const said = (v) => `${quantity(v.median, twin.unit)} (${say("intervalOf", number(v.low), number(v.high))})`;
    const head = `${moment(time)}, ${fromNow(hour)}`;
    slider.value = String(hour);
    slider.setAttribute("aria-valuetext", [head, ...values.map((v) => `${v.name}${say("colon")}${said(v)}`)].join("; "));
    readout.textContent = head;
    for (const item of legend.querySelectorAll("[data-style]")) {
      const own = values.find((v) => v.style === item.dataset.style);
      item.lastChild.replaceChildren(...(own ? [el("strong", {}, quantity(own.median, twin.unit)), ` ${say("intervalOf", number(own.low), number(own.high))}`] : []));
    }
  };

  const point = (hour) => {
    state.hour = hour;
    read(hour);
  };

  const draw = () => {
    const shown = series();
    finding.replaceChildren(...findings(twin, byId(state.selected), keep, stop));
    legend.replaceChildren(...legendItems(twin, shown, byId(state.selected)));
    numbers.replaceChildren(numberTables(twin, shown));
    const [from, to] = extent(twin, shown);
    const step = [0.25, 0.5, 1, 2, 4, 6, 12, 24].find((hours) => (to - from) / hours <= 320) ?? 24;
    slider.step = String(step);
    slider.min = String(Math.ceil(from / step) * step);
    slider.max = String(Math.floor(to / step) * step);
    if (width < 200) return;
    const side = inset(width);
    slider.style.marginInline = `${side.left - 8}px ${side.right - 8}px`;
    drawing = drawCurve(twin, shown, { width, logarithmic: logarithmic(), title: say("chartTitle", drawnName(twin)), finding: description(twin, shown) });
    plot.replaceChildren(drawing.root);
    // To begin with, the end is read: there the courses have had time to part.
    state.hour = Math.min(Number(slider.max), Math.max(Number(slider.min), state.hour ?? to));
    read(state.hour);
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
    const step = Number(slider.step);
    point(Math.min(Number(slider.max), Math.max(Number(slider.min), Math.round(hour / step) * step)));
  });
  slider.addEventListener("input", () => point(Number(slider.value)));
  new ResizeObserver(([entry]) => {
    const now = Math.floor(entry.contentRect.width);
    if (now === width) return;
    width = now;
    draw();
  }).observe(plot);
  table.append(optionTable(twin, state.selected, choose, names.option));

  const tools = el(
    "div",
    { class: "tools", role: "group", "aria-label": say("show") },
    el("span", { class: "quiet", "aria-hidden": "true" }, say("show")),
    keep?.curve ? toggle("keep", say("showKeep")) : null,
    stop?.curve ? toggle("stop", say("showStop")) : null,
    el("label", { class: "check" }, el("input", { type: "checkbox", checked: logarithmic(), change: (event) => ((state.logarithmic = event.target.checked), draw()) }), el("span", {}, say("logScale"))),
  );
  const body = el(
    "div",
    { class: "panel" },
    finding,
    el("figure", {}, plot, el("label", { class: "unseen", for: names.slider }, say("readAt")), slider, readout, legend, tools),
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

/** What is drawn: a quantity with a name of its own, else the level of the medicine. */
function drawnName(twin) {
  return say(`inputs.${String(twin.output).toLowerCase()}`) ?? twin.quantity;
}

/** What an option is called where its line ends. */
function shortName(option) {
  if (option.kind === "stop") return say("ends.stop");
  if (option.recommended) return say("ends.recommended");
  return say(option.current ? "ends.keep" : "ends.chosen");
}

/** The finding in a few sentences: the selected option, the current one, and what would happen with neither. */
function findings(twin, chosen, keep, stop) {
  const name = mainMeasure(twin);
  const one = (option) => {
    const measure = option?.measures?.[name];
    if (!measure) return null;
    const words = { label: option.label, measure: measureLabel(twin, name), value: number(measure.median), low: number(measure.p05), high: number(measure.p95), unit: unitOf(twin, name) };
    const target = Number.isFinite(option.on_target) ? say("findingTarget", chance(option.on_target)) : "";
    return `${say(measure.p05 === measure.p95 ? "findingSure" : "finding", words)}${target}.`;
  };
  const without = () => {
    const hours = stop?.curve?.hours ?? [];
    const at = (list, n) => quantity(list[n], twin.unit);
    if (hours.length < 2) return null;
    const { p50 } = stop.curve;
    if (!p50.some((value) => value > 0)) return null;
    return say("findingStop", { label: stop.label, from: at(p50, 0), to: at(p50, p50.length - 1), time: span(hours[hours.length - 1]) });
  };
  const others = [keep && keep !== chosen ? one(keep) : null, stop === chosen ? null : without()];
  const main = one(chosen) ?? (stop === chosen ? without() : null);
  return [main ? el("span", { class: "main" }, main) : null, ...others.map((text) => (text ? el("span", {}, text) : null))].filter(Boolean);
}

/** The chart in words. */
function description(twin, shown) {
  const sentences = shown.map(({ name, curve }) => {
    const medians = curve.p50.filter(Number.isFinite);
    return say("chartRange", { label: name, low: number(Math.min(...medians)), high: number(Math.max(...medians)), unit: unit(twin.unit), time: span(Math.max(...curve.hours)) });
  });
  const last = ownPoints(twin).filter((point) => point.used).pop();
  if (last) sentences.push(say("chartLast", { value: quantity(last.value, twin.unit), when: fromNow(last.hours) }));
  if (twin.target) sentences.push(`${say("target")}${say("colon")}${targetLabel(twin.target)}.`);
  return sentences.join(" ");
}

function legendItems(twin, shown, chosen) {
  const line = (style, name) => el("li", { "data-style": style, class: "series" }, swatch(style), el("span", {}, name), el("span", { class: "at" }));
  const items = [...shown].reverse().map((one) => line(one.style, one.name));
  if (chosen && !chosen.curve) items.unshift(el("li", { class: "series quiet" }, `${chosen.label}${say("colon")}${say("noCurve")}`));
  if (twin.past?.hours?.length) items.push(line("past", say("past")));
  const points = ownPoints(twin);
  const [first] = extent(twin, shown);
  const marks = [];
  if (drawnTarget(twin)) marks.push(el("span", {}, shape("zone"), `${say("target")}${say("colon")}${targetLabel(twin.target)}`));
  if (points.some((point) => point.used)) marks.push(el("span", {}, shape("point"), say("measured")));
  if (points.some((point) => !point.used)) marks.push(el("span", {}, shape("ignored"), say("ignored")));
  if (twin.doses?.some((dose) => !dose.assumed)) marks.push(el("span", {}, shape("dose"), say("dose")));
  if (twin.doses?.some((dose) => dose.assumed)) marks.push(el("span", {}, shape("assumed"), say("doseAssumed")));
  const earlier = [...points, ...(twin.doses ?? [])].some((event) => event.hours < first);
  items.push(el("li", { class: "marks" }, marks, el("span", { class: "quiet" }, `${say("bandHint")}${earlier ? ` ${say("earlier")}` : ""}`)));
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
  if (kind === "zone") return svg("svg", attributes, svg("rect", { class: "target-zone", x: -7, y: -6, width: 14, height: 12 }), svg("line", { class: "target-limit", x1: -7, x2: 7, y1: 6, y2: 6 }));
  return svg("svg", attributes, svg("path", { class: kind === "assumed" ? "dose assumed" : "dose", d: "M0 -5l5 10h-10z" }));
}

/** Doses, measured values and curves as tables. */
function numberTables(twin, shown) {
  const of = unit(twin.unit);
  const clock = el("p", { class: "quiet" }, say("zone", zone()));
  const own = ownPoints(twin);
  const point = (p) => [moment(p.time), quantity(p.value, p.unit ?? (own.includes(p) ? twin.unit : "")), say(p.used ? "used" : "notUsed"), p.note || "–"];
  const outputs = [...new Set((twin.points ?? []).filter((p) => !own.includes(p)).map((p) => p.output))];
  const levels = (caption, list) => grid(caption, [say("time"), say("value"), say("used"), say("note")], list.map(point));
  const duration = (hours) => (hours > 0 ? span(hours) : "–");
  const doses = (twin.doses ?? []).map((d) => [moment(d.time), quantity(d.amount, d.unit, plain), duration(d.duration_hours), d.assumed ? say("doseAssumed") : "–"]);
  const curves = shown.map(({ name, curve }) => {
    const every = Math.max(1, Math.ceil(curve.hours.length / 24));
    const rows = curve.hours.flatMap((hour, n) => (n % every ? [] : [[fromNow(hour), number(curve.p50[n]), say("intervalOf", number(curve.p05?.[n]), number(curve.p95?.[n]))]]));
    return grid(of ? `${name} (${of})` : name, [say("time"), say("median"), say("interval")], rows);
  });
  return el(
    "div",
    { class: "grids" },
    clock,
    own.length ? levels(`${say("levels")}${say("colon")}${drawnName(twin)}`, own) : null,
    outputs.map((output) => levels(`${say("otherLevels")}${say("colon")}${say(`inputs.${output.toLowerCase()}`) ?? output}`, twin.points.filter((p) => p.output === output))),
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
    Object.entries(model.parameters ?? {}).map(([name, p]) => [`${model.id} ${name}`, quantity(p.personal, p.unit), quantity(p.typical, p.unit)]),
  );
  const fitted = parameters.length ? grid(say("parameters"), [say("parameter"), say("personal"), say("typical")], parameters) : null;
  const summary = el("summary", {}, say("models"), unseen(` (${twin.models.length})`));
  return el("details", {}, summary, el("div", { class: "grids" }, grid(say("models"), heads, rows), fitted));
}

/** What was read from the record besides levels and doses. */
function inputTable(twin) {
  if (!twin.inputs?.length) return null;
  const rows = twin.inputs.map((input) => [
    input.title ?? say(`inputs.${input.name.toLowerCase()}`) ?? input.name,
    quantity(input.value, input.unit),
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

// The options side by side: a table whose rows can be chosen, with the main measure drawn against its target.

import { el, scroller, svg } from "./dom.js";
import { chance, number, unit } from "./format.js";
import { say } from "./strings.js";

const BAR = { width: 88, height: 16 };
/** Chances of an option: member of the picture, word, colour. */
const CHANCES = [["on_target", "onTarget", "good"], ["below", "tooLow", "low"], ["harm", "harm", "bad"]];

/** The table. `choose(id)` is called when a row is chosen; `name` keeps the radio buttons of two tables apart. */
export function optionTable(twin, selected, choose, name) {
  const options = twin.options ?? [];
  const main = mainMeasure(twin);
  const others = measureNames(twin).filter((other) => other !== main);
  const scale = main ? scaleOf(options, main, twin.target?.measure === main ? twin.target : null) : null;
  const columns = CHANCES.filter(([key]) => options.some((option) => (key === "below" ? option[key] >= 0.005 : Number.isFinite(option[key]))));
  const head = el(
    "tr",
    {},
    el("th", { scope: "col" }, say("option")),
    main ? measureHead(twin, main) : null,
    columns.map(([, word]) => el("th", { scope: "col" }, say(word))),
    others.map((other) => measureHead(twin, other)),
  );
  const rows = options.map((option) => {
    const pick = el("input", { type: "radio", name, value: option.id, checked: option.id === selected, change: () => choose(option.id) });
    const tags = [option.recommended ? `★ ${say("recommendedShort")}` : null, option.current ? say("current") : null].filter(Boolean);
    const label = el("label", {}, pick, el("span", {}, option.label, tags.map((tag) => [" ", el("span", { class: "tag" }, tag)])));
    const judged = !main || option.measures?.[main];
    return el(
      "tr",
      { class: option.recommended ? "best" : option.kind === "stop" ? "none" : null },
      el("th", { scope: "row" }, label),
      main ? measureCell(option.measures?.[main], scale) : null,
      columns.map(([key, , colour]) => chanceCell(judged ? option[key] : NaN, colour)),
      others.map((other) => measureCell(option.measures?.[other], null)),
    );
  });
  const caption = el("caption", {}, say("optionsTitle"), twin.target ? el("small", {}, `${say("target")}${say("colon")}${targetLabel(twin.target)}`) : null);
  return scroller(say("optionsTitle"), el("table", { class: "options" }, caption, el("thead", {}, head), el("tbody", {}, rows)));
}

/** The target in words. The pure number's unit, 1, is not one to be read. */
export function targetLabel(target) {
  const bare = withoutUnit(target);
  return bare === target.label ? bare : `${bare} ${unit(target.unit)}`.trimEnd();
}

/** The target's label without the unit at its end, in whichever way that is written. */
function withoutUnit(target) {
  const label = target.label ?? "";
  const code = String(target.unit ?? "");
  const written = [code.replaceAll(".", "·"), code, unit(code)].find((end) => end && label.endsWith(` ${end}`));
  return written ? label.slice(0, -written.length).trimEnd() : label;
}

/** The measure that the target is about, or the first one. */
export function mainMeasure(twin) {
  const names = measureNames(twin);
  return names.includes(twin.target?.measure) ? twin.target.measure : names[0];
}

/** Names of the measures that have words, in the order in which they first appear. */
export function measureNames(twin) {
  const all = [...new Set((twin.options ?? []).flatMap((option) => Object.keys(option.measures ?? {})))];
  return all.filter((name) => described(twin, name) || name === twin.target?.measure || say(`measures.${name}`));
}

/** What the picture itself says of a measure. */
function described(twin, name) {
  return twin.measures?.find?.((measure) => measure.name === name);
}

/** A measure's name in words: its own, else the target's without the numbers, else the usual ones. */
export function measureLabel(twin, name) {
  const own = described(twin, name)?.label ?? say(`measures.${name}`);
  if (own) return own;
  const target = name === twin.target?.measure ? withoutUnit(twin.target) : "";
  return target.replace(/\s*([<>≤≥]\s*[\d.,\s]+|[\d.,]+[–-][\d.,]+)$/, "") || name.replaceAll("_", " ");
}

/** The unit of a measure, as far as the picture tells it. */
export function unitOf(twin, name) {
  const code = described(twin, name)?.unit ?? (name === twin.target?.measure ? twin.target.unit : say(`sameUnit.${name}`) ? twin.unit : "");
  return unit(code);
}

function measureHead(twin, name) {
  const of = unitOf(twin, name);
  return el("th", { scope: "col" }, capital(measureLabel(twin, name)), of ? el("small", {}, of) : null);
}

/** With a capital at the beginning. */
export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function measureCell(measure, scale) {
  if (!measure) return el("td", {}, "–");
  const range = measure.p05 === measure.p95 ? null : el("small", {}, `${number(measure.p05)}–${number(measure.p95)}`);
  const text = el("span", { class: "figures" }, el("strong", {}, number(measure.median)), range);
  return el("td", {}, scale ? el("div", {}, text, intervalBar(measure, scale)) : text);
}

/** A chance in figures and as a bar. */
function chanceCell(p, colour) {
  if (!Number.isFinite(p)) return el("td", {}, "–");
  const part = el("span", { class: colour });
  part.style.width = `${Math.min(1, Math.max(0, p)) * 100}%`;
  return el("td", { class: "share" }, el("strong", {}, chance(p)), el("span", { class: "meter", "aria-hidden": "true" }, part));
}

function scaleOf(options, name, target) {
  const ends = options.flatMap((option) => {
    const measure = option.kind === "stop" ? null : option.measures?.[name];
    return measure ? [measure.p05, measure.p95] : [];
  });
  if (target) ends.push(target.low * 0.8, target.high * 1.2);
  const finite = ends.filter(Number.isFinite);
  const [low, high] = [Math.max(0, Math.min(...finite)), Math.max(...finite)];
  const wide = low > 0 && high > 30 * low;
  const at = wide ? Math.log : (value) => value;
  return { place: (value) => (at(Math.max(value, wide ? low : 0)) - at(low)) / (at(high) - at(low) || 1), target };
}

/** Interval and median against the target zone; the numbers stand beside it, so it is hidden from assistive technology. */
function intervalBar(measure, scale) {
  const { width, height } = BAR;
  const x = (value) => Math.min(width, Math.max(0, scale.place(value) * width));
  const middle = height / 2;
  const parts = [svg("line", { class: "bar-base", x1: 0, x2: width, y1: middle, y2: middle })];
  if (scale.target) {
    const from = Number.isFinite(scale.target.low) ? x(scale.target.low) : 0;
    const to = Number.isFinite(scale.target.high) ? x(scale.target.high) : width;
    parts.push(svg("rect", { class: "bar-target", x: from, y: 1, width: Math.max(0, to - from), height: height - 2, rx: 3 }));
  }
  const [from, to] = [x(measure.p05), x(measure.p95)];
  parts.push(svg("line", { class: "bar-range", x1: from, x2: Math.max(to, from + 1), y1: middle, y2: middle }));
  parts.push(svg("circle", { class: "bar-dot", cx: x(measure.median), cy: middle, r: 4.5 }));
  return svg("svg", { class: "interval", viewBox: `-5 0 ${width + 10} ${height}`, width: width + 10, height, "aria-hidden": "true", focusable: "false" }, parts);
}

// The options side by side: a table whose rows can be chosen, with the exposure drawn against its target.

import { el, scroller, svg, unseen } from "./dom.js";
import { chance, number, unit } from "./format.js";
import { say } from "./strings.js";

const BAR = { width: 104, height: 16 };

/** The table. `choose(id)` is called when a row is chosen. */
export function optionTable(twin, selected, choose) {
  const options = twin.options ?? [];
  const names = measureNames(twin);
  const main = names.includes(twin.target?.measure) ? twin.target.measure : names[0];
  const others = names.filter((name) => name !== main);
  const scale = scaleOf(options, main, twin.target);
  const head = el(
    "tr",
    {},
    el("th", { scope: "col" }, say("option")),
    main ? measureHead(twin, main) : null,
    el("th", { scope: "col" }, say("chances"), el("small", {}, `${say("onTarget")} / ${say("harm")}`)),
    others.map((name) => measureHead(twin, name)),
  );
  const rows = options.map((option) => {
    const pick = el("input", { type: "radio", name: "option", value: option.id, checked: option.id === selected, change: () => choose(option.id) });
    const tags = [option.recommended ? `★ ${say("recommendedShort")}` : null, option.current ? say("current") : null].filter(Boolean);
    const label = el("label", {}, pick, el("span", {}, option.label, tags.map((tag) => [" ", el("span", { class: "tag" }, tag)])));
    return el(
      "tr",
      { class: option.recommended ? "best" : null },
      el("th", { scope: "row" }, label),
      main ? measureCell(option.measures?.[main], scale) : null,
      el("td", {}, chances(option)),
      others.map((name) => measureCell(option.measures?.[name], null)),
    );
  });
  const caption = el("caption", {}, say("optionsTitle"), twin.target ? el("small", {}, ` ${say("target")}${say("colon")}${twin.target.label}`) : null);
  return scroller(say("optionsTitle"), el("table", { class: "options" }, caption, el("thead", {}, head), el("tbody", {}, rows)));
}

/** Names of the measures in the order in which they first appear. */
export function measureNames(twin) {
  return [...new Set((twin.options ?? []).flatMap((option) => Object.keys(option.measures ?? {})))];
}

/** A measure's name in words. */
export function measureLabel(name) {
  return say(`measures.${name}`) ?? name;
}

/** The unit of a measure: the target's for the target's measure, otherwise the curve's. */
export function unitOf(twin, name) {
  return unit(name === twin.target?.measure ? twin.target.unit : twin.unit);
}

function measureHead(twin, name) {
  return el("th", { scope: "col" }, measureLabel(name), el("small", {}, unitOf(twin, name)));
}

function measureCell(measure, scale) {
  if (!measure) return el("td", {}, "–");
  const range = `${number(measure.p05)}–${number(measure.p95)}`;
  const text = el("span", { class: "figures" }, el("strong", {}, number(measure.median)), el("small", {}, range));
  return el("td", {}, scale ? el("div", {}, text, intervalBar(measure, scale)) : text);
}

/** Both chances in figures, and as one bar: on target from the left, harm from the right. */
function chances(option) {
  const { on_target: target, harm } = option;
  if (!Number.isFinite(target) && !Number.isFinite(harm)) return "–";
  const fill = (p, kind) => {
    const part = el("span", { class: kind });
    part.style.width = `${Math.min(1, Math.max(0, p || 0)) * 100}%`;
    return part;
  };
  const spoken = unseen(say("chanceOf", chance(target), chance(harm)));
  const seen = el("span", { "aria-hidden": "true" }, el("strong", {}, chance(target)), ` / ${chance(harm)}`);
  return el("div", { class: "share" }, spoken, seen, el("span", { class: "meter", "aria-hidden": "true" }, fill(target, "good"), fill(harm, "bad")));
}

function scaleOf(options, name, target) {
  const ends = options.flatMap((option) => {
    const measure = option.kind === "stop" ? null : option.measures?.[name];
    return measure ? [measure.p05, measure.p95] : [];
  });
  if (target) ends.push(target.low * 0.8, target.high * 1.2);
  const finite = ends.filter(Number.isFinite);
  return { low: Math.max(0, Math.min(...finite)), high: Math.max(...finite), target };
}

/** Interval and median against the target zone; the numbers stand beside it, so it is hidden from assistive technology. */
function intervalBar(measure, scale) {
  const { width, height } = BAR;
  const x = (value) => Math.min(width, Math.max(0, ((value - scale.low) / (scale.high - scale.low || 1)) * width));
  const middle = height / 2;
  const parts = [svg("line", { class: "bar-base", x1: 0, x2: width, y1: middle, y2: middle })];
  if (scale.target) {
    const from = x(scale.target.low);
    parts.push(svg("rect", { class: "bar-target", x: from, y: 1, width: x(scale.target.high) - from, height: height - 2, rx: 3 }));
  }
  const [from, to] = [x(measure.p05), x(measure.p95)];
  parts.push(svg("line", { class: "bar-range", x1: from, x2: Math.max(to, from + 1), y1: middle, y2: middle }));
  parts.push(svg("circle", { class: "bar-dot", cx: x(measure.median), cy: middle, r: 4.5 }));
  return svg("svg", { class: "interval", viewBox: `-5 0 ${width + 10} ${height}`, width: width + 10, height, "aria-hidden": "true", focusable: "false" }, parts);
}

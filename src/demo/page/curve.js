// The curve: what was measured and given, what the twin makes of it, and what each shown option leads to.

import { svg } from "./dom.js";
import { plain, quantity, unit } from "./format.js";
import { say } from "./strings.js";
import { timeTicks, valueScale } from "./scales.js";

const MARGIN = { top: 24, right: 16, bottom: 56, left: 50 };
/** From this width on the lines are named at their right ends. */
const ROOMY = 540;
const NAMES = 112;
let drawn = 0;

/** Horizontal inset of the plot, so that a slider below can be laid out under it. */
export function inset(width) {
  return { left: MARGIN.left, right: width >= ROOMY ? NAMES : MARGIN.right };
}

/** Measured values of the drawn quantity. */
export function ownPoints(twin) {
  return (twin.points ?? []).filter((point) => !point.output || point.output === twin.output);
}

/**
 * First and last hour that a drawing covers. What lies ahead is what is decided about, so the past gets about as much room and no
 * more, except that values that were measured a little earlier are still taken in.
 */
export function extent(twin, series) {
  const last = Math.max(1, ...series.flatMap((one) => one.curve.hours));
  const known = [...(twin.past?.hours ?? []), ...ownPoints(twin).map((p) => p.hours), ...(twin.doses ?? []).map((d) => d.hours)];
  const earliest = Math.min(0, ...known);
  const measured = ownPoints(twin).map((p) => p.hours).filter((hour) => hour >= -2 * last);
  const wanted = Math.min(-1.15 * last, ...measured.map((hour) => hour - 0.04 * last));
  return [Math.max(earliest, wanted), last];
}

/** The limits of the target when they can stand in the drawing: same quantity, same unit. */
export function drawnTarget(twin) {
  const { target } = twin;
  if (!target || target.unit !== twin.unit || (target.output && target.output !== twin.output)) return null;
  return Number.isFinite(target.low) || Number.isFinite(target.high) ? target : null;
}

/**
 * Draws. `series` are `{name, short, style, curve}`, lowest first. Returns the element, `mark(hour)`, which moves the reading
 * line, and `hourAt(pixel)`.
 */
export function drawCurve(twin, series, { width, logarithmic, title, finding }) {
  drawn += 1;
  const height = Math.round(Math.min(430, Math.max(290, width * 0.56)));
  const side = inset(width);
  const box = { left: side.left, right: width - side.right, top: MARGIN.top, bottom: height - MARGIN.bottom };
  const [first, last] = extent(twin, series);
  const x = (hour) => box.left + ((hour - first) / (last - first)) * (box.right - box.left);
  const y = valueScale(twin, series, ownPoints(twin), drawnTarget(twin), box, logarithmic, first);
  const clip = { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top };
  const ids = { clip: `plot-${drawn}`, title: `curve-title-${drawn}`, desc: `curve-desc-${drawn}` };
  const reading = svg("g", { class: "reading" });
  const root = svg(
    "svg",
    { class: "curve", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-labelledby": `${ids.title} ${ids.desc}` },
    svg("title", { id: ids.title }, title),
    svg("desc", { id: ids.desc }, finding),
    svg("defs", {}, svg("clipPath", { id: ids.clip }, svg("rect", clip))),
    svg("rect", { class: "future", x: x(0), y: box.top, width: box.right - x(0), height: box.bottom - box.top }),
    targetBand(twin, x, y, box),
    yAxis(y, box, twin),
    xAxis(x, first, last, box, width),
    svg("g", { "clip-path": `url(#${ids.clip})` }, layer(twin.past, "past", x, y), series.map((one) => bandOf(one.curve, one.style, x, y)), series.map((one) => lineOf(one.curve, one.style, x, y))),
    svg("line", { class: "now", x1: x(0), x2: x(0), y1: box.top - 6, y2: box.bottom }),
    svg("text", { class: "now-label", x: Math.max(x(0), box.left), y: box.top - 10, "text-anchor": x(0) < box.left + 30 ? "start" : "middle" }, say("now")),
    doseMarks(twin, x, box, first),
    pointMarks(twin, x, y, first),
    width >= ROOMY ? endNames(series, y, box) : null,
    reading,
  );
  const inside = (value) => y(value) >= box.top && y(value) <= box.bottom;
  const mark = (hour) => {
    if (hour === null) return reading.replaceChildren();
    const dots = valuesAt(twin, series, hour)
      .filter(({ median }) => inside(median))
      .map(({ style, median }) => svg("circle", { class: `dot ${style}`, cx: x(hour), cy: y(median), r: 5 }));
    reading.replaceChildren(svg("line", { x1: x(hour), x2: x(hour), y1: box.top, y2: box.bottom }), ...dots);
  };
  const hourAt = (pixel) => first + ((pixel - box.left) / (box.right - box.left)) * (last - first);
  return { root, mark, hourAt };
}

/** What every drawn line says at one hour. */
export function valuesAt(twin, series, hour) {
  const lines = hour < 0 ? [{ name: say("past"), style: "past", curve: twin.past }] : series;
  return lines.flatMap(({ name, style, curve }) => {
    const value = interpolated(curve, hour);
    return value ? [{ name, style, ...value }] : [];
  });
}

function interpolated(curve, hour) {
  const hours = curve?.hours ?? [];
  if (!hours.length || hour < hours[0] || hour > hours[hours.length - 1]) return null;
  let after = hours.findIndex((h) => h >= hour);
  if (after === 0) after = Math.min(1, hours.length - 1);
  const before = Math.max(0, after - 1);
  const width = hours[after] - hours[before] || 1;
  const share = (hour - hours[before]) / width;
  const at = (list) => (Array.isArray(list) ? list[before] + share * (list[after] - list[before]) : NaN);
  return { median: at(curve.p50), low: at(curve.p05), high: at(curve.p95) };
}

/** The target as a zone over the time ahead; an open end runs to the edge of the plot. */
function targetBand(twin, x, y, box) {
  const target = drawnTarget(twin);
  if (!target) return null;
  const edge = (value, open) => (Number.isFinite(value) ? Math.min(box.bottom, Math.max(box.top, y(value))) : open);
  const [top, bottom] = [edge(target.high, box.top), edge(target.low, box.bottom)];
  const [left, right] = [x(0), box.right];
  const limits = [target.low, target.high]
    .filter((value) => Number.isFinite(value) && y(value) > box.top && y(value) < box.bottom)
    .map((value) => svg("line", { class: "target-limit", x1: left, x2: right, y1: y(value), y2: y(value) }));
  return svg("g", {}, svg("rect", { class: "target-zone", x: left, y: top, width: right - left, height: Math.max(0, bottom - top) }), limits);
}

function yAxis(y, box, twin) {
  const lines = y.ticks.map((value) => [
    svg("line", { class: "grid", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }),
    svg("text", { x: box.left - 8, y: y(value) + 4, "text-anchor": "end" }, plain(value)),
  ]);
  return svg("g", { class: "axis" }, lines, svg("text", { class: "unit", x: 4, y: box.top - 10 }, unit(twin.unit) || twin.output || ""));
}

function xAxis(x, first, last, box, width) {
  const marks = timeTicks(first, last, box.right - box.left).map(({ hour, text }) => {
    const anchor = width < ROOMY && x(hour) > box.right - 16 ? "end" : "middle";
    return [
      svg("line", { class: "tick", x1: x(hour), x2: x(hour), y1: box.bottom, y2: box.bottom + 5 }),
      svg("text", { x: x(hour), y: box.bottom + 34, "text-anchor": anchor }, text),
    ];
  });
  const title = svg("text", { class: "unit", x: (box.left + box.right) / 2, y: box.bottom + 52, "text-anchor": "middle" }, say("axisTime"));
  return svg("g", { class: "axis" }, svg("line", { class: "baseline", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }), marks, title);
}

/** Corners of a line, as SVG wants them. */
function corners(curve, list, x, y) {
  return curve.hours.map((hour, n) => `${x(hour).toFixed(1)},${y(list[n]).toFixed(1)}`);
}

function bandOf(curve, style, x, y) {
  if (!curve?.hours?.length || !Array.isArray(curve.p05) || !Array.isArray(curve.p95)) return null;
  return svg("polygon", { class: `band ${style}`, points: [...corners(curve, curve.p95, x, y), ...corners(curve, curve.p05, x, y).reverse()].join(" ") });
}

function lineOf(curve, style, x, y) {
  return curve?.hours?.length ? svg("polyline", { class: `line ${style}`, points: corners(curve, curve.p50, x, y).join(" ") }) : null;
}

function layer(curve, style, x, y) {
  return svg("g", {}, bandOf(curve, style, x, y), lineOf(curve, style, x, y));
}

/** Short names where the lines end, moved apart where they would overlap; an arrow says that a line leaves the plot below. */
function endNames(series, y, box) {
  const STEP = 15;
  const names = series.map(({ short, style, curve }) => {
    const end = y(curve.p50[curve.p50.length - 1]);
    return { short: end > box.bottom + 1 ? `${short} ↓` : short, style, at: Math.min(box.bottom, Math.max(box.top, end)) };
  });
  names.sort((a, b) => a.at - b.at);
  const place = names.map((name) => name.at);
  for (let n = 1; n < place.length; n += 1) place[n] = Math.max(place[n], place[n - 1] + STEP);
  for (let n = place.length - 1; n >= 0; n -= 1) place[n] = Math.min(place[n], box.bottom - 2 - (place.length - 1 - n) * STEP);
  return svg(
    "g",
    { class: "ends" },
    names.map(({ short, style, at }, n) => [
      svg("line", { class: `lead ${style}`, x1: box.right + 1, x2: box.right + 8, y1: at, y2: place[n] }),
      svg("text", { class: `end ${style}`, x: box.right + 11, y: place[n] + 4 }, short),
    ]),
  );
}

function doseMarks(twin, x, box, first) {
  const given = (twin.doses ?? []).filter((dose) => dose.hours >= first && dose.hours <= 0);
  const places = given.map((dose) => x(dose.hours));
  const crowded = given.length > 1 && (Math.max(...places) - Math.min(...places)) / (given.length - 1) < 9;
  const marks = given.map((dose) => {
    const [left, bottom] = [x(dose.hours), box.bottom + 7];
    const label = `${say(dose.assumed ? "doseAssumed" : "dose")}${say("colon")}${quantity(dose.amount, dose.unit, plain)}`;
    if (crowded) return svg("line", { class: "dose-tick", x1: left, x2: left, y1: bottom - 6, y2: bottom + 3 }, svg("title", {}, label));
    return svg("path", { class: dose.assumed ? "dose assumed" : "dose", d: `M${left} ${bottom - 8}l5 10h-10z` }, svg("title", {}, label));
  });
  return svg("g", {}, marks);
}

function pointMarks(twin, x, y, first) {
  const marks = ownPoints(twin)
    .filter((point) => point.hours >= first)
    .map((point) => {
      const [left, top] = [x(point.hours), y(point.value)];
      const label = `${say(point.used ? "measured" : "ignored")}${say("colon")}${quantity(point.value, twin.unit)}`;
      if (point.used) return svg("circle", { class: "point", cx: left, cy: top, r: 5 }, svg("title", {}, label));
      return svg("path", { class: "point ignored", d: `M${left - 5} ${top - 5}l10 10m0-10l-10 10` }, svg("title", {}, label));
    });
  return svg("g", {}, marks);
}

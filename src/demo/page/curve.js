// The curve: what was measured and given, what the twin makes of it, and what each shown option leads to.

import { svg } from "./dom.js";
import { number, plain, unit } from "./format.js";
import { say } from "./strings.js";

const MARGIN = { top: 22, right: 14, bottom: 56, left: 46 };
const SMALLEST = 0.1;

/** Horizontal inset of the plot, so that a slider below can be laid out under it. */
export const INSET = { left: MARGIN.left, right: MARGIN.right };

/** First and last hour that a drawing of these series covers. */
export function extent(twin, series) {
  const hours = series.flatMap((one) => one.curve.hours);
  const past = twin.past?.hours ?? [];
  const events = [...(twin.points ?? []), ...(twin.doses ?? [])].map((event) => event.hours);
  const first = Math.min(0, ...past, ...events.filter((h) => h <= 0));
  return [Math.max(first, -96), Math.max(1, ...hours)];
}

/**
 * Draws. `series` are `{name, style, curve}`, lowest first. Returns the element and `mark(hour)`, which moves the reading line.
 */
export function drawCurve(twin, series, { width, logarithmic, title, finding }) {
  const height = Math.round(Math.min(420, Math.max(280, width * 0.56)));
  const box = { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom };
  const [first, last] = extent(twin, series);
  const x = (hour) => box.left + ((hour - first) / (last - first)) * (box.right - box.left);
  const y = yScale(twin, series, box, logarithmic, first);
  const clip = { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top };
  const clipId = "plot-area";
  const reading = svg("g", { class: "reading" });
  const root = svg(
    "svg",
    { class: "curve", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-labelledby": "curve-title curve-desc" },
    svg("title", { id: "curve-title" }, title),
    svg("desc", { id: "curve-desc" }, finding),
    svg("defs", {}, svg("clipPath", { id: clipId }, svg("rect", clip))),
    svg("rect", { class: "future", x: x(0), y: box.top, width: box.right - x(0), height: box.bottom - box.top }),
    yAxis(y, box, twin),
    xAxis(x, first, last, box),
    svg("g", { "clip-path": `url(#${clipId})` }, layer(twin.past, "past", x, y), series.map((one) => layer(one.curve, one.style, x, y))),
    svg("line", { class: "now", x1: x(0), x2: x(0), y1: box.top - 6, y2: box.bottom }),
    svg("text", { class: "now-label", x: x(0), y: box.top - 10, "text-anchor": x(0) < box.left + 40 ? "start" : "middle" }, say("now")),
    doseMarks(twin, x, box, first),
    pointMarks(twin, x, y, first),
    reading,
  );
  const mark = (hour) => {
    if (hour === null) return reading.replaceChildren();
    const dots = valuesAt(twin, series, hour).map(({ style, median }) => svg("circle", { class: `dot ${style}`, cx: x(hour), cy: y(median), r: 5 }));
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
  const span = hours[after] - hours[before] || 1;
  const share = (hour - hours[before]) / span;
  const at = (list) => (Array.isArray(list) ? list[before] + share * (list[after] - list[before]) : NaN);
  return { median: at(curve.p50), low: at(curve.p05), high: at(curve.p95) };
}

function yScale(twin, series, box, logarithmic, first) {
  const shown = (twin.points ?? []).filter((point) => point.hours >= first);
  const tops = [...series.flatMap((one) => one.curve.p95 ?? one.curve.p50), ...(twin.past?.p95 ?? []), ...shown.map((point) => point.value)];
  const top = niceTop(Math.max(1e-9, ...tops.filter(Number.isFinite)));
  if (!logarithmic) {
    const scale = (value) => box.bottom - (value / top) * (box.bottom - box.top);
    scale.ticks = ticks(top);
    return scale;
  }
  const [low, high] = [Math.log10(Math.max(SMALLEST, top / 1000)), Math.log10(top)];
  const scale = (value) => box.bottom - ((Math.log10(Math.max(value, 10 ** low)) - low) / (high - low)) * (box.bottom - box.top);
  scale.ticks = [];
  for (let power = Math.ceil(low); power <= high; power += 1) scale.ticks.push(10 ** power);
  if (!scale.ticks.includes(top)) scale.ticks.push(top);
  return scale;
}

function niceTop(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((n) => n * power).find((n) => n >= value * 1.02) ?? 10 * power;
}

function ticks(top) {
  const parts = [5, 4, 6, 3].find((n) => Number.isInteger(Number((top / n).toPrecision(6)))) ?? 4;
  return Array.from({ length: parts + 1 }, (_, n) => (top / parts) * n);
}

function yAxis(y, box, twin) {
  const lines = y.ticks.map((value) => [
    svg("line", { class: "grid", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }),
    svg("text", { x: box.left - 8, y: y(value) + 4, "text-anchor": "end" }, plain(value)),
  ]);
  return svg("g", { class: "axis" }, lines, svg("text", { class: "unit", x: 4, y: box.top - 10 }, unit(twin.unit)));
}

function xAxis(x, first, last, box) {
  const room = Math.max(2, Math.floor((box.right - box.left) / 62));
  const step = [1, 2, 3, 4, 6, 12, 24, 48, 72, 168, 336, 672, 1344, 2688, 8760].find((hours) => (last - first) / hours <= room) ?? 8760;
  const marks = [];
  for (let hour = Math.ceil(first / step) * step; hour <= last + 1e-9; hour += step) {
    const sign = hour > 0 ? "+" : hour < 0 ? "−" : "";
    marks.push(svg("line", { class: "tick", x1: x(hour), x2: x(hour), y1: box.bottom, y2: box.bottom + 5 }));
    const anchor = x(hour) > box.right - 16 ? "end" : "middle";
    marks.push(svg("text", { x: x(hour), y: box.bottom + 34, "text-anchor": anchor }, hour === 0 ? "0" : say("hours", sign + plain(Math.abs(hour)))));
  }
  const title = svg("text", { class: "unit", x: (box.left + box.right) / 2, y: box.bottom + 52, "text-anchor": "middle" }, say("axisTime"));
  return svg("g", { class: "axis" }, svg("line", { class: "baseline", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }), marks, title);
}

/** Band and median of one series. */
function layer(curve, style, x, y) {
  const hours = curve?.hours ?? [];
  if (!hours.length) return null;
  const at = (list) => hours.map((hour, n) => `${x(hour).toFixed(1)},${y(list[n]).toFixed(1)}`);
  const banded = Array.isArray(curve.p05) && Array.isArray(curve.p95);
  const band = banded ? svg("polygon", { class: `band ${style}`, points: [...at(curve.p95), ...at(curve.p05).reverse()].join(" ") }) : null;
  return svg("g", {}, band, svg("polyline", { class: `line ${style}`, points: at(curve.p50).join(" ") }));
}

function doseMarks(twin, x, box, first) {
  const marks = (twin.doses ?? [])
    .filter((dose) => dose.hours >= first && dose.hours <= 0)
    .map((dose) => {
      const [left, bottom] = [x(dose.hours), box.bottom + 7];
      const shape = `M${left} ${bottom - 8}l5 10h-10z`;
      const label = `${say(dose.assumed ? "doseAssumed" : "dose")}${say("colon")}${plain(dose.amount)} ${unit(dose.unit)}`;
      return svg("path", { class: dose.assumed ? "dose assumed" : "dose", d: shape }, svg("title", {}, label));
    });
  return svg("g", {}, marks);
}

function pointMarks(twin, x, y, first) {
  const marks = (twin.points ?? [])
    .filter((point) => point.hours >= first)
    .map((point) => {
      const [left, top] = [x(point.hours), y(point.value)];
      const label = `${say(point.used ? "measured" : "ignored")}${say("colon")}${number(point.value)} ${unit(twin.unit)}`;
      if (point.used) return svg("circle", { class: "point", cx: left, cy: top, r: 5 }, svg("title", {}, label));
      return svg("path", { class: "point ignored", d: `M${left - 5} ${top - 5}l10 10m0-10l-10 10` }, svg("title", {}, label));
    });
  return svg("g", {}, marks);
}

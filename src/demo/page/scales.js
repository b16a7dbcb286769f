// How values and times are laid out along the axes.

import { plain } from "./format.js";
import { say } from "./strings.js";

/** Hours in the unit, room that a tick's words take, and the steps between ticks. */
const STEPS = {
  hours: { per: 1, wide: 52, steps: [1, 2, 3, 4, 6, 8, 12, 24, 48] },
  days: { per: 24, wide: 52, steps: [1, 2, 3, 5, 7, 14, 28] },
  weeks: { per: 168, wide: 66, steps: [1, 2, 4, 6, 8, 13, 26, 52, 104] },
};
/** A range that is this many times its lowest value is drawn on a logarithmic axis unless somebody decides otherwise. */
const WIDE = 20;

/** Ticks at round times, in hours, days or weeks as fits, with their words. */
export function timeTicks(first, last, width) {
  const whole = last - first;
  const name = whole <= 120 ? "hours" : whole <= 63 * 24 ? "days" : "weeks";
  const { per, wide, steps } = STEPS[name];
  const room = Math.max(2, Math.floor(width / wide));
  const step = per * (steps.find((n) => whole / (n * per) <= room) ?? steps[steps.length - 1]);
  const ticks = [];
  for (let n = Math.ceil(first / step - 1e-9); n * step <= last + 1e-9; n += 1) {
    const hour = n * step;
    const sign = hour > 0 ? "+" : "−";
    ticks.push({ hour, text: hour === 0 ? "0" : say(`tick.${name}`, sign + plain(Math.abs(hour) / per)) });
  }
  return ticks;
}

/** Whether the values that matter span orders of magnitude. The course without treatment fades to nothing and does not count. */
export function spansMagnitudes(series, points) {
  const matter = series.filter((one) => one.style !== "stop");
  const values = (matter.length ? matter : series).flatMap((one) => one.curve.p50);
  const all = [...values, ...points.map((point) => point.value)].filter((value) => value > 0);
  return all.length > 1 && Math.max(...all) >= WIDE * lowest(all);
}

/** A low value that a few stragglers do not decide. */
function lowest(values) {
  const sorted = values.filter((value) => value > 0).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.05)] ?? 1;
}

/** From a value to a height; `ticks` are the values that the axis names. Heights below the plot are cut off by its frame. */
export function valueScale(twin, series, points, target, box, logarithmic, first) {
  const shown = points.filter((point) => point.hours >= first).map((point) => point.value);
  const { past } = twin;
  const visible = (list) => (past?.hours ?? []).flatMap((hour, n) => (hour >= first && list ? [list[n]] : []));
  const limits = [target?.low, target?.high].filter((value) => value > 0);
  const tops = [...series.flatMap((one) => one.curve.p95 ?? one.curve.p50), ...visible(past?.p95 ?? past?.p50), ...shown];
  const most = Math.max(1e-9, ...tops.filter(Number.isFinite));
  const span = box.bottom - box.top;
  if (!logarithmic) {
    // A limit far above everything would flatten the curve; then the zone just fills the plot.
    const ticks = linearTicks(Math.max(most, ...limits.filter((value) => value <= 1.6 * most)));
    const top = ticks[ticks.length - 1];
    const scale = (value) => box.bottom - (value / top) * span;
    scale.ticks = ticks;
    return scale;
  }
  const matter = series.filter((one) => one.style !== "stop");
  const lows = (matter.length ? matter : series).flatMap((one) => one.curve.p05 ?? one.curve.p50);
  const top = Math.max(most, ...limits.filter((value) => value <= 10 * most));
  const wanted = Math.min(lowest([...lows, ...visible(past?.p50)].filter((value) => value > top / 1e4)), ...shown.filter((v) => v > top / 1e4), ...limits) / 1.6;
  // The course without treatment may lead far down: as much of it as shows where it goes.
  const fading = Math.min(...series.filter((one) => one.style === "stop").flatMap((one) => one.curve.p50));
  const room = Math.min(wanted, Math.max(fading / 1.6, wanted / 8));
  const [low, high] = [Math.log10(Math.max(top / 2e4, room)), Math.log10(top * 1.15)];
  const scale = (value) => box.bottom - ((Math.log10(Math.max(value, 10 ** (low - 2))) - low) / (high - low)) * span;
  scale.ticks = logTicks(low, high);
  return scale;
}

/** Round ends of an axis, each with the number of parts that gives round ticks. */
const ROUND = [[1, 5], [1.5, 3], [2, 4], [3, 3], [4, 4], [5, 5], [6, 6], [8, 4], [10, 5]];

/** Values from 0 to a round one that is not below `value`. */
function linearTicks(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const [n, parts] = ROUND.find(([end]) => end * power >= value * 1.02) ?? [20, 4];
  return Array.from({ length: parts + 1 }, (_, k) => Number((((n * power) / parts) * k).toPrecision(6)));
}

function logTicks(low, high) {
  const steps = high - low > 3.2 ? [1] : high - low > 1.3 ? [1, 3] : [1, 2, 5];
  const found = [];
  for (let power = Math.floor(low); power <= high; power += 1) {
    for (const step of steps) {
      const value = step * 10 ** power;
      if (Math.log10(value) >= low && Math.log10(value) <= high) found.push(Number(value.toPrecision(3)));
    }
  }
  return found;
}

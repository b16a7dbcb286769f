// Numbers, times and units as each language writes them.

import { language, say } from "./strings.js";

/** A predicted or measured number, with no more figures than it deserves. */
export function number(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 1 || size === 0 ? 1 : 2;
  return new Intl.NumberFormat(language(), { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** A number as it was chosen: a dose, a tick of an axis. */
export function plain(value) {
  return new Intl.NumberFormat(language(), { maximumFractionDigits: 2 }).format(value);
}

/** A chance as a percentage; the ends are never claimed. */
export function chance(p) {
  if (!Number.isFinite(p)) return "–";
  const whole = Math.round(p * 100);
  if (whole < 1) return "<\u202f1\u202f%";
  return whole > 99 ? ">\u202f99\u202f%" : `${whole}\u202f%`;
}

/** UCUM as people write it. */
export function unit(code) {
  return String(code ?? "").replace(/[*.](?=[a-zA-Z])/g, "·").replace(/\bug\b/, "µg").replace(/\bumol\b/, "µmol");
}

/** A moment on the clock of the browser. */
export function moment(iso) {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return "–";
  return new Intl.DateTimeFormat(language() === "fr" ? "fr" : "en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }).format(time);
}

/** Name of the browser's time zone. */
export function zone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

/** Hours from now in words. */
export function fromNow(hours) {
  const rounded = Math.abs(hours) < 0.05 ? 0 : hours;
  const text = new Intl.NumberFormat(language(), { maximumFractionDigits: 1 }).format(Math.abs(rounded));
  if (rounded === 0) return say("now");
  return rounded < 0 ? say("ago", text) : say("inHours", text);
}

// Numbers, times and units as each language writes them.

import { language, say } from "./strings.js";

const SUPERSCRIPT = { 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/** A predicted or measured number, with no more figures than it deserves. */
export function number(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size > 0 && size < 0.001) return `<\u202f${plain(0.001)}`;
  if (size > 0 && size < 0.1) return new Intl.NumberFormat(language(), { maximumSignificantDigits: 2 }).format(value);
  const digits = size >= 100 || size === 0 ? 0 : size >= 1 ? 1 : 2;
  return new Intl.NumberFormat(language(), { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** A number as it was chosen: a dose, a tick of an axis. */
export function plain(value) {
  const options = Math.abs(value) < 1 ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: 2 };
  return new Intl.NumberFormat(language(), options).format(value);
}

/** A chance as a percentage; the ends are never claimed. */
export function chance(p) {
  if (!Number.isFinite(p)) return "–";
  const whole = Math.round(p * 100);
  if (whole < 1) return "<\u202f1\u202f%";
  return whole > 99 ? ">\u202f99\u202f%" : `${whole}\u202f%`;
}

/** UCUM as people write it; nothing for a pure number. */
export function unit(code) {
  const text = String(code ?? "");
  if (text === "1") return "";
  return text
    .replace(/\{[^}]*\}/g, "")
    .replace(/10[*^](\d+)/g, (_, power) => `10${[...power].map((digit) => SUPERSCRIPT[digit]).join("")}`)
    .replace(/\[iu\]/gi, say("internationalUnit"))
    .replace(/[[\]]/g, "")
    .replace(/[*.](?=[a-zA-Zµ])/g, "·")
    .replace(/\bu(?=(g|mol|L)\b)/g, "µ")
    .replace(/\bm([23])\b/g, (_, power) => `m${SUPERSCRIPT[power]}`);
}

/** A number with its unit. */
export function quantity(value, code, write = number) {
  return `${write(value)} ${unit(code)}`.trim();
}

/** A moment on the clock of the browser. */
export function moment(iso) {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return "–";
  const year = time.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  return new Intl.DateTimeFormat(language() === "fr" ? "fr" : "en-GB", { year, day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }).format(time);
}

/** Name of the browser's time zone. */
export function zone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

/** A length of time in the unit that fits it. */
export function span(hours) {
  const size = Math.abs(hours);
  const [per, name] = size < 72 ? [1, "hours"] : size < 24 * 22 ? [24, "days"] : [168, "weeks"];
  const value = Math.round((size / per) * 10) / 10;
  return say(name, new Intl.NumberFormat(language(), { maximumFractionDigits: 1 }).format(value), value);
}

/** Hours from now in words. */
export function fromNow(hours) {
  if (Math.abs(hours) < 0.05) return say("now");
  return say(hours < 0 ? "ago" : "inTime", span(hours));
}

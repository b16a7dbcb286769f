// The part of Markdown that cards use, turned into elements: paragraphs, lists, quotes, headings, bold, emphasis, code, links.
// Nothing is ever parsed as HTML.

import { el, link } from "./dom.js";

const DEEPEST = 4;

/** Elements for a text. `newTab` is said after links, for those who cannot see where they open. */
export function markdown(text, newTab) {
  return blocks(String(text).replaceAll("\r\n", "\n").split("\n"), newTab, 0);
}

function blocks(lines, newTab, depth) {
  const out = [];
  let i = 0;
  while (i < lines.length) {
    const line = lines[i];
    if (/^\s*$/.test(line)) {
      i += 1;
    } else if (/^\s*>/.test(line) && depth < DEEPEST) {
      const quoted = take(lines, i, (l) => /^\s*>/.test(l));
      out.push(el("blockquote", {}, blocks(quoted.map((l) => l.replace(/^\s*> ?/, "")), newTab, depth + 1)));
      i += quoted.length;
    } else if (isItem(line)) {
      const items = take(lines, i, (l) => isItem(l) || /^\s{2,}\S/.test(l));
      out.push(list(items, newTab));
      i += items.length;
    } else if (/^#{1,6}\s/.test(line)) {
      out.push(el("p", {}, el("strong", {}, inline(line.replace(/^#+\s+/, ""), newTab))));
      i += 1;
    } else {
      const own = take(lines, i, (l, first) => first || !(/^\s*$/.test(l) || /^\s*>/.test(l) || isItem(l) || /^#{1,6}\s/.test(l)));
      out.push(paragraph(own, newTab));
      i += own.length;
    }
  }
  return out;
}

function take(lines, start, belongs) {
  let end = start;
  while (end < lines.length && belongs(lines[end], end === start)) end += 1;
  return lines.slice(start, end);
}

function isItem(line) {
  return /^\s{0,3}([-*+]|\d{1,3}[.)])\s+\S/.test(line);
}

function list(lines, newTab) {
  const items = [];
  for (const line of lines) {
    if (isItem(line)) items.push(line.replace(/^\s*([-*+]|\d{1,3}[.)])\s+/, ""));
    else items[items.length - 1] += ` ${line.trim()}`;
  }
  const ordered = /^\s*\d/.test(lines[0]);
  return el(ordered ? "ol" : "ul", {}, items.map((item) => el("li", {}, inline(item, newTab))));
}

function paragraph(lines, newTab) {
  const parts = [];
  lines.forEach((line, n) => {
    if (n > 0) parts.push(/(\\| {2,})$/.test(lines[n - 1]) ? el("br") : " ");
    parts.push(...inline(line.replace(/(\\| +)$/, ""), newTab));
  });
  return el("p", {}, parts);
}

const INLINE = /\\([!-/:-@[-`{-~])|\*\*(.+?)\*\*|(?<![\w*])[*_]([^\s*_](?:[^*_]*[^\s*_])?)[*_](?![\w*])|`([^`]+)`|\[((?:\\.|[^\]\\])+)\]\(\s*<?([^\s)>]+)>?(?:\s+"[^"]*")?\s*\)/g;

function inline(text, newTab) {
  const out = [];
  let from = 0;
  for (const match of text.matchAll(INLINE)) {
    if (match.index > from) out.push(text.slice(from, match.index));
    const [, escaped, bold, emphasis, code, label, address] = match;
    if (escaped !== undefined) out.push(escaped);
    else if (bold !== undefined) out.push(el("strong", {}, inline(bold, newTab)));
    else if (emphasis !== undefined) out.push(el("em", {}, inline(emphasis, newTab)));
    else if (code !== undefined) out.push(el("code", {}, code));
    else out.push(link(label.replace(/\\(.)/g, "$1"), address, newTab));
    from = match.index + match[0].length;
  }
  if (from < text.length) out.push(text.slice(from));
  return out;
}

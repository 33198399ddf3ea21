/** Captions from final results, as text, SubRip and WebVTT. */

import { milliseconds } from "./asrgateway.js";

const LINE_COLUMNS = 42; // A Chinese character takes two.
const MAX_LINES = 2;
const MAX_MS = 7000;
const PAUSE_MS = 1000;
const MIN_MS = 100;
const MS_PER_COLUMN = 60;
const WIDE = /[\u2e80-\u2fff\u3001-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uffef]|[\u{20000}-\u{3ffff}]/gu;
// What stays together in a line: a word with its punctuation, or one Chinese character with its own.
const PIECE = new RegExp(
  String.raw`\s*[（「『【《〈“‘(]*(?:${WIDE.source}|[^\s\u2e80-\u2fff\u3001-\u9fff\uf900-\uffef]+)[、。，．！？：；）」』】》〉”’…]*|\s*\S+`,
  "gu",
);

/**
 * Returns what is on the screen, and when: utterance after utterance.
 *
 * @param {{text: string, startMs: number, endMs: number, words: object[]}[]} utterances in order
 * @returns {{startMs: number, endMs: number, lines: string[]}[]} captions that do not overlap
 */
export function captionsOf(utterances) {
  let endMs = 0;
  const groups = utterances.flatMap((utterance) => unitsOf(utterance).reduce(intoGroups, []));
  return groups.map((group) => {
    const startMs = Math.max(endMs, group[0].startMs);
    endMs = Math.max(startMs + MIN_MS, group.at(-1).endMs);
    return { startMs, endMs, lines: linesOf(group) };
  });
}

/** Returns one line for each utterance. */
export function asText(utterances) {
  return utterances.map(({ text }) => `${text}\n`).join("");
}

/** Returns SubRip. */
export function asSrt(utterances) {
  return captionsOf(utterances)
    .map((caption, index) => [index + 1, span(caption, ","), ...caption.lines.map(withoutArrow), "", ""].join("\n"))
    .join("");
}

/** Returns WebVTT. */
export function asVtt(utterances) {
  const cues = captionsOf(utterances).map((caption) =>
    [span(caption, "."), ...caption.lines.map(escaped), "", ""].join("\n"),
  );
  return ["WEBVTT\n\n", ...cues].join("");
}

/** Returns m:ss, or h:mm:ss. */
export function clock(ms) {
  const [hours, minutes, seconds] = parts(ms);
  return hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

/** Returns an utterance from a final result whose audio begins `offsetMs` after the first of all. */
export function utteranceOf(result, cursor, offsetMs, previousEndMs) {
  const startMs = result.startOffset === undefined ? previousEndMs : offsetMs + milliseconds(result.startOffset);
  const end = milliseconds(result.endOffset ?? cursor?.finalized) ?? 0;
  const text = result.transcript ?? "";
  const endMs = offsetMs + end > startMs ? offsetMs + end : startMs + MS_PER_COLUMN * columns(text);
  const words = (result.words ?? []).map(({ word = "", startOffset, endOffset }) => ({
    text: word.trim(),
    startMs: offsetMs + (milliseconds(startOffset) ?? 0),
    endMs: offsetMs + (milliseconds(endOffset) ?? 0),
  }));
  return { text, startMs, endMs, words, languageCode: result.languageCode ?? "" };
}

function unitsOf({ text, startMs, endMs, words }) {
  const pieces = text.match(PIECE) ?? [];
  const timed = withWordTimes(pieces, words);
  if (timed) return timed;
  const total = Math.max(1, columns(text));
  let done = 0;
  const timeAt = (at) => startMs + Math.floor(((endMs - startMs) * at) / total);
  return pieces.map((piece) => ({ text: piece, startMs: timeAt(done), endMs: timeAt((done += columns(piece))) }));
}

/** Returns the pieces with the times of the words in them; null unless each word is found in its turn. */
function withWordTimes(pieces, words) {
  const units = [];
  let next = 0;
  for (const piece of pieces) {
    const first = next;
    for (let at = 0; next < words.length; next++) {
      const found = piece.indexOf(words[next].text, at);
      if (found < 0) break;
      at = found + words[next].text.length;
    }
    if (first < next) units.push({ text: piece, startMs: words[first].startMs, endMs: words[next - 1].endMs });
    else if (units.length) units.at(-1).text += piece;
    else return null;
  }
  return next === words.length && next > 0 ? units : null;
}

function intoGroups(groups, unit) {
  const group = groups.at(-1);
  if (group && !isFull(group, unit)) group.push(unit);
  else groups.push([unit]);
  return groups;
}

function isFull(group, unit) {
  const text = group.map((one) => one.text).join("");
  return (
    unit.startMs - group.at(-1).endMs >= PAUSE_MS ||
    unit.endMs - group[0].startMs > MAX_MS ||
    (/[.?!。？！．]["'”’」』)）]*\s*$/.test(text) && columns(text) >= LINE_COLUMNS / 2) ||
    linesOf([...group, unit]).length > MAX_LINES
  );
}

function linesOf(units) {
  const lines = [];
  for (const { text } of units) {
    if (lines.length && columns((lines.at(-1) + text).trim()) <= LINE_COLUMNS) lines[lines.length - 1] += text;
    else lines.push(text);
  }
  return lines.map((line) => line.trim());
}

function columns(text) {
  return [...text].length + (text.match(WIDE)?.length ?? 0);
}

function span({ startMs, endMs }, separator) {
  return `${time(startMs, separator)} --> ${time(endMs, separator)}`;
}

function time(ms, separator) {
  return `${parts(ms).map(two).join(":")}${separator}${String(ms % 1000).padStart(3, "0")}`;
}

function parts(ms) {
  const seconds = Math.floor(ms / 1000);
  return [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
}

function two(number) {
  return String(number).padStart(2, "0");
}

// Source: W3C, "WebVTT: The Web Video Text Tracks Format", section 4.2.2: which characters must be escaped.
function escaped(line) {
  return line.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function withoutArrow(line) {
  return line.replaceAll("-->", "->");
}

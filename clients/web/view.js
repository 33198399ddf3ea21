/** What the page shows: captions that settle, and the level of the sound. */

import { clock } from "./captions.js";

const FLOOR_DB = -54;
// Four bars for a message of 100 ms.
const BARS = 4;
const [BAR_PX, GAP_PX] = [3, 3];

/** The list of captions, and behind it the utterance that is still open. */
export class CaptionView {
  #scroller;
  #finals;
  #interim;
  #empty;

  constructor(root) {
    this.#scroller = root.querySelector("#captions");
    this.#finals = root.querySelector("#finals");
    this.#interim = root.querySelector("#interim");
    this.#empty = root.querySelector("#empty");
  }

  /** Shows the text of the open utterance, leaving the words alone that did not change. */
  showInterim(text, startMs, language) {
    this.#following(() => {
      this.#empty.hidden = true;
      this.#interim.hidden = text === "";
      this.#interim.dataset.time = clock(startMs);
      this.#interim.lang = language;
      changeWords(this.#interim, wordsOf(text, language));
    });
  }

  /** Puts a final text behind the others. It begins as the interim text looked, and settles. */
  addFinal({ text, startMs, languageCode }) {
    this.showInterim("", 0, "");
    if (!text) return;
    this.#following(() => {
      const line = document.createElement("li");
      line.className = "line";
      line.dataset.time = clock(startMs);
      line.lang = languageCode;
      const words = document.createElement("span");
      words.textContent = text;
      line.append(words);
      this.#finals.append(line);
    });
  }

  clear() {
    this.#finals.replaceChildren();
    this.showInterim("", 0, "");
    this.#empty.hidden = false;
  }

  /** Changes something, and keeps the end in view unless the reader has gone back. */
  #following(change) {
    const box = this.#scroller;
    const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 60;
    change();
    if (isAtEnd) box.scrollTop = box.scrollHeight;
  }
}

/** Bars of the level that move with the sound. */
export class LevelView {
  #canvas;
  #button;
  #levels = [];
  #frame = 0;

  constructor(canvas, button) {
    this.#canvas = canvas;
    this.#button = button;
    new ResizeObserver(() => this.#draw()).observe(canvas);
  }

  add(audio) {
    const levels = levelsOf(audio, BARS);
    this.#levels.push(...levels);
    this.#show(levels.at(-1));
  }

  clear() {
    this.#levels = [];
    this.#show(0);
  }

  redraw() {
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #show(level) {
    this.#canvas.setAttribute("aria-valuenow", Math.round(level * 100));
    this.#button.style.setProperty("--loudness", level.toFixed(2));
    this.redraw();
  }

  #draw() {
    this.#frame = 0;
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const scale = globalThis.devicePixelRatio;
    Object.assign(this.#canvas, { width: width * scale, height: height * scale });
    const count = Math.floor(width / (BAR_PX + GAP_PX));
    this.#levels = this.#levels.slice(-count);
    const context = this.#canvas.getContext("2d");
    context.scale(scale, scale);
    context.fillStyle = getComputedStyle(this.#canvas).color;
    for (let index = 0; index < count; index++) {
      const level = this.#levels[this.#levels.length - count + index] ?? 0;
      const bar = Math.max(BAR_PX, level * height);
      context.globalAlpha = level ? 0.35 + 0.65 * (index / count) : 0.2;
      context.beginPath();
      context.roundRect(index * (BAR_PX + GAP_PX), (height - bar) / 2, BAR_PX, bar, BAR_PX / 2);
      context.fill();
    }
  }
}

/** Returns the level of each of `count` parts of 16-bit audio, from 0 to 1, on a scale of decibels. */
export function levelsOf(audio, count) {
  const size = Math.ceil(audio.length / count);
  return Array.from({ length: count }, (_, index) => levelOf(audio.subarray(index * size, (index + 1) * size)));
}

function levelOf(audio) {
  const power = audio.reduce((sum, sample) => sum + sample * sample, 0) / Math.max(1, audio.length);
  const db = 10 * Math.log10(power / 32768 ** 2);
  return Math.max(0, Math.min(1, 1 - db / FLOOR_DB));
}

function wordsOf(text, language) {
  const segments = new Intl.Segmenter(language || undefined, { granularity: "word" }).segment(text);
  return Array.from(segments, ({ segment }) => segment);
}

function changeWords(line, words) {
  const spans = [...line.children];
  words.forEach((word, index) => {
    if (spans[index]?.textContent === word) return;
    const span = document.createElement("span");
    span.textContent = word;
    if (spans[index]) spans[index].replaceWith(span);
    else line.append(span);
  });
  spans.slice(words.length).forEach((span) => span.remove());
}

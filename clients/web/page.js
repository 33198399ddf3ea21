/** The page: buttons, settings, and what a recording says. */

import { asSrt, asText, asVtt, clock } from "./captions.js";
import { Recording } from "./recording.js";
import { LOCALES, localeFor, textOf } from "./texts.js";
import { CaptionView, LevelView } from "./view.js";

const MODELS = ["embedded", "fun-asr-realtime", "paraformer-realtime-v2", "qwen3-asr-flash-realtime"];
const LANGUAGES = ["en-US", "zh", "yue", "ja", "ko", "de", "fr", "es", "pt", "it", "ru", "ar", "hi", "id", "th", "vi"];
const FORMATS = {
  txt: { write: asText, type: "text/plain" },
  srt: { write: asSrt, type: "application/x-subrip" },
  vtt: { write: asVtt, type: "text/vtt" },
};
const BUSY_WITHOUT_SOUND = ["asking", "connecting", "retrying", "finishing"];
// The model of the recording need not have word times: captions are then divided by their length.
const UNIMPORTANT_WARNING = "features.enable_word_time_offsets";
const COPIED_MS = 1600;

const find = (id) => document.getElementById(id);
const all = (selector) => document.querySelectorAll(selector);
const captions = new CaptionView(document);
const level = new LevelView(find("level"), find("microphone"));
const remembered = {
  get: (name) => attempt(() => localStorage.getItem(`asrgateway.${name}`)),
  set: (name, value) => attempt(() => localStorage.setItem(`asrgateway.${name}`, value)),
};

let locale = remembered.get("locale") ?? localeFor(navigator.language);
let utterances = [];
let recording = null;
let offsetMs = 0;
let state = { name: "ready", values: {} };

// Recording ------------------------------------------------------------------------------------------------------------

async function record(run, values = {}) {
  if (recording) return;
  const current = new Recording(listener(values), offsetMs);
  recording = current;
  showProblem("");
  for (const id of ["first-package", "last-package"]) find(id).textContent = "–";
  try {
    await run(current);
    showState("done");
  } catch (error) {
    showState("ready");
    showProblem(problemOf(error, values));
  }
  offsetMs = current.endMs;
  recording = null;
  level.clear();
  captions.showInterim("", 0, "");
  showState(state.name);
}

function listener(values) {
  return {
    onState: (name) => showState(name === "listening" && values.file ? "reading" : name, values),
    onInterim: (text, startMs, language) => captions.showInterim(text, startMs, language),
    onFinal: addUtterance,
    onAudio: (audio) => level.add(audio),
    onFigures: showFigures,
    onWarning: ({ field, message }) => field?.endsWith(UNIMPORTANT_WARNING) || showProblem(say("warning", { message })),
  };
}

function addUtterance(utterance) {
  captions.addFinal(utterance);
  if (utterance.text) utterances.push(utterance);
  showTools();
}

function toggleMicrophone() {
  if (recording) recording.stop();
  else
    record((one) =>
      one.runMicrophone(options(), { echoCancellation: find("echo").checked, noiseSuppression: find("noise").checked }),
    );
}

function recognizeFile(file) {
  if (file) record((one) => one.runFile(options(), file), { file: file.name });
}

function options() {
  const hotwords = find("hotwords")
    .value.split(/[\n,，、;；]/)
    .map((text) => text.trim())
    .filter(Boolean);
  const config = {
    interimResults: true,
    features: { enableWordTimeOffsets: true },
    ...(find("model").value.trim() && { model: find("model").value.trim() }),
    ...(find("language").value && { languageCodes: [find("language").value] }),
    ...(hotwords.length && { adaptation: { hotwords: hotwords.map((text) => ({ text })) } }),
  };
  return { config, apiKey: find("key").value.trim() };
}

function problemOf(error, { file }) {
  const name = {
    NotFoundError: "noMicrophone",
    NotAllowedError: "notAllowed",
    TypeError: navigator.mediaDevices ? "" : "insecure",
    EncodingError: "undecodable",
  }[error.name];
  if (name) return say(name, { file });
  if (error.code === "CANCELLED") return "";
  if (error.code === "UNAUTHENTICATED" && !find("key").value) return say("badKey");
  return say("failed", { message: error.message, code: error.code ?? error.name });
}

// What is shown --------------------------------------------------------------------------------------------------------

function say(name, values) {
  return textOf(locale, name, values);
}

function showState(name, values = {}) {
  state = { name, values };
  find("state").textContent = say(name, values);
  const button = find("microphone");
  const label = say(!recording ? "start" : name === "finishing" ? "cancel" : "stop");
  button.setAttribute("aria-label", label);
  button.title = label;
  button.setAttribute("aria-pressed", String(Boolean(recording)));
  document.body.dataset.state = name;
  document.body.classList.toggle("is-busy", Boolean(recording));
  document.body.classList.toggle("is-waiting", Boolean(recording) && BUSY_WITHOUT_SOUND.includes(name));
  find("file").disabled = Boolean(recording);
}

function showProblem(text) {
  find("problem").textContent = text;
  find("problem").hidden = !text;
}

function showFigures({ firstPackageMs, lastPackageMs, audioMs, model }) {
  if (firstPackageMs !== undefined) find("first-package").textContent = `${Math.round(firstPackageMs)} ms`;
  if (lastPackageMs !== undefined) find("last-package").textContent = `${Math.round(lastPackageMs)} ms`;
  if (audioMs !== undefined) find("duration").textContent = clock(offsetMs + audioMs);
  if (model !== undefined) find("used-model").textContent = find("used-model").title = model;
}

function showTools() {
  const isEmpty = utterances.length === 0;
  for (const id of ["copy", "clear"]) find(id).disabled = isEmpty;
  for (const link of all("[data-format]")) {
    const { write, type } = FORMATS[link.dataset.format];
    link.setAttribute("aria-disabled", String(isEmpty));
    link.onclick = null;
    link.removeAttribute("href"); // Without one it takes no focus.
    if (isEmpty) continue;
    link.href = "#";
    link.onclick = () => {
      // Written only now; a policy that allows no blobs allows this.
      link.href = `data:${type};charset=utf-8;base64,${base64(write(utterances))}`;
      link.download = `captions.${link.dataset.format}`;
    };
  }
}

function showTexts() {
  document.documentElement.lang = LOCALES[locale];
  document.title = say("title");
  for (const node of all("[data-text]")) node.textContent = say(node.dataset.text);
  for (const node of all("[data-label]")) node.setAttribute("aria-label", say(node.dataset.label));
  for (const node of all("[data-title]")) node.title = say(node.dataset.title);
  for (const node of all("[data-placeholder]")) node.placeholder = say(node.dataset.placeholder);
  for (const link of all("[data-format]")) link.setAttribute("aria-label", say("save", { format: link.textContent }));
  find("locale").textContent = say("otherLocale");
  find("locale").lang = LOCALES[locale === "en" ? "zh" : "en"];
  showLanguages();
  showTheme();
  showState(state.name, state.values);
}

function showLanguages() {
  const select = find("language");
  const names = new Intl.DisplayNames([LOCALES[locale]], { type: "language" });
  const chosen = select.value;
  const choices = LANGUAGES.map((code) => new Option(names.of(code), code));
  select.replaceChildren(new Option(say("anyLanguage"), ""), ...choices);
  select.value = chosen;
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function showTheme() {
  const label = say(isDark() ? "lightTheme" : "darkTheme");
  find("theme").setAttribute("aria-label", label);
  find("theme").title = label;
  level.redraw();
}

// What the user does ---------------------------------------------------------------------------------------------------

async function copy() {
  await navigator.clipboard.writeText(asText(utterances));
  find("copy").textContent = say("copied");
  setTimeout(() => (find("copy").textContent = say("copy")), COPIED_MS);
}

function clear() {
  utterances = [];
  captions.clear();
  showTools();
}

function switchLocale() {
  locale = locale === "en" ? "zh" : "en";
  remembered.set("locale", locale);
  showTexts();
}

function switchTheme() {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  remembered.set("theme", theme);
  showTheme();
}

function toggleSettings(isOpen = !find("settings").classList.contains("is-open")) {
  find("settings").classList.toggle("is-open", isOpen);
  find("open-settings").setAttribute("aria-expanded", String(isOpen));
}

function onKey(event) {
  const isElsewhere =
    event.target.closest("input, textarea, select, button, a") || event.ctrlKey || event.metaKey || event.altKey;
  if (event.key === " " && !isElsewhere) {
    event.preventDefault();
    if (!event.repeat) toggleMicrophone();
  }
  if (event.key === "Escape") {
    if (find("settings").classList.contains("is-open")) toggleSettings(false);
    else if (recording && state.name !== "finishing") recording.stop();
  }
}

function onDrag(event) {
  event.preventDefault();
  const isOver = event.type === "dragover" && !recording;
  event.dataTransfer.dropEffect = isOver ? "copy" : "none";
  document.body.classList.toggle("is-dropping", isOver);
  if (event.type === "drop") recognizeFile(event.dataTransfer.files[0]);
}

function attempt(action) {
  try {
    return action();
  } catch {
    return null; // A browser that stores nothing.
  }
}

function base64(text) {
  let bytes = "";
  for (const byte of new TextEncoder().encode(text)) bytes += String.fromCharCode(byte);
  return btoa(bytes);
}

if (remembered.get("theme")) document.documentElement.dataset.theme = remembered.get("theme");
find("models").replaceChildren(...MODELS.map((name) => new Option(name)));
find("microphone").onclick = toggleMicrophone;
find("file").onchange = ({ target }) => {
  recognizeFile(target.files[0]);
  target.value = "";
};
find("copy").onclick = copy;
find("clear").onclick = clear;
find("locale").onclick = switchLocale;
find("theme").onclick = switchTheme;
find("open-settings").onclick = () => toggleSettings();
document.onkeydown = onKey;
for (const name of ["dragover", "dragleave", "drop"]) document.addEventListener(name, onDrag);
matchMedia("(prefers-color-scheme: dark)").onchange = showTheme;
showTexts();
showTools();

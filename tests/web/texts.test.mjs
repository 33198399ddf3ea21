import assert from "node:assert/strict";
import test from "node:test";

import { localeFor, TEXTS, textOf } from "../../clients/web/texts.js";

test("both languages say the same things, with the same values", () => {
  const valuesOf = (texts) => Object.entries(texts).map(([name, text]) => [name, text.match(/\{\w+\}/g)?.sort()]);
  assert.deepEqual(valuesOf(TEXTS.zh), valuesOf(TEXTS.en));
});

test("a Chinese browser gets Chinese, every other one English", () => {
  assert.deepEqual(["zh-CN", "zh-TW", "ZH", "en-GB", "fr", ""].map(localeFor), ["zh", "zh", "zh", "en", "en", "en"]);
});

test("values are filled in", () => {
  assert.equal(textOf("en", "save", { format: "SRT" }), "Save as SRT");
});

import assert from "node:assert/strict";
import test from "node:test";

import { asSrt, asText, asVtt, captionsOf, clock, utteranceOf } from "../../clients/web/captions.js";

const utterance = (text, startMs, endMs, words = []) => ({ text, startMs, endMs, words });

test("text has one line for each utterance", () => {
  assert.equal(
    asText([utterance("Good morning.", 0, 900), utterance("你好。", 1000, 2000)]),
    "Good morning.\n你好。\n",
  );
});

test("SubRip counts from one and writes a comma before milliseconds", () => {
  const expected = "1\n00:00:00,170 --> 00:00:00,920\nGood morning.\n\n2\n01:01:01,001 --> 01:01:03,000\n-> there\n\n";
  assert.equal(asSrt([utterance("Good morning.", 170, 920), utterance("--> there", 3_661_001, 3_663_000)]), expected);
});

test("WebVTT escapes what would be markup", () => {
  assert.equal(
    asVtt([utterance("a < b & c", 0, 1000)]),
    "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\na &lt; b &amp; c\n\n",
  );
});

test("no final result gives a valid WebVTT file", () => {
  assert.equal(asVtt([]), "WEBVTT\n\n");
});

test("a caption has two lines of 42 columns at most, and its share of the time", () => {
  const text = "the quick brown fox jumps over the lazy dog and the lazy dog does not mind it at all because it sleeps";
  const captions = captionsOf([utterance(text, 0, 6000)]);
  assert.deepEqual(
    captions.map(({ lines }) => lines),
    [
      ["the quick brown fox jumps over the lazy", "dog and the lazy dog does not mind it at"],
      ["all because it sleeps"],
    ],
  );
  assert.equal(captions[0].endMs, captions[1].startMs);
  assert.equal(captions[1].endMs, 6000);
});

test("Chinese is divided between characters, never before punctuation", () => {
  const [first] = captionsOf([utterance(`${"一二三四五六七八九十".repeat(2)}天，${"百".repeat(30)}`, 0, 5000)]);
  assert.deepEqual(first.lines, ["一二三四五六七八九十一二三四五六七八九十", `天，${"百".repeat(19)}`]);
});

test("a long utterance changes captions where the words say", () => {
  const words = [
    { text: "before", startMs: 100, endMs: 500 },
    { text: "after", startMs: 4000, endMs: 4400 },
  ];
  assert.deepEqual(captionsOf([utterance("before, after", 0, 5000, words)]), [
    { startMs: 100, endMs: 500, lines: ["before,"] },
    { startMs: 4000, endMs: 4400, lines: ["after"] },
  ]);
});

test("words that are not in the text do not count", () => {
  const words = [{ text: "twelve", startMs: 100, endMs: 500 }];
  assert.deepEqual(captionsOf([utterance("12", 0, 1000, words)]), [{ startMs: 0, endMs: 1000, lines: ["12"] }]);
});

test("captions never overlap", () => {
  const [, second] = captionsOf([utterance("one.", 0, 1500), utterance("two.", 1000, 1200)]);
  assert.equal(second.startMs, 1500);
});

test("an utterance lies where its recording began", () => {
  const result = {
    transcript: "hi",
    startOffset: "0.500s",
    endOffset: "1s",
    words: [{ word: " hi", startOffset: "0.500s", endOffset: "1s" }],
  };
  assert.deepEqual(utteranceOf(result, {}, 10_000, 9000), {
    text: "hi",
    startMs: 10_500,
    endMs: 11_000,
    words: [{ text: "hi", startMs: 10_500, endMs: 11_000 }],
    languageCode: "",
  });
});

test("an utterance without times lies between the one before and the cursor", () => {
  const { startMs, endMs } = utteranceOf({ transcript: "hi" }, { finalized: "3s" }, 0, 1000);
  assert.deepEqual([startMs, endMs], [1000, 3000]);
});

test("a clock shows hours only when there are some", () => {
  assert.deepEqual([0, 61_999, 3_600_000].map(clock), ["0:00", "1:01", "1:00:00"]);
});

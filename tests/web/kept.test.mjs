import assert from "node:assert/strict";
import test from "node:test";

import { KeptRequests } from "../../clients/web/asrgateway.js";

const RATE = 1000; // One sample is one millisecond.
const audio = (...samples) => ({ audio: Int16Array.from(samples) });
const commit = { commit: {} };
const update = (context) => ({ update: { adaptation: { context } } });

function keptOf(...requests) {
  const kept = new KeptRequests(RATE, 60 * RATE);
  for (const request of requests) kept.add(request);
  return kept;
}

function rest(kept) {
  const found = [];
  for (let request = kept.take(); request; request = kept.take()) found.push(request);
  return found;
}

test("requests are sent once, in their order", () => {
  const kept = keptOf(audio(1, 2), commit, audio(3));
  assert.deepEqual(rest(kept), [audio(1, 2), commit, audio(3)]);
  assert.equal(kept.take(), undefined);
});

test("a new call sends everything without a final result again, and then what is new", () => {
  const kept = keptOf(audio(1, 2), audio(3));
  rest(kept);
  kept.rewind();
  kept.add(audio(4));
  assert.deepEqual(rest(kept), [audio(1, 2), audio(3), audio(4)]);
});

test("a final result lets go of the audio before it, also within a message", () => {
  const kept = keptOf(audio(1, 2, 3), audio(4, 5));
  rest(kept);
  kept.release(2);
  kept.rewind();
  assert.deepEqual(rest(kept), [audio(3), audio(4, 5)]);
  assert.equal(kept.beginMs, 2);
});

test("audio that was not sent stays, whatever the cursor says", () => {
  const kept = keptOf(audio(1, 2), audio(3, 4));
  kept.take();
  kept.release(4);
  assert.equal(kept.begin, 2);
  assert.deepEqual(rest(kept), [audio(3, 4)]);
});

test("a commit stays until it is answered", () => {
  const kept = keptOf(audio(1), commit, audio(2), commit);
  rest(kept);
  kept.release(2);
  kept.answered();
  kept.rewind();
  assert.deepEqual(rest(kept), [commit]);
});

test("a commit that was not sent is not answered", () => {
  const kept = keptOf(audio(1), commit);
  kept.take();
  kept.answered();
  assert.deepEqual(rest(kept), [commit]);
});

test("the last update before the kept audio is the adaptation of the new call", () => {
  const kept = keptOf(update("one"), audio(1), update("two"), audio(2, 3), update("three"));
  rest(kept);
  kept.release(2);
  kept.rewind();
  assert.deepEqual(kept.adaptation, { context: "two" });
  assert.deepEqual(rest(kept), [audio(3), update("three")]);
});

test("more than the limit is not kept", () => {
  const kept = new KeptRequests(RATE, 3);
  assert.equal(kept.add(audio(1, 2)), false);
  rest(kept);
  assert.equal(kept.add(audio(3, 4)), false);
  kept.rewind();
  assert.deepEqual(rest(kept), [audio(2), audio(3, 4)]);
});

test("dropping audio that was not sent is said", () => {
  const kept = new KeptRequests(RATE, 3);
  kept.add(audio(1, 2));
  assert.equal(kept.add(audio(3, 4)), true);
  assert.equal(kept.beginMs, 1);
  assert.equal(kept.unsent, 3);
});

test("a time is a place, and the place is that time, at any rate", () => {
  for (const rate of [8000, 11025, 16000, 44100, 48000]) {
    const kept = new KeptRequests(rate, rate);
    kept.begin = kept.placeOf(1234);
    assert.equal(kept.beginMs, 1234);
  }
});

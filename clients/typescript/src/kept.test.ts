import assert from "node:assert/strict";
import test from "node:test";
import { create } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { RecognizeRequestSchema, type RecognizeRequest } from "./gen/asrgateway/v1/recognition_pb.js";
import { audioRequest, Format, Kept } from "./kept.js";
import { linear16 } from "./wav.js";

// One sample is one millisecond, and two bytes.
const FORMAT = new Format(linear16(1000));

const COMMIT = create(RecognizeRequestSchema, { request: { case: "commit", value: {} } });

function update(context: string): RecognizeRequest {
  return create(RecognizeRequestSchema, { request: { case: "update", value: { adaptation: { context } } } });
}

function keptOf(...items: (number[] | RecognizeRequest)[]): Kept {
  const kept = new Kept(FORMAT, 100, 0);
  for (const item of items) {
    kept.add(Array.isArray(item) ? audioRequest(Uint8Array.from(item)) : item);
  }
  return kept;
}

function takeAll(kept: Kept): (number[] | string)[] {
  const taken: (number[] | string)[] = [];
  for (let request = kept.take(); request !== undefined; request = kept.take()) {
    taken.push(request.request.case === "audio" ? [...request.request.value] : `${request.request.case}`);
  }
  return taken;
}

/** What a new call sends. */
function again(kept: Kept): (number[] | string)[] {
  kept.rewind();
  return takeAll(kept);
}

test("requests are taken in their order", () => {
  assert.deepEqual(takeAll(keptOf([1, 2], COMMIT, [3, 4])), [[1, 2], "commit", [3, 4]]);
});

test("a new call sends everything that is not final again", () => {
  const kept = keptOf([1, 2], [3, 4]);
  takeAll(kept);
  assert.deepEqual(again(kept), [
    [1, 2],
    [3, 4],
  ]);
});

test("audio before a final result is let go, inside a message too", () => {
  const kept = keptOf([1, 2], [3, 4, 5, 6], [7, 8]);
  takeAll(kept);
  kept.release(4);
  assert.equal(kept.place, 4);
  assert.deepEqual(again(kept), [
    [5, 6],
    [7, 8],
  ]);
});

test("audio that is not sent yet is never let go", () => {
  const kept = keptOf([1, 2], [3, 4]);
  kept.take();
  kept.release(4);
  assert.deepEqual(again(kept), [[3, 4]]);
});

test("nothing is let go twice", () => {
  const kept = keptOf([1, 2], [3, 4]);
  takeAll(kept);
  kept.release(2);
  kept.release(0);
  assert.deepEqual(again(kept), [[3, 4]]);
});

test("the oldest audio is dropped beyond the limit, by whole samples", () => {
  const kept = new Kept(FORMAT, 3, 0);
  kept.add(audioRequest(Uint8Array.of(1, 2)));
  kept.add(audioRequest(Uint8Array.of(3, 4)));
  takeAll(kept);
  assert.equal(kept.place, 2);
  assert.deepEqual(again(kept), [[3, 4]]);
});

test("a commit stays until it is answered", () => {
  const kept = keptOf([1, 2], COMMIT, [3, 4]);
  takeAll(kept);
  kept.release(4);
  assert.deepEqual(again(kept), ["commit"]);
  kept.answered(0);
  assert.deepEqual(again(kept), []);
});

test("a commit that is not sent yet has no answer", () => {
  const kept = keptOf([1, 2], COMMIT);
  kept.take();
  kept.answered(0);
  assert.deepEqual(takeAll(kept), ["commit"]);
});

test("the adaptation of an update stays when the update is let go with the audio before it", () => {
  const kept = keptOf([1, 2], update("birds"), [3, 4], update("trees"));
  takeAll(kept);
  kept.release(2);
  assert.equal(kept.adaptation?.context, "birds");
  assert.deepEqual(again(kept), [[3, 4], "update"]);
});

test("bytes that wait to be sent are counted", () => {
  const kept = keptOf([1, 2], [3, 4]);
  assert.equal(kept.unsent, 4);
  kept.take();
  assert.equal(kept.unsent, 2);
  kept.rewind();
  assert.equal(kept.unsent, 4);
});

test("positions after a resumed call count from the first call's beginning", () => {
  const kept = new Kept(FORMAT, 100, 1000);
  kept.add(audioRequest(Uint8Array.of(1, 2, 3, 4)));
  takeAll(kept);
  kept.release(1002);
  assert.deepEqual(again(kept), [[3, 4]]);
});

test("times and places agree at rates that are no multiple of a millisecond", () => {
  const format = new Format(linear16(44_100, 2));
  for (const milliseconds of [0, 1, 7, 999, 59_999]) {
    const place = format.place(durationFromMs(milliseconds));
    assert.equal(place % 4, 0);
    assert.equal(durationMs(format.time(place)), milliseconds);
  }
});

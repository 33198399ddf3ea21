import assert from "node:assert/strict";
import test from "node:test";

import {
  callUrl,
  frameSamples,
  Framer,
  int16From,
  milliseconds,
  protocolsFor,
  RecognitionError,
  waitAfter,
} from "../../clients/web/asrgateway.js";

test("float samples become 16 bit, and louder ones are clipped", () => {
  assert.deepEqual([...int16From(Float32Array.of(0, 1, -1, 2, -2, 0.5))], [0, 32767, -32768, 32767, -32768, 16384]);
});

test("blocks of the worklet become messages of one length; the rest comes at the end", () => {
  const framer = new Framer(3);
  assert.deepEqual(framer.push(Float32Array.of(0, 0)), []);
  assert.deepEqual(framer.push(Float32Array.of(1, 1)), [Int16Array.of(0, 0, 32767)]);
  assert.deepEqual(framer.flush(), Int16Array.of(32767));
  assert.equal(framer.flush().length, 0);
});

test("a message has 100 ms at most, at any rate", () => {
  assert.deepEqual([8000, 44100, 48000, 11025].map(frameSamples), [800, 4410, 4800, 1102]);
});

test("the wait before an attempt doubles from 0.1 s to 5 s, half of it at random", () => {
  assert.deepEqual(
    [0, 1, 2, 10].map((failures) => waitAfter(failures, undefined, 1)),
    [100, 200, 400, 5000],
  );
  assert.equal(waitAfter(0, undefined, 0), 50);
});

test("the wait is never shorter than the gateway asks for", () => {
  assert.equal(waitAfter(0, 3000, 0), 3000);
});

test("a key is offered as a subprotocol in base64url, and never in the address", () => {
  assert.deepEqual(protocolsFor(""), ["asrgateway.v1.json"]);
  assert.deepEqual(protocolsFor("k>?é"), ["asrgateway.v1.json", "asrgateway.key.az4_w6k"]);
});

test("calls go to the gateway of the page, with TLS where the page has it", () => {
  assert.equal(callUrl("https://asr.example.com/page?x=1"), "wss://asr.example.com/v1/recognize");
  assert.equal(callUrl("http://127.0.0.1:8080/"), "ws://127.0.0.1:8080/v1/recognize");
});

test("durations are read in whole milliseconds", () => {
  assert.deepEqual(["1.200s", "0s", undefined].map(milliseconds), [1200, 0, undefined]);
});

const RETRY_INFO = { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "1.5s" };

test("an error says what is wrong, and whether another try helps", () => {
  const details = [
    { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "CONFIG_INVALID" },
    { "@type": "type.googleapis.com/google.rpc.BadRequest", fieldViolations: [{ field: "streaming_config.model" }] },
  ];
  const { code, reason, field, isRetryable } = new RecognitionError({ code: 3, message: "no such model", details });
  assert.deepEqual(
    { code, reason, field, isRetryable },
    {
      code: "INVALID_ARGUMENT",
      reason: "CONFIG_INVALID",
      field: "streaming_config.model",
      isRetryable: false,
    },
  );
});

test("a full gateway is tried again only if it says when", () => {
  assert.equal(new RecognitionError({ code: 14 }).isRetryable, true);
  assert.equal(new RecognitionError({ code: 8 }).isRetryable, false);
  const full = new RecognitionError({ code: 8, details: [RETRY_INFO] });
  assert.deepEqual([full.isRetryable, full.retryAfterMs], [true, 1500]);
});

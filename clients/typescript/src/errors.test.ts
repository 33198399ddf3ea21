import assert from "node:assert/strict";
import test from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { waitAfter } from "./call.js";
import { RecognitionError } from "./errors.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";

const SENT = { "grpc-status": "1" };

test("the details of a status are in the error", () => {
  const error = RecognitionError.from(
    new ConnectError("no such model", Code.InvalidArgument, SENT, [
      { desc: ErrorInfoSchema, value: { reason: "UNKNOWN_MODEL", metadata: { model: "m" } } },
      { desc: BadRequestSchema, value: { fieldViolations: [{ field: "streaming_config.model" }] } },
      { desc: RetryInfoSchema, value: { retryDelay: { seconds: 1n, nanos: 500_000_000 } } },
    ]),
  );
  assert.equal(error.retryAfterMs, 1500);
  assert.equal(
    `${error}`,
    "INVALID_ARGUMENT: no such model (field: streaming_config.model, reason: UNKNOWN_MODEL, model: m)",
  );
});

test("a connection that was lost is UNAVAILABLE and retryable", () => {
  const error = RecognitionError.from(new ConnectError("read ECONNRESET", Code.Aborted));
  assert.equal(error.codeName, "UNAVAILABLE");
  assert.ok(error.isRetryable);
});

test("an error of the gateway itself is not taken for a lost connection", () => {
  const error = RecognitionError.from(new ConnectError("a bug", Code.Internal, SENT));
  assert.equal(error.codeName, "INTERNAL");
  assert.ok(!error.isRetryable);
});

test("a busy gateway is retryable only if it says when", () => {
  const busy = (...retry: []) => new ConnectError("busy", Code.ResourceExhausted, SENT, retry);
  assert.ok(!RecognitionError.from(busy()).isRetryable);
  const named = new ConnectError("busy", Code.ResourceExhausted, SENT, [{ desc: RetryInfoSchema, value: {} }]);
  assert.ok(RecognitionError.from(named).isRetryable);
});

test("codes have gRPC's names", () => {
  assert.equal(new RecognitionError(Code.Canceled, "").codeName, "CANCELLED");
  assert.equal(new RecognitionError(Code.DeadlineExceeded, "").codeName, "DEADLINE_EXCEEDED");
});

test("waits double up to five seconds, and half of each is random", () => {
  const waits = [0, 1, 2, 20].map((failures) => [0, 1].map((random) => waitAfter(failures, undefined, random)));
  assert.deepEqual(waits, [
    [50, 100],
    [100, 200],
    [200, 400],
    [2500, 5000],
  ]);
});

test("a wait is never shorter than the gateway asks for", () => {
  assert.equal(waitAfter(0, 7000, 0), 7000);
});

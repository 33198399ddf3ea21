import assert from "node:assert/strict";
import test from "node:test";
import { create } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { type AudioItem, Call } from "./call.js";
import {
  ChannelMode,
  CommitSchema,
  type RecognizeRequest,
  type RecognizeResponse,
  RecognizeResponseSchema,
  type SpeechRecognitionService,
  StreamEventType,
  StreamingConfigSchema,
} from "./gen/asrgateway/v1/recognition_pb.js";
import { linear16 } from "./wav.js";

// Two channels, a frame is one millisecond.
const CONFIG = create(StreamingConfigSchema, {
  decodingConfig: { ...linear16(1000, 2), channelMode: ChannelMode.SEPARATE },
});
const SETTINGS = {
  headers: {},
  signal: new AbortController().signal,
  timeoutMs: undefined,
  isContinued: true,
  giveUpMs: 60_000,
  keepMs: 100,
  onRetry: () => undefined,
};
const COMMIT = create(CommitSchema);
const GOING_AWAY = create(RecognizeResponseSchema, {
  response: { case: "goingAway", value: { deadline: durationFromMs(60_000) } },
});
const LAST = create(RecognizeResponseSchema, { response: { case: "result", value: { isFinal: true } } });

function forced(channel: number): RecognizeResponse {
  return create(RecognizeResponseSchema, {
    response: { case: "result", value: { isFinal: true, forced: true, channel } },
  });
}

function event(eventType: StreamEventType, channel: number): RecognizeResponse {
  return create(RecognizeResponseSchema, { response: { case: "streamEvent", value: { eventType, channel } } });
}

const empty = (channel: number) => event(StreamEventType.COMMIT_EMPTY, channel);
const failed = (channel: number) => event(StreamEventType.CHANNEL_FAILED, channel);

/**
 * What the second call of a recognition sends. In the first one the gateway takes the items and gives the responses in
 * this order, and then another call follows because it is going away.
 */
async function second(...steps: (AudioItem | RecognizeResponse)[]): Promise<RecognizeRequest[]> {
  const found: RecognizeRequest[] = [];
  let begin: () => void = () => undefined;
  const hasBegun = new Promise<void>((resolve) => (begin = resolve));
  let calls = 0;
  async function* recognize(requests: AsyncIterable<RecognizeRequest>): AsyncGenerator<RecognizeResponse> {
    if (calls++ > 0) {
      begin();
      for await (const request of requests) {
        found.push(request);
      }
      return;
    }
    const taken = requests[Symbol.asyncIterator]();
    await taken.next();
    for (const step of steps) {
      if (isResponse(step)) {
        yield step;
      } else {
        await taken.next();
      }
    }
    yield* [GOING_AWAY, LAST];
    throw new ConnectError("continued elsewhere", Code.Canceled);
  }
  async function* audio(): AsyncGenerator<AudioItem> {
    yield* steps.filter((step) => !isResponse(step)) as AudioItem[];
    await hasBegun;
  }
  const stub = { recognize } as unknown as Client<typeof SpeechRecognitionService>;
  for await (const _ of new Call(stub, CONFIG, SETTINGS).run(audio())) {
    // The requests matter.
  }
  return found;
}

function isResponse(step: AudioItem | RecognizeResponse): step is RecognizeResponse {
  return "$typeName" in step && step.$typeName === "asrgateway.v1.RecognizeResponse";
}

async function commitsAgain(...steps: (AudioItem | RecognizeResponse)[]): Promise<number> {
  return (await second(...steps)).filter(({ request }) => request.case === "commit").length;
}

for (const [name, left, answers] of [
  ["one channel has answered one", 2, [forced(0)]],
  ["one channel has answered both", 2, [forced(0), empty(0)]],
  ["both channels have answered one", 1, [forced(0), empty(1)]],
  ["a channel has given more answers than there are commits", 1, [forced(0), forced(0), forced(0), empty(1)]],
  ["both channels have answered both", 0, [forced(0), forced(0), empty(1), empty(1)]],
  ["one channel has answered one, and the other fails", 1, [forced(0), failed(1)]],
  ["one channel has answered both, and the other fails", 0, [forced(0), forced(0), failed(1)]],
  ["one channel fails, and the other answers one", 1, [failed(1), forced(0)]],
  ["both channels have failed", 2, [failed(0), failed(1)]],
] as const) {
  test(`of two commits ${left} are sent again when ${name}`, async () => {
    assert.equal(await commitsAgain(COMMIT, COMMIT, ...answers), left);
  });
}

test("an answer is only for commits that were sent before it", async () => {
  assert.equal(await commitsAgain(COMMIT, forced(0), forced(0), empty(1), COMMIT, empty(1)), 1);
});

test("each channel goes on at its own place, but not before the kept audio", async () => {
  const cursor = { channelFinalized: [durationFromMs(120), durationFromMs(20)] };
  const [first] = await second(new Uint8Array(200), new Uint8Array(400), create(RecognizeResponseSchema, { cursor }));
  assert(first?.request.case === "streamingConfig" && first.request.value.resume?.audioOffset);
  const { audioOffset, channelOffsets } = first.request.value.resume;
  assert.deepEqual([audioOffset, ...channelOffsets].map(durationMs), [50, 120, 50]);
});

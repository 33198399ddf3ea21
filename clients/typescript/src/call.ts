/** One recognition, which a new call of the gateway continues when the old one is lost. */

import { setTimeout as sleep } from "node:timers/promises";
import { clone, create } from "@bufbuild/protobuf";
import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import { type CallOptions, type Client, Code } from "@connectrpc/connect";
import { RecognitionError } from "./errors.js";
import {
  AudioEncoding,
  type Commit,
  type ConfigUpdate,
  type RecognitionResult,
  type RecognizeRequest,
  RecognizeRequestSchema,
  type RecognizeResponse,
  type Resume,
  ResumeSchema,
  type SpeechRecognitionService,
  type StreamingConfig,
  StreamingConfigSchema,
  type StreamEvent,
  StreamEventType,
} from "./gen/asrgateway/v1/recognition_pb.js";
import { audioRequest, Format, Kept } from "./kept.js";

/** Audio in pieces of any size, and between them commits and updates. */
export type AudioItem = Uint8Array | Commit | ConfigUpdate;

export interface CallSettings {
  readonly headers: Record<string, string>;
  /** Ends the call when it is aborted. */
  readonly signal: AbortSignal;
  readonly timeoutMs: number | undefined;
  readonly isContinued: boolean;
  /** How long a call looks for a gateway that answers before it ends with the last error. */
  readonly giveUpMs: number;
  /** How much audio without a final result is kept. */
  readonly keepMs: number;
  readonly onRetry: (failure: RecognitionError, waitMs: number) => void;
}

const MAX_MESSAGE_BYTES = 1 << 20; // half of the gateway's default limit
const MIN_ROOM_BYTES = 1 << 20;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5_000;

/** One call of the gateway. */
interface Attempt {
  readonly end: AbortController;
  timer?: NodeJS.Timeout | undefined;
  isGoing: boolean;
  /** It was ended to be continued elsewhere. */
  isLeaving: boolean;
}

export class Call {
  readonly #ended = new AbortController();
  readonly #signal: AbortSignal;
  readonly #isContinued: boolean;
  readonly #deadline: number;
  readonly #kept: Kept;
  readonly #format: Format;
  readonly #room: number;
  readonly #resume: Resume;
  #changed = new Change(); // something to send, room for more, or the end
  #isClosed = false; // the program has sent everything
  #sourceError: { readonly error: unknown } | undefined;
  #attempts = 0;
  #failures = 0; // since the last response
  #failingSince = 0;
  #failure: RecognitionError | undefined;

  constructor(
    private readonly stub: Client<typeof SpeechRecognitionService>,
    private readonly config: StreamingConfig,
    private readonly settings: CallSettings,
  ) {
    this.#signal = AbortSignal.any([settings.signal, this.#ended.signal]);
    this.#signal.addEventListener("abort", () => this.#changed.notify(), { once: true });
    this.#isContinued = settings.isContinued && isResumable(config);
    this.#deadline = performance.now() + (settings.timeoutMs ?? Infinity);
    this.#resume = config.resume ? clone(ResumeSchema, config.resume) : create(ResumeSchema);
    this.#format = new Format(config.decodingConfig);
    const limit = this.#isContinued ? this.#format.bytes(settings.keepMs) : 0;
    this.#room = Math.max(limit, MIN_ROOM_BYTES);
    this.#kept = new Kept(this.#format, limit, this.#format.place(this.#resume.audioOffset));
  }

  /** Sends the audio and yields the responses of all calls, one call after another. */
  async *run(
    audio: AsyncIterable<AudioItem> | Iterable<AudioItem>,
  ): AsyncGenerator<RecognizeResponse, void, undefined> {
    // It ends with the call, or when the audio returns what it is waiting for.
    void this.#feed(audio);
    try {
      for (;;) {
        const attempt: Attempt = { end: new AbortController(), isGoing: false, isLeaving: false };
        try {
          for await (const response of this.#open(attempt)) {
            this.#note(response, attempt);
            yield response;
          }
          return;
        } catch (error) {
          await this.#afterEnd(error, attempt);
        } finally {
          clearTimeout(attempt.timer);
          attempt.end.abort();
          this.#changed.notify();
        }
      }
    } finally {
      this.#ended.abort();
    }
  }

  async #feed(audio: AsyncIterable<AudioItem> | Iterable<AudioItem>): Promise<void> {
    try {
      for await (const item of audio) {
        for (const request of requestsOf(item)) {
          this.#kept.add(request);
        }
        this.#changed.notify();
        while (this.#kept.unsent >= this.#room && !this.#signal.aborted) {
          await this.#changed.wait();
        }
        if (this.#signal.aborted) {
          return;
        }
      }
      this.#isClosed = true;
      this.#changed.notify();
    } catch (error) {
      this.#sourceError = { error };
      this.#ended.abort();
    }
  }

  /** Begins an attempt with everything that is kept. */
  #open(attempt: Attempt): AsyncIterable<RecognizeResponse> {
    if (this.#failure !== undefined) {
      const leftMs = this.#failingSince + this.settings.giveUpMs - performance.now();
      attempt.timer = setTimeout(() => attempt.end.abort(), leftMs);
    }
    const signal = AbortSignal.any([this.#signal, attempt.end.signal]);
    return this.stub.recognize(this.#requests(signal), { headers: this.settings.headers, signal, ...this.#timeout() });
  }

  #timeout(): CallOptions {
    // Connect takes 0 for no timeout.
    return this.settings.timeoutMs === undefined
      ? {}
      : { timeoutMs: Math.max(1, Math.ceil(this.#deadline - performance.now())) };
  }

  async *#requests(signal: AbortSignal): AsyncGenerator<RecognizeRequest, void, undefined> {
    yield this.#nextConfig();
    while (!signal.aborted) {
      const request = this.#kept.take();
      if (request !== undefined) {
        this.#changed.notify();
        yield request;
      } else if (this.#isClosed) {
        return;
      } else {
        await this.#changed.wait();
      }
    }
  }

  /** The configuration of the next attempt, which begins with the first kept item. */
  #nextConfig(): RecognizeRequest {
    const value = clone(StreamingConfigSchema, this.config);
    if (++this.#attempts > 1) {
      this.#kept.rewind();
      value.resume = clone(ResumeSchema, this.#resume);
      const begin = this.#format.time(this.#kept.place);
      value.resume.audioOffset = begin;
      value.resume.channelOffsets = value.resume.channelOffsets.map((offset) => later(begin, offset));
      if (this.#kept.adaptation !== undefined) {
        value.adaptation = this.#kept.adaptation;
      }
    }
    return create(RecognizeRequestSchema, { request: { case: "streamingConfig", value } });
  }

  /** Lets go of what a response has made final. */
  #note({ cursor, response }: RecognizeResponse, attempt: Attempt): void {
    if (this.#failure !== undefined) {
      clearTimeout(attempt.timer);
      this.#failures = 0;
      this.#failure = undefined;
    }
    this.#kept.release(this.#format.place(cursor?.finalized));
    if (cursor?.channelFinalized.length) {
      this.#resume.channelOffsets = cursor.channelFinalized;
    }
    if (response.case === "started") {
      this.#resume.callId = response.value.callId;
    } else if (response.case === "result" && response.value.isFinal) {
      this.#noteFinal(response.value, attempt);
    } else if (response.case === "streamEvent") {
      this.#noteEvent(response.value);
    } else if (response.case === "goingAway") {
      this.#noteGoingAway(response.value.deadline ? durationMs(response.value.deadline) : 0, attempt);
    }
  }

  #noteFinal(result: RecognitionResult, attempt: Attempt): void {
    this.#resume.nextResultIndex = Math.max(this.#resume.nextResultIndex, result.resultIndex + 1);
    if (result.forced) {
      this.#kept.answered(result.channel ?? 0);
    }
    if (attempt.isGoing) {
      this.#leave(attempt);
    }
  }

  #noteEvent({ eventType, channel = 0 }: StreamEvent): void {
    if (eventType === StreamEventType.COMMIT_EMPTY) {
      this.#kept.answered(channel);
    } else if (eventType === StreamEventType.CHANNEL_FAILED) {
      this.#kept.failed(channel);
    }
  }

  #noteGoingAway(deadlineMs: number, attempt: Attempt): void {
    if (this.#isContinued && !attempt.isGoing) {
      attempt.isGoing = true;
      attempt.timer = setTimeout(() => this.#leave(attempt), deadlineMs / 2);
    }
  }

  /** Ends an attempt so that a new one continues it; one that has sent everything ends by itself in time. */
  #leave(attempt: Attempt): void {
    if (!this.#isClosed) {
      attempt.isLeaving = true;
      attempt.end.abort();
    }
  }

  /** Returns when it is time for a new attempt, or throws the end of the call. */
  async #afterEnd(error: unknown, attempt: Attempt): Promise<void> {
    if (this.#sourceError !== undefined) {
      throw this.#sourceError.error;
    }
    if (this.settings.signal.aborted) {
      throw new RecognitionError(Code.Canceled, "the call was cancelled", "", "", undefined, {}, { cause: error });
    }
    if (attempt.isLeaving) {
      return;
    }
    const failure = RecognitionError.from(error);
    if (!this.#isContinued || !failure.isRetryable) {
      throw failure;
    }
    await this.#wait(failure);
  }

  /** Waits before the next attempt, or throws the failure when it is too late for one. */
  async #wait(failure: RecognitionError): Promise<void> {
    const now = performance.now();
    if (this.#failure === undefined) {
      this.#failingSince = now;
    }
    const leftMs = this.settings.giveUpMs - (now - this.#failingSince);
    if (this.#failure === undefined || leftMs > 0) {
      this.#failure = failure; // Later it is that of the timer, which says nothing.
    }
    const waitMs = waitAfter(this.#failures, failure.retryAfterMs, Math.random());
    if (waitMs > leftMs) {
      throw this.#failure;
    }
    this.#failures++;
    this.settings.onRetry(failure, waitMs);
    // An abort ends the wait, and then the next attempt at once, which says so.
    await sleep(Math.min(waitMs, this.#deadline - now), undefined, { signal: this.#signal }).catch(() => undefined);
  }
}

function later(one: Duration, other: Duration): Duration {
  return durationMs(one) < durationMs(other) ? other : one;
}

function isResumable({ decodingConfig }: StreamingConfig): boolean {
  return (decodingConfig?.encoding ?? AudioEncoding.UNSPECIFIED) <= AudioEncoding.LINEAR16;
}

function requestsOf(item: AudioItem): RecognizeRequest[] {
  if (!(item instanceof Uint8Array)) {
    const request: RecognizeRequest["request"] =
      item.$typeName === "asrgateway.v1.Commit" ? { case: "commit", value: item } : { case: "update", value: item };
    return [create(RecognizeRequestSchema, { request })];
  }
  const pieces = Math.ceil(item.length / MAX_MESSAGE_BYTES);
  return Array.from({ length: pieces }, (_, i) =>
    audioRequest(item.subarray(i * MAX_MESSAGE_BYTES, (i + 1) * MAX_MESSAGE_BYTES)),
  );
}

/** How long to wait after so many failures before this one, with a random part from 0 to 1. */
export function waitAfter(failures: number, retryAfterMs: number | undefined, random: number): number {
  const delay = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures) * (0.5 + random / 2);
  return Math.max(delay, retryAfterMs ?? 0);
}

/** Wakes everything that waits for it. */
class Change {
  #wake: () => void = () => undefined;
  #next: Promise<void> = this.#arm();

  wait(): Promise<void> {
    return this.#next;
  }

  notify(): void {
    this.#wake();
    this.#next = this.#arm();
  }

  #arm(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }
}

/** What a call keeps, to be sent again in a new call. */

import { create } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import {
  ChannelMode,
  type DecodingConfig,
  type RecognizeRequest,
  RecognizeRequestSchema,
  type SpeechAdaptation,
  SpeechAdaptationSchema,
} from "./gen/asrgateway/v1/recognition_pb.js";

/** Turns times into bytes of audio, and back. */
export class Format {
  readonly frameBytes: number;
  /** How many channels give results, and answers to commits, by themselves. */
  readonly recognizedChannels: number;
  readonly #rate: number;

  constructor(config: DecodingConfig | undefined) {
    this.#rate = config?.sampleRateHertz || 1;
    const channels = config?.audioChannelCount || 1;
    this.frameBytes = 2 * channels;
    this.recognizedChannels = config?.channelMode === ChannelMode.SEPARATE ? channels : 1;
  }

  /** Where the audio of a time begins, in bytes. */
  place(at: Duration | undefined): number {
    return at ? this.bytes(durationMs(at)) : 0;
  }

  bytes(milliseconds: number): number {
    return Math.floor((milliseconds * this.#rate) / 1000) * this.frameBytes;
  }

  /** The reverse of `place`; the gateway counts whole milliseconds. */
  time(place: number): Duration {
    return durationFromMs(Math.ceil(((place / this.frameBytes) * 1000) / this.#rate));
  }
}

export function audioRequest(value: Uint8Array): RecognizeRequest {
  return create(RecognizeRequestSchema, { request: { case: "audio", value } });
}

/** A request after the configuration, and where it belongs in the audio, in bytes. */
interface Item {
  readonly request: RecognizeRequest;
  readonly begin: number;
  /** The channels that have answered this commit. */
  readonly answers: Set<number>;
}

/** What a new call has to send again, and behind it what has not been sent yet. */
export class Kept {
  /** The adaptation of the last update before the items; undefined without one. */
  adaptation: SpeechAdaptation | undefined;
  #items: Item[] = [];
  /** Index of the first item that the present call has not sent. */
  #next = 0;
  /** Bytes of audio before and from `#next`. */
  #sent = 0;
  #unsent = 0;
  /** The channels that answer no commits in the present call. */
  readonly #failed = new Set<number>();

  /**
   * @param limit Bytes of audio to keep once they are sent.
   * @param begin Place of the first audio.
   */
  constructor(
    private readonly format: Format,
    private readonly limit: number,
    private begin: number,
  ) {}

  /** Place of the first audio that is kept. */
  get place(): number {
    return this.begin;
  }

  get unsent(): number {
    return this.#unsent;
  }

  /** Puts a request behind all others. */
  add(request: RecognizeRequest): void {
    this.#items.push({ request, begin: this.begin + this.#sent + this.#unsent, answers: new Set() });
    this.#unsent += audioOf(request).length;
  }

  /** The next request to send; undefined when all are sent. */
  take(): RecognizeRequest | undefined {
    const item = this.#items[this.#next];
    if (item === undefined) {
      return undefined;
    }
    const bytes = audioOf(item.request).length;
    this.#next++;
    this.#sent += bytes;
    this.#unsent -= bytes;
    this.#forget(this.#sent - this.limit);
    return item.request;
  }

  /** Makes `take` begin with the first item again, for a call in which every channel answers every commit. */
  rewind(): void {
    this.#items.forEach(({ answers }) => answers.clear());
    this.#failed.clear();
    this.#next = 0;
    this.#unsent += this.#sent;
    this.#sent = 0;
  }

  /** Drops sent audio that lies before a place, and the updates before what is left. */
  release(place: number): void {
    const end = Math.min(place, this.begin + this.#sent);
    if (end <= this.begin) {
      return;
    }
    this.#sent -= end - this.begin;
    this.begin = end;
    const left: Item[] = [];
    let next = 0;
    this.#items.forEach((item, index) => {
      const rest = this.#rest(item, left.length === 0 && index < this.#next);
      if (rest !== undefined) {
        left.push(rest);
        next += index < this.#next ? 1 : 0;
      }
    });
    this.#items = left;
    this.#next = next;
  }

  /** Notes an answer to the oldest sent commit that the channel has not answered yet. */
  answered(channel: number): void {
    const sent = this.#items.slice(0, this.#next);
    sent.find(({ request, answers }) => isCommit(request) && !answers.has(channel))?.answers.add(channel);
    this.#dropAnswered();
  }

  /** Notes that no answers of a channel will come. */
  failed(channel: number): void {
    this.#failed.add(channel);
    this.#dropAnswered();
  }

  /** Drops the sent commits that have the answers of all channels but those that have failed. */
  #dropAnswered(): void {
    const channels = Array.from({ length: this.format.recognizedChannels }, (_, channel) => channel);
    const awaited = channels.filter((channel) => !this.#failed.has(channel));
    if (awaited.length === 0) {
      return;
    }
    const isAnswered = ({ request, answers }: Item) =>
      isCommit(request) && awaited.every((channel) => answers.has(channel));
    const sent = this.#items.slice(0, this.#next).filter((item) => !isAnswered(item));
    this.#items.splice(0, this.#next, ...sent);
    this.#next = sent.length;
  }

  /** Drops the oldest sent audio. */
  #forget(excess: number): void {
    if (excess > 0) {
      this.release(this.begin + Math.ceil(excess / this.format.frameBytes) * this.format.frameBytes);
    }
  }

  /** What is left of an item after `begin` has moved; undefined if nothing is. */
  #rest(item: Item, isFirst: boolean): Item | undefined {
    const request = item.request.request;
    if (request.case === "update" && isFirst) {
      this.adaptation = request.value.adaptation ?? create(SpeechAdaptationSchema);
      return undefined;
    }
    if (request.case !== "audio" || item.begin >= this.begin) {
      return item;
    }
    const rest = request.value.subarray(this.begin - item.begin);
    return rest.length > 0 ? { ...item, request: audioRequest(rest), begin: this.begin } : undefined;
  }
}

function isCommit({ request }: RecognizeRequest): boolean {
  return request.case === "commit";
}

function audioOf({ request }: RecognizeRequest): Uint8Array {
  return request.case === "audio" ? request.value : NOTHING;
}

const NOTHING = new Uint8Array();

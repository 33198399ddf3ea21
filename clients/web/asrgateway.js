/**
 * Speech recognition by an asr-gateway, from the browser: a call on a WebSocket, and the microphone.
 *
 * One file without dependencies. It loads itself once more as the audio worklet, so a strict Content-Security-Policy
 * needs no exception. Audio is mono, 16 bit, at any rate: the gateway resamples.
 */

/** The longest audio message. */
export const FRAME_MS = 100;

const SUBPROTOCOL = "asrgateway.v1.json";
const KEY_PREFIX = "asrgateway.key.";
const PROCESSOR = "asrgateway-microphone";
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5000;
// What may wait in the browser's socket. The rest waits here, where it can be sent to another gateway.
const MAX_BUFFERED_BYTES = 64 * 1024;
// Browsers have no event for a socket that has room again.
const ROOM_POLL_MS = 20;
// A worklet answers within milliseconds, unless the browser has stopped it.
const FLUSH_MS = 1000;
const CODES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

/** A call that ended with another status than OK. */
export class RecognitionError extends Error {
  /** @param {{code?: number, message?: string, details?: object[]}} status a google.rpc.Status in JSON */
  constructor({ code = 2, message = "", details = [] }) {
    super(message);
    this.name = "RecognitionError";
    /** The gRPC code as a word, such as UNAVAILABLE. */
    this.code = CODES[code] ?? "UNKNOWN";
    this.details = details;
    /** The ErrorInfo's reason; empty without one. */
    this.reason = this.#detail("ErrorInfo").reason ?? "";
    /** The field that is wrong; empty unless one is. */
    this.field = this.#detail("BadRequest").fieldViolations?.[0]?.field ?? "";
    /** How long to wait before another try; undefined if the gateway does not say. */
    this.retryAfterMs = milliseconds(this.#detail("RetryInfo").retryDelay);
  }

  /** Another call may succeed. */
  get isRetryable() {
    return this.code === "UNAVAILABLE" || (this.code === "RESOURCE_EXHAUSTED" && this.retryAfterMs !== undefined);
  }

  #detail(name) {
    return this.details.find((detail) => detail["@type"]?.endsWith(`google.rpc.${name}`)) ?? {};
  }
}

/**
 * One recognition. It begins at once.
 *
 * When the connection is lost, or the gateway is going away, a new call continues it: audio without a final result is
 * sent again, `onResponse` gets a second `started`, and offsets and indexes go on. No final result is lost or doubled.
 */
export class RecognitionCall {
  #options;
  #kept;
  #resume = { nextResultIndex: 0 };
  #socket = null;
  #isConfigured = false;
  #isGoing = false;
  #isFinishing = false;
  #isFinishSent = false;
  #isOver = false;
  #attempts = 0;
  #failures = 0;
  #failure = null; // the last one since the last response
  #failingSince = 0;
  #watch; // the gateway does not answer, or it is time for another attempt
  #going; // the gateway will soon be gone
  #room; // the socket may have room again
  #resolve;
  #reject;

  /**
   * @param {object} options
   * @param {number} options.sampleRate of the audio, in Hz
   * @param {object} [options.config] a StreamingConfig in protobuf JSON; `decodingConfig` is filled in
   * @param {string} [options.url] of the gateway; default: where the page comes from
   * @param {string} [options.apiKey] the gateway's key, if it wants one
   * @param {(response: object) => void} [options.onResponse] takes each RecognizeResponse in protobuf JSON
   * @param {(error: RecognitionError, delayMs: number) => void} [options.onRetry] is told of each new attempt
   * @param {boolean} [options.reconnect]
   * @param {number} [options.keepSeconds] how much audio is kept to be sent again
   * @param {number} [options.giveUpSeconds] how long attempts go on without any response
   * @param {number} [options.silenceSeconds] a gateway that sends nothing for so long is lost; it sends every 10 s
   */
  constructor(options) {
    this.#options = {
      config: {},
      apiKey: "",
      onResponse: () => {},
      onRetry: () => {},
      reconnect: true,
      keepSeconds: 60,
      giveUpSeconds: 60,
      silenceSeconds: 30,
      ...options,
      url: callUrl(options.url ?? globalThis.location.href),
    };
    const { sampleRate, keepSeconds } = this.#options;
    this.#kept = new KeptRequests(sampleRate, keepSeconds * sampleRate);
    /** Settles after the last response: with nothing, or with a RecognitionError. */
    this.ended = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.ended.catch(() => {}); // Nobody has to listen.
    this.#open();
  }

  /** Audio that waits to be sent. Something that reads a file waits while it is seconds. */
  get unsentSeconds() {
    return this.#kept.unsent / this.#options.sampleRate;
  }

  /** Sends audio of any length, as it is: an Int16Array must not be changed afterwards. */
  send(audio) {
    const size = frameSamples(this.#options.sampleRate);
    for (let at = 0; at < audio.length; at += size) this.#add({ audio: audio.subarray(at, at + size) });
  }

  /** Ends the open utterance now. */
  commit() {
    this.#add({ commit: {} });
  }

  /** Replaces the adaptation (a SpeechAdaptation) for the audio that follows. */
  update(adaptation) {
    this.#add({ update: { adaptation } });
  }

  /** Says that all audio is sent. The last results follow, then `ended` settles. */
  finish() {
    this.#isFinishing = true;
    this.#pump();
  }

  /** Ends the call now. */
  cancel() {
    this.#end(new RecognitionError({ code: 1, message: "the call was cancelled" }));
  }

  #add(request) {
    if (this.#isOver || this.#isFinishing) return;
    const hasDropped = this.#kept.add(request);
    // The gateway counts what it receives, so a gap needs a call that begins behind it.
    if (hasDropped && this.#isConfigured) this.#lose("the connection takes no audio");
    else this.#pump();
  }

  // One attempt ------------------------------------------------------------------------------------------------------

  #open() {
    const { url, apiKey } = this.#options;
    const socket = new WebSocket(url, protocolsFor(apiKey));
    socket.onopen = () => this.#begin();
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = () => this.#lose("the gateway cannot be reached");
    this.#socket = socket;
    this.#expectResponse();
  }

  #begin() {
    this.#kept.rewind();
    this.#socket.send(JSON.stringify(this.#nextConfig()));
    this.#isConfigured = true;
    this.#pump();
  }

  #nextConfig() {
    const { config, sampleRate } = this.#options;
    const decodingConfig = { encoding: "AUDIO_ENCODING_LINEAR16", sampleRateHertz: sampleRate, audioChannelCount: 1 };
    const isFirst = this.#attempts++ === 0;
    const adaptation = this.#kept.adaptation ?? config.adaptation;
    const resume = { ...this.#resume, audioOffset: duration(this.#kept.beginMs) };
    return {
      ...config,
      decodingConfig,
      ...(adaptation && { adaptation }),
      ...(!(isFirst && !this.#kept.begin) && { resume }),
    };
  }

  /** Sends what waits, as far as the socket has room. */
  #pump() {
    clearTimeout(this.#room);
    if (!this.#isConfigured) return;
    while (this.#socket.bufferedAmount < MAX_BUFFERED_BYTES) {
      const request = this.#kept.take();
      if (!request) return this.#sendFinish();
      this.#socket.send(request.audio ?? JSON.stringify(request));
    }
    this.#room = setTimeout(() => this.#pump(), ROOM_POLL_MS);
  }

  #sendFinish() {
    if (!this.#isFinishing || this.#isFinishSent) return;
    this.#isFinishSent = true;
    this.#socket.send('{"finish":{}}');
  }

  #stop() {
    for (const timer of [this.#watch, this.#going, this.#room]) clearTimeout(timer);
    if (this.#socket) {
      this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
      this.#socket.close();
    }
    this.#socket = null;
    this.#isConfigured = this.#isGoing = this.#isFinishSent = false;
  }

  /** Ends an attempt so that a new one continues it; one that has sent everything ends by itself in time. */
  #leave() {
    if (this.#isFinishing) return;
    this.#stop();
    this.#open();
  }

  // What comes back --------------------------------------------------------------------------------------------------

  #expectResponse() {
    clearTimeout(this.#watch);
    const { silenceSeconds, giveUpSeconds } = this.#options;
    const leftMs = this.#failure ? this.#leftMs() : giveUpSeconds * 1000;
    const waitMs = Math.max(0, Math.min(silenceSeconds * 1000, leftMs));
    this.#watch = setTimeout(() => this.#lose("the gateway does not answer"), waitMs);
  }

  #receive(response) {
    if (response.status) return this.#finished(response.status);
    this.#failures = 0;
    this.#failure = null;
    this.#expectResponse();
    this.#note(response);
    this.#options.onResponse(response);
  }

  /** Lets go of what a response has made final. */
  #note({ cursor, started, result, streamEvent, goingAway }) {
    this.#kept.release(this.#kept.placeOf(milliseconds(cursor?.finalized) ?? 0));
    if (started) this.#resume.callId = started.callId;
    if (streamEvent?.eventType === "STREAM_EVENT_TYPE_COMMIT_EMPTY") this.#kept.answered();
    if (goingAway) this.#goAway(milliseconds(goingAway.deadline) ?? 0);
    if (result?.isFinal) this.#noteFinal(result);
  }

  #noteFinal({ resultIndex = 0, forced = false }) {
    this.#resume.nextResultIndex = Math.max(this.#resume.nextResultIndex, resultIndex + 1);
    if (forced) this.#kept.answered();
    if (this.#isGoing) this.#leave();
  }

  #goAway(deadlineMs) {
    if (this.#isGoing || !this.#options.reconnect) return;
    this.#isGoing = true;
    this.#going = setTimeout(() => this.#leave(), deadlineMs / 2);
  }

  #finished(status) {
    if (status.code) this.#failed(new RecognitionError(status));
    else this.#end();
  }

  #lose(message) {
    this.#failed(new RecognitionError({ code: 14, message }));
  }

  #failed(error) {
    this.#stop();
    if (!this.#options.reconnect || !error.isRetryable) return this.#end(error);
    if (!this.#failure) this.#failingSince = performance.now();
    this.#failure = error;
    const delayMs = waitAfter(this.#failures++, error.retryAfterMs, Math.random());
    if (delayMs > this.#leftMs()) return this.#end(error);
    this.#watch = setTimeout(() => this.#open(), delayMs);
    this.#options.onRetry(error, delayMs);
  }

  #leftMs() {
    return this.#options.giveUpSeconds * 1000 - (performance.now() - this.#failingSince);
  }

  #end(error) {
    this.#isOver = true;
    this.#stop();
    if (error) this.#reject(error);
    else this.#resolve();
  }
}

/** The microphone, as audio messages. */
export class Microphone {
  #stream;
  #context;
  #node;
  #onEmpty = () => {};

  /**
   * Asks for the microphone; rejects with the browser's error if there is none, or the user says no.
   *
   * @param {object} options
   * @param {(audio: Int16Array) => void} options.onAudio takes mono audio, 100 ms at most
   * @param {() => void} [options.onEnded] the device is gone
   * @param {string} [options.deviceId] default: the browser's choice
   * @param {boolean} [options.echoCancellation]
   * @param {boolean} [options.noiseSuppression]
   * @param {boolean} [options.autoGainControl]
   * @returns {Promise<Microphone>} whose audio begins now
   */
  static async open({ onAudio, onEnded = () => {}, deviceId, ...processing }) {
    const microphone = new Microphone();
    try {
      await microphone.#begin(onAudio, onEnded, {
        echoCancellation: true,
        noiseSuppression: true,
        autoGainControl: true,
        channelCount: 1,
        ...processing,
        ...(deviceId && { deviceId: { exact: deviceId } }),
      });
    } catch (error) {
      await microphone.#release();
      throw error;
    }
    return microphone;
  }

  /** In Hz; the browser's choice. */
  get sampleRate() {
    return this.#context.sampleRate;
  }

  /** Stops. `onAudio` has had the last audio when this is done. */
  async close() {
    await new Promise((resolve) => {
      this.#onEmpty = resolve;
      setTimeout(resolve, FLUSH_MS);
      this.#node.port.postMessage("flush");
    });
    await this.#release();
  }

  async #begin(onAudio, onEnded, constraints) {
    // A context that a click has opened runs at once; after the question for the microphone it might not.
    this.#context = new AudioContext({ latencyHint: "interactive" });
    this.#stream = await navigator.mediaDevices.getUserMedia({ audio: constraints });
    await this.#context.audioWorklet.addModule(import.meta.url);
    await this.#context.resume();
    const [track] = this.#stream.getAudioTracks();
    track.onended = onEnded;
    this.#node = new AudioWorkletNode(this.#context, PROCESSOR, { channelCount: 1, channelCountMode: "explicit" });
    this.#node.port.onmessage = ({ data }) => (data ? onAudio(data) : this.#onEmpty());
    // Its output is silence. Without a way to the speakers some browsers do not run it.
    this.#context.createMediaStreamSource(this.#stream).connect(this.#node).connect(this.#context.destination);
  }

  async #release() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    if (this.#context?.state !== "closed") await this.#context?.close();
  }
}

// Without browser ------------------------------------------------------------------------------------------------------

/**
 * What a new call has to send again, and behind it what has not been sent yet. Places count samples since the first.
 */
export class KeptRequests {
  #rate;
  #limit;
  #items = [];
  #next = 0; // index of the first item that the present call has not sent

  /**
   * @param {number} rate samples per second
   * @param {number} limit samples to keep; older ones are dropped
   */
  constructor(rate, limit) {
    this.#rate = rate;
    this.#limit = limit;
    /** Place of the first audio that is kept. */
    this.begin = 0;
    /** Place behind the last audio. */
    this.end = 0;
    /** Of the last update before the items; undefined without one. */
    this.adaptation = undefined;
  }

  get beginMs() {
    return Math.ceil((this.begin * 1000) / this.#rate);
  }

  /** Samples that have not been sent. */
  get unsent() {
    return this.end - this.#sentEnd;
  }

  /** The place of a time. */
  placeOf(ms) {
    return Math.floor((ms * this.#rate) / 1000);
  }

  /** Puts a request behind all others; says whether audio that was not sent had to be dropped for it. */
  add(request) {
    this.#items.push({ begin: this.end, request });
    this.end += request.audio?.length ?? 0;
    const place = this.end - this.#limit;
    const hasDropped = place > this.#sentEnd;
    this.#cut(place);
    return hasDropped;
  }

  /** Returns the next request to send; undefined when all are sent. */
  take() {
    return this.#items[this.#next] && this.#items[this.#next++].request;
  }

  /** Makes `take` begin with the first request again. */
  rewind() {
    this.#next = 0;
  }

  /** Drops sent audio before a place, and the updates before what is left. */
  release(place) {
    this.#cut(Math.min(place, this.#sentEnd));
  }

  /** Drops the oldest commit that was sent. */
  answered() {
    const index = this.#items.findIndex(({ request }) => request.commit);
    if (index < 0 || index >= this.#next) return;
    this.#items.splice(index, 1);
    this.#next--;
  }

  get #sentEnd() {
    return this.#items[this.#next]?.begin ?? this.end;
  }

  #cut(place) {
    if (place <= this.begin) return;
    const items = this.#items;
    const sent = this.#next;
    this.begin = place;
    this.#items = [];
    this.#next = 0;
    items.forEach((item, index) => {
      const { update, audio } = item.request;
      const isPast = index < sent || item.begin < place;
      if (update && isPast && !this.#items.length) this.adaptation = update.adaptation ?? {};
      else if (!audio || item.begin + audio.length > place) this.#items.push(from(place, item));
      if (index < sent) this.#next = this.#items.length;
    });
  }
}

/** Turns blocks of float samples into messages of 16-bit samples. */
export class Framer {
  #frame;
  #filled = 0;

  /** @param {number} size samples of a message */
  constructor(size) {
    this.#frame = new Int16Array(size);
  }

  /** Takes samples; returns the messages that they fill. */
  push(samples) {
    const full = [];
    for (const sample of samples) {
      this.#frame[this.#filled++] = int16(sample);
      if (this.#filled === this.#frame.length) full.push(this.flush());
    }
    return full;
  }

  /** Returns the message that is not full. */
  flush() {
    const frame = this.#frame.slice(0, this.#filled);
    this.#filled = 0;
    return frame;
  }
}

/** Returns float samples, -1 to 1, in 16 bit. */
export function int16From(samples) {
  return Int16Array.from(samples, int16);
}

/** Returns how many samples the longest message has. */
export function frameSamples(rate) {
  return Math.max(1, Math.floor((rate * FRAME_MS) / 1000));
}

/** Returns how long to wait after so many failures before this one, with a random part from 0 to 1. */
export function waitAfter(failures, retryAfterMs, random) {
  const waitMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures);
  return Math.max(waitMs * (0.5 + random / 2), retryAfterMs ?? 0);
}

/** Returns the milliseconds of a Duration in protobuf JSON, such as "1.200s"; undefined without one. */
export function milliseconds(duration) {
  return duration === undefined ? undefined : Math.round(parseFloat(duration) * 1000);
}

/** Returns the address of calls at a gateway whose page, or address, this is. */
export function callUrl(address) {
  const url = new URL("/v1/recognize", address);
  url.protocol = { "http:": "ws:", "https:": "wss:" }[url.protocol] ?? url.protocol;
  return url.href;
}

/** Returns the subprotocols to offer: a browser sends no header, so one of them is the key. */
export function protocolsFor(apiKey) {
  if (!apiKey) return [SUBPROTOCOL];
  const bytes = String.fromCharCode(...new TextEncoder().encode(apiKey));
  const text = btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return [SUBPROTOCOL, KEY_PREFIX + text];
}

function duration(ms) {
  return `${(ms / 1000).toFixed(3)}s`;
}

function int16(sample) {
  return Math.round(Math.max(-1, Math.min(1, sample)) * (sample < 0 ? 32768 : 32767));
}

/** Returns an item without its audio before a place. */
function from(place, { begin, request }) {
  if (begin >= place) return { begin, request };
  return { begin: place, request: request.audio ? { audio: request.audio.subarray(place - begin) } : request };
}

// In the audio worklet -------------------------------------------------------------------------------------------------

if (globalThis.registerProcessor) {
  class Processor extends AudioWorkletProcessor {
    #framer = new Framer(frameSamples(sampleRate));
    #isRunning = true;

    constructor() {
      super();
      this.port.onmessage = () => {
        this.#isRunning = false;
        this.#post(this.#framer.flush());
        this.port.postMessage(null);
      };
    }

    process([[samples]]) {
      if (samples && this.#isRunning) this.#framer.push(samples).forEach((frame) => this.#post(frame));
      return this.#isRunning;
    }

    #post(frame) {
      if (frame.length) this.port.postMessage(frame, [frame.buffer]);
    }
  }
  registerProcessor(PROCESSOR, Processor);
}

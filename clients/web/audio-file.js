/** Sound files: their samples, and their way to a call at speaking speed. */

import { frameSamples, int16From } from "./asrgateway.js";

// What browsers decode in other formats: enough for speech, and a sixth of what music has.
const DECODED_RATE = 16000;
// So much that is not sent yet makes a file wait.
const MAX_UNSENT_SECONDS = 2;
const PCM = 1;
const EXTENSIBLE = 0xfffe;

/** Reads a sound file; rejects with the browser's error if it cannot decode it. */
export async function readSoundFile(file) {
  const bytes = await file.arrayBuffer();
  return wavSound(bytes) ?? decodedSound(bytes);
}

/**
 * Returns the sound of a WAV file with 16-bit samples, mixed to one channel, as it is in the file; null if it is
 * anything else.
 */
export function wavSound(bytes) {
  const view = new DataView(bytes);
  if (view.byteLength < 12 || tag(view, 0) !== "RIFF" || tag(view, 8) !== "WAVE") return null;
  let format = null;
  for (let at = 12; at + 8 <= view.byteLength; at += 8 + evenSize(view, at)) {
    const name = tag(view, at);
    if (name === "fmt ") format = formatAt(view, at + 8);
    if (name === "data" && format) return pcm(view, at, format);
  }
  return null;
}

/** Gives a sound to `send` at speaking speed. */
export class FilePlayer {
  #sound;
  #unsentSeconds;
  #onAudio;
  #onEnded;
  #timer;
  #at = 0;
  #beganAt = performance.now();

  /**
   * @param {{samples: Int16Array, sampleRate: number}} sound
   * @param {() => number} unsentSeconds how far the call is behind
   * @param {(audio: Int16Array) => void} onAudio
   * @param {() => void} onEnded
   */
  constructor(sound, unsentSeconds, onAudio, onEnded) {
    this.#sound = sound;
    this.#unsentSeconds = unsentSeconds;
    this.#onAudio = onAudio;
    this.#onEnded = onEnded;
    this.#play();
  }

  close() {
    clearTimeout(this.#timer);
  }

  #play() {
    const { samples, sampleRate } = this.#sound;
    const size = frameSamples(sampleRate);
    if (this.#unsentSeconds() > MAX_UNSENT_SECONDS) this.#beganAt = performance.now() - (this.#at * 1000) / sampleRate;
    const due = ((performance.now() - this.#beganAt) * sampleRate) / 1000;
    while (this.#at <= due && this.#at < samples.length) {
      this.#onAudio(samples.subarray(this.#at, this.#at + size));
      this.#at += size;
    }
    if (this.#at >= samples.length) this.#onEnded();
    else
      this.#timer = setTimeout(() => this.#play(), this.#beganAt + (this.#at * 1000) / sampleRate - performance.now());
  }
}

async function decodedSound(bytes) {
  const decoded = await new OfflineAudioContext(1, 1, DECODED_RATE).decodeAudioData(bytes);
  const channels = Array.from({ length: decoded.numberOfChannels }, (_, index) => decoded.getChannelData(index));
  const mean = channels[0].map((_, at) => channels.reduce((sum, channel) => sum + channel[at], 0) / channels.length);
  return { samples: int16From(mean), sampleRate: decoded.sampleRate };
}

function formatAt(view, at) {
  const [coding, bits] = [view.getUint16(at, true), view.getUint16(at + 14, true)];
  const isPcm = coding === PCM || (coding === EXTENSIBLE && view.getUint16(at + 24, true) === PCM);
  return isPcm && bits === 16
    ? { channels: view.getUint16(at + 2, true), sampleRate: view.getUint32(at + 4, true) }
    : null;
}

function pcm(view, at, { channels, sampleRate }) {
  // A WAV stream declares more than it has.
  const bytes = Math.min(view.getUint32(at + 4, true), view.byteLength - at - 8);
  const samples = new Int16Array(Math.floor(bytes / 2 / channels));
  for (let frame = 0; frame < samples.length; frame++) {
    let sum = 0;
    for (let channel = 0; channel < channels; channel++)
      sum += view.getInt16(at + 8 + 2 * (frame * channels + channel), true);
    samples[frame] = Math.round(sum / channels);
  }
  return { samples, sampleRate };
}

function evenSize(view, at) {
  const size = view.getUint32(at + 4, true);
  return size + (size % 2);
}

function tag(view, at) {
  return String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2), view.getUint8(at + 3));
}

/** One recording, from its first sound to its last word: a source of audio and a call. */

import { FilePlayer, readSoundFile } from "./audio-file.js";
import { Microphone, milliseconds, RecognitionCall } from "./asrgateway.js";
import { utteranceOf } from "./captions.js";

/**
 * @typedef {object} Listener what a recording says
 * @property {(state: string) => void} onState asking, connecting, listening, retrying, finishing
 * @property {(text: string, startMs: number, language: string) => void} onInterim
 * @property {(utterance: object) => void} onFinal
 * @property {(audio: Int16Array) => void} onAudio
 * @property {(figures: object) => void} onFigures delays and amounts, as far as they are known
 * @property {(message: string) => void} onWarning
 */

export class Recording {
  #listener;
  #offsetMs;
  #endMs;
  #call = null;
  #source = null;
  #isStopped = false;
  #samples = 0;
  #rate = 1;
  #firstAudioAt = null;
  #firstTextAt = null;
  #finishedAt = null;

  /**
   * @param {Listener} listener
   * @param {number} offsetMs where this recording begins: after those before it
   */
  constructor(listener, offsetMs) {
    this.#listener = listener;
    this.#offsetMs = this.#endMs = offsetMs;
  }

  /** Where the next recording begins. */
  get endMs() {
    return Math.max(this.#endMs, this.#offsetMs + Math.ceil((this.#samples * 1000) / this.#rate));
  }

  /** Recognises the microphone until `stop`; settles after the last word. */
  async runMicrophone(options, processing) {
    this.#listener.onState("asking");
    const microphone = await Microphone.open({
      ...processing,
      onAudio: (audio) => this.#send(audio),
      onEnded: () => this.stop(),
    });
    if (this.#isStopped) return microphone.close();
    this.#source = microphone;
    await this.#run(options, microphone.sampleRate);
  }

  /** Recognises a file at speaking speed; settles after the last word. */
  async runFile(options, file) {
    this.#listener.onState("connecting");
    const sound = await readSoundFile(file);
    if (this.#isStopped) return;
    const running = this.#run(options, sound.sampleRate);
    const [unsent, send, end] = [() => this.#call.unsentSeconds, (audio) => this.#send(audio), () => this.stop()];
    this.#source = new FilePlayer(sound, unsent, send, end);
    await running;
  }

  /** Ends the audio. The last words still come; a second time: they are not waited for. */
  async stop() {
    if (this.#isStopped) return this.#call?.cancel();
    this.#isStopped = true;
    this.#listener.onState("finishing");
    await this.#source?.close();
    this.#finishedAt = performance.now();
    this.#call?.finish();
  }

  async #run(options, sampleRate) {
    this.#rate = sampleRate;
    this.#listener.onState("connecting");
    const onResponse = (response) => this.#receive(response);
    this.#call = new RecognitionCall({ ...options, sampleRate, onResponse, onRetry: () => this.#state("retrying") });
    if (this.#isStopped) this.#call.finish();
    try {
      await this.#call.ended;
    } finally {
      if (!this.#isStopped) await this.#source?.close();
    }
  }

  #state(state) {
    this.#listener.onState(this.#isStopped && state === "listening" ? "finishing" : state);
  }

  #send(audio) {
    this.#firstAudioAt ??= performance.now();
    this.#samples += audio.length;
    this.#call.send(audio);
    this.#listener.onAudio(audio);
    this.#listener.onFigures({ audioMs: (this.#samples * 1000) / this.#rate });
  }

  #receive({ started, result, warning, finished, cursor }) {
    if (started) this.#state("listening");
    if (started) this.#listener.onFigures({ model: started.model });
    if (result) this.#show(result, cursor);
    if (warning) this.#listener.onWarning(warning);
    if (finished) this.#listener.onFigures({ lastPackageMs: performance.now() - this.#finishedAt });
  }

  #show(result, cursor) {
    if (result.transcript) this.#noteFirstText();
    const utterance = utteranceOf(result, cursor, this.#offsetMs, this.#endMs);
    if (!result.isFinal) return this.#listener.onInterim(utterance.text, utterance.startMs, utterance.languageCode);
    this.#endMs = Math.max(this.#endMs, this.#offsetMs + (milliseconds(cursor?.finalized) ?? 0));
    this.#listener.onFinal(utterance);
  }

  #noteFirstText() {
    if (this.#firstTextAt !== null) return;
    this.#firstTextAt = performance.now();
    this.#listener.onFigures({ firstPackageMs: this.#firstTextAt - this.#firstAudioAt });
  }
}

/** What the command prints: final results to standard output, everything else to standard error. */

import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import {
  type Finished,
  type RecognitionResult,
  type RecognizeResponse,
  RecognitionError,
  type StreamEvent,
  StreamEventType,
} from "./index.js";

export interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

const COLUMNS = 79;

/** Writes whole lines; on a terminal the text so far is redrawn in its last line. */
export class Report {
  #live = "";

  constructor(
    private readonly out: Output,
    private readonly err: Output,
    private readonly isNumbered: boolean,
  ) {}

  call(number: number): CallReport {
    return new CallReport(this, this.isNumbered ? `${number}\t` : "");
  }

  result(prefix: string, text: string): void {
    this.#line(this.out, prefix + printable(text));
  }

  note(text: string): void {
    this.#line(this.err, printable(text));
  }

  complain(text: string): void {
    this.note(`asr-client-ts: ${text}`);
  }

  interim(text: string): void {
    const shown = last(printable(text), COLUMNS);
    if (this.err.isTTY && shown !== this.#live) {
      this.err.write(`\r${" ".repeat(width(this.#live))}\r${shown}`); // Blanks overwrite the rest of a longer line.
      this.#live = shown;
    }
  }

  #line(to: Output, text: string): void {
    this.interim("");
    to.write(`${text}\n`);
  }
}

/** Prints one call. */
export class CallReport {
  readonly #warnings = new Set<string>();
  #begin: number | undefined; // first audio sent
  #end: number | undefined; // everything sent
  #first: number | undefined; // first text

  constructor(
    private readonly report: Report,
    private readonly prefix: string,
  ) {}

  sent(): void {
    this.#begin ??= performance.now();
  }

  closed(): void {
    this.#end = performance.now();
  }

  received({ response }: RecognizeResponse): void {
    switch (response.case) {
      case "result":
        return this.#text(response.value);
      case "streamEvent":
        return this.#event(response.value);
      case "warning":
        return this.#warn(`${response.value.field}: ${response.value.message}`);
      case "goingAway":
        return this.report.note(`note: the gateway stops in ${seconds(response.value.deadline)} s`);
      case "finished":
        return this.#finished(response.value);
    }
  }

  failed(error: unknown): void {
    this.report.complain(`${this.prefix}${error}`);
    for (const advice of error instanceof RecognitionError ? advices(error) : []) {
      this.report.complain(advice);
    }
  }

  #text(result: RecognitionResult): void {
    this.#first ??= performance.now();
    if (result.isFinal) {
      this.report.result(this.prefix, result.transcript);
    } else {
      this.report.interim(result.transcript);
    }
  }

  #event(event: StreamEvent): void {
    const level = event.eventType === StreamEventType.AUDIO_DROPPED ? "warning" : "note";
    const name = (StreamEventType[event.eventType] ?? "").toLowerCase().replaceAll("_", " ");
    this.report.note(`${level}: ${name}: ${event.reason}`);
  }

  /** Prints a warning once, although every new call repeats it. */
  #warn(text: string): void {
    if (!this.#warnings.has(text)) {
      this.#warnings.add(text);
      this.report.note(`warning: ${text}`);
    }
  }

  /** Prints the delays as this client has measured them, and as the gateway has. */
  #finished(finished: Finished): void {
    const first = milliseconds(between(this.#begin, this.#first));
    const end = milliseconds(between(this.#end, performance.now()));
    const gateway = [finished.firstPackageDelay, finished.lastPackageDelay].map((delay) =>
      milliseconds(delay && exactMs(delay)),
    );
    this.report.note(
      `${this.prefix}first package ${first}, last package ${end} (at the gateway ${gateway.join(", ")})`,
    );
  }
}

function advices(error: RecognitionError): string[] {
  if (error.retryAfterMs !== undefined) {
    return [`try again in ${error.retryAfterMs / 1000} s`];
  }
  const isUnreachable = error.code === Code.Unavailable;
  return isUnreachable ? ["check that the gateway runs at this address, with or without TLS"] : [];
}

function between(begin: number | undefined, end: number | undefined): number | undefined {
  return begin === undefined || end === undefined ? undefined : end - begin;
}

function exactMs(duration: Duration): number {
  return Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

function milliseconds(delay: number | undefined): string {
  return delay === undefined ? "none" : `${delay.toFixed(0)} ms`;
}

function seconds(duration: Duration | undefined): string {
  return ((duration ? durationMs(duration) : 0) / 1000).toFixed(0);
}

/** Replaces what would move the cursor by blanks. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, " ");
}

/** The end of a text, where the newest words are, in at most so many columns. */
export function last(text: string, columns: number): string {
  if (width(text) <= columns) {
    return text;
  }
  const characters = [...text];
  let left = columns - 1; // The ellipsis takes one.
  while (left >= width(characters.at(-1) ?? "")) {
    left -= width(characters.pop() ?? "");
  }
  return `…${[...text].slice(characters.length).join("")}`;
}

/** Counts columns: two for wide characters, such as Chinese ones. */
function width(text: string): number {
  return [...text].reduce((sum, character) => sum + (MARK.test(character) ? 0 : WIDE.test(character) ? 2 : 1), 0);
}

const MARK = /\p{Mn}/u;
const WIDE = /[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\u3000-\u303f\uff01-\uff60]/u;

#!/usr/bin/env node
/** The command `asr-client-ts`: sends recordings to the gateway and prints the text. */

import { createReadStream, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type Arguments, parse, USAGE } from "./arguments.js";
import { type DecodingConfig, linear16, readWav, RecognitionClient } from "./index.js";
import { type CallReport, Report } from "./report.js";
import { Pieces } from "./wav.js";

const EXIT = { ok: 0, failed: 1, unusable: 2, interrupted: 130 } as const;
const MESSAGES_PER_SECOND = 10;

/** Audio that can be sent. */
interface Recording {
  readonly format: DecodingConfig;
  readonly pieces: Pieces;
  readonly length: number;
}

async function main(given: string[]): Promise<number> {
  let report = new Report(process.stdout, process.stderr, false);
  let options: Arguments;
  let client: RecognitionClient;
  let recordings: Recording[];
  try {
    options = parse(given);
    if (options.help) {
      process.stdout.write(USAGE);
      return EXIT.ok;
    }
    report = new Report(process.stdout, process.stderr, options.files.length > 1);
    client = connect(options, report);
    recordings = await Promise.all(options.files.map((name) => open(name, options.rate)));
  } catch (error) {
    report.complain(`${error instanceof Error ? error.message : error}; --help lists the options`);
    return EXIT.unusable;
  }
  const interrupt = new AbortController();
  process.once("SIGINT", () => interrupt.abort()).once("SIGTERM", () => interrupt.abort());
  const calls = recordings.map((recording, number) =>
    recognize(client, options, recording, report.call(number), interrupt.signal),
  );
  const isOk = (await Promise.all(calls)).every(Boolean);
  report.interim("");
  client.close();
  return interrupt.signal.aborted ? EXIT.interrupted : isOk ? EXIT.ok : EXIT.failed;
}

function connect(options: Arguments, report: Report): RecognitionClient {
  const keyFile = options["api-key-file"];
  return new RecognitionClient(options.target, {
    apiKey: keyFile ? readFileSync(keyFile, "utf8").trim() : process.env["ASR_API_KEY"] || undefined,
    tls: options.ca ? { ca: readFileSync(options.ca) } : options.tls ? {} : undefined,
    reconnect: !options["no-reconnect"],
    onRetry: (failure, waitMs) => report.note(`warning: ${failure}; trying again in ${(waitMs / 1000).toFixed(1)} s`),
  });
}

async function open(name: string, rate: number): Promise<Recording> {
  if (name === "-") {
    return { format: linear16(rate), pieces: new Pieces(process.stdin), length: Infinity };
  }
  try {
    return await readWav(createReadStream(name));
  } catch (error) {
    throw error instanceof TypeError ? new TypeError(`${name}: ${error.message}`) : error;
  }
}

/** Runs one call and says whether it ended well. */
async function recognize(
  client: RecognitionClient,
  options: Arguments,
  recording: Recording,
  report: CallReport,
  signal: AbortSignal,
): Promise<boolean> {
  const languageCodes = options.language ? [options.language] : [];
  const config = { model: options.model, decodingConfig: recording.format, languageCodes, interimResults: true };
  const { timeoutMs } = options;
  try {
    for await (const response of client.recognize(config, messages(recording, options.fast, report, signal), {
      signal,
      timeoutMs,
    })) {
      report.received(response);
    }
    return true;
  } catch (error) {
    if (!signal.aborted) {
      report.failed(error);
    }
    return false;
  }
}

/** Yields a recording, message n at n tenths of a second after the first one. */
async function* messages(
  { format, pieces, length }: Recording,
  isFast: boolean,
  report: CallReport,
  signal: AbortSignal,
) {
  const { sampleRateHertz = 0, audioChannelCount = 1 } = format;
  const size = Math.max(1, Math.floor(sampleRateHertz / MESSAGES_PER_SECOND)) * 2 * audioChannelCount;
  let begin: number | undefined;
  let left = length;
  for (let number = 0; left > 0; number++) {
    const message = await pieces.read(Math.min(size, left));
    if (message.length === 0) {
      break;
    }
    begin ??= performance.now(); // Reading the first message may take a while.
    if (!isFast) {
      const waitMs = begin + (number * 1000) / MESSAGES_PER_SECOND - performance.now();
      await sleep(Math.max(0, waitMs), undefined, { signal });
    }
    report.sent();
    yield message;
    left -= message.length;
  }
  report.closed();
}

// Standard input may still be open, and would keep the process.
process.exit(await main(process.argv.slice(2)));

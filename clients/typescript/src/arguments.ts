/** The arguments of the command. */

import { parseArgs } from "node:util";

export const USAGE = `usage: asr-client-ts [OPTION]... FILE...

Sends WAV files at speaking speed, all at the same time, and prints one line for each final result; with more than one
file it begins with the number of the file, from 0. The file - is raw 16-bit mono audio from standard input.

  --target HOST:PORT   the gateway; default: 127.0.0.1:50051
  --model M            the model, or an alias; default: the gateway's
  --language L         the language that is spoken, such as en-US
  --rate HZ            samples per second of raw audio; default: 16000
  --fast               send as fast as the gateway accepts it
  --timeout S          end the calls after so many seconds
  --tls                encrypt the connection
  --ca FILE            trust the authorities in this PEM file only; implies --tls
  --api-key-file FILE  read the key from this file; default: the variable ASR_API_KEY
  --no-reconnect       end with the first error of a gateway
  --help               print this
`;

const OPTIONS = {
  target: { type: "string", default: "127.0.0.1:50051" },
  model: { type: "string", default: "" },
  language: { type: "string" },
  rate: { type: "string", default: "16000" },
  fast: { type: "boolean", default: false },
  timeout: { type: "string" },
  tls: { type: "boolean", default: false },
  ca: { type: "string" },
  "api-key-file": { type: "string" },
  "no-reconnect": { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

export type Arguments = ReturnType<typeof parse>;

/**
 * Reads the arguments.
 *
 * @throws {TypeError} They cannot be used; the message says why.
 */
export function parse(given: string[]) {
  const { values, positionals: files } = parseArgs({ args: given, options: OPTIONS, allowPositionals: true });
  if (files.length === 0 && !values.help) {
    throw new TypeError("name at least one file");
  }
  const rate = within(values.rate, 4000, 192_000, "--rate");
  const timeoutMs = values.timeout === undefined ? undefined : within(values.timeout, 0.001, 2e6, "--timeout") * 1000;
  return { ...values, files, rate, timeoutMs };
}

function within(text: string, least: number, most: number, name: string): number {
  const value = Number(text);
  if (!(value >= least && value <= most)) {
    throw new TypeError(`${name} is from ${least} to ${most}`);
  }
  return value;
}

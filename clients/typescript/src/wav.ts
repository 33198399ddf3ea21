/** The header of WAV files, so that their samples can be sent as LINEAR16. */

import { create } from "@bufbuild/protobuf";
import { AudioEncoding, type DecodingConfig, DecodingConfigSchema } from "./gen/asrgateway/v1/recognition_pb.js";

const PCM = 1;
const EXTENSIBLE = 0xfffe;
/** A recorder that could not rewrite its header left 0 or about the largest number in place of the length. */
const UNKNOWN_FROM = 0xffffff00;

const MAX_FORMAT_BYTES = 1 << 16;

/** Reads a source in pieces of a chosen size. */
export class Pieces {
  readonly #source: AsyncIterator<Uint8Array>;
  #held: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** The next bytes: as many as asked for, fewer at the end, none after it. */
  async read(size: number): Promise<Buffer> {
    const parts: Uint8Array[] = [this.#held];
    let length = this.#held.length;
    while (length < size) {
      const { done, value } = await this.#source.next();
      if (done) {
        break;
      }
      parts.push(value);
      length += value.length;
    }
    const all = parts.length > 1 ? Buffer.concat(parts) : this.#held;
    this.#held = all.subarray(size);
    return all.subarray(0, size);
  }
}

export interface WavStream {
  readonly format: DecodingConfig;
  /** The samples follow. */
  readonly pieces: Pieces;
  /** Bytes of samples; Infinity if the header does not say. */
  readonly length: number;
}

/**
 * Reads the header of a WAV stream with 16-bit PCM samples.
 *
 * @throws {TypeError} It is something else; the message says what.
 */
export async function readWav(source: AsyncIterable<Uint8Array>): Promise<WavStream> {
  const pieces = new Pieces(source);
  const start = await pieces.read(12);
  if (start.toString("latin1", 0, 4) !== "RIFF" || start.toString("latin1", 8) !== "WAVE") {
    throw new TypeError("it is not a WAV file");
  }
  let format: DecodingConfig | undefined;
  for (;;) {
    const header = await exactly(pieces, 8);
    const name = header.toString("latin1", 0, 4);
    const size = header.readUInt32LE(4);
    if (name === "data") {
      return { format: known(format), pieces, length: size === 0 || size >= UNKNOWN_FROM ? Infinity : size };
    }
    const body = await exactly(pieces, size + (size % 2), name === "fmt ");
    format = name === "fmt " ? formatIn(body) : format;
  }
}

/** Describes 16-bit little-endian samples without a header. */
export function linear16(sampleRateHertz: number, audioChannelCount = 1): DecodingConfig {
  return create(DecodingConfigSchema, { encoding: AudioEncoding.LINEAR16, sampleRateHertz, audioChannelCount });
}

async function exactly(pieces: Pieces, size: number, isKept = true): Promise<Buffer> {
  let last: Buffer = Buffer.alloc(0);
  if (isKept && size > MAX_FORMAT_BYTES) {
    throw new TypeError("its header has no format");
  }
  for (let left = size; left > 0; left -= last.length) {
    last = await pieces.read(isKept ? left : Math.min(left, MAX_FORMAT_BYTES));
    if (last.length === 0 || (isKept && last.length < left)) {
      throw new TypeError("it ends inside its header");
    }
  }
  return last;
}

function known(format: DecodingConfig | undefined): DecodingConfig {
  if (format === undefined) {
    throw new TypeError("its header has no format");
  }
  return format;
}

function formatIn(body: Buffer): DecodingConfig {
  const tag = body.length >= 16 ? body.readUInt16LE(0) : 0;
  const codec = tag === EXTENSIBLE && body.length >= 26 ? body.readUInt16LE(24) : tag;
  if (codec !== PCM || body.readUInt16LE(14) !== 16) {
    throw new TypeError("its samples are not 16-bit PCM");
  }
  return linear16(body.readUInt32LE(4), body.readUInt16LE(2));
}

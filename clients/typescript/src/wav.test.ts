import assert from "node:assert/strict";
import test from "node:test";
import { readWav } from "./wav.js";

function chunk(name: string, body: Buffer, size = body.length): Buffer {
  const header = Buffer.alloc(8);
  header.write(name, "latin1");
  header.writeUInt32LE(size, 4);
  return Buffer.concat([header, body, Buffer.alloc(body.length % 2)]);
}

function format({ tag = 1, channels = 1, rate = 16_000, bits = 16 } = {}): Buffer {
  const body = Buffer.alloc(16);
  body.writeUInt16LE(tag, 0);
  body.writeUInt16LE(channels, 2);
  body.writeUInt32LE(rate, 4);
  body.writeUInt16LE(bits, 14);
  return chunk("fmt ", body);
}

async function* wav(...chunks: Buffer[]): AsyncGenerator<Uint8Array> {
  // Byte by byte: what comes together must not matter.
  for (const byte of Buffer.concat([Buffer.from("RIFF....WAVE"), ...chunks])) {
    yield Uint8Array.of(byte);
  }
}

test("the header has rate and channels, and the samples follow", async () => {
  const read = await readWav(wav(format({ rate: 8000, channels: 2 }), chunk("data", Buffer.from("abcd"))));
  assert.equal(read.format.sampleRateHertz, 8000);
  assert.equal(read.format.audioChannelCount, 2);
  assert.equal(read.length, 4);
  assert.equal((await read.pieces.read(10)).toString(), "abcd");
});

test("other chunks are skipped", async () => {
  const read = await readWav(wav(chunk("LIST", Buffer.from("odd")), format(), chunk("data", Buffer.from("ab"))));
  assert.equal((await read.pieces.read(2)).toString(), "ab");
});

test("the length of a stream is not known", async () => {
  const read = await readWav(wav(format(), chunk("data", Buffer.from("ab"), 0xffffffff)));
  assert.equal(read.length, Infinity);
});

for (const [what, source, message] of [
  ["a text", [Buffer.alloc(0)], /ends inside/],
  ["8-bit audio", [format({ bits: 8 })], /16-bit PCM/],
  ["compressed audio", [format({ tag: 85 })], /16-bit PCM/],
  ["samples without a format", [chunk("data", Buffer.from("ab"))], /no format/],
  ["an absurd format", [chunk("fmt ", Buffer.alloc(0), 1 << 30)], /no format/],
] as const) {
  test(`${what} is refused`, async () => {
    await assert.rejects(readWav(wav(...source)), message);
  });
}

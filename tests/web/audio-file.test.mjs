import assert from "node:assert/strict";
import test from "node:test";

import { wavSound } from "../../clients/web/audio-file.js";

function wav({ coding = 1, channels = 1, bits = 16, samples = [], declared = 2 * samples.length, before = [] }) {
  const header = Buffer.alloc(28);
  header.write("WAVEfmt ", 0);
  header.writeUInt32LE(16, 8);
  header.writeUInt16LE(coding, 12);
  header.writeUInt16LE(channels, 14);
  header.writeUInt32LE(44100, 16);
  header.writeUInt16LE(bits, 26);
  const data = Buffer.alloc(8 + 2 * samples.length);
  data.write("data", 0);
  data.writeUInt32LE(declared, 4);
  samples.forEach((sample, index) => data.writeInt16LE(sample, 8 + 2 * index));
  const file = Buffer.concat([Buffer.from("RIFF\0\0\0\0"), header, Buffer.from(before), data]);
  return new Uint8Array(file).buffer;
}

test("a WAV file's samples stay as they are, at its own rate", () => {
  assert.deepEqual(wavSound(wav({ samples: [1, -2, 3] })), { samples: Int16Array.of(1, -2, 3), sampleRate: 44100 });
});

test("channels are mixed", () => {
  assert.deepEqual(wavSound(wav({ channels: 2, samples: [10, 20, -4, 4] })).samples, Int16Array.of(15, 0));
});

test("other chunks are passed over, with their padding", () => {
  const before = [...Buffer.from("LIST"), 3, 0, 0, 0, 1, 2, 3, 0];
  assert.deepEqual(wavSound(wav({ before, samples: [7] })).samples, Int16Array.of(7));
});

test("a stream whose header declares too much has what it has", () => {
  assert.deepEqual(wavSound(wav({ samples: [7], declared: 0xffffffff })).samples, Int16Array.of(7));
});

test("other codings and other files are left to the browser", () => {
  assert.equal(wavSound(wav({ coding: 3 })), null);
  assert.equal(wavSound(wav({ bits: 24 })), null);
  assert.equal(wavSound(new Uint8Array(Buffer.from("OggS and so on ...")).buffer), null);
});

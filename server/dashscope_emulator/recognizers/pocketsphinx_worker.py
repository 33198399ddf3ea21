"""The process of the emulator's real decoder, which holds the interpreter's lock for half a second at a time.

Frames come on standard input: a kind (one byte), a length (four, little-endian), so many bytes. ``R`` begins a stream
at the sample rate its first four bytes say, and a JSON object follows: the weights of words to expect. ``A`` is audio
of it, ``C`` ends the open segment, ``H`` is a JSON object of other words to expect from the next silence on. Lines go
out, JSON: ``["ready"]`` answers ``R``, ``["done"]`` answers ``C``, ``["audio", ms]`` says how much audio has come;
anything else is a segment of speech: final or not, begin, end, and for each word its text, begin and end, in
milliseconds. End of file ends the process.
"""

from __future__ import annotations

import json
import signal
import struct
import sys
from collections.abc import Callable
from typing import BinaryIO, Final

import av

from asrgateway_server.vendors.pocketsphinx.decoder import SAMPLE_RATE_HERTZ, Hypothesis, SpeechDecoder

FRAME: Final = struct.Struct("<cI")
RATE: Final = struct.Struct("<I")


def serve(frames: BinaryIO, answers: BinaryIO) -> None:
    """Answer frames until there are no more."""
    session = DecoderSession(answers)
    while len(head := frames.read(FRAME.size)) == FRAME.size:
        kind, size = FRAME.unpack(head)
        data = frames.read(size)
        match kind:
            case b"R":
                (rate_hertz,) = RATE.unpack_from(data)
                session.begin(rate_hertz, json.loads(data[RATE.size :]))
            case b"A":
                session.feed(data)
            case b"H":
                session.expect(json.loads(data))
            case _:
                session.commit()


class DecoderSession:
    """The decoder, and the state of its stream."""

    def __init__(self, answers: BinaryIO) -> None:
        self._answers = answers
        self._decoder = SpeechDecoder()
        self._convert = _resampler(SAMPLE_RATE_HERTZ)
        self._expected: dict[str, int] = {}
        self._is_open = False
        self._bytes = 0
        self._offset_ms = 0  # of the audio before the decoder was last reset

    def begin(self, rate_hertz: int, expected: dict[str, int]) -> None:
        """Begin a stream."""
        self._decoder.reset(expected)
        self._convert = _resampler(rate_hertz)
        self._expected = expected
        self._is_open = False
        self._bytes = self._offset_ms = 0
        _answer(self._answers, ["ready"])

    def feed(self, data: bytes) -> None:
        """Decode audio; answer what has changed."""
        pcm = self._convert(data)
        self._bytes += len(pcm)
        for hypothesis in self._decoder.feed(pcm):
            self._answer_segment(hypothesis)
        _answer(self._answers, ["audio", self._audio_ms])
        self._adapt()

    def expect(self, expected: dict[str, int]) -> None:
        """Expect other words, once the open segment is over."""
        self._expected = expected
        self._adapt()
        _answer(self._answers, ["expects"])

    def commit(self) -> None:
        """End the open segment."""
        if final := self._decoder.commit():
            self._answer_segment(final)
        _answer(self._answers, ["done"])
        self._adapt()

    def _adapt(self) -> None:
        if not self._is_open and self._decoder.hotwords != self._expected:
            self._offset_ms = self._audio_ms
            self._decoder.reset(self._expected)

    @property
    def _audio_ms(self) -> int:
        return self._bytes * 1000 // (SAMPLE_RATE_HERTZ * 2)

    def _answer_segment(self, hypothesis: Hypothesis) -> None:
        self._is_open = not hypothesis.is_final
        begin, end = hypothesis.start_ms + self._offset_ms, hypothesis.end_ms + self._offset_ms
        words = [
            (word.text, word.start_ms + self._offset_ms, word.end_ms + self._offset_ms) for word in hypothesis.words
        ]
        _answer(self._answers, [hypothesis.is_final, begin, end, words])


def _answer(answers: BinaryIO, answer: list[object]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


def _resampler(rate_hertz: int) -> Callable[[bytes], bytes]:
    """Return what converts audio of that rate to the decoder's."""
    if rate_hertz == SAMPLE_RATE_HERTZ:
        return bytes
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HERTZ)

    def convert(pcm: bytes) -> bytes:
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
        frame.sample_rate = rate_hertz
        frame.planes[0].update(pcm)
        return b"".join(bytes(out.planes[0])[: out.samples * 2] for out in resampler.resample(frame))

    return convert


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(sys.stdin.buffer, sys.stdout.buffer)

"""The process in which the emulator's real decoder runs: it holds the interpreter's lock for half a second at a time.

Frames come on standard input: a kind (one byte), a length (four, little-endian), so many bytes. ``R`` begins a stream
at the sample rate its first four bytes say, and a JSON object follows: the weights of words to expect. ``A`` is audio
of it, ``C`` ends the open sentence. JSON lines go out: ``["ready"]`` answers ``R``, ``["done"]`` answers ``C``,
anything else is a hypothesis: final or not, begin, end, and for each word its text, begin and end, in milliseconds.
End of file ends the process.
"""

from __future__ import annotations

import json
import signal
import struct
import sys
from collections.abc import Callable
from typing import BinaryIO, Final

import av

from asrgateway_server.decoder import SAMPLE_RATE_HERTZ, Hypothesis, SpeechDecoder

FRAME: Final = struct.Struct("<cI")
RATE: Final = struct.Struct("<I")


def serve(frames: BinaryIO, answers: BinaryIO) -> None:
    """Answer frames until there are no more."""
    decoder = SpeechDecoder()
    convert = _resampler(SAMPLE_RATE_HERTZ)
    while len(head := frames.read(FRAME.size)) == FRAME.size:
        kind, size = FRAME.unpack(head)
        data = frames.read(size)
        match kind:
            case b"R":
                decoder.reset(json.loads(data[RATE.size :]))
                convert = _resampler(*RATE.unpack_from(data))
                _answer(answers, ["ready"])
            case b"A":
                for hypothesis in decoder.feed(convert(data)):
                    _say(answers, hypothesis)
            case _:
                if final := decoder.commit():
                    _say(answers, final)
                _answer(answers, ["done"])


def _say(answers: BinaryIO, hypothesis: Hypothesis) -> None:
    words = [(word.text, word.start_ms, word.end_ms) for word in hypothesis.words]
    _answer(answers, [hypothesis.is_final, hypothesis.start_ms, hypothesis.end_ms, words])


def _answer(answers: BinaryIO, answer: list[object]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


def _resampler(rate_hertz: int) -> Callable[[bytes], bytes]:
    """What turns audio of that rate into the decoder's."""
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

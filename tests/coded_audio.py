"""Speech and chirps in every encoding of the contract: made by FFmpeg, or for what that cannot by `make_samples.py`."""

from __future__ import annotations

import io
import math
from array import array
from collections.abc import Iterator
from functools import cache
from operator import mul
from pathlib import Path
from typing import Any, Final

import av

from asrgateway_server.audio.decoder import AudioDecoder
from asrgateway_server.audio.encodings import open_decoder
from asrgateway_server.config import AudioFormat, Encoding
from coded_speech import pcm as speech

HERE = Path(__file__).parent
RATE_HERTZ: Final = 16_000

#: Container, codec and rate of those that FFmpeg makes.
_MADE: Final = {
    Encoding.WAV: ("wav", "pcm_s16le", 16_000),
    Encoding.MULAW: ("mulaw", "pcm_mulaw", 16_000),
    Encoding.ALAW: ("alaw", "pcm_alaw", 16_000),
    Encoding.FLAC: ("flac", "flac", 16_000),
    Encoding.MP3: ("mp3", "libmp3lame", 16_000),
    Encoding.OGG_OPUS: ("ogg", "libopus", 48_000),
    Encoding.WEBM_OPUS: ("webm", "libopus", 48_000),
    Encoding.AAC: ("adts", "aac", 16_000),
    Encoding.AMR: ("amr", "libopencore_amrnb", 8_000),
}
#: So that the embedded recogniser understands what is left.
_OPTIONS: Final = {Encoding.MP3: {"b": "96000"}, Encoding.AMR: {"b": "12200"}}
_FILES: Final = {Encoding.OGG_SPEEX: "spx", Encoding.AMR_WB: "awb"}
#: Those in packets.
CODED: Final = (
    Encoding.FLAC,
    Encoding.MP3,
    Encoding.OGG_OPUS,
    Encoding.WEBM_OPUS,
    Encoding.AAC,
    Encoding.AMR,
    Encoding.AMR_WB,
    Encoding.OGG_SPEEX,
)
ALL: Final = (*_MADE, *_FILES)

CHIRP_SECONDS: Final = (0.25, 0.9, 1.7, 2.5)
_CHIRP_LASTS: Final = 0.06


def chirp(rate_hertz: int) -> list[float]:
    """A tone that rises from 300 to 1,500 Hz and is loudest in its middle."""
    count = round(_CHIRP_LASTS * rate_hertz)
    return [
        math.sin(2 * math.pi * (300 * t + 10_000 * t * t)) * math.sin(math.pi * number / count) ** 2
        for number in range(count)
        for t in (number / rate_hertz,)
    ]


def chirps() -> bytes:
    """Three seconds at 16 kHz with a chirp at each of ``CHIRP_SECONDS``."""
    samples = array("h", bytes(3 * RATE_HERTZ * 2))
    for begin in CHIRP_SECONDS:
        for number, value in enumerate(chirp(RATE_HERTZ)):
            samples[round(begin * RATE_HERTZ) + number] = round(16_000 * value)
    return samples.tobytes()


def lateness_ms(pcm: bytes, rate_hertz: int, begin_seconds: float) -> float:
    """How much later than it should a chirp is in mono audio, by correlation within 80 ms."""
    samples, wanted = array("h", pcm), chirp(rate_hertz)
    begin, most = round(begin_seconds * rate_hertz), round(0.08 * rate_hertz)

    def likeness(shift: int) -> float:
        products: Iterator[float] = map(mul, samples[begin + shift : begin + shift + len(wanted)], wanted)
        return sum(products)

    return max(range(-most, most + 1), key=likeness) * 1000 / rate_hertz


@cache
def coded_speech(encoding: Encoding) -> bytes:
    """The recording of the boy."""
    return _coded(encoding, speech(), "speech")


@cache
def coded_chirps(encoding: Encoding) -> bytes:
    """The chirps."""
    return _coded(encoding, chirps(), "chirps")


def _coded(encoding: Encoding, pcm: bytes, name: str) -> bytes:
    if encoding in _FILES:
        return (HERE / f"{name}.{_FILES[encoding]}").read_bytes()
    container, codec, rate_hertz = _MADE[encoding]
    return encode(pcm, container, codec, rate_hertz, 1, **_OPTIONS.get(encoding, {}))


def encode(pcm: bytes, container: str, codec: str, rate_hertz: int, channel_count: int = 1, **options: str) -> bytes:
    """Audio at 16 kHz, mono, as a file."""
    frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
    frame.planes[0].update(pcm)
    return _file_of(frame, container, codec, rate_hertz, "mono" if channel_count == 1 else "stereo", options)


def stereo_flac(pcm: bytes) -> bytes:
    """Audio at 16 kHz, two interleaved channels, as a FLAC file."""
    frame = av.AudioFrame(format="s16", layout="stereo", samples=len(pcm) // 4)
    frame.planes[0].update(pcm)
    return _file_of(frame, "flac", "flac", RATE_HERTZ, "stereo", {})


def _file_of(
    frame: av.AudioFrame, container: str, codec: str, rate_hertz: int, layout: str, options: dict[str, str]
) -> bytes:
    frame.sample_rate = RATE_HERTZ
    output = io.BytesIO()
    with av.open(output, "w", format=container) as target:
        stream: Any = target.add_stream(codec, rate=rate_hertz, options=options)  # Any: of video or audio
        stream.layout = layout
        resampler = av.AudioResampler(format=stream.format.name, layout=layout, rate=rate_hertz)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            target.mux(stream.encode(part))
        target.mux(stream.encode(None))
    return output.getvalue()


def format_of(encoding: Encoding) -> AudioFormat:
    """What a client declares."""
    is_bare = encoding in (Encoding.MULAW, Encoding.ALAW)
    return AudioFormat(encoding=encoding, sample_rate_hertz=RATE_HERTZ if is_bare else None)


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """The data in pieces."""
    return (data[start : start + size] for start in range(0, len(data), size))


def decoded(encoding: Encoding, data: bytes, size: int | None = None) -> bytes:
    """All PCM of a stream that arrives in pieces."""
    return decoded_by(open_decoder(format_of(encoding)), data, size)


def decoded_by(decoder: AudioDecoder, data: bytes, size: int | None = None) -> bytes:
    """All PCM that a decoder returns."""
    pcm = [part for piece in pieces(data, size or max(1, len(data))) for part in steps(decoder, piece)]
    return b"".join((*pcm, decoder.flush()))


def steps(decoder: AudioDecoder, data: bytes) -> Iterator[bytes]:
    """What a decoder returns for a message, step by step."""
    yield decoder.decode(data)
    while decoder.has_more:
        yield decoder.decode(b"")


def seconds(decoder: AudioDecoder, pcm: bytes) -> float:
    """How long PCM is."""
    assert decoder.pcm_format is not None
    return len(pcm) / decoder.pcm_format.frame_bytes / decoder.pcm_format.sample_rate_hertz

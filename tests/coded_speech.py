"""Speech in the codes that vendor programs send, made by FFmpeg from a recording of this project."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any

import av

BOY = Path(__file__).parents[1] / "clients" / "recordings" / "boy.wav"
#: FFmpeg has no encoder for Speex: made of the same recording by ``speexenc -w``.
SPEEX = Path(__file__).with_name("boy.spx")

FILES = {"wav": BOY, "speex": SPEEX}
#: Container, codec and rate of the others.
CODECS = {
    "opus": ("ogg", "libopus", 48_000),
    "mp3": ("mp3", "libmp3lame", 16_000),
    "aac": ("adts", "aac", 16_000),
    "amr": ("amr", "libopencore_amrnb", 8_000),
}


def pcm() -> bytes:
    """The recording: 16 kHz, mono, 16-bit."""
    with wave.open(str(BOY)) as file:
        frames: bytes = file.readframes(file.getnframes())
    return frames


def encoded(container: str, codec: str, rate_hertz: int, **options: str) -> bytes:
    """The recording as a file."""
    output = io.BytesIO()
    with av.open(str(BOY)) as source, av.open(output, "w", format=container) as target:
        stream: Any = target.add_stream(codec, rate=rate_hertz, options=options)  # Any: of video or audio
        stream.layout = "mono"
        resampler = av.AudioResampler(format=stream.format.name, layout="mono", rate=rate_hertz)
        for frame in (*source.decode(audio=0), None):
            for part in resampler.resample(frame):
                target.mux(stream.encode(part))
        target.mux(stream.encode(None))
    return output.getvalue()


def opus_packets() -> list[bytes]:
    """The recording as Opus packets of 20 ms, without a container."""
    with av.open(io.BytesIO(coded("opus")), "r") as file:
        return [bytes(packet) for packet in file.demux() if packet.size]


def coded(name: str) -> bytes:
    """The recording in a format of the vendor's names."""
    if name in FILES:
        return FILES[name].read_bytes()
    return encoded(*CODECS[name])

"""What decoding costs: processor time for each second of audio, and the longest step, by encoding.

    PYTHONPATH=tests python -m decoding_costs

Speech of 18 s arrives in messages of 100 ms, as in a live call, and comes out as 16 kHz mono; steps are also taken of
the whole recording at once. Set-up is included once for each call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from asrgateway_server.audio.pipeline import AudioPipeline
from asrgateway_server.config import AudioFormat, Encoding
from coded_audio import coded_speech, encode, format_of, pieces
from coded_speech import pcm as speech
from containers import flac_frame, flac_info

_REPEATS: Final = 8
_SECONDS: Final = len(speech()) * _REPEATS / 32_000
_LONG: Final[Mapping[Encoding, Callable[[], bytes]]] = {
    Encoding.LINEAR16: lambda: speech() * _REPEATS,
    Encoding.MULAW: lambda: encode(speech() * _REPEATS, "mulaw", "pcm_mulaw", 16_000),
    Encoding.WAV: lambda: encode(speech() * _REPEATS, "wav", "pcm_f32le", 16_000),
    Encoding.FLAC: lambda: encode(speech() * _REPEATS, "flac", "flac", 16_000),
    Encoding.MP3: lambda: encode(speech() * _REPEATS, "mp3", "libmp3lame", 16_000),
    Encoding.OGG_OPUS: lambda: encode(speech() * _REPEATS, "ogg", "libopus", 48_000, b="24000", application="voip"),
    Encoding.WEBM_OPUS: lambda: encode(speech() * _REPEATS, "webm", "libopus", 48_000, b="64000"),
    Encoding.AAC: lambda: encode(speech() * _REPEATS, "adts", "aac", 16_000),
    Encoding.AMR: lambda: encode(speech() * _REPEATS, "amr", "libopencore_amrnb", 8_000),
    Encoding.AMR_WB: lambda: coded_speech(Encoding.AMR_WB),
    Encoding.OGG_SPEEX: lambda: coded_speech(Encoding.OGG_SPEEX),
}
_DECODED_BYTES: Final = 16 * 1024


def steps(audio: AudioFormat, data: bytes, message_bytes: int) -> Iterator[float]:
    """Yield how long each step takes."""
    pipeline = AudioPipeline(audio, 16_000)
    for piece in pieces(data, min(message_bytes, _DECODED_BYTES)):
        is_first = True
        while is_first or pipeline.has_more:
            began = time.thread_time()
            pipeline.feed(piece if is_first else b"")
            yield time.thread_time() - began
            is_first = False


def main() -> None:
    """Print a table."""
    print("| Encoding | ms for each second of audio | longest step, ms | of a whole file, ms |\n|---|---|---|---|")  # noqa: T201 - a command
    for encoding, make in _LONG.items():
        data = make()
        seconds = len(speech()) / 32_000 if encoding in (Encoding.AMR_WB, Encoding.OGG_SPEEX) else _SECONDS
        is_linear = encoding is Encoding.LINEAR16
        audio = AudioFormat(sample_rate_hertz=16_000) if is_linear else format_of(encoding)
        live = min(([*steps(audio, data, round(len(data) / seconds / 10))] for _ in range(3)), key=sum)
        whole = min(max(steps(audio, data, 1 << 20)) for _ in range(3))
        print(f"| {encoding.name} | {sum(live) / seconds * 1000:.2f} | {max(live) * 1000:.1f} | {whole * 1000:.1f} |")  # noqa: T201 - a command
    hostile = {
        "FLAC, frames of 65,535 samples": (
            Encoding.FLAC,
            flac_info() + b"".join(flac_frame(n, samples=65_535) for n in range(5)),
        ),
        "MP3, garbage that looks like headers": (Encoding.MP3, bytes.fromhex("fff358c0") * 4_000),
        "AMR, random bytes": (Encoding.AMR, bytes(range(256)) * 60),
        "Ogg, pages that are none": (Encoding.OGG_OPUS, b"OggS\0\1" * 2_700),
        "WebM, clusters that are none": (Encoding.WEBM_OPUS, bytes.fromhex("1f43b675ff00") * 2_500),
        "FLAC, garbage that looks like headers": (Encoding.FLAC, bytes.fromhex("fff87508") * 4_000),
    }
    for name, (encoding, data) in hostile.items():
        print(f"| {name} | | | {min(max(steps(format_of(encoding), data, 1 << 20)) for _ in range(3)) * 1000:.1f} |")  # noqa: T201 - a command


if __name__ == "__main__":
    main()

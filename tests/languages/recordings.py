"""Recordings of marked audio, and the gateway that reads them."""

from __future__ import annotations

import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from dashscope_emulator.recognizers.markers import MarkerScript, marker_audio, silent_audio
from emulated_vendor import vendor_and_gateway

MODEL: Final = "paraformer-realtime-v2"
_BLOCKS_PER_WORD: Final = 30
#: A second, after which the emulator ends a sentence.
_PAUSE_BLOCKS: Final = 100


def sentences(lengths: Sequence[int], sample_rate_hertz: int = 16_000) -> bytes:
    """Sentences of so many words of 0.3 s, and a second of silence after each: mono, 16-bit little-endian."""
    parts, word = [], 0
    for length in lengths:
        parts.append(marker_audio(word * _BLOCKS_PER_WORD, length * _BLOCKS_PER_WORD, sample_rate_hertz))
        parts.append(silent_audio(_PAUSE_BLOCKS, sample_rate_hertz))
        word += length
    return b"".join(parts)


def write_wav(path: Path, audio: bytes, sample_rate_hertz: int = 16_000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate_hertz)
        file.writeframes(audio)
    return path


@asynccontextmanager
async def scripted_gateway(*words: str, **settings: Any) -> AsyncIterator[str]:
    """A gateway whose recogniser reads these words in marked audio, and `w{n}` after them; yields its address."""
    emulator = {"script": MarkerScript(words=words)}
    async with vendor_and_gateway(emulator=emulator, **settings) as (_, gateway, _):
        yield str(gateway.address)

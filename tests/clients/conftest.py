"""A scripted gateway on loopback, and a recording to send to it."""

import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asrgateway import AudioEncoding, DecodingConfig, StreamingConfig
from scripted_gateway import Gateway, Script, running_scripts


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    script = Script()
    async with running_scripts(script) as target:
        yield Gateway(target=target, script=script)


@pytest.fixture
def config() -> StreamingConfig:
    decoding_config = DecodingConfig(encoding=AudioEncoding.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=16000)
    return StreamingConfig(decoding_config=decoding_config)


@pytest.fixture
def wav_file(tmp_path: Path) -> Path:
    """Hold 0.2 s of silence in two channels at 8000 Hz."""
    path = tmp_path / "speech.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(4 * 1600))
    return path

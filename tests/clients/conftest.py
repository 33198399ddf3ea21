"""A scripted gateway on loopback, and a recording to send to it."""

import wave
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from asrgateway import AudioEncoding, DecodingConfig, StreamingConfig
from asrgateway.v1.recognition_pb2_grpc import add_SpeechRecognitionServiceServicer_to_server
from scripted_gateway import Gateway, Script, ScriptedServicer


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    script = Script()
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    add_SpeechRecognitionServiceServicer_to_server(ScriptedServicer(script), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield Gateway(target=f"127.0.0.1:{port}", script=script)
    await server.stop(None)


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

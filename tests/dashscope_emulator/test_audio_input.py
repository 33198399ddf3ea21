"""Every format that the vendor names, as vendor programs send it, in both dialects."""

from __future__ import annotations

import base64
import json
import os
import random
import struct
from typing import Any

import aiohttp
import pytest

from coded_speech import coded, encoded, opus_packets, pcm
from dashscope_emulator.audio_input import AudioInput, open_input
from dashscope_emulator.plain_audio import UndecodableAudio

TEXT = "the boy was there when the sun rose"
FORMATS = ("wav", "opus", "mp3", "aac", "amr", "speex")
WINDOW_MS = 20


def envelope(samples: bytes, rate_hertz: int) -> list[float]:
    """How loud each window is."""
    size = rate_hertz * WINDOW_MS // 1000
    values = struct.unpack(f"<{len(samples) // 2}h", samples)
    windows = [values[i : i + size] for i in range(0, len(values) - size, size)]
    return [(sum(value * value for value in window) / size) ** 0.5 for window in windows]


def likeness(one: list[float], other: list[float]) -> float:
    """Correlation of two envelopes, the one moved by up to 100 ms, which a codec may take."""

    def correlation(a: list[float], b: list[float]) -> float:
        size = min(len(a), len(b))
        a, b = a[:size], b[:size]
        mean_a, mean_b = sum(a) / size, sum(b) / size
        both = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
        spread: float = sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b)
        quotient: float = both / spread**0.5
        return quotient

    return max(correlation(one, other[shift:]) for shift in range(6))


def decode(audio_input: AudioInput, pieces: list[bytes]) -> bytes:
    return b"".join(map(audio_input.feed, pieces)) + audio_input.end()


@pytest.fixture(scope="module")
def original() -> list[float]:
    return envelope(pcm(), 16_000)


@pytest.mark.parametrize(
    ("name", "rate_hertz"),
    [(name, rate_hertz) for name in FORMATS for rate_hertz in (16_000, 8_000) if (name, rate_hertz) != ("wav", 8_000)],
)
def test_each_format_is_decoded_at_the_declared_rate(name: str, rate_hertz: int, original: list[float]) -> None:
    samples = decode(open_input(name, rate_hertz), [coded(name)])
    assert len(samples) / 2 / rate_hertz == pytest.approx(len(pcm()) / 32_000, abs=0.15)
    assert likeness(original, envelope(samples, rate_hertz)) > 0.95


@pytest.mark.parametrize("name", FORMATS)
def test_how_coded_audio_is_cut_does_not_matter(name: str) -> None:
    data = coded(name)
    whole = decode(open_input(name, 16_000), [data])
    cuts = random.Random(5)
    for longest in (3, 40, 5000):
        pieces, begin = [], 0
        while begin < len(data):
            size = cuts.randint(1, longest)
            pieces.append(data[begin : begin + size])
            begin += size
        assert decode(open_input(name, 16_000), pieces) == whole


def test_opus_packets_need_no_container(original: list[float]) -> None:
    samples = decode(open_input("opus", 16_000), opus_packets())
    assert likeness(original, envelope(samples, 16_000)) > 0.95


def test_the_rate_may_change_within_the_audio() -> None:
    """A player that goes on to its next file."""
    data = [encoded("mp3", "libmp3lame", rate_hertz) for rate_hertz in (16_000, 44_100)]
    samples = decode(open_input("mp3", 16_000), data)
    assert len(samples) / len(pcm()) == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize(
    ("name", "head"), [(name, coded(name)[:7]) for name in FORMATS] + [("opus", b""), ("opus", b"OggS")]
)
def test_noise_is_no_audio_and_no_crash(name: str, head: bytes) -> None:
    """Whatever comes: samples, nothing, or that it cannot be decoded."""
    noise = random.Random(3)
    for size in (1, 5, 700, 100_000):
        audio_input = open_input(name, 16_000)
        try:
            decode(audio_input, [head + noise.randbytes(size), noise.randbytes(size)])
        except UndecodableAudio:
            continue


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_with_bad_bytes_is_no_crash(name: str) -> None:
    damage = random.Random(4)
    for _ in range(20 if os.environ.get("ASRGATEWAY_TEST_ALL_VALUES") else 3):
        data = bytearray(coded(name))
        for _ in range(20):
            data[damage.randrange(len(data))] = damage.randrange(256)
        try:
            decode(open_input(name, 16_000), [bytes(data)])
        except UndecodableAudio:
            continue


async def test_a_task_recognises_coded_speech(start: Any, connect: Any, sentences: Any) -> None:
    client = await connect(await start(recognizer="pocketsphinx"))
    await client.run(format="mp3")
    data = coded("mp3")
    for begin in range(0, len(data), 1024):
        await client.audio(data[begin : begin + 1024])
    assert sentences.finals(await client.finish()) == [TEXT]


@pytest.mark.parametrize("name", ["mp3", "aac", "amr", "opus", "speex"])
async def test_coded_audio_counts_as_the_time_that_it_lasts(start: Any, connect: Any, name: str) -> None:
    emulator = await start()
    client = await connect(emulator)
    await client.run(format=name)
    await client.audio(coded(name))
    events = await client.finish()
    assert events[-1]["header"]["event"] == "task-finished"
    assert emulator.journals[-1].audio_ms == pytest.approx(len(pcm()) / 32, abs=150)


@pytest.mark.parametrize(("name", "code"), [("opus", "DECODE_ERROR"), ("amr", "DECODE_ERROR")])
async def test_audio_in_another_code_fails(start: Any, connect: Any, name: str, code: str) -> None:
    client = await connect(await start())
    await client.run(format=name)
    await client.audio(b"OggS" + bytes(100_000) if name == "opus" else b"\xff" * 3200)
    assert (await client.event())["header"]["error_code"] == code


async def test_audio_in_no_code_is_no_valid_audio(start: Any, connect: Any) -> None:
    client = await connect(await start())
    await client.run(format="mp3")
    await client.audio(bytes(3200))
    assert (await client.finish())[-1]["header"]["error_code"] == "NO_VALID_AUDIO_ERROR"


@pytest.mark.parametrize("is_file", [True, False], ids=["in Ogg", "in packets"])
async def test_a_session_recognises_opus(start: Any, session: aiohttp.ClientSession, is_file: bool) -> None:
    emulator = await start(recognizer="pocketsphinx")
    url = f"{emulator.url}/api-ws/v1/realtime?model=qwen3-asr-flash-realtime"
    data = coded("opus")
    pieces = [data[i : i + 900] for i in range(0, len(data), 900)] if is_file else opus_packets()
    async with session.ws_connect(url, headers={"Authorization": "k"}) as socket:
        await socket.send_json({"type": "session.update", "session": {"input_audio_format": "opus"}})
        for piece in pieces:
            audio = base64.b64encode(piece).decode()
            await socket.send_json({"type": "input_audio_buffer.append", "audio": audio})
        await socket.send_json({"type": "session.finish"})
        events = [json.loads((await socket.receive(60)).data)]
        while events[-1]["type"] != "session.finished":
            events.append(json.loads((await socket.receive(60)).data))
    assert [event["transcript"] for event in events if "transcript" in event] == [TEXT]


async def test_the_format_of_a_session_cannot_change_once_audio_has_come(
    start: Any, session: aiohttp.ClientSession
) -> None:
    url = f"{(await start()).url}/api-ws/v1/realtime?model=qwen3-asr-flash-realtime"
    async with session.ws_connect(url, headers={"Authorization": "k"}) as socket:
        await socket.send_json({"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(3200)).decode()})
        await socket.send_json({"type": "session.update", "session": {"input_audio_format": "opus"}})
        _, error = [json.loads((await socket.receive(60)).data) for _ in range(2)]
    assert error["error"]["param"] == "session.input_audio_format"

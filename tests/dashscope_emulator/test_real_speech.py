"""Parameters act on real speech: the silence that ends a sentence, fixed words, words to expect."""

from __future__ import annotations

import base64
import json
import wave
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dashscope_emulator import Emulator

RECORDINGS = Path(__file__).parents[2] / "clients" / "recordings"
BOY, MOTHER = "the boy was there when the sun rose", "please call my mother tomorrow morning"
TRANSCRIPTION = "conversation.item.input_audio_transcription"
TIMEOUT_SECONDS = 40


def pcm(name: str) -> bytes:
    with wave.open(str(RECORDINGS / f"{name}.wav")) as file:
        frames: bytes = file.readframes(file.getnframes())
    return frames


#: About 1.2 s of silence between the two, the ends of the recordings included.
SPEECH = pcm("boy") + bytes(32 * 1000) + pcm("mother")


@pytest.fixture
async def emulator(start: Any) -> Emulator:
    made: Emulator = await start(recognizer="pocketsphinx")
    return made


async def send(client: Any, audio: bytes) -> None:
    for begin in range(0, len(audio), 3200):
        await client.audio(audio[begin : begin + 3200])


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"max_sentence_silence": 400}, [BOY, MOTHER]),
        ({"max_sentence_silence": 400, "semantic_punctuation_enabled": True}, [f"{BOY} {MOTHER}"]),
    ],
    ids=["short", "semantic"],
)
async def test_the_configured_silence_ends_a_sentence(
    emulator: Emulator, connect: Any, sentences: Any, parameters: dict[str, Any], expected: list[str]
) -> None:
    client = await connect(emulator)
    await client.run(**parameters)
    await send(client, SPEECH)
    assert sentences.finals(await client.finish()) == expected


async def test_a_longer_silence_joins_sentences_and_words_are_fixed_before_its_end(
    emulator: Emulator, connect: Any, sentences: Any
) -> None:
    client = await connect(emulator)
    await client.run(max_sentence_silence=3000)
    await send(client, SPEECH)
    results = sentences.of(await client.finish())
    fixed = ["".join(word["text"] for word in sentence["words"] if word["fixed"]) for sentence in results]
    assert all(after.startswith(before) for before, after in pairwise(fixed))
    assert fixed[-1] == results[-1]["text"] == f"{BOY} {MOTHER}"
    # Before the sentence ends, and before the speaker pauses.
    assert [text for text in fixed if "" != text != results[-1]["text"] and not text.startswith(BOY)]


class Session:
    """A session of dialect B on the real recogniser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, event: str, **fields: Any) -> None:
        await self.socket.send_json({"type": event, **fields})

    async def audio(self, data: bytes) -> None:
        await self.send("input_audio_buffer.append", audio=base64.b64encode(data).decode())

    async def update(self, **detection: Any) -> None:
        await self.send("session.update", session={"turn_detection": {"type": "server_vad", **detection}})

    async def finish(self) -> list[Any]:
        await self.send("session.finish")
        events: list[Any] = []
        while not events or events[-1]["type"] != "session.finished":
            events.append(json.loads((await self.socket.receive(TIMEOUT_SECONDS)).data))
        return events


@pytest.fixture
async def talk(emulator: Emulator, session: aiohttp.ClientSession) -> Session:
    url = f"{emulator.url}/api-ws/v1/realtime?model=qwen3-asr-flash-realtime"
    return Session(await session.ws_connect(url, headers={"Authorization": "k"}))


def transcripts(events: list[Any]) -> list[str]:
    return [event["transcript"] for event in events if event["type"] == f"{TRANSCRIPTION}.completed"]


async def test_a_longer_silence_joins_sentences_and_confirmed_text_grows(talk: Session) -> None:
    await talk.update(silence_duration_ms=3000)
    await send(talk, SPEECH)
    events = await talk.finish()
    assert transcripts(events) == [f"{BOY} {MOTHER}"]
    items: dict[str, list[str]] = {}
    for event in events:
        if event["type"] == f"{TRANSCRIPTION}.text":
            items.setdefault(event["item_id"], []).append(event["text"])
        elif event["type"] == f"{TRANSCRIPTION}.completed":
            items.setdefault(event["item_id"], []).append(event["transcript"])
    confirmed = list(items.values())
    assert all(after.startswith(before) for texts in confirmed for before, after in pairwise(texts))
    assert any("" != text != texts[-1] for texts in confirmed for text in texts)


async def test_the_silence_of_a_session_may_change(talk: Session) -> None:
    await talk.update(silence_duration_ms=3000)
    await send(talk, pcm("boy")[:32_000])
    await talk.update(silence_duration_ms=400)
    await send(talk, pcm("boy")[32_000:] + bytes(32 * 1000) + pcm("mother"))
    assert transcripts(await talk.finish()) == [BOY, MOTHER]


def context(text: str) -> dict[str, Any]:
    return {"input": {"context": [{"role": "user", "content": [{"type": "input_text", "text": text}]}]}}


async def test_the_context_of_continue_task_makes_words_likely(
    emulator: Emulator, connect: Any, sentences: Any
) -> None:
    """It counts for the audio that follows; the times go on."""
    client = await connect(emulator)
    await client.run(max_sentence_silence=400)
    await send(client, pcm("kestrel") + bytes(32 * 600))
    await client.send("continue-task", context("Kestrel"))
    await send(client, pcm("kestrel"))
    results = sentences.of(await client.finish())
    finals = [sentence["text"] for sentence in results if sentence["sentence_end"]]
    assert ["Kestrel" in text for text in finals] == [False, True]
    times = [sentence["begin_time"] for sentence in results]
    assert times == sorted(times)
    assert times[-1] > 3000

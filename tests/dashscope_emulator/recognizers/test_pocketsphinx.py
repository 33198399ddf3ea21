"""The real recogniser behind dialect A, on recordings that lie beside the checkout."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asrgateway_server.vendors.pocketsphinx.decoder import SpeechDecoder
from dashscope_emulator.journal import Journal
from dashscope_emulator.recognizers.base import RecognizerFailed, Sentence, Stream
from dashscope_emulator.recognizers.pocketsphinx import PocketSphinxRecognizers

RECORDINGS = Path(__file__).parents[4] / "shared" / "audio"
pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not here")


@pytest.fixture(scope="module")
def pcm() -> bytes:
    with wave.open(str(RECORDINGS / "austen-0880.wav")) as file:
        frames: bytes = file.readframes(file.getnframes())
    return frames


async def recognize(client: Any, pcm: bytes, task_id: str = "t1", **parameters: Any) -> list[Any]:
    await client.run(task_id=task_id, **parameters)
    for begin in range(0, len(pcm), 3200):
        await client.audio(pcm[begin : begin + 3200])
    events: list[Any] = await client.finish(task_id)
    return events


async def test_speech_becomes_the_words_of_the_decoder(start: Any, connect: Any, sentences: Any, pcm: bytes) -> None:
    decoder = SpeechDecoder()
    finals = [hypothesis.text for hypothesis in decoder.feed(pcm) if hypothesis.is_final]
    last = decoder.finish()
    client = await connect(await start(recognizer="pocketsphinx"))
    results = sentences.of(await recognize(client, pcm))
    assert [s["text"] for s in results if s["sentence_end"]] == [*finals, *([last.text] if last else [])]
    assert any(not s["sentence_end"] for s in results)
    assert all("".join(word["text"] for word in s["words"]) == s["text"] for s in results)


async def test_one_task_does_not_affect_the_next(start: Any, connect: Any, sentences: Any, pcm: bytes) -> None:
    client = await connect(await start(recognizer="pocketsphinx"))
    first, second = [sentences.finals(await recognize(client, pcm, task_id)) for task_id in ("t1", "t2")]
    assert first == second != []


async def test_8_khz_is_resampled(start: Any, connect: Any, sentences: Any, pcm: bytes) -> None:
    samples = memoryview(pcm).cast("h")
    halved = b"".join(
        ((a + b) // 2).to_bytes(2, "little", signed=True) for a, b in zip(samples[::2], samples[1::2], strict=False)
    )
    client = await connect(await start(recognizer="pocketsphinx"))
    assert sentences.finals(await recognize(client, halved, sample_rate=8000))


async def test_decoders_are_bounded(start: Any, connect: Any) -> None:
    emulator = await start(recognizer="pocketsphinx", knobs={"decoders": 1})
    first, second = await connect(emulator), await connect(emulator)
    await first.run()
    answer = await second.run()
    assert answer["header"]["error_code"] == "ModelServingError"


async def test_a_client_that_leaves_frees_its_decoder(start: Any, connect: Any, pcm: bytes) -> None:
    emulator = await start(recognizer="pocketsphinx", knobs={"decoders": 1})
    client = await connect(emulator)
    await client.run()
    await client.audio(pcm)
    await client.socket.close()
    await emulator.journals[-1].ended.wait()
    second = await connect(emulator)
    assert (await second.run())["header"]["event"] == "task-started"


@pytest.fixture
async def recognizers() -> AsyncIterator[PocketSphinxRecognizers]:
    made = PocketSphinxRecognizers(1, 0)
    yield made
    await made.close()


STREAM = Stream(
    sample_rate_hertz=16000,
    sentence_silence_ms=800,
    journal=Journal(connection=1, task=1, task_id="t", model="m"),
)


async def ignore(_: Sentence) -> None:
    """Drop the sentences."""


async def test_a_decoder_that_dies_is_an_error(recognizers: PocketSphinxRecognizers) -> None:
    recognizer: Any = await recognizers.open(STREAM, ignore)
    recognizer._worker._process.kill()
    with pytest.raises(RecognizerFailed):
        await recognizer.commit()
    await recognizer.close()


async def test_a_decoder_is_given_no_key(recognizers: PocketSphinxRecognizers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-secret")
    recognizer: Any = await recognizers.open(STREAM, ignore)
    environment = await asyncio.to_thread(Path(f"/proc/{recognizer._worker._process.pid}/environ").read_bytes)
    await recognizer.close()
    assert b"sk-secret" not in environment


async def test_a_dead_decoder_is_replaced(recognizers: PocketSphinxRecognizers) -> None:
    first: Any = await recognizers.open(STREAM, ignore)
    process = first._worker._process
    process.kill()
    await process.wait()
    await first.close()
    second: Any = await recognizers.open(STREAM, ignore)
    assert second._worker._process.pid != process.pid
    await second.close()


async def test_an_idle_decoder_is_used_again_and_ends_with_the_emulator() -> None:
    recognizers = PocketSphinxRecognizers(1, 0)
    pids = []
    for _ in range(2):
        recognizer: Any = await recognizers.open(STREAM, ignore)
        process = recognizer._worker._process
        pids.append(process.pid)
        await recognizer.close()
    assert pids[0] == pids[1]
    assert process.returncode is None
    await recognizers.close()
    assert process.returncode is not None


async def test_a_decoder_whose_pipe_closes_ends_by_itself(recognizers: PocketSphinxRecognizers) -> None:
    recognizer: Any = await recognizers.open(STREAM, ignore)
    process = recognizer._worker._process
    process.stdin.close()
    async with asyncio.timeout(60):
        assert await process.wait() == 0
    await recognizer.close()

"""Marked audio: what was lost, repeated or moved shows in the words and in the journal."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dashscope_emulator.journal import runs
from dashscope_emulator.recognizers.markers import (
    MarkerScript,
    load_markers,
    marker_audio,
    silent_audio,
)


async def recognize(start: Any, connect: Any, audio: bytes, **options: Any) -> tuple[Any, list[Any]]:
    """Send the audio in packets of 100 ms; return the journal and the events."""
    emulator = await start(recognizer="markers", **options)
    client = await connect(emulator)
    await client.run(max_sentence_silence=200)
    for begin in range(0, len(audio), 3200):
        await client.audio(audio[begin : begin + 3200])
    return emulator.journals[-1], await client.finish()


async def test_words_are_named_by_their_number(start: Any, connect: Any, sentences: Any) -> None:
    _, events = await recognize(start, connect, marker_audio(0, 90))
    assert sentences.finals(events) == ["w0 w1 w2"]


async def test_silence_ends_a_sentence(start: Any, connect: Any, sentences: Any) -> None:
    audio = marker_audio(0, 60) + silent_audio(25) + marker_audio(60, 30) + silent_audio(25)
    _, events = await recognize(start, connect, audio)
    finals = [s for s in sentences.of(events) if s["sentence_end"]]
    assert [(s["text"], s["begin_time"], s["end_time"]) for s in finals] == [("w0 w1", 0, 600), ("w2", 850, 1150)]


async def test_a_short_pause_ends_no_sentence(start: Any, connect: Any, sentences: Any) -> None:
    _, events = await recognize(start, connect, marker_audio(0, 60) + silent_audio(10) + marker_audio(60, 30))
    assert sentences.finals(events) == ["w0 w1 w2"]


async def test_words_have_the_times_of_their_blocks(start: Any, connect: Any, sentences: Any) -> None:
    _, events = await recognize(start, connect, silent_audio(10) + marker_audio(300, 60))
    words = sentences.of(events)[-1]["words"]
    assert [(w["text"], w["begin_time"], w["end_time"]) for w in words] == [("w10", 100, 400), (" w11", 400, 700)]


async def test_all_words_but_the_last_are_fixed(start: Any, connect: Any, sentences: Any) -> None:
    _, events = await recognize(start, connect, marker_audio(0, 90))
    assert [[w["fixed"] for w in s["words"]] for s in sentences.of(events)] == [
        [False],
        [True, False],
        [True, True, False],
        [True, True, True],
    ]


@pytest.mark.parametrize(
    ("audio", "text", "received"),
    [
        (marker_audio(0, 30) + marker_audio(60, 30), "w0 w2", [(0, 30), (60, 30)]),
        (marker_audio(0, 30) + marker_audio(0, 30), "w0 w0", [(0, 30), (0, 30)]),
        (marker_audio(30, 30) + marker_audio(0, 30), "w1 w0", [(30, 30), (0, 30)]),
        (marker_audio(0, 44), "w0", [(0, 44)]),
        (marker_audio(0, 45), "w0 w1", [(0, 45)]),
    ],
    ids=["a gap", "a repeat", "disorder", "less than half a word", "half a word"],
)
async def test_lost_repeated_and_reordered_audio_shows(
    start: Any, connect: Any, sentences: Any, audio: bytes, text: str, received: list[tuple[int, int]]
) -> None:
    journal, events = await recognize(start, connect, audio)
    assert sentences.finals(events) == [text]
    assert runs(journal.blocks) == received


@pytest.mark.parametrize("packet_bytes", [1, 5, 319, 321, 3200, 100_000])
async def test_how_audio_is_cut_does_not_matter(start: Any, connect: Any, sentences: Any, packet_bytes: int) -> None:
    emulator = await start(recognizer="markers")
    client = await connect(emulator)
    await client.run(max_sentence_silence=200)
    audio = silent_audio(2) + marker_audio(0, 30) + silent_audio(30) + marker_audio(30, 30)
    for begin in range(0, len(audio), packet_bytes):
        await client.audio(audio[begin : begin + packet_bytes])
    assert sentences.finals(await client.finish()) == ["w0", "w1"]
    journal = emulator.journals[-1]
    assert runs(journal.blocks) == [(0, 60)]
    assert (journal.silent_bytes, journal.damaged_bytes) == (32 * 320, 0)


async def test_a_block_may_begin_at_any_sample(start: Any, connect: Any) -> None:
    journal, _ = await recognize(start, connect, bytes(77 * 2) + marker_audio(0, 30))
    assert (runs(journal.blocks), journal.silent_bytes) == ([(0, 30)], 154)


async def test_a_cut_block_is_damage(start: Any, connect: Any) -> None:
    journal, _ = await recognize(start, connect, marker_audio(0, 1)[:100] + marker_audio(1, 30))
    assert (runs(journal.blocks), journal.damaged_bytes) == ([(1, 30)], 100)


async def test_foreign_audio_is_damage(start: Any, connect: Any) -> None:
    journal, _ = await recognize(start, connect, b"\x01\x02" * 160 + marker_audio(0, 30))
    assert (runs(journal.blocks), journal.damaged_bytes) == ([(0, 30)], 320)


async def test_8_khz_can_be_marked(start: Any, connect: Any, sentences: Any) -> None:
    emulator = await start(recognizer="markers")
    client = await connect(emulator)
    await client.run("paraformer-realtime-8k-v2", sample_rate=8000)
    await client.audio(marker_audio(0, 60, 8000))
    assert sentences.finals(await client.finish()) == ["w0 w1"]


async def test_a_script_names_the_words(start: Any, connect: Any, sentences: Any) -> None:
    script = MarkerScript(words=("please", "open"), blocks_per_word=10)
    _, events = await recognize(start, connect, marker_audio(0, 30), script=script)
    assert sentences.finals(events) == ["please open w2"]


def test_a_script_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "words.yaml"
    path.write_text("blocks_per_word: 10\nwords: [please, open]\n")
    assert load_markers(path) == MarkerScript(words=("please", "open"), blocks_per_word=10)


def test_marked_audio_is_loud(decibels: Callable[[bytes], float]) -> None:
    assert decibels(marker_audio(0, 100)) > -30


@pytest.fixture
def decibels() -> Callable[[bytes], float]:
    """Loudness of 16-bit audio relative to full scale."""

    def measure(pcm: bytes) -> float:
        samples = memoryview(pcm).cast("h")
        power = sum(sample * sample for sample in samples) / len(samples)
        return 10 * math.log10(power / 32768**2)

    return measure

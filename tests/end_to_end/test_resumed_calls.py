"""A client that reconnects, at a gateway that ends every call after a second: no word is lost or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from asrgateway import (
    AudioItem,
    Commit,
    DecodingConfig,
    RecognitionClient,
    RecognizeResponse,
    StreamEventType,
    StreamingConfig,
)
from asrgateway.pacing import at_speaking_speed
from calls import MESSAGE_BYTES
from dashscope_emulator.recognizers.markers import marker_audio, silent_audio
from emulated_vendor import vendor_and_gateway

WORDS = 12
#: Four sentences of three words of 0.3 s, with silence after each.
SPEECH = b"".join(marker_audio(90 * number, 90) + silent_audio(100) for number in range(4))
EMPTY = StreamEventType.STREAM_EVENT_TYPE_COMMIT_EMPTY


async def spoken(*, commits: bool) -> AsyncIterator[AudioItem]:
    """The speech at speaking speed; with commits after each sentence and in the silence that follows it."""
    messages = (SPEECH[start : start + MESSAGE_BYTES] for start in range(0, len(SPEECH), MESSAGE_BYTES))
    number = 0
    async for message in at_speaking_speed(messages, 0.1):
        yield message
        number += 1
        if commits and number % 19 in (9, 15):
            yield Commit()


async def recognized(target: str, model: str, *, commits: bool = False) -> list[RecognizeResponse]:
    config = StreamingConfig(
        model=model, decoding_config=DecodingConfig(sample_rate_hertz=16_000), interim_results=True
    )
    async with RecognitionClient(target) as client:
        return [one async for one in client.recognize(config, spoken(commits=commits), timeout=60, reconnect=True)]


MODELS = ("paraformer-realtime-v2", "fun-asr-realtime", "qwen3-asr-flash-realtime")


@pytest.mark.parametrize("commits", [False, True], ids=["pauses", "commits"])
async def test_each_word_comes_once_and_each_index_too(*, commits: bool) -> None:
    async with vendor_and_gateway(max_stream_seconds=1.0) as (_, gateway, _):
        calls = (recognized(str(gateway.address), model, commits=commits) for model in MODELS)
        outcomes = dict(zip(MODELS, await asyncio.gather(*calls), strict=True))
    for model, responses in outcomes.items():
        finals = [one.result for one in responses if one.result.is_final]
        words = [word for final in finals for word in final.transcript.split()]
        assert (model, words) == (model, [f"w{number}" for number in range(WORDS)])
        assert [final.result_index for final in finals] == list(range(len(finals)))
        assert sum(one.HasField("started") for one in responses) > 3
        assert responses[-1].HasField("finished")
        places = [one.cursor.finalized.ToMilliseconds() for one in responses]
        assert all(before <= after for before, after in pairwise(places))
        answers = sum(final.forced for final in finals) + sum(one.stream_event.event_type == EMPTY for one in responses)
        assert not commits or answers >= 8

"""Paraformer through the gateway, against the emulator: real sockets on both sides."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import grpc
import pytest

from asrgateway.v1 import recognition_pb2 as pb
from calls import RECORDINGS, Outcome, audio, commit, config, cut_at_random, in_messages, pcm, recognize, silence
from dashscope_emulator.recognizers.markers import marker_audio, silent_audio
from emulated_vendor import vendor_and_gateway

V2 = "paraformer-realtime-v2"
WORDS = {"mother": "please call my mother tomorrow morning", "boy": "the boy was there when the sun rose"}

#: Marked audio: two sentences of five words of 300 ms, with a pause that closes the first.
PAUSE_BLOCKS = 150
SENTENCES = ("w0 w1 w2 w3 w4", "w5 w6 w7 w8 w9")
MARKED = marker_audio(0, 150) + silent_audio(PAUSE_BLOCKS) + marker_audio(150, 150)


def paraformer(model: str = V2, **values: Any) -> pb.RecognizeRequest:
    return config(model=model, **values)


def words_of(outcome: Outcome) -> list[pb.WordInfo]:
    return [word for final in outcome.finals for word in final.words]


@pytest.mark.parametrize("name", WORDS)
async def test_real_speech_gives_the_words_of_the_embedded_model(name: str) -> None:
    wanted = pb.RecognitionFeatures(enable_word_time_offsets=True)
    async with vendor_and_gateway(emulator={"recognizer": "pocketsphinx"}) as (_, _, stub):
        outcome = await recognize(stub, [paraformer(features=wanted), *in_messages(pcm(RECORDINGS / f"{name}.wav"))])
    assert outcome.texts == [WORDS[name]]
    times = [at.ToMilliseconds() for word in words_of(outcome) for at in (word.start_offset, word.end_offset)]
    assert times == sorted(times)
    assert times[-1] <= outcome.finished.audio_duration.ToMilliseconds()


async def test_a_call_begins_with_the_vendors_task_and_ends_with_its_bill() -> None:
    async with vendor_and_gateway() as (vendor, _, stub):
        outcome = await recognize(stub, [paraformer(), *in_messages(MARKED)])
        task = vendor.journals[0]
    assert outcome.code is grpc.StatusCode.OK
    assert outcome.texts == list(SENTENCES)
    assert outcome.responses[0].started.model == V2
    assert outcome.responses[0].started.upstream_request_id == task.task_id
    assert list(outcome.finished.upstream_request_ids) == [task.task_id]
    assert outcome.finished.billed_duration.ToMilliseconds() == 5000
    assert outcome.finished.estimated_cost_cny == pytest.approx(5 * 0.00024)
    assert task.outcome == "finished"


async def test_the_key_goes_to_the_vendor_and_no_other_identity() -> None:
    async with vendor_and_gateway(emulator={"api_key": "sk-test"}) as (_, _, stub):
        assert (await recognize(stub, [paraformer(), *in_messages(MARKED)])).code is grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("model", "rate"),
    [("paraformer-realtime-8k-v2", 8000), ("paraformer-realtime-8k-v1", 8000), ("paraformer-realtime-v1", 16000)],
)
async def test_each_model_hears_its_own_rate(model: str, rate: int) -> None:
    async with vendor_and_gateway() as (vendor, _, stub):
        outcome = await recognize(stub, [paraformer(model), *in_messages(silence(1.0) + MARKED[:32000])])
        assert outcome.responses[0].started.sample_rate_hertz == rate
        assert vendor.journals[0].parameters["sample_rate"] == rate
        assert vendor.journals[0].audio_ms == 2000


async def test_audio_goes_up_in_packets_of_a_tenth_of_a_second() -> None:
    async with vendor_and_gateway() as (vendor, _, stub):
        await recognize(stub, [paraformer(), *in_messages(MARKED, 777)])
        assert vendor.journals[0].packets == len(MARKED) // 3200
        assert vendor.journals[0].blocks == list(range(300))


async def test_a_commit_closes_the_open_sentence_at_once() -> None:
    async with vendor_and_gateway() as (vendor, _, stub):
        first, rest = MARKED[:48_000], MARKED[48_000:]
        outcome = await recognize(stub, [paraformer(), *in_messages(first), commit(), *in_messages(rest)])
        assert [(final.transcript, final.forced) for final in outcome.finals] == [
            (SENTENCES[0], True),
            (SENTENCES[1], False),
        ]
        assert outcome.finals[1].start_offset.ToMilliseconds() == 3000
        assert [number for task in vendor.journals for number in task.blocks] == list(range(300))
        assert list(outcome.finished.upstream_request_ids) == [task.task_id for task in vendor.journals]


# A hundred calls ------------------------------------------------------------------------------------------------


async def speak_at_random(seed: int) -> AsyncIterator[pb.RecognizeRequest]:
    rng = random.Random(seed)
    yield paraformer(features=pb.RecognitionFeatures(enable_word_time_offsets=True))
    for piece in cut_at_random(MARKED, rng):
        yield audio(piece)
        if rng.random() < 0.2:
            await asyncio.sleep(rng.uniform(0, 0.01))


async def test_a_hundred_calls_lose_repeat_and_confuse_nothing() -> None:
    # On a busy machine so many clients are quiet for a while in the middle of a sentence.
    async with vendor_and_gateway(quiet_after_seconds=60) as (vendor, _, stub):
        outcomes = await asyncio.gather(*(recognize(stub, speak_at_random(seed), timeout=60) for seed in range(100)))
        assert [outcome.code for outcome in outcomes] == [grpc.StatusCode.OK] * 100
        assert [outcome.texts for outcome in outcomes] == [list(SENTENCES)] * 100
        assert [task.blocks for task in vendor.journals] == [list(range(300))] * 100
        assert [task.damaged_bytes for task in vendor.journals] == [0] * 100
        for outcome in outcomes:
            starts = [word.start_offset.ToMilliseconds() for word in words_of(outcome)]
            assert starts == [0, 300, 600, 900, 1200, 3000, 3300, 3600, 3900, 4200]
        assert all(earlier <= later for earlier, later in pairwise(task.task for task in vendor.journals))

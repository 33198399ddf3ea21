"""A vendor that is sent Opus: the same words and times, and as little lost, as with PCM."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from aiohttp import WSMsgType, web

import messages
from asrgateway.v1 import recognition_pb2 as pb
from calls import RECORDINGS, config, in_messages, pcm, recognize, silence
from coded_audio import CHIRP_SECONDS, chirps, lateness_ms
from dashscope_emulator.coded_audio import Opus
from emulated_vendor import on_either_transport, task_vendor, vendor_and_gateway
from gateways import open_gateway

OK = grpc.StatusCode.OK
PLAIN, CODED = "paraformer-realtime-v2", "paraformer-by-opus"
MODELS = [{"name": CODED, "like": PLAIN, "vendor_model": PLAIN, "upstream_encoding": "ogg_opus"}]
WITH_TIMES = pb.RecognitionFeatures(enable_word_time_offsets=True)

# The SDK leaves its socket and its event loop to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@on_either_transport
async def test_the_words_and_their_times_are_those_of_pcm(transport: str) -> None:
    recording = [*in_messages(pcm(RECORDINGS / "boy.wav") + silence(1) + pcm(RECORDINGS / "mother.wav"))]
    emulator = {"recognizer": "pocketsphinx"}
    carried = {"paraformer": transport}
    async with vendor_and_gateway(emulator=emulator, models=MODELS, transports=carried) as (_, _, stub):
        plain, coded = [
            await recognize(stub, [config(model=model, features=WITH_TIMES), *recording]) for model in (PLAIN, CODED)
        ]
    assert (coded.code, coded.texts) == (OK, plain.texts)
    assert len(plain.texts) == 2
    moved = [
        abs(word.start_offset.ToMilliseconds() - same.start_offset.ToMilliseconds())
        for final, other in zip(coded.finals, plain.finals, strict=True)
        for word, same in zip(final.words, other.words, strict=True)
    ]
    assert max(moved) <= 50


async def test_a_task_that_takes_over_is_sent_a_stream_of_its_own_from_the_open_utterance_on() -> None:
    tasks: list[bytes] = []

    async def drop_the_first(_: web.Request, connection: web.WebSocketResponse) -> None:
        decoder, heard = Opus(16_000), b""
        async for message in connection:
            if message.type is WSMsgType.BINARY:
                heard += decoder.feed(message.data)
            elif "finish-task" in message.data:
                tasks.append(heard + decoder.end())
                await connection.send_str(messages.finished())
            if not tasks and len(heard) > len(chirps()) // 2:
                tasks.append(heard)
                return

    settings: dict[str, Any] = {"max_upstream_failures": 3, "reconnect_pause_seconds": 0.01, "backlog_speed": 1000.0}
    async with (
        task_vendor(drop_the_first) as url,
        open_gateway(dashscope_url=url, dashscope_api_key="k", embedded_workers=0, models=MODELS, **settings) as (
            _,
            stub,
        ),
    ):
        outcome = await recognize(stub, [config(model=CODED), *in_messages(chirps())])
    assert (outcome.code, len(tasks)) == (OK, 2)
    heard = tasks[1]
    assert 0 <= len(heard) - len(chirps()) < 640, "this decoder does not cut the last packet"
    assert all(abs(lateness_ms(heard, 16_000, at)) < 2 for at in CHIRP_SECONDS)

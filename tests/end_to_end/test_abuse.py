"""Callers that send anything: the gateway stays up, keeps its memory, and serves the others."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.metrics import SERVICE
from calls import Stub, commit, config, in_messages, outcome_of
from dashscope_emulator import EmulatorOptions, running_emulator
from dashscope_emulator.recognizers.markers import marker_audio
from mutations import mutated
from processes import GatewayProcess, gateway_process

MODEL = "paraformer-realtime-v2"
SPOKEN = marker_audio(0, 150)
SENTENCE = "w0 w1 w2 w3 w4"
REQUESTS = 10_000
AT_ONCE = 16
#: What a caller may be told of a wrong request; all else would be a fault of the gateway.
BLAMELESS = {"OK", "INVALID_ARGUMENT", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"}


@asynccontextmanager
async def abused_gateway() -> AsyncIterator[tuple[GatewayProcess, Stub]]:
    """A gateway before a vendor that reads marked audio."""
    async with (
        running_emulator(EmulatorOptions(recognizer="markers")) as vendor,
        gateway_process(
            dashscope_url=vendor.url,
            dashscope_api_key="sk-test",
            embedded_workers="0",
            backlog_speed="1000",
            max_message_bytes="8192",
            default_model=MODEL,
        ) as gateway_and_stub,
    ):
        yield gateway_and_stub


def resident_mb(gateway: GatewayProcess) -> float:
    lines = Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


async def is_served(stub: Stub) -> bool:
    """Make one ordinary call."""
    call = stub.Recognize(iter([config(model=MODEL), *in_messages(SPOKEN)]), timeout=60)
    return (await outcome_of(call)).texts == [SENTENCE]


async def served_meanwhile(stub: Stub, is_over: asyncio.Event) -> int:
    """Make ordinary calls until it is over, each of which must end well; return how many there were."""
    count = 0
    while not is_over.is_set():
        assert await is_served(stub)
        count += 1
    return count


def real_call(chance: random.Random) -> list[pb.RecognizeRequest]:
    """The requests of an ordinary call, all or only the first of them."""
    options_set = pb.RecognitionFeatures(enable_word_time_offsets=True)
    words = pb.SpeechAdaptation(hotwords=[pb.Hotword(text="gateway")])
    update = pb.RecognizeRequest(update=pb.ConfigUpdate(adaptation=words))
    requests = [config(model=MODEL, features=options_set), *in_messages(SPOKEN[:9600]), commit(), update]
    return requests[: chance.randint(1, len(requests))]


async def spoilt_call(channel: grpc.aio.Channel, chance: random.Random, ends: Counter[str]) -> int:
    """Make a call in which one request or every one is spoilt; return how many were sent."""
    # Any: bytes, where its type has a message.
    recognize: grpc.aio.StreamStreamMultiCallable[Any, pb.RecognizeResponse] = channel.stream_stream(
        f"/{SERVICE}/Recognize", response_deserializer=pb.RecognizeResponse.FromString
    )
    requests = real_call(chance)
    if chance.random() < 0.5:
        sent = [request.SerializeToString() for request in requests] + [mutated(requests[-1], chance)]
    else:
        sent = [mutated(request, chance) for request in requests]
    outcome = await outcome_of(recognize(iter(sent), timeout=60))
    ends[outcome.code.name] += 1
    return len(sent)


@pytest.mark.timeout(300)  # hundreds of calls, which a busy machine makes slowly
async def test_ten_thousand_spoilt_requests_harm_nobody() -> None:
    async with abused_gateway() as (gateway, stub):
        assert await is_served(stub)
        ends: Counter[str] = Counter()
        is_over = asyncio.Event()
        sizes: list[float] = []

        async def spoil(seed: int) -> None:
            chance, sent = random.Random(seed), 0
            async with grpc.aio.insecure_channel(await gateway.address("grpc")) as channel:
                while sent < REQUESTS / AT_ONCE:
                    sent += await spoilt_call(channel, chance, ends)
                    if seed == 0 and sent > REQUESTS / AT_ONCE / 3:
                        sizes.append(resident_mb(gateway))

        async with asyncio.TaskGroup() as tasks:
            others = tasks.create_task(served_meanwhile(stub, is_over))
            await asyncio.gather(*(spoil(seed) for seed in range(AT_ONCE)))
            is_over.set()
        assert others.result()
        assert set(ends) <= BLAMELESS, ends
        assert sizes[-1] < sizes[0] + 30
        assert await is_served(stub)
        assert [line for line in gateway.lines if line["level"] == "ERROR"] == []

"""However a call ends, its caller is told why, and nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway.v1 import recognition_pb2_grpc as pb_grpc
from asrgateway_server.lifecycle import Gateway
from asrgateway_server.metrics import METHODS, SERVICE
from calls import (
    RECORDINGS,
    RecognizeCall,
    Stub,
    audio,
    commit,
    config,
    in_messages,
    outcome_of,
    pcm,
    recognize,
    silence,
)
from gateways import eventually, open_gateway
from processes import children

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOY = pcm(RECORDINGS / "boy.wav")
BOYS_WORDS = "the boy was there when the sun rose"
LONG = pcm(RECORDINGS / "fox.wav") * 8


def value(gateway: Gateway, name: str, **labels: str) -> float:
    return gateway.metrics.registry.get_sample_value(f"asrgateway_{name}", labels) or 0.0


def workers() -> set[int]:
    """The process ids of this process's children."""
    return children(os.getpid())


def open_files() -> int:
    """How many files are open, those of the caller's own calls left out that only wait for the collector."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


@asynccontextmanager
async def nothing_left_behind(gateway: Gateway, stub: Stub) -> AsyncIterator[None]:
    """Fail unless gauges, tasks, files and processes come back to what they were."""
    await stub.ListModels(pb.ListModelsRequest())  # The connection stays open: it is no leak.
    tasks, files, pids = len(asyncio.all_tasks()), open_files(), workers()
    yield
    await eventually(lambda: value(gateway, "streams_active", model="embedded") == 0)
    await eventually(lambda: value(gateway, "workers_busy", model="embedded") == 0)
    await eventually(lambda: len(asyncio.all_tasks()) <= tasks)
    await eventually(lambda: open_files() <= files)
    assert workers() == pids


async def read_until(call: RecognizeCall, kind: str) -> pb.RecognizeResponse:
    """Read up to the first response of a kind."""
    while isinstance(response := await call.read(), pb.RecognizeResponse):
        if response.WhichOneof("response") == kind:
            return response
    raise AssertionError(f"the call ended with {await call.code()} before {kind}")


async def nothing_sent(call: RecognizeCall) -> None:
    """Go no further than opening the call."""


async def config_sent(call: RecognizeCall) -> None:
    await call.write(config(interim_results=True))


async def started_read(call: RecognizeCall) -> None:
    await config_sent(call)
    await read_until(call, "started")


async def result_read(call: RecognizeCall) -> None:
    await started_read(call)
    await call.write(audio(BOY))
    await read_until(call, "result")


async def backlog_sent(call: RecognizeCall) -> None:
    await started_read(call)
    await call.write(audio(LONG))


async def half_closed(call: RecognizeCall) -> None:
    await backlog_sent(call)
    await call.done_writing()


PHASES = [nothing_sent, config_sent, started_read, result_read, backlog_sent, half_closed]
Phase = Callable[[RecognizeCall], Awaitable[None]]


@pytest.mark.parametrize("reach", PHASES, ids=lambda phase: phase.__name__)
async def test_a_cancelled_call_leaves_nothing_behind(gateway: Gateway, stub: Stub, reach: Phase) -> None:
    async with nothing_left_behind(gateway, stub):
        call = stub.Recognize(timeout=60)
        await reach(call)
        call.cancel()
    assert (await recognize(stub, [config(), *in_messages(BOY)])).texts == [BOYS_WORDS]


@pytest.mark.parametrize("reach", PHASES, ids=lambda phase: phase.__name__)
async def test_a_deadline_ends_the_call_in_every_phase(gateway: Gateway, stub: Stub, reach: Phase) -> None:
    async with nothing_left_behind(gateway, stub):
        call = stub.Recognize(timeout=1.5)
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # On a slow machine it ends sooner.
            await reach(call)
        assert (await outcome_of(call)).code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert (await recognize(stub, [config(), *in_messages(BOY)])).texts == [BOYS_WORDS]


@pytest.mark.parametrize("reach", PHASES, ids=lambda phase: phase.__name__)
async def test_a_lost_connection_leaves_nothing_behind(gateway: Gateway, stub: Stub, reach: Phase) -> None:
    async with nothing_left_behind(gateway, stub), grpc.aio.insecure_channel(str(gateway.address)) as channel:
        await reach(pb_grpc.SpeechRecognitionServiceStub(channel).Recognize(timeout=60))
    assert (await recognize(stub, [config(), *in_messages(BOY)])).texts == [BOYS_WORDS]


async def test_cancel_and_deadline_are_told_apart_in_the_metrics(gateway: Gateway, stub: Stub) -> None:
    def ended(code: str) -> float:
        return value(gateway, "stream_errors_total", grpc_code=code, reason="client")

    cancelled, late = ended("CANCELLED"), ended("DEADLINE_EXCEEDED")
    await outcome_of(stub.Recognize(iter([config()]), timeout=0.05))
    call = stub.Recognize(timeout=60)
    await started_read(call)
    call.cancel()
    await eventually(lambda: ended("CANCELLED") == cancelled + 1)
    assert ended("DEADLINE_EXCEEDED") >= late


async def test_a_call_over_the_pool_is_refused_and_the_other_goes_on(gateway: Gateway, stub: Stub) -> None:
    async with nothing_left_behind(gateway, stub):
        first, silent = stub.Recognize(timeout=60), stub.Recognize(timeout=50)
        for call in (silent, first):
            await started_read(call)
        await first.write(audio(BOY[:3200]))
        await eventually(lambda: value(gateway, "workers_busy", model="embedded") == 1)
        refused = await recognize(stub, [config(), audio(BOY)])
        assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (refused.reason, refused.retry_seconds) == ("OVERLOADED", 1.0)
        await first.write(audio(BOY[3200:]))
        await first.done_writing()
        silent.cancel()
        assert (await outcome_of(first)).texts == [BOYS_WORDS]


async def test_a_call_over_the_limit_is_refused_and_counted() -> None:
    async with open_gateway(max_streams=1) as (gateway, stub):
        first = stub.Recognize(timeout=60)
        await started_read(first)
        refused = await recognize(stub, [config(), audio(BOY)])
        assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        assert refused.retry_seconds == 1.0
        assert value(gateway, "streams_rejected_total", reason="capacity") == 1
        first.cancel()


async def test_a_killed_worker_ends_no_call_and_is_replaced() -> None:
    """Its call waits for the next worker, although all of them are in use."""
    before = workers()
    async with open_gateway(embedded_workers=2, max_upstream_failures=5) as (gateway, stub):
        ours = workers() - before
        calls = [stub.Recognize(timeout=60), stub.Recognize(timeout=60)]
        for call in calls:
            await result_read(call)
        os.kill(min(ours), signal.SIGKILL)
        for call in calls:
            await call.done_writing()
        outcomes = [await outcome_of(call) for call in calls]
        assert [(outcome.code, outcome.texts) for outcome in outcomes] == [(grpc.StatusCode.OK, [BOYS_WORDS])] * 2
        assert sum(outcome.finished.reconnects for outcome in outcomes) == 1
        await eventually(lambda: len(workers() - before - {min(ours)}) == 2)
        assert value(gateway, "worker_restarts_total", model="embedded") == 1


async def test_a_call_without_config_is_ended() -> None:
    async with open_gateway(config_timeout_seconds=0.05) as (gateway, stub), nothing_left_behind(gateway, stub):
        outcome = await outcome_of(stub.Recognize(timeout=60))
        assert (outcome.code, outcome.field) == (grpc.StatusCode.DEADLINE_EXCEEDED, "streaming_config")
        assert outcome.reason == "CLIENT_STALLED"


async def test_a_quiet_call_is_kept_awake_with_cursors() -> None:
    async with open_gateway(cursor_interval_seconds=0.02) as (_, stub):
        call = stub.Recognize(timeout=60)
        await started_read(call)
        for _ in range(3):
            response = await call.read()
            assert isinstance(response, pb.RecognizeResponse)
            assert [field.name for field, _ in response.ListFields()] == ["cursor"]
        call.cancel()


async def test_a_long_utterance_is_ended_by_the_gateway() -> None:
    async with open_gateway(max_utterance_seconds=1.0) as (_, stub):
        outcome = await recognize(stub, [config(), *in_messages(LONG[:160_000]), audio(silence(1))])
        assert [final.forced for final in outcome.finals].count(True) >= 2
        assert outcome.kinds == ["started", "result", "finished"]
        assert outcome.code is grpc.StatusCode.OK


@asynccontextmanager
async def talking_without_reading(address: str) -> AsyncIterator[None]:
    """Commit without an end through a tiny window, and read none of the answers."""
    tiny_window = [("grpc.http2.lookahead_bytes", 1024), ("grpc.http2.bdp_probe", 0)]
    async with grpc.aio.insecure_channel(address, options=tiny_window) as channel:
        call = pb_grpc.SpeechRecognitionServiceStub(channel).Recognize(timeout=60)
        await started_read(call)

        async def speak() -> None:
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                while True:
                    await call.write(commit())

        speaking = asyncio.create_task(speak())
        yield
        speaking.cancel()
        await asyncio.wait([speaking])


async def test_a_call_that_is_not_read_is_slowed_and_then_ended() -> None:
    """Seen on the gateway's side: as this client still writes, grpc.aio may show it an INTERNAL of its own instead."""
    late = {"grpc_type": METHODS["Recognize"], "grpc_service": SERVICE, "grpc_method": "Recognize"}
    late["grpc_code"] = grpc.StatusCode.DEADLINE_EXCEEDED.name
    async with (
        open_gateway(write_timeout_seconds=0.2, max_commits_per_minute=1_000_000) as (gateway, stub),
        nothing_left_behind(gateway, stub),
        talking_without_reading(str(gateway.address)),
    ):
        count = functools.partial(gateway.metrics.registry.get_sample_value, "grpc_server_handled_total", late)
        await eventually(lambda: count() == 1)

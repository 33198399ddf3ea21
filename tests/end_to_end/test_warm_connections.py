"""A call finds a connection that is open already; what may be wrong with it no client sees."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from grpc.aio import Metadata

from asrgateway_server.lifecycle import Gateway
from calls import Stub, config, in_messages, recognize
from dashscope_emulator import Emulator, Fault
from dashscope_emulator.faults import Drop, Phase
from dashscope_emulator.knobs import Knobs
from dashscope_emulator.recognizers.markers import marker_audio
from emulated_vendor import vendor_and_gateway
from gateways import eventually

MODELS = ("paraformer-realtime-v2", "fun-asr-realtime", "qwen3-asr-flash-realtime")
WARM: dict[str, Any] = {"warm_connections": 1, "max_task_starts_per_second": 20}
SPEECH = in_messages(marker_audio(0, 150))
WORDS = ["w0 w1 w2 w3 w4"]

each_model = pytest.mark.parametrize("model", MODELS)


def waiting(gateway: Gateway) -> float:
    labels = {"upstream": "dashscope", "state": "idle"}
    return gateway.metrics.registry.get_sample_value("asrgateway_upstream_connections", labels) or 0.0


def used(vendor: Emulator) -> Sequence[int]:
    """On which connections tasks had audio."""
    return [journal.connection for journal in vendor.journals if journal.packets]


async def speak(stub: Stub, model: str, **metadata: str) -> list[str]:
    brought = Metadata(*((name.replace("_", "-"), value) for name, value in metadata.items()))
    return (await recognize(stub, [config(model=model), *SPEECH], metadata=brought)).texts


@each_model
async def test_a_call_finds_a_connection_that_is_open_already(model: str) -> None:
    async with vendor_and_gateway(**WARM) as (vendor, gateway, stub):
        assert await speak(stub, model) == WORDS
        await eventually(lambda: waiting(gateway) > 0)
        connections = vendor.connections
        assert await speak(stub, model) == WORDS
        assert used(vendor)[1] <= connections
    await eventually(lambda: vendor.open_connections == 0)


@pytest.mark.parametrize(("model", "opened"), [("paraformer-realtime-v2", 2), ("qwen3-asr-flash-realtime", 6)])
async def test_a_connection_is_used_again_where_the_dialect_allows_it(model: str, opened: int) -> None:
    async with vendor_and_gateway(**WARM) as (vendor, gateway, stub):
        for _ in range(5):
            assert await speak(stub, model) == WORDS
            await eventually(lambda: waiting(gateway) > 0)
        assert vendor.connections == opened


@each_model
async def test_a_connection_that_drops_when_the_task_begins_is_replaced_unseen(model: str) -> None:
    gone = Fault(action=Drop(), phase=Phase.START, tasks=(2,))
    async with vendor_and_gateway(emulator={"faults": (gone,)}, **WARM) as (vendor, _, stub):
        assert await speak(stub, model) == WORDS
        await eventually(lambda: vendor.connections == 2)
        assert await speak(stub, model) == WORDS
        assert used(vendor)[1] > 2


@each_model
async def test_what_the_vendor_closes_meanwhile_is_not_missed(model: str) -> None:
    knobs = Knobs(first_task_seconds=0.2, idle_seconds=0.2, session_idle_seconds=0.2)
    async with vendor_and_gateway(emulator={"knobs": knobs}, **WARM) as (vendor, gateway, stub):
        for _ in range(2):
            assert await speak(stub, model) == WORDS
            await eventually(lambda: vendor.open_connections == 0)
            assert waiting(gateway) == 0
        assert vendor.connections <= 4


@each_model
async def test_a_client_that_brings_its_key_has_its_connection_for_itself(model: str) -> None:
    async with vendor_and_gateway(**WARM, allow_caller_keys=True) as (vendor, gateway, stub):
        for _ in range(3):
            assert await speak(stub, model, x_dashscope_api_key="sk-caller") == WORDS
        assert used(vendor) == [1, 2, 3]
        assert (vendor.connections, waiting(gateway)) == (3, 0)


async def test_many_calls_at_once_share_no_connection() -> None:
    async with vendor_and_gateway(**(WARM | {"warm_connections": 3, "max_task_starts_per_second": 0})) as opened:
        vendor, _, stub = opened
        for _ in range(3):
            assert await asyncio.gather(*(speak(stub, MODELS[0]) for _ in range(20))) == [WORDS] * 20
        assert {journal.outcome for journal in vendor.journals} == {"finished"}
    await eventually(lambda: vendor.open_connections == 0)

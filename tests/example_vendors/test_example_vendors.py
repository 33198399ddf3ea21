"""Two complete vendors, as docs/adding-a-backend.md walks through them, in a gateway that has no others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import WSMsgType, web

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway.v1 import recognition_pb2_grpc as pb_grpc
from asrgateway_server.backends.vendor import Vendors, settings_class
from asrgateway_server.lifecycle import Gateway, running_gateway
from asrgateway_server.settings import Settings, SettingsError
from calls import Stub, commit, config, in_messages, recognize
from emulated_vendor import vendor
from example_vendors.counter.vendor import Counter
from example_vendors.echo.vendor import Echo

VENDORS: Vendors = {
    "echo": Echo(),
    "counter": Counter(),
}
SETTINGS = settings_class(VENDORS)
SECOND = bytes(32_000)
QUIET = {"quiet_after_seconds": 60}


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let worker processes find the counter."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))


async def echo(request: web.Request, connection: web.WebSocketResponse) -> None:
    """The echo itself."""
    assert request.headers["X-Echo-Key"] == "open sesame"
    heard_ms = 0
    async for message in connection:
        match message.data:
            case bytes() as pcm:
                heard_ms += len(pcm) // 32
                await connection.send_str(json.dumps({"ms": heard_ms}))
            case "begin":
                heard_ms = 0
                await connection.send_str('{"ready": true}')
            case "end":
                await connection.send_str('{"done": true}')
            case _:
                assert message.type is WSMsgType.CLOSE


def _settings(values: dict[str, Any]) -> Settings:  # Any: validated when they are made
    return SETTINGS(**values)


@asynccontextmanager
async def gateway(**settings: Any) -> AsyncIterator[tuple[Gateway, Stub]]:
    anywhere = {"listen": "127.0.0.1:0", "health_listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0"}
    values = anywhere | QUIET | {"drain_seconds": 0.2, "warm_connections": 0} | settings
    async with (
        vendor("/echo", echo) as url,
        running_gateway(_settings(values | {"echo_url": url}), VENDORS) as running,
        grpc.aio.insecure_channel(str(running.address)) as channel,
    ):
        yield running, pb_grpc.SpeechRecognitionServiceStub(channel)


def update(context: str) -> pb.RecognizeRequest:
    return pb.RecognizeRequest(update=pb.ConfigUpdate(adaptation=pb.SpeechAdaptation(context=context)))


async def test_their_models_are_what_the_gateway_offers() -> None:
    async with gateway() as (_, stub):
        models = await stub.ListModels(pb.ListModelsRequest())
    assert [model.name for model in models.models] == ["counter", "echo"]
    assert [(alias.name, alias.model) for alias in models.aliases] == [("default", "echo")]


async def test_a_call_goes_over_the_websocket() -> None:
    async with gateway() as (running, stub):
        outcome = await recognize(stub, [config(model="echo", interim_results=True), *in_messages(SECOND)])
        value = running.metrics.registry.get_sample_value
        assert value("asrgateway_upstream_connects_total", {"upstream": "echo", "result": "ok"}) == 1
    assert outcome.code is grpc.StatusCode.OK
    assert outcome.texts == ["1000 ms"]
    assert [result.transcript for result in outcome.results][:2] == ["100 ms", "200 ms"]


async def test_a_commit_begins_another_task_on_the_same_connection() -> None:
    async with gateway() as (running, stub):
        speech = [*in_messages(SECOND), commit(), *in_messages(SECOND[:16_000])]
        outcome = await recognize(stub, [config(model="echo"), *speech])
        value = running.metrics.registry.get_sample_value
        assert value("asrgateway_upstream_connects_total", {"upstream": "echo", "result": "ok"}) == 1
    assert [(result.transcript, result.forced) for result in outcome.finals] == [("1000 ms", True), ("500 ms", False)]
    assert [result.start_offset.ToMilliseconds() for result in outcome.finals] == [0, 1000]


async def test_a_call_runs_in_a_worker_that_was_given_its_argument() -> None:
    async with gateway(counter_unit="bytes") as (running, stub):
        speech = [*in_messages(SECOND), commit(), *in_messages(SECOND)]
        outcome = await recognize(stub, [config(model="counter"), *speech])
        value = running.metrics.registry.get_sample_value
        assert value("asrgateway_workers_limit", {"model": "counter"}) == 1
    assert [(result.transcript, result.forced) for result in outcome.finals] == [
        ("32000 bytes", True),
        ("32000 bytes", False),
    ]


@pytest.mark.parametrize("model", ["echo", "counter"])
async def test_an_update_is_answered_and_holds(model: str) -> None:
    async with gateway() as (_, stub):
        speech = [*in_messages(SECOND), update("ships"), *in_messages(SECOND)]
        outcome = await recognize(stub, [config(model=model), *speech])
    events = [response.stream_event.event_type for response in outcome.responses if response.HasField("stream_event")]
    assert events == [pb.STREAM_EVENT_TYPE_UPDATE_APPLIED]
    assert outcome.texts == ["ships 2000 ms"]


async def test_an_operator_adds_a_model_of_either() -> None:
    models = [
        {"name": "loud-echo", "like": "echo", "rates_hertz": [8_000]},
        {"name": "abacus", "backend": "counter", "languages": ["en"], "rates_hertz": [16_000]},
    ]
    async with gateway(models=models) as (_, stub):
        loud = await recognize(stub, [config(model="loud-echo"), *in_messages(SECOND)])
        abacus = await recognize(stub, [config(model="abacus"), *in_messages(SECOND)])
    assert loud.texts == ["500 ms"]
    assert abacus.texts == ["1000 ms"]


async def test_their_settings_are_checked_with_the_gateways() -> None:
    with pytest.raises(SettingsError, match="ASRGATEWAY_ECHO_URL: "):
        SETTINGS.from_environment({"ASRGATEWAY_ECHO_URL": "nowhere"})
    with pytest.raises(SettingsError, match="did you mean ASRGATEWAY_COUNTER_UNIT"):
        SETTINGS.from_environment({"ASRGATEWAY_COUNTER_UNITS": "ms"})

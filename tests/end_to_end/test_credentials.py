"""Whose key opens the vendor's connection, and what becomes of a call whose key does not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from asrgateway.v1 import recognition_pb2 as pb
from calls import Outcome, Stub, config, in_messages, outcome_of, recognize
from dashscope_emulator import Emulator, EmulatorOptions, Fault, running_emulator
from dashscope_emulator.faults import Fail, Phase
from dashscope_emulator.knobs import Knobs
from dashscope_emulator.recognizers.markers import marker_audio
from gateways import open_gateway

V2 = "paraformer-realtime-v2"
SPEECH = in_messages(marker_audio(0, 150))
KEY, WORKSPACE = "x-dashscope-api-key", "x-dashscope-workspace"

OK = grpc.StatusCode.OK
INVALID = grpc.StatusCode.INVALID_ARGUMENT
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED


async def call(stub: Stub, model: str = V2, **metadata: str) -> Outcome:
    """A short call; ``x_dashscope_api_key`` and so on are its metadata."""
    named = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
    return await outcome_of(stub.Recognize(iter([config(model=model), *SPEECH]), timeout=60, metadata=named))


def vendor(**options: Any) -> Any:
    return running_emulator(EmulatorOptions(**{"recognizer": "markers"} | options))


@asynccontextmanager
async def gateway(url: str, **settings: Any) -> AsyncIterator[Stub]:
    values = {"dashscope_url": url, "embedded_workers": 0, "backlog_speed": 1000.0} | settings
    async with open_gateway(**values) as (_, stub):
        yield stub


# The gateway's key ------------------------------------------------------------------------------------------------


async def test_a_key_file_that_is_mended_mends_the_next_call(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("sk-wrong")
    async with (
        vendor(api_key="sk-right") as dashscope,
        gateway(dashscope.url, dashscope_api_key_file=str(path)) as stub,
    ):
        first = await call(stub)
        path.write_text("sk-right")
        second = await call(stub)
    assert (first.code, first.reason) == (PRECONDITION, "UPSTREAM_REFUSED")
    assert second.code is OK


async def test_a_key_that_is_rotated_on_both_sides_fails_no_call(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("sk-old")
    async with vendor(api_key="sk-old") as before, gateway(before.url, dashscope_api_key_file=str(path)) as stub:
        assert (await call(stub)).code is OK
        await before.stop()
        path.write_text("sk-new")
        async with vendor(api_key="sk-new", port=before.port):
            assert (await call(stub)).code is OK


async def test_the_workspace_goes_to_the_vendor() -> None:
    async with (
        vendor() as dashscope,
        gateway(dashscope.url, dashscope_api_key="sk-1", dashscope_workspace="ws-1") as stub,
    ):
        assert (await call(stub)).code is OK
        assert dashscope.journals[0].headers["x-dashscope-workspace"] == "ws-1"


async def test_without_a_workspace_there_is_no_such_header() -> None:
    async with vendor() as dashscope, gateway(dashscope.url, dashscope_api_key="sk-1") as stub:
        await call(stub)
        assert "x-dashscope-workspace" not in dashscope.journals[0].headers


# Several endpoints ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def two_endpoints() -> AsyncIterator[tuple[Stub, Emulator, Emulator]]:
    async with vendor(api_key="sk-here") as here, vendor(api_key="sk-there") as there:
        settings: dict[str, Any] = {
            "dashscope_api_key": "sk-here",
            "endpoints": {
                "there": {"url": there.url, "region": "ap-southeast-1", "workspace": "ws-2", "api_key": "sk-there"}
            },
            "models": [{"name": "far", "like": V2, "vendor_model": V2, "endpoint": "there"}],
            "aliases": {"distant": "far"},
        }
        async with gateway(here.url, **settings) as stub:
            yield stub, here, there


async def test_each_model_is_reached_at_its_endpoint_with_the_key_of_it() -> None:
    async with two_endpoints() as (stub, here, there):
        near, far = await call(stub), await call(stub, "distant")
        assert (near.code, far.code) == (OK, OK)
        assert [journal.headers.get("x-dashscope-workspace") for journal in here.journals] == [None]
        assert [journal.headers["x-dashscope-workspace"] for journal in there.journals] == ["ws-2"]


async def test_a_call_is_told_its_model_and_region_and_the_vendor_its_own_name_for_it() -> None:
    async with two_endpoints() as (stub, _, there):
        started = (await call(stub, "distant")).responses[0].started
        assert (started.model, started.region) == ("far", "ap-southeast-1")
        assert there.journals[0].model == V2


async def test_the_catalogue_tells_endpoints_and_aliases() -> None:
    async with two_endpoints() as (stub, _, _):
        listed = await stub.ListModels(pb.ListModelsRequest())
    far = next(model for model in listed.models if model.name == "far")
    assert (far.endpoint, list(far.regions)) == ("there", ["ap-southeast-1"])
    assert pb.ModelAlias(name="distant", model="far", models=["far"]) in listed.aliases


# Tokens -----------------------------------------------------------------------------------------------------------

TOKENS: dict[str, Any] = {"dashscope_api_key": "sk-1", "dashscope_temporary_tokens": True}


async def test_twenty_calls_at_once_need_one_token() -> None:
    async with vendor(api_key="sk-1") as dashscope, gateway(dashscope.url, **TOKENS) as stub:
        outcomes = await asyncio.gather(*(call(stub) for _ in range(20)))
        assert {outcome.code for outcome in outcomes} == {OK}
        assert dashscope.tokens == 1


async def test_a_token_that_expired_too_soon_is_replaced_unseen() -> None:
    """A minute for the gateway is half a second here, so that it learns of the end from the vendor."""
    scaled = Knobs(first_task_seconds=6000, idle_seconds=6000, no_data_seconds=6000, silence_seconds=6000)
    async with (
        vendor(api_key="sk-1", time_scale=100.0, knobs=scaled) as dashscope,
        gateway(dashscope.url, dashscope_token_seconds=60, **TOKENS) as stub,
    ):
        assert (await call(stub)).code is OK
        await asyncio.sleep(0.6)
        outcomes = await asyncio.gather(*(call(stub) for _ in range(5)))
        assert {outcome.code for outcome in outcomes} == {OK}
        # One for all calls, unless the machine is so busy that it ends before the last of them begins.
        assert 1 < dashscope.tokens < 1 + len(outcomes)


async def test_a_key_that_no_token_is_made_of_is_the_operators_to_mend() -> None:
    async with vendor(api_key="sk-right") as dashscope, gateway(dashscope.url, **TOKENS) as stub:
        outcome = await call(stub)
    assert (outcome.code, outcome.upstream_code) == (PRECONDITION, "HTTP 401")


# Keys of callers --------------------------------------------------------------------------------------------------


async def test_a_call_may_bring_its_own_key_and_workspace() -> None:
    async with (
        vendor(api_key="sk-caller") as dashscope,
        gateway(
            dashscope.url, dashscope_api_key="sk-own", dashscope_workspace="ws-own", allow_caller_keys=True
        ) as stub,
    ):
        own = await call(stub)
        callers = await call(stub, x_dashscope_api_key="sk-caller", x_dashscope_workspace="ws-caller")
        assert (own.code, callers.code) == (PRECONDITION, OK)
        assert [journal.headers["x-dashscope-workspace"] for journal in dashscope.journals] == ["ws-caller"]


async def test_no_call_uses_the_key_of_another() -> None:
    async with (
        vendor(api_key="sk-caller") as dashscope,
        gateway(dashscope.url, allow_caller_keys=True) as stub,
    ):
        keys = ["sk-caller", "sk-wrong"] * 10
        outcomes = await asyncio.gather(*(call(stub, x_dashscope_api_key=key) for key in keys))
        assert [outcome.code for outcome in outcomes] == [OK, UNAUTHENTICATED] * 10


async def test_tokens_are_never_made_of_a_callers_key() -> None:
    async with (
        vendor(api_key="sk-caller") as dashscope,
        gateway(dashscope.url, allow_caller_keys=True, **TOKENS) as stub,
    ):
        assert (await call(stub, x_dashscope_api_key="sk-caller")).code is OK
        assert dashscope.tokens == 0


async def test_a_callers_key_that_the_vendor_rejects_is_the_callers_to_mend() -> None:
    async with vendor(api_key="sk-right") as dashscope, gateway(dashscope.url, allow_caller_keys=True) as stub:
        outcome = await call(stub, x_dashscope_api_key="sk-wrong")
    assert (outcome.code, outcome.reason, outcome.field) == (UNAUTHENTICATED, "UNAUTHENTICATED", KEY)
    assert outcome.upstream_code == "HTTP 401"


async def test_a_key_that_is_rejected_with_the_task_is_the_callers_too() -> None:
    rejected = Fault(action=Fail(code="InvalidApiKey"), phase=Phase.START)
    async with vendor(faults=(rejected,)) as dashscope, gateway(dashscope.url, allow_caller_keys=True) as stub:
        outcome = await call(stub, x_dashscope_api_key="sk-caller")
    assert (outcome.code, outcome.upstream_code) == (UNAUTHENTICATED, "InvalidApiKey")


async def test_without_any_key_the_vendors_models_are_listed_and_ask_for_one() -> None:
    async with vendor() as dashscope, gateway(dashscope.url, allow_caller_keys=True) as stub:
        listed = await stub.ListModels(pb.ListModelsRequest())
        assert V2 in {model.name for model in listed.models}
        outcome = await call(stub)
        assert dashscope.connections == 0
    assert (outcome.code, outcome.field) == (UNAUTHENTICATED, KEY)
    assert KEY in outcome.message


@pytest.mark.parametrize("name", [KEY, WORKSPACE])
async def test_where_callers_may_bring_no_keys_a_key_is_an_error(name: str) -> None:
    async with vendor() as dashscope, gateway(dashscope.url, dashscope_api_key="sk-own") as stub:
        outcome = await call(stub, **{name: "sk-caller"})
        assert dashscope.connections == 0
    assert (outcome.code, outcome.reason, outcome.field) == (INVALID, "INVALID_REQUEST", name)
    assert "allow_caller_keys" in outcome.message


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({KEY: ""}, KEY),
        ({KEY: "two words"}, KEY),
        ({WORKSPACE: "ws-1"}, KEY),
        ({KEY: "sk-1", WORKSPACE: "evil.example.org/"}, WORKSPACE),
        ({KEY: "sk-1", WORKSPACE: "x" * 65}, WORKSPACE),
    ],
)
async def test_metadata_that_cannot_be_meant_is_an_error(metadata: dict[str, str], field: str) -> None:
    async with vendor() as dashscope, gateway(dashscope.url, allow_caller_keys=True) as stub:
        outcome = await call(stub, **metadata)
        assert dashscope.connections == 0
    assert (outcome.code, outcome.field) == (INVALID, field)


# Whatever carries the call ----------------------------------------------------------------------------------------

ON_SDK: dict[str, Any] = {"transports": {"paraformer": "official_sdk"}}


async def test_the_official_sdk_uses_the_same_keys_and_workspaces() -> None:
    async with (
        vendor(api_key="sk-right") as dashscope,
        gateway(
            dashscope.url, dashscope_api_key="sk-right", dashscope_workspace="ws-1", allow_caller_keys=True, **ON_SDK
        ) as stub,
    ):
        own = await call(stub)
        callers = await call(stub, x_dashscope_api_key="sk-right", x_dashscope_workspace="ws-2")
        assert (own.code, callers.code) == (OK, OK)
        assert [journal.headers["x-dashscope-workspace"] for journal in dashscope.journals] == ["ws-1", "ws-2"]


async def test_a_callers_key_is_rejected_on_the_official_sdk_too() -> None:
    async with (
        vendor(api_key="sk-right") as dashscope,
        gateway(dashscope.url, allow_caller_keys=True, **ON_SDK) as stub,
    ):
        outcome = await call(stub, x_dashscope_api_key="sk-wrong")
    assert (outcome.code, outcome.upstream_code) == (UNAUTHENTICATED, "HTTP 401")


BIRDS = pb.SpeechAdaptation(hotwords=[pb.Hotword(text="Kestrel")])


@pytest.mark.parametrize("tokens", [False, True], ids=["key", "token"])
async def test_hot_words_are_compiled_with_the_key_in_the_file(tmp_path: Path, *, tokens: bool) -> None:
    path = tmp_path / "key"
    path.write_text("sk-right")
    settings = {"dashscope_api_key_file": str(path), "dashscope_temporary_tokens": tokens}
    async with vendor(api_key="sk-right") as dashscope, gateway(dashscope.url, **settings) as stub:
        outcome = await recognize(stub, [config(model=V2, adaptation=BIRDS), *SPEECH])
        assert (outcome.code, "warning" in outcome.kinds) == (OK, False)
        assert dashscope.journals[0].parameters["vocabulary_id"]


# Secrets ----------------------------------------------------------------------------------------------------------

PLANTED = "sk-7hepl4nted"


@pytest.mark.parametrize(
    "settings",
    [
        {"dashscope_api_key": PLANTED},
        {"dashscope_api_key": PLANTED, "dashscope_temporary_tokens": True},
        {"allow_caller_keys": True},
    ],
    ids=["own", "token", "caller"],
)
@pytest.mark.parametrize("right", [PLANTED, "sk-other"], ids=["right", "wrong"])
async def test_a_key_is_in_no_line_of_the_log_and_no_error(
    caplog: pytest.LogCaptureFixture, settings: dict[str, Any], right: str
) -> None:
    metadata = {KEY: PLANTED} if "allow_caller_keys" in settings else {}
    with caplog.at_level(logging.DEBUG):
        async with vendor(api_key=right) as dashscope, gateway(dashscope.url, **settings) as stub:
            outcome = await call(stub, **metadata)
            await call(stub, "embedded", **metadata)
    assert (outcome.code is OK) is (right == PLANTED)
    assert caplog.records
    told = [f"{vars(record)} {record.getMessage()} {record.exc_text}" for record in caplog.records]
    assert [line for line in told if "7hepl4nted" in line] == []
    assert "7hepl4nted" not in f"{outcome} {caplog.text}"

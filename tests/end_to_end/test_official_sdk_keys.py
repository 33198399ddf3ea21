"""Whose key the vendor's own SDK shows, call by call, in both dialects."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from calls import Outcome, Stub, config, in_messages, outcome_of
from dashscope_emulator import EmulatorOptions, running_emulator
from dashscope_emulator.recognizers.markers import marker_audio
from gateways import open_gateway
from on_sdk import ON_SDK, vendor_and_gateway_on_sdk

# The SDK leaves its sockets to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SPEECH = in_messages(marker_audio(0, 150))
OK = grpc.StatusCode.OK
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
models = pytest.mark.parametrize("model", ["paraformer-realtime-v2", "qwen3-asr-flash-realtime"])


@pytest.fixture(autouse=True, scope="module")
def garbage() -> Iterator[None]:
    """What the SDK leaves lying about is collected here, not in somebody else's test."""
    yield
    gc.collect()


async def call(stub: Stub, model: str, **metadata: str) -> Outcome:
    """A short call; ``x_dashscope_api_key`` and so on are its metadata."""
    named = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
    return await outcome_of(stub.Recognize(iter([config(model=model), *SPEECH]), timeout=60, metadata=named))


@models
async def test_the_workspace_goes_to_the_vendor(model: str) -> None:
    async with vendor_and_gateway_on_sdk(dashscope_workspace="ws-1") as (vendor, _, stub):
        assert (await call(stub, model)).code is OK
        assert vendor.journals[0].headers["x-dashscope-workspace"] == "ws-1"


@models
async def test_a_key_that_is_rotated_on_both_sides_fails_no_call(model: str, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("sk-old")
    settings = {"dashscope_api_key_file": str(path), "embedded_workers": 0, "transports": ON_SDK}
    async with (
        running_emulator(EmulatorOptions(recognizer="markers", api_key="sk-new")) as vendor,
        open_gateway(dashscope_url=vendor.url, **settings) as (_, stub),
    ):
        path.write_text("sk-new")
        assert (await call(stub, model)).code is OK


@models
async def test_calls_with_keys_of_their_own_do_not_meet(model: str) -> None:
    trusting = {"allow_caller_keys": True}
    async with vendor_and_gateway_on_sdk(emulator={"api_key": "sk-right"}, **trusting) as (_, _, stub):
        outcomes = await asyncio.gather(
            *(call(stub, model, x_dashscope_api_key=key) for key in ("sk-right", "sk-wrong") * 5)
        )
    assert [outcome.code for outcome in outcomes] == [OK, UNAUTHENTICATED] * 5

"""A vendor that sends the gateway elsewhere is not followed: key, audio and hot words stay where the operator said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import grpc
import pytest
from aiohttp import web

from asrgateway_server.config import Hotword
from asrgateway_server.errors import GatewayError, UpstreamRefused
from asrgateway_server.vendors.dashscope.hotwords.account import Account
from asrgateway_server.vendors.dashscope.hotwords.content import content_of
from calls import audio, config, recognize
from gateways import open_gateway


@asynccontextmanager
async def listening(application: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def redirecting_vendor(status: int, scheme: str = "http") -> AsyncIterator[tuple[str, list[str]]]:
    """A vendor that answers everything with a redirect, and what arrives where it points."""
    arrived: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        arrived.append(f"{request.method} {request.path} {dict(request.headers)} {await request.text()}")
        return web.json_response({}, status=500)

    other = web.Application()
    other.router.add_route("*", "/{path:.*}", elsewhere)
    async with listening(other) as target:

        async def redirect(_request: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": f"{scheme}://{target}/elsewhere"})

        vendor = web.Application()
        vendor.router.add_route("*", "/{path:.*}", redirect)
        async with listening(vendor) as address:
            yield address, arrived


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("status", [302, 308])
@pytest.mark.parametrize(
    ("model", "transport"),
    [
        ("paraformer-realtime-v2", "websocket"),
        ("paraformer-realtime-v2", "official_sdk"),
        ("qwen3-asr-flash-realtime", "websocket"),
        ("qwen3-asr-flash-realtime", "official_sdk"),
    ],
)
async def test_no_handshake_is_carried_elsewhere(model: str, transport: str, status: int) -> None:
    # Each library follows one of the two: that of the SDK's sessions this one, the others that one.
    scheme = "ws" if (model, transport) == ("qwen3-asr-flash-realtime", "official_sdk") else "http"
    async with (
        redirecting_vendor(status, scheme) as (address, arrived),
        open_gateway(
            dashscope_url=f"ws://{address}",
            dashscope_api_key="sk-secret",
            embedded_workers=0,
            transports={model: transport},
        ) as (_, stub),
    ):
        outcome = await recognize(stub, [config(model=model), audio(bytes(3_200))])
    assert arrived == []
    assert outcome.code in {grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNAVAILABLE}
    if transport == "websocket":
        assert (outcome.code, outcome.upstream_code) == (grpc.StatusCode.FAILED_PRECONDITION, f"HTTP {status}")
        assert "does not follow" in outcome.message


@pytest.mark.parametrize("status", [302, 307])
async def test_no_hot_word_is_carried_elsewhere(status: int) -> None:
    async with redirecting_vendor(status) as (address, arrived):
        refusals = await asyncio.to_thread(refusals_of, f"http://{address}/api/v1")
    assert arrived == []
    assert all(isinstance(refusal, UpstreamRefused) for refusal in refusals)
    assert ["does not follow" in refusal.message for refusal in refusals] == [True] * 5


def refusals_of(http_url: str) -> list[GatewayError]:
    """What each request of the hot-word services ends with."""
    from asrgateway_server.vendors.dashscope.hotwords.vendor_sdk import VendorSdk  # noqa: PLC0415 half a second, for this test alone

    account = Account(http_url=http_url, workspace="", caller="")
    sdk = VendorSdk(account, "sk-secret", ca_file="", timeout_seconds=5.0)
    content = content_of("paraformer-realtime-v2", [Hotword(text="Kestrel")])

    def refused() -> Iterator[GatewayError]:
        for ask in (
            lambda: sdk.create(content),
            sdk.tables,
            lambda: sdk.table("vocab-1"),
            lambda: sdk.delete("vocab-1"),
            lambda: sdk.compile_phrases(content),
        ):
            with pytest.raises(GatewayError) as caught:
                ask()
            yield caught.value

    return list(refused())

"""The HTTP port: `/metrics` for Prometheus, with limits on connections, because it requires no key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from asrgateway_server.admission.limited_server import LimitedServer, PortLimits, listening, send_within
from asrgateway_server.metrics import Metrics
from asrgateway_server.settings import Address


@asynccontextmanager
async def http_server(
    listen: Address,
    metrics: Metrics,
    *,
    max_connections: int,
    max_connections_per_peer: int,
    timeout_seconds: float,
) -> AsyncIterator[Address]:
    """Answer GET /metrics; see ``PortLimits``.

    Raises:
        CannotListen: The port cannot be opened.
    """
    limits = PortLimits(
        port="http",
        connections=max_connections,
        connections_per_peer=max_connections_per_peer,
        timeout_seconds=timeout_seconds,
    )

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = _response_to(request, metrics)
        await send_within(request, response, timeout_seconds)
        return response

    async with listening(LimitedServer(answer, limits, metrics), listen) as address:
        yield address


def _response_to(request: web.BaseRequest, metrics: Metrics) -> web.Response:
    if request.path != "/metrics":
        return web.Response(status=404, text="404: Not Found")
    if request.method not in {"GET", "HEAD"}:
        return web.Response(status=405, text="405: Method Not Allowed", headers={"Allow": "GET,HEAD"})
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return web.Response(body=encode(metrics.registry), headers={"Content-Type": content_type})

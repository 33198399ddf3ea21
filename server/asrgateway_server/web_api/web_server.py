"""The listener for browsers: calls on WebSockets, and the page."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from asrgateway_server.admission.admission import Admission
from asrgateway_server.admission.limited_server import (
    LimitedServer,
    PortLimits,
    listening,
    send_within,
)
from asrgateway_server.admission.tls import web_certificate_from
from asrgateway_server.admission.tls_port import listening_with_tls
from asrgateway_server.settings import Address, Settings, is_loopback
from asrgateway_server.web_api.calls import WebCalls
from asrgateway_server.web_api.handshake import Handshake
from asrgateway_server.web_api.page import HEADERS, Page

log = logging.getLogger(__name__)

#: Where calls are.
CALLS_PATH: Final = "/v1/recognize"
# By the time the listener closes the calls are over, and their last frames on the way.
_SHUTDOWN_SECONDS: Final = 2.0


@asynccontextmanager
async def web_server(settings: Settings, admission: Admission, max_connections: int) -> AsyncIterator[Address | None]:
    """Serve browsers, if the operator wants that; at the end close their connections.

    The calls are ended before, by the drain that all doors share.

    Raises:
        SettingsError: The port cannot be opened, or a certificate cannot be used.
    """
    if settings.web_listen is None:
        yield None
        return
    limits = PortLimits(
        port="web",
        connections=max_connections,
        connections_per_peer=settings.max_web_connections_per_peer or max_connections,
        timeout_seconds=settings.handshake_timeout_seconds,
    )
    door = _Door(settings, admission)
    server = LimitedServer(door.answer, limits, admission.metrics, cancels_left=True)
    certificate = web_certificate_from(settings)
    opening = (
        listening_with_tls(
            server,
            settings.web_listen,
            certificate,
            handshake_seconds=settings.handshake_timeout_seconds,
            shutdown_seconds=_SHUTDOWN_SECONDS,
        )
        if certificate
        else listening(server, settings.web_listen, _SHUTDOWN_SECONDS)
    )
    async with opening as address:
        yield address


class _Door:
    def __init__(self, settings: Settings, admission: Admission) -> None:
        self._page = Page()
        self._calls = WebCalls(admission, settings.max_message_bytes, settings.config_timeout_seconds)
        self._origins = settings.web_origins
        self._is_local = settings.web_listen is not None and is_loopback(settings.web_listen.host)
        self._timeout_seconds = settings.handshake_timeout_seconds

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != CALLS_PATH:
            return await self._send(request, self._page.response_to(request))
        handshake = Handshake(request)
        if handshake.problem:
            return await self._send(request, _refusal(426, handshake.problem, Upgrade="websocket"))
        if not handshake.comes_from(self._origins, is_local=self._is_local):
            log.warning("a page of another origin was refused", extra={"peer": handshake.peer()})
            return await self._send(request, _refusal(403, "pages of this origin may not call; see web_origins"))
        return await self._calls.run(request, handshake)

    async def _send(self, request: web.BaseRequest, response: web.Response) -> web.StreamResponse:
        await send_within(request, response, self._timeout_seconds)
        return response


def _refusal(status: int, text: str, **headers: str) -> web.Response:
    return web.Response(status=status, text=text, headers={**HEADERS, **headers})

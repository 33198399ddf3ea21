"""Handshakes of WebSockets: counted, let in or refused, and the faults that come before the upgrade is answered."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import Final

from aiohttp import web

from dashscope_emulator.connection import Handshake
from dashscope_emulator.credentials import CredentialRefused, Credentials
from dashscope_emulator.fault_schedule import FaultSchedule
from dashscope_emulator.faults import Delay, Drop, Phase, Refuse, Stall
from dashscope_emulator.knobs import Knobs
from dashscope_emulator.rest import RestError

_POLL_SECONDS: Final = 0.1


class Handshakes:
    """Decides about each handshake.

    Args:
        credentials: Checks keys and tokens.
        faults: What may go wrong.
        knobs: The statuses of refusals.
    """

    def __init__(self, credentials: Credentials, faults: FaultSchedule, knobs: Knobs) -> None:
        self.count = 0
        self._credentials = credentials
        self._faults = faults
        self._knobs = knobs
        self._is_stopping = asyncio.Event()

    def stop(self) -> None:
        """Stall no handshake any longer."""
        self._is_stopping.set()

    async def check(self, request: web.Request) -> Handshake | web.StreamResponse:
        """Let a handshake in; a response if there is to be no connection."""
        self.count += 1
        number, model = self.count, request.query.get("model", "")
        for action in self._faults.select(Phase.HANDSHAKE, connection=number, model=model).due():
            match action:
                case Refuse(status=status, body=""):
                    return RestError(status).response()
                case Refuse(status=status, body=body):
                    return web.Response(status=status, text=body)
                case Drop() if request.transport is not None:
                    request.transport.abort()
                    return web.Response(status=503)
                case Stall(seconds=seconds):
                    await self._stall(request, seconds or math.inf)
                case Delay(delay_ms=delay_ms):
                    await asyncio.sleep(delay_ms / 1000)
        try:
            token_expires = self._credentials.check(request.headers, request.query)
        except CredentialRefused as refused:
            status = self._knobs.missing_key_status if refused.is_missing else self._knobs.bad_key_status
            return refused.response(status)
        headers = {name.lower(): value for name, value in request.headers.items() if name.lower() != "authorization"}
        return Handshake(connection=number, model=model, headers=headers, token_expires=token_expires)

    async def _stall(self, request: web.Request, seconds: float) -> None:
        """Leave the handshake unanswered, unless the client or the emulator goes away."""
        until = asyncio.get_running_loop().time() + seconds
        while request.transport is not None and (left := until - asyncio.get_running_loop().time()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_stopping.wait(), min(left, _POLL_SECONDS))
                return

"""Runs the calls of browsers: one WebSocket, one call."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack
from typing import Final

from aiohttp import web

from asrgateway_server import logs
from asrgateway_server.admission.admission import Admission
from asrgateway_server.admission.call_report import INTERNAL_MESSAGE, CallReport
from asrgateway_server.admission.client_identity import ClientIdentity, identity_of, key_holder
from asrgateway_server.contract.json_messages import KEY_FIELD, ending_text, internal_error_text
from asrgateway_server.contract.requests import MAX_CONFIG_BYTES
from asrgateway_server.errors import GatewayError, Unauthenticated
from asrgateway_server.web_api.bounded_socket import CLOSE_SECONDS, GONE, BoundedSocket
from asrgateway_server.web_api.handshake import KEY_PREFIX, Handshake
from asrgateway_server.web_api.web_stream import ClientGone, WebStream

#: After so long without a frame a client is asked for a sign of life.
HEARTBEAT_SECONDS: Final = 20.0
#: A microphone's smallest pieces are 375 in a second. One that goes on from audio it kept sends many at once.
FRAMES_PER_MINUTE: Final = 30_000


class WebCalls:
    """Runs calls.

    Args:
        admission: What all doors share.
        max_message_bytes: The largest audio message of a call.
        config_timeout_seconds: How long a client may take to send its first frame.
    """

    def __init__(
        self,
        admission: Admission,
        max_message_bytes: int,
        config_timeout_seconds: float,
    ) -> None:
        self._admission = admission
        self._max_message_bytes = max_message_bytes
        self._config_timeout_seconds = config_timeout_seconds

    async def run(self, request: web.BaseRequest, handshake: Handshake) -> web.StreamResponse:
        """Run one call to its end, and close its connection."""
        # Above our own limits, so that a slightly too large frame gets an error that names its field.
        socket = BoundedSocket(2 * max(self._max_message_bytes, MAX_CONFIG_BYTES))
        async with asyncio.timeout(self._config_timeout_seconds):
            await socket.prepare(request)
        report = CallReport(
            "Recognize",
            {"traceparent": request.headers.get("traceparent", "")},
            handshake.peer(),
            identity_of(handshake).name,
            metrics=self._admission.metrics,
            tracer=self._admission.tracer,
        )
        try:
            last_text = await self._run_beside_reader(socket, handshake, report)
        finally:
            report.finish()
        if last_text:
            await _end(socket, last_text)
        return socket

    async def _run_beside_reader(self, socket: BoundedSocket, handshake: Handshake, report: CallReport) -> bytes:
        """Run a call while its frames are read; return its last text, empty if nobody is there to read it."""
        stream = WebStream(socket, HEARTBEAT_SECONDS, FRAMES_PER_MINUTE)
        last_text = b""
        try:
            async with asyncio.TaskGroup() as tasks:
                receiving = tasks.create_task(stream.receive(), name="receive frames")
                last_text = await self._last_text(stream, handshake, report)
                receiving.cancel()
        except* ClientGone:
            last_text = b""
        return last_text

    async def _last_text(self, stream: WebStream, handshake: Handshake, report: CallReport) -> bytes:
        try:
            await self._call(stream, handshake)
        except GatewayError as error:
            report.failed(error)
            return ending_text(error)
        except asyncio.CancelledError:
            report.cancelled(is_late=False)
            raise
        except Exception as error:  # noqa: BLE001 the report logs it
            report.crashed(error)
            return internal_error_text(INTERNAL_MESSAGE)
        return ending_text(None)

    async def _call(self, stream: WebStream, handshake: Handshake) -> None:
        with self._admission.peer_calls.counted(handshake.peer()):
            key = handshake.key or await stream.read_key(self._config_timeout_seconds)
            async with AsyncExitStack() as stack:
                if keys := self._admission.keys:
                    holder = self._admitted(keys.holder_of(key) if key else None, is_key_shown=bool(key))
                    key_holder.set(holder)
                    logs.add_to_call(client=identity_of(handshake).name)
                    await stack.enter_async_context(keys.open_call(holder))
                await self._admission.recognitions.run(stream, identity_of(handshake).id)

    def _admitted(self, holder: ClientIdentity | None, *, is_key_shown: bool) -> ClientIdentity:
        if holder is not None:
            return holder
        self._admission.metrics.streams_rejected.labels("auth").inc()
        raise Unauthenticated(
            "this gateway does not know the key; send a valid one"
            if is_key_shown
            else f"this gateway requires a key: offer the subprotocol {KEY_PREFIX} and the key in base64url, "
            f'or send {{"{KEY_FIELD}": KEY}} first'
        )


async def _end(socket: BoundedSocket, last_text: bytes) -> None:
    """Send the last text and close; cut a client that does not read it."""
    try:
        with contextlib.suppress(*GONE):
            async with asyncio.timeout(2 * CLOSE_SECONDS):
                await socket.send_text(last_text)
                await socket.close()
    finally:
        socket.cut()

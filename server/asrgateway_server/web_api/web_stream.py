"""A client's messages on a WebSocket."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Iterable
from typing import Final, TypeAlias

from aiohttp import WSMessage, WSMsgType

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.admission.rate_limit import PerMinute
from asrgateway_server.contract.json_encoder import to_json
from asrgateway_server.contract.json_messages import audio_request, key_in_text, request_from_text
from asrgateway_server.contract.requests import CONFIG_FIELD
from asrgateway_server.errors import ClientLimitReached, ClientStalled, GatewayError, InvalidRequest
from asrgateway_server.web_api.bounded_socket import GONE, BoundedSocket

# A longer text is read in a thread: it may take a second.
_SHORT_TEXT: Final = 4 * 1024
# How long the cancel of a call whose client is gone takes at most.
_CANCEL_IS_DUE_SECONDS: Final = 1.0

Frame: TypeAlias = "WSMessage | GatewayError"


class ClientGone(Exception):
    """The client has closed the connection, or shows no sign of life."""


class WebStream:
    """See ``call_client.Stream``.

    Args:
        socket: The connection.
        heartbeat_seconds: After so long without a frame the client is asked for a sign of life, and has as long again.
        frames_per_minute: How many frames it may send; as many may come at once.
    """

    def __init__(self, socket: BoundedSocket, heartbeat_seconds: float, frames_per_minute: int) -> None:
        self._socket = socket
        self._heartbeat_seconds = heartbeat_seconds
        self._rate = PerMinute(frames_per_minute)
        self._rate_full_at = -math.inf
        self._frames: asyncio.Queue[Frame] = asyncio.Queue(maxsize=1)
        self._kept: Frame | None = None
        self._has_config = False
        self._is_half_closed = False

    async def receive(self) -> None:
        """Take frames from the connection, each when the call has taken the one before.

        Raises:
            ClientGone: The client is.
        """
        while True:
            frame = await self._next()
            if error := self._error_of(frame):
                await self._hand_over(error)
                return
            match frame.type:
                case WSMsgType.BINARY | WSMsgType.TEXT:
                    await self._hand_over(frame)
                case WSMsgType.PING:
                    await self._within_heartbeat(self._socket.pong(frame.data))
                case WSMsgType.PONG:
                    pass
                case _:
                    raise ClientGone

    async def read_key(self, seconds: float) -> str:
        """Return the key that the first frame carries; empty if it carries something else, which ``read`` returns.

        Raises:
            ClientStalled: No frame came in time.
        """
        try:
            async with asyncio.timeout(seconds):
                frame = await self._frames.get()
        except TimeoutError:
            raise ClientStalled(f"no {CONFIG_FIELD} came within {seconds:g} s", field=CONFIG_FIELD) from None
        key = key_in_text(frame.data) if isinstance(frame, WSMessage) and frame.type is WSMsgType.TEXT else ""
        if not key:
            self._kept = frame
        return key

    # The call's side ------------------------------------------------------------------------------------------------

    def metadata(self) -> Iterable[tuple[str, str | bytes]]:
        """Return nothing: a browser sends no metadata."""
        return ()

    async def admit(self, call_id: str) -> None:
        """Do nothing: the connection is open already."""

    async def read(self) -> pb.RecognizeRequest | None:
        """See ``Stream``."""
        frame = self._kept or await self._frames.get()
        self._kept = None
        if isinstance(frame, GatewayError):
            raise frame
        if frame.type is WSMsgType.BINARY:
            return audio_request(frame.data)
        request = await self._request_from(frame.data)
        self._has_config = True
        self._is_half_closed = request is None
        return request

    async def verify_half_close(self) -> None:
        """Do nothing: here a client that leaves does not look as if it had half-closed."""

    def refuse_commit(self, error: ClientLimitReached) -> None:
        """See ``Stream``."""
        raise error

    async def write(self, message: pb.RecognizeResponse) -> None:
        """See ``Stream``."""
        try:
            await self._socket.send_text(to_json(message))
        except GONE as error:
            await asyncio.sleep(_CANCEL_IS_DUE_SECONDS)
            raise ClientStalled("the client is gone") from error

    async def _request_from(self, text: str) -> pb.RecognizeRequest | None:
        if len(text) <= _SHORT_TEXT:
            return request_from_text(text, is_first=not self._has_config)
        return await asyncio.to_thread(request_from_text, text, is_first=not self._has_config)

    # The connection's side ------------------------------------------------------------------------------------------

    async def _next(self) -> WSMessage:
        for is_asked in (False, True):
            try:
                async with asyncio.timeout(self._heartbeat_seconds):
                    return await self._socket.receive()
            except TimeoutError:
                if not is_asked:
                    await self._within_heartbeat(self._socket.ping())
        raise ClientGone

    async def _within_heartbeat(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._heartbeat_seconds):
                await sending
        except GONE:
            raise ClientGone from None

    async def _hand_over(self, frame: Frame) -> None:
        """Wait until the call takes a frame; once the client has half-closed, it may send only errors."""
        if not self._is_half_closed:
            await self._frames.put(frame)
        elif isinstance(frame, GatewayError):
            raise ClientGone

    def _error_of(self, frame: WSMessage) -> GatewayError | None:
        if frame.type is WSMsgType.ERROR:
            return InvalidRequest(
                "the connection is closed: a frame was too large, or no valid frame of a WebSocket", field="request"
            )
        now = time.monotonic()
        if (wait := self._rate.wait_seconds(self._rate_full_at, now)) > 0:
            return ClientLimitReached(
                f"a call may send {self._rate.count} frames in a minute, and this one has sent more",
                field="request",
                retry_after_seconds=wait,
            )
        self._rate_full_at = self._rate.full_again(self._rate_full_at, now)
        return None

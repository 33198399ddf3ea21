"""The server's side of a WebSocket, in which little waits in either direction."""

from __future__ import annotations

import socket
from typing import Final

from aiohttp import web
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.http import WebSocketReader, WebSocketWriter

from asrgateway_server.backends.bounded_websocket import bound_unsent

#: The one subprotocol: the contract in JSON.
SUBPROTOCOL: Final = "asrgateway.v1.json"
# By itself the library takes 512 KB that nobody has read, 16 s of audio. It takes twice this, and so does the kernel.
_UNREAD_BYTES: Final = 16 * 1024
# What a client does not read stays with us, and slows its upstream.
_UNWRITTEN_BYTES: Final = 16 * 1024
# How long a client may take part in closing.
CLOSE_SECONDS: Final = 1.0
#: What sending raises when the connection is gone, or the client does not read.
GONE: Final = (ConnectionError, RuntimeError, TimeoutError)


class BoundedSocket(web.WebSocketResponse):
    """A WebSocket that reads ahead little, writes ahead little, and compresses nothing.

    A compressed frame of some bytes may unpack to megabytes, and speech hardly gets smaller.
    """

    def __init__(self, max_message_bytes: int) -> None:
        super().__init__(
            protocols=(SUBPROTOCOL,),
            compress=False,
            autoping=False,
            timeout=CLOSE_SECONDS,
            max_msg_size=max_message_bytes,
            writer_limit=0,  # Each message waits until the transport has room.
        )

    async def send_text(self, text: bytes) -> None:
        """Send a text in UTF-8; wait until it is on its way."""
        await self.send_frame(text, web.WSMsgType.TEXT)

    def cut(self) -> None:
        """Close the connection at once if it is still open: what the client has not read is lost."""
        if self._req is not None and self._req.transport is not None:
            self._req.transport.abort()

    def _post_start(self, request: web.BaseRequest, protocol: str | None, writer: WebSocketWriter) -> None:
        """Do as the library does, but for its limit; it has no public way to choose another one."""
        self._ws_protocol = protocol
        self._writer = writer
        loop = self._loop
        assert loop is not None  # noqa: S101 the library sets it before
        self._reader = WebSocketDataQueue(request.protocol, _UNREAD_BYTES, loop=loop)
        self._parser = WebSocketReader(self._reader, self._max_msg_size, compress=False, decode_text=True)
        if request.transport is not None:
            request.transport.set_write_buffer_limits(high=_UNWRITTEN_BYTES)
            connection = request.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UNREAD_BYTES)
            bound_unsent(connection)
        request.protocol.set_parser(self._parser)
        request.protocol.keep_alive(False)

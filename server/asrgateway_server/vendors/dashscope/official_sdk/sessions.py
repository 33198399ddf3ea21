"""The session dialect on the SDK's ``OmniRealtimeConversation``: one object and one thread for each session.

Import it only where it is used: the SDK takes 62 MB and 0.4 s.

Messages go through ``send_raw``, whole: the methods with names would give them ids of their own, by which the adapter
knows what an error is about, and values that nobody asked for.

Source: dashscope 2.0.2, ``audio/qwen_omni/omni_realtime.py``; websocket-client 1.9, ``_app.py`` and ``_core.py``.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
from dashscope.audio.qwen_omni import OmniRealtimeCallback, OmniRealtimeConversation
from websocket import (
    WebSocket,
    WebSocketBadStatusException,
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketTimeoutException,
    _app,
)

from asrgateway_server.backends.bounded_websocket import bound_unsent
from asrgateway_server.errors import GatewayError, UpstreamLost
from asrgateway_server.vendors.dashscope.error_codes import handshake_error
from asrgateway_server.vendors.dashscope.official_sdk.threads import (
    Access,
    Closed,
    Inbox,
    Pong,
    RunInThread,
    message_of,
    unreadable,
)

_CLOSE_SECONDS: Final = 1.0
_JOIN_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.02
# What it raises when the connection goes while it is used.
_GONE: Final = (WebSocketException, OSError, AttributeError)


class _StayingWebSocket(WebSocket):
    """Follows the vendor nowhere else: the library would show the key there too."""

    def connect(self, url: str, **options: Any) -> None:  # Any: the library's own
        """Connect; see ``WebSocket``."""
        super().connect(url, **options | {"redirect_limit": 0})  # type: ignore[no-untyped-call] # the library has no types here


# The SDK's way to a connection has no option for it; by this name the library finds its class.
vars(_app)["WebSocket"] = _StayingWebSocket


class SessionConnection:
    """Carries the messages of a session's adapter; see ``SdkConnection``."""

    def __init__(self, path: str, access: Access, inbox: Inbox, run: RunInThread) -> None:
        self.close_code: int | None = None
        self._inbox = inbox
        self._run = run
        self._path = path
        self._access = access
        self._session: Session | None = None

    async def open(self) -> None:
        """Begin to connect; the first message, or the reason why there is none, arrives later."""
        session = Session(self._path, self._access, await self._access.key(), self._inbox)
        self._session = session
        self._run(session.connect)

    async def send_str(self, data: str, /) -> None:
        """Send a message; wait until the kernel has taken it."""
        session = self._session
        if session is None:
            raise ConnectionResetError("the connection is not open")
        await self._run(lambda: session.send(data))

    async def send_bytes(self, data: bytes, /) -> None:
        """See ``Connection``; the dialect has no binary messages."""
        raise NotImplementedError

    async def is_pinged(self) -> bool:
        """See ``Connection``; does not wait for what is being sent."""
        if self._session:
            self._run(self._session.ping)
        return True

    async def receive(self) -> aiohttp.WSMessage:
        """Return the next message; see ``Connection``."""
        arrival = await self._inbox.get()
        if isinstance(arrival, Closed):
            self.close_code = arrival.code
        return message_of(arrival)

    def end(self) -> None:
        """See ``SdkConnection``."""
        if self._session:
            self._session.end()


class Session(OmniRealtimeCallback):
    """One session: a conversation of the SDK, which cannot be used again."""

    def __init__(self, path: str, access: Access, key: str, inbox: Inbox) -> None:
        address, _, model = path.partition("?model=")
        self._inbox = inbox
        self._is_ended = False
        self._has_begun = False
        self._has_started = False
        self._starting = threading.Lock()
        self._sending = threading.Lock()
        # Any: its types are narrower than what it takes.
        self._conversation: Any = _Conversation(
            model=model,
            callback=self,
            url=access.url + address,
            api_key=key,
            workspace=access.workspace,
        )
        self._conversation.failed = self._failed

    def connect(self) -> None:
        """Connect; blocks until then, or for 5 s if that fails."""
        with self._starting:
            if self._is_ended:
                return
            self._has_started = True
        # The reason is in the inbox by then. A handshake that takes longer has the time that the operator gives it.
        with contextlib.suppress(TimeoutError):
            self._conversation.connect()

    def send(self, message: str) -> None:
        """Send a message; blocks until the kernel has taken it.

        Raises:
            ConnectionResetError: The connection is gone.
        """
        with self._sending:
            try:
                self._conversation.send_raw(message)
            except _GONE as error:
                raise ConnectionResetError("the connection is gone") from error

    def ping(self) -> None:
        """Send a ping; blocks like ``send``."""
        with self._sending, contextlib.suppress(*_GONE):  # The inbox gets the reason.
            self._conversation.ws.sock.ping()

    def end(self) -> None:
        """End its thread, whatever it waits for; blocks for a bounded time."""
        with self._starting:
            self._is_ended = True
        if not self._has_started:
            return
        thread, application = self._conversation.wait_for_thread()
        if self._say_goodbye(application):
            thread.join(_CLOSE_SECONDS)
        until = time.monotonic() + _JOIN_SECONDS
        while thread.is_alive() and time.monotonic() < until:
            with contextlib.suppress(*_GONE):  # Again and again: it may be about to connect.
                application.sock.sock.shutdown(socket.SHUT_RDWR)
            thread.join(_POLL_SECONDS)
        with contextlib.suppress(*_GONE):  # After an error the SDK leaves it open.
            application.sock.close()
        self._conversation.stop_waiting()

    def _say_goodbye(self, application: Any) -> bool:  # Any: a WebSocketApp
        """Close in order; return False if there is no connection, or something is stuck."""
        if not self._sending.acquire(timeout=_CLOSE_SECONDS):
            return False
        try:
            if not application.sock.connected:
                return False
            application.sock.settimeout(_CLOSE_SECONDS)
            application.sock.send_close()
        except _GONE:
            return False
        finally:
            self._sending.release()
        return True

    # What the SDK calls, in its threads -------------------------------------------------------------------------

    def on_open(self) -> None:
        """Look out for pongs, and let no more of the audio wait in the kernel than on a WebSocket of our own."""
        self._conversation.ws.on_pong = lambda *_: self._inbox.put(Pong())
        with contextlib.suppress(*_GONE):
            bound_unsent(self._conversation.ws.sock.sock)

    def on_event(self, message: Any) -> None:  # Any: as the SDK has it
        """Pass on a message as the vendor sent it."""
        self._has_begun = True
        self._inbox.put(json.dumps(message, ensure_ascii=False))

    def on_close(self, close_status_code: int | None, close_msg: str | None) -> None:  # noqa: ARG002 the SDK's names
        """Pass on that the connection is closed."""
        self._inbox.put(Closed(close_status_code))

    def _failed(self, error: Exception) -> None:
        if isinstance(error, WebSocketBadStatusException):
            self._inbox.put(handshake_error(error.status_code))
        elif not self._has_begun and isinstance(error, OSError | WebSocketException):
            self._inbox.put(_unreachable(error))
        elif not isinstance(error, WebSocketConnectionClosedException | WebSocketTimeoutException | OSError):
            self._inbox.put(unreadable())
        # In all other cases `on_close` follows, which knows the code.


class _Conversation(OmniRealtimeConversation):
    """A conversation that reports what went wrong, which the SDK only logs."""

    failed: Any  # Any: takes the error
    thread: threading.Thread
    ws: Any  # Any: a WebSocketApp, or None before the start

    def wait_for_thread(self) -> tuple[threading.Thread, Any]:  # Any: a WebSocketApp
        """Return the thread that is being started, once it runs, and the connection that it serves."""
        while not hasattr(self, "thread") or self.thread.ident is None:
            time.sleep(_POLL_SECONDS)
        return self.thread, self.ws

    def stop_waiting(self) -> None:
        """Let ``connect`` return, which looks at nothing but this for 5 s: the connection may have come and gone."""
        self.ws = SimpleNamespace(sock=SimpleNamespace(connected=True))

    def _on_error(self, ws: object, error: Exception) -> None:  # noqa: ARG002 the SDK's names
        self.failed(error)


def _unreachable(error: Exception) -> GatewayError | Closed:
    code = getattr(error, "status_code", None)
    return Closed(code) if isinstance(code, int) else UpstreamLost("the vendor cannot be reached")

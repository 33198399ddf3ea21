"""The emulator itself: its routes, and how it starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import Final

from aiohttp import web

from dashscope_emulator.connection import Connection, Handshake, Services
from dashscope_emulator.credentials import Credentials
from dashscope_emulator.fault_schedule import FaultSchedule
from dashscope_emulator.handshakes import Handshakes
from dashscope_emulator.hotword_api import HotwordApi
from dashscope_emulator.journal import Journal, Journals
from dashscope_emulator.options import EmulatorOptions
from dashscope_emulator.phrases import PhraseLists
from dashscope_emulator.recognizers.base import Recognizers
from dashscope_emulator.recognizers.markers import MarkerRecognizers, MarkerScript
from dashscope_emulator.recognizers.pocketsphinx import PocketSphinxRecognizers
from dashscope_emulator.recognizers.script import Script, ScriptRecognizers, load_workload
from dashscope_emulator.rest import RestError, invalid
from dashscope_emulator.sender import Sender
from dashscope_emulator.session_connection import SessionConnection
from dashscope_emulator.task_connection import TaskConnection
from dashscope_emulator.vocabularies import Vocabularies

_CLOSE_SECONDS: Final = 2.0
_GOING_AWAY: Final = 1001
_MAX_TOKEN_SECONDS: Final = 1800
_SECONDS: Final = re.compile(r"[0-9]{1,9}")

Dialect = Callable[[Services, Handshake, Sender, web.WebSocketResponse], Connection]
_DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType(
    {"/api-ws/v1/inference": TaskConnection, "/api-ws/v1/realtime": SessionConnection}
)


def _recognizers(options: EmulatorOptions) -> Recognizers:
    match options:
        case EmulatorOptions(recognizer="script", script=script):
            return ScriptRecognizers(script if isinstance(script, Script) else load_workload())
        case EmulatorOptions(recognizer="markers", script=script):
            return MarkerRecognizers(script if isinstance(script, MarkerScript) else MarkerScript())
    return PocketSphinxRecognizers(options.knobs.decoders)


class Emulator:
    """A running emulator; see ``running_emulator``.

    Attributes:
        port: Where it listens.
        vocabularies: The compiled hot-word lists of the account.
        phrases: The phrase lists of the account.
        tokens: How many tokens have been given out.
    """

    def __init__(self, options: EmulatorOptions) -> None:
        self.port = 0
        self.vocabularies = Vocabularies(options.knobs.vocabulary_lists)
        self.phrases = PhraseLists()
        self.tokens = 0
        self._options = options
        self._journals = Journals(options.journal)
        self._credentials = Credentials(options.api_key, options.time_scale, asyncio.get_running_loop().time)
        self._services = Services(
            knobs=options.knobs,
            time_scale=options.time_scale,
            recognizers=_recognizers(options),
            faults=FaultSchedule(options.faults),
            vocabularies=self.vocabularies,
            phrases=self.phrases,
            journals=self._journals,
        )
        self._handshakes = Handshakes(self._credentials, self._services.faults, options.knobs)
        self._open: set[Connection] = set()
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=_CLOSE_SECONDS)

    @property
    def url(self) -> str:
        """Scheme, host and port for WebSockets, without a path."""
        return f"{'wss' if self._options.tls_cert else 'ws'}://{self._options.host}:{self.port}"

    @property
    def http_url(self) -> str:
        """Scheme, host and port for HTTP, without a path."""
        return f"{'https' if self._options.tls_cert else 'http'}://{self._options.host}:{self.port}"

    @property
    def journals(self) -> Sequence[Journal]:
        """What was noted of the last tasks, in the order in which they began."""
        return self._journals.kept

    async def task(self, number: int) -> Journal:
        """Wait until the task of that number, from 1, has begun; return its journal."""
        return await self._journals.begun(number)

    @property
    def connections(self) -> int:
        """How many connections have been tried, refused handshakes included."""
        return self._handshakes.count

    @property
    def open_connections(self) -> int:
        """How many are open."""
        return len(self._open)

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            OSError: The address is taken, or the certificate cannot be read.
        """
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._options.host, self._options.port, ssl_context=self._tls())
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close every connection, then everything else."""
        await self._runner.cleanup()
        await self._services.recognizers.close()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._serve_http])
        for path, dialect in _DIALECTS.items():
            for route in (path, f"{path}/"):
                application.router.add_get(route, partial(self._serve, dialect))
        application.router.add_post("/api/v1/tokens", self._exchange_token)
        application.router.add_routes(HotwordApi(self.vocabularies, self.phrases, self._options.knobs).routes())
        application.on_shutdown.append(self._close_connections)
        return application

    def _tls(self) -> ssl.SSLContext | None:
        if self._options.tls_cert is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._options.tls_cert, self._options.tls_key)
        return context

    @web.middleware
    async def _serve_http(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Check the key in plain HTTP, and answer errors; at a handshake, a fault may come before the key."""
        try:
            if request.path.startswith("/api/"):
                self._credentials.check(request.headers, {})
            return await handler(request)
        except RestError as error:
            return error.response()

    async def _serve(self, dialect: Dialect, request: web.Request) -> web.StreamResponse:
        handshake = await self._handshakes.check(request)
        if not isinstance(handshake, Handshake):
            return handshake
        socket = web.WebSocketResponse(
            timeout=_CLOSE_SECONDS,
            autoclose=False,
            autoping=False,
            compress=False,
            max_msg_size=self._options.knobs.max_message_bytes,
        )
        await socket.prepare(request)
        connection = dialect(self._services, handshake, Sender(socket, request, self._options.knobs), socket)
        self._open.add(connection)
        try:
            await connection.run()
        finally:
            self._open.discard(connection)
        return socket

    async def _exchange_token(self, request: web.Request) -> web.Response:
        if self._credentials.check(request.headers, {}) is not None:  # a token makes no tokens
            raise RestError(401)
        seconds = request.query.get("expire_in_seconds", "60")
        if not _SECONDS.fullmatch(seconds) or not 1 <= int(seconds) <= _MAX_TOKEN_SECONDS:
            raise invalid("expire_in_seconds must be from 1 to 1800.")
        self.tokens += 1
        token = self._credentials.exchange(int(seconds))
        return web.json_response({"token": token.text, "expires_at": token.expires_at})

    async def _close_connections(self, _: web.Application) -> None:
        self._handshakes.stop()
        await asyncio.gather(*(connection.shut_down(_GOING_AWAY, "shutting down") for connection in self._open))


@asynccontextmanager
async def running_emulator(options: EmulatorOptions) -> AsyncIterator[Emulator]:
    """Run an emulator for as long as the block lasts.

    Raises:
        OSError: The address is taken, or the certificate cannot be read.
    """
    emulator = Emulator(options)
    try:
        await emulator.start()
        yield emulator
    finally:
        await emulator.stop()


async def run(options: EmulatorOptions) -> None:
    """Run an emulator until SIGINT or SIGTERM; print one line when it listens.

    Raises:
        OSError: The address is taken, or the certificate cannot be read.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as signals:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
            signals.callback(loop.remove_signal_handler, number)
        async with running_emulator(options) as emulator:
            print(f"DashScope emulator ({options.recognizer}) listens on {emulator.url}", flush=True)  # noqa: T201
            await stopped.wait()

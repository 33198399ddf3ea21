"""The emulator itself: its routes, its handshakes, and how it starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import re
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Final

from aiohttp import web

from dashscope_emulator import rest
from dashscope_emulator.connection import Connection, Peer, World
from dashscope_emulator.credentials import CredentialRefused, Credentials
from dashscope_emulator.faults import Delay, Drop, FaultBook, Phase, Refuse, Stall
from dashscope_emulator.hotword_api import HotwordApi
from dashscope_emulator.journal import Journal, Journals
from dashscope_emulator.options import EmulatorOptions
from dashscope_emulator.phrases import PhraseLists
from dashscope_emulator.recognizers.base import Recognizers
from dashscope_emulator.recognizers.markers import MarkerRecognizers, MarkerScript
from dashscope_emulator.recognizers.pocketsphinx import PocketSphinxRecognizers
from dashscope_emulator.recognizers.script import Script, ScriptRecognizers, load_workload
from dashscope_emulator.session_connection import SessionConnection
from dashscope_emulator.task_connection import TaskConnection
from dashscope_emulator.vocabularies import Vocabularies

log = logging.getLogger(__name__)

_CLOSE_SECONDS: Final = 2.0
_MAX_TOKEN_SECONDS: Final = 1800
_SECONDS: Final = re.compile(r"[0-9]{1,9}")
_GLANCE_SECONDS: Final = 0.1


def _scripted(options: EmulatorOptions) -> Recognizers:
    return ScriptRecognizers(options.script if isinstance(options.script, Script) else load_workload())


def _marked(options: EmulatorOptions) -> Recognizers:
    return MarkerRecognizers(options.script if isinstance(options.script, MarkerScript) else MarkerScript())


def _real(options: EmulatorOptions) -> Recognizers:
    return PocketSphinxRecognizers(options.knobs.decoders, options.knobs.fixed_ms)


_RECOGNIZERS: Final[Mapping[str, Callable[[EmulatorOptions], Recognizers]]] = MappingProxyType(
    {"pocketsphinx": _real, "script": _scripted, "markers": _marked}
)


class Emulator:
    """A running emulator; see ``running_emulator``."""

    def __init__(self, options: EmulatorOptions) -> None:
        self._options = options
        self._journals = Journals(options.journal)
        self._credentials = Credentials(options.api_key, options.time_scale, asyncio.get_running_loop().time)
        self._world = World(
            knobs=options.knobs,
            time_scale=options.time_scale,
            recognizers=_RECOGNIZERS[options.recognizer](options),
            faults=FaultBook(options.faults),
            vocabularies=Vocabularies(options.knobs.vocabulary_lists),
            phrases=PhraseLists(),
            journals=self._journals,
        )
        self._connections = 0
        self._tokens_made = 0
        self._is_stopping = asyncio.Event()
        self._open: set[Connection] = set()
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=_CLOSE_SECONDS)
        self.port = 0

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
        """What was noted of the last tasks, in the order they began."""
        return self._journals.kept

    async def task(self, number: int) -> Journal:
        """Wait until the task of that number, from 1, has begun; return its journal."""
        return await self._journals.begun(number)

    @property
    def vocabularies(self) -> Vocabularies:
        """The compiled hot-word lists of the account."""
        return self._world.vocabularies

    @property
    def phrases(self) -> PhraseLists:
        """The phrase lists of the account."""
        return self._world.phrases

    @property
    def tokens(self) -> int:
        """How many tokens have been handed out."""
        return self._tokens_made

    @property
    def connections(self) -> int:
        """How many connections have been tried."""
        return self._connections

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
        await self._world.recognizers.close()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._let_in])
        for path in ("/api-ws/v1/inference", "/api-ws/v1/inference/"):
            application.router.add_get(path, self._inference)
        for path in ("/api-ws/v1/realtime", "/api-ws/v1/realtime/"):
            application.router.add_get(path, self._realtime)
        application.router.add_post("/api/v1/tokens", self._tokens)
        hotwords = HotwordApi(self._world.vocabularies, self._world.phrases, self._options.knobs)
        application.router.add_routes(hotwords.routes())
        application.on_shutdown.append(self._close_connections)
        return application

    def _tls(self) -> ssl.SSLContext | None:
        if self._options.tls_cert is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._options.tls_cert, self._options.tls_key)
        return context

    @web.middleware
    async def _let_in(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Ask for the key in plain HTTP; a handshake does so itself, since a fault may come first."""
        if request.path.startswith("/api/"):
            try:
                self._credentials.check(request.headers, {})
            except CredentialRefused as refused:
                message = "No API-key provided." if refused.is_missing else "Invalid API-key provided."
                return rest.error(401, "InvalidApiKey", message)
        return await handler(request)

    async def _inference(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, TaskConnection)

    async def _realtime(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, SessionConnection)

    async def _serve(
        self,
        request: web.Request,
        dialect: Callable[[World, Peer, web.WebSocketResponse, web.Request], Connection],
    ) -> web.StreamResponse:
        self._connections += 1
        number = self._connections
        if (answer := await self._misfortune(request, number)) is not None:
            return answer
        try:
            token_expires = self._credentials.check(request.headers, request.query)
        except CredentialRefused as refused:
            return self._unauthorized(refused)
        knobs = self._options.knobs
        socket = web.WebSocketResponse(
            timeout=_CLOSE_SECONDS,
            autoclose=False,
            autoping=False,
            compress=False,
            max_msg_size=knobs.max_message_bytes,
        )
        await socket.prepare(request)
        peer = Peer(number=number, headers=_noted(request), token_expires=token_expires)
        connection = dialect(self._world, peer, socket, request)
        self._open.add(connection)
        try:
            await connection.converse()
        finally:
            self._open.discard(connection)
        log.debug("connection ended", extra={"connection": number, "close_code": socket.close_code})
        return socket

    async def _misfortune(self, request: web.Request, number: int) -> web.StreamResponse | None:
        """Let the faults of the handshake strike; an answer if there is to be no connection."""
        model = request.query.get("model", "")
        for action in self._world.faults.select(Phase.HANDSHAKE, connection=number, model=model).due():
            match action:
                case Refuse(status=status, body=""):
                    return rest.refusal(status)
                case Refuse(status=status, body=body):
                    return web.Response(status=status, text=body)
                case Drop() if request.transport is not None:
                    request.transport.abort()
                    return web.Response(status=503)
                case Stall(seconds=seconds):
                    await self._stall(request, seconds or math.inf)
                case Delay(delay_ms=delay_ms):
                    await asyncio.sleep(delay_ms / 1000)
        return None

    async def _stall(self, request: web.Request, seconds: float) -> None:
        """Leave the handshake unanswered, unless the client or the emulator goes away."""
        until = asyncio.get_running_loop().time() + seconds
        while request.transport is not None and (left := until - asyncio.get_running_loop().time()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_stopping.wait(), min(left, _GLANCE_SECONDS))
                return

    def _unauthorized(self, refused: CredentialRefused) -> web.Response:
        knobs = self._options.knobs
        if refused.is_missing:
            return rest.error(knobs.missing_key_status, "InvalidApiKey", "No API-key provided.")
        return rest.error(knobs.bad_key_status, "InvalidApiKey", "Invalid API-key provided.")

    async def _tokens(self, request: web.Request) -> web.Response:
        if self._credentials.check(request.headers, {}) is not None:  # a token makes no tokens
            return rest.refusal(401)
        asked = request.query.get("expire_in_seconds", "60")
        if not _SECONDS.fullmatch(asked) or not 1 <= int(asked) <= _MAX_TOKEN_SECONDS:
            return rest.error(400, "InvalidParameter", "expire_in_seconds must be from 1 to 1800.")
        self._tokens_made += 1
        token = self._credentials.exchange(int(asked))
        return web.json_response({"token": token.text, "expires_at": token.expires_at})

    async def _close_connections(self, _: web.Application) -> None:
        self._is_stopping.set()
        code = self._options.knobs.shutdown_close_code
        await asyncio.gather(*(connection.goodbye(code, "shutting down") for connection in self._open))


def _noted(request: web.Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items() if name.lower() != "authorization"}


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

"""The run-task dialect on the SDK's ``Recognition``: one object and three threads for each task.

Import it only where it is used: the SDK takes 62 MB and 0.4 s.

Source: dashscope 2.0.2, ``audio/asr/recognition.py``, ``client/base_api.py``, ``api_entities/websocket_request.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
from dashscope.api_entities import websocket_request
from dashscope.api_entities.api_request_factory import _build_api_request
from dashscope.audio.asr import Recognition, RecognitionCallback
from dashscope.client.base_api import BaseApi
from dashscope.common.constants import WEBSOCKET_ERROR_CODE
from dashscope.common.error import InvalidParameter

from asrgateway_server.backends.bounded_websocket import BoundedWebSocket, bound_unsent
from asrgateway_server.backends.network import no_redirects
from asrgateway_server.errors import GatewayError, UnsupportedOption, UpstreamLost
from asrgateway_server.vendors.dashscope.credentials import WORKSPACE_HEADER
from asrgateway_server.vendors.dashscope.error_codes import handshake_error
from asrgateway_server.vendors.dashscope.official_sdk.threads import Access, Inbox, RunInThread, message_of, unreadable

Json = Mapping[str, Any]  # Any: JSON values; the adapter wrote or reads them

# Half a second of audio: what the SDK has not taken by then holds the client back. Its own queue has no bound.
WINDOW_FRAMES: Final = 5
# While it waits for audio the SDK's event loop stands still and receives nothing. An empty frame, which is not sent,
# gives it a turn; one result takes about three. It also keeps a timer from firing that ends the task after 23 s
# without audio as if all were well.
NUDGE_SECONDS: Final = 0.05
_NUDGE_FRAMES: Final = 3
# What the SDK has read and nobody has taken: beyond this it stops reading.
_MOST_UNREAD: Final = 16
_UNREAD_POLL_SECONDS: Final = 0.01
_JOIN_SECONDS: Final = 5.0

#: Names that the SDK's own functions would take for themselves: a URL or a header among them.
RESERVED: Final = frozenset(
    {*inspect.signature(_build_api_request).parameters, *inspect.signature(BaseApi.call).parameters}
    | {"self", "callback", "phrase_id", "raw_input", "link"}
)


# The SDK's way to a connection has no option for it; by this name it finds the library.
_sessions = partial(aiohttp.ClientSession, trace_configs=[no_redirects()])
vars(websocket_request)["aiohttp"] = SimpleNamespace(**vars(aiohttp) | {"ClientSession": _sessions})


class TaskConnection:
    """Carries the messages of a ``RunTaskAdapter``, and no others; see ``SdkConnection``."""

    close_code: int | None = None

    def __init__(self, path: str, access: Access, inbox: Inbox, run: RunInThread) -> None:
        self._address = access.url + path
        self._access = access
        self._inbox = inbox
        self._run = run
        self._task: Task | None = None
        self._window = asyncio.Semaphore(WINDOW_FRAMES)

    async def open(self) -> None:
        """See ``SdkConnection``; the SDK connects as the task begins."""

    async def send_str(self, data: str, /) -> None:
        """Do what a message of the adapter asks for."""
        message = json.loads(data)
        header, payload = message["header"], message["payload"]
        match header["action"]:
            case "run-task":
                await self._run_task(header["task_id"], payload)
            case "continue-task":
                self._running.update_context(payload["input"])
            case "finish-task":
                self._run(self._running.finish)

    async def send_bytes(self, data: bytes, /) -> None:
        """Hand over audio, as soon as the SDK has less than half a second of it waiting."""
        await self._window.acquire()
        self._running.send(Frame(data, self._window_opens()))

    async def is_pinged(self) -> bool:
        """See ``Connection``; the SDK pings every 30 s of quiet, and gives the vendor 15 s."""
        return False

    async def receive(self) -> aiohttp.WSMessage:
        """Return the next message; see ``Connection``."""
        return message_of(await self._inbox.get())

    def end(self) -> None:
        """See ``SdkConnection``."""
        if self._task:
            self._task.end()

    @property
    def _running(self) -> Task:
        if self._task is None:
            raise ConnectionResetError("the task has not begun")
        return self._task

    async def _run_task(self, task_id: str, payload: Json) -> None:
        key = await self._access.key()
        self._task = task = Task(task_id, payload, self._address, self._access, key, self._inbox)
        await self._run(task.start)
        self._nudge(task)

    def _window_opens(self) -> Callable[[], None]:
        loop, window = asyncio.get_running_loop(), self._window

        def taken() -> None:
            with contextlib.suppress(RuntimeError):  # The loop is closed.
                loop.call_soon_threadsafe(window.release)

        return taken

    def _nudge(self, task: Task) -> None:
        if task.nudge():
            asyncio.get_running_loop().call_later(NUDGE_SECONDS, self._nudge, task)


class Frame:
    """Audio that reports when the SDK takes it from its queue, in the thread that is about to send it."""

    def __init__(self, pcm: bytes, taken: Callable[[], object]) -> None:
        self._pcm = pcm
        self._taken = taken

    def __len__(self) -> int:
        return len(self._pcm)

    def __bytes__(self) -> bytes:
        self._taken()
        return self._pcm


class Task(RecognitionCallback):
    """One task: a ``Recognition`` of its own, which cannot be used again."""

    def __init__(self, task_id: str, payload: Json, address: str, access: Access, key: str, inbox: Inbox) -> None:
        parameters = payload["parameters"]
        if taken := sorted(RESERVED.intersection(parameters)):
            raise UnsupportedOption(
                f"vendor_parameters may not hold {taken[0]!r} here: the vendor's SDK takes it for itself",
                field="streaming_config.vendor_parameters",
            )
        self._task_id = task_id
        self._inbox = inbox
        self._is_finishing = False
        self._is_ended = False
        self._has_failed = False
        self._is_nudged = False
        self._starting = threading.Lock()
        self._link = Link(self._ended)
        self._recognition: Any = _Recognition(  # Any: its types are narrower than what it takes
            model=payload["model"],
            callback=self,
            link=self._link,
            api_key=key,
            workspace=access.workspace,  # type: ignore[arg-type] # its own default
            base_address=address,
            request_timeout=access.timeout_seconds,
            **parameters,
        )
        self._recognition.last_request_id = task_id
        self._given = {"phrase_id": _phrase_id(payload), "raw_input": payload["input"] or None}

    def start(self) -> None:
        """Begin to connect; blocks for the start of two threads."""
        with self._starting:
            if self._is_ended:
                return
            self._recognition.start(**self._given)
        # It takes nothing before the task has started; that it does is the only sign of it.
        self._send_or_pass(Frame(b"", self._started))

    def send(self, frame: Frame) -> None:
        """Queue audio.

        Raises:
            ConnectionResetError: The task is over; why, has arrived in the inbox.
        """
        try:
            self._recognition.send_audio_frame(frame)
        except InvalidParameter as error:
            raise ConnectionResetError("the task is over") from error

    def update_context(self, task_input: Json) -> None:
        """Replace the context for the audio that follows; see ``send``."""
        try:
            self._recognition.update_context(dict(task_input))
        except InvalidParameter as error:
            raise ConnectionResetError("the task is over") from error

    def nudge(self) -> bool:
        """Let the SDK's event loop have its turns; return whether it still takes audio."""
        if self._is_nudged:
            return True
        self._is_nudged = True
        frames = [Frame(b"", bool)] * (_NUDGE_FRAMES - 1) + [Frame(b"", self._nudged)]
        return all(self._send_or_pass(frame) for frame in frames)

    def finish(self) -> None:
        """End the audio, and block until the vendor has sent everything."""
        self._is_finishing = True
        with contextlib.suppress(InvalidParameter):  # It has failed meanwhile.
            self._recognition.stop()

    def end(self) -> None:
        """End its threads, whatever they wait for; blocks for a bounded time."""
        with self._starting:
            self._is_ended = True
        self._link.cut()
        self._recognition.end()

    # What the SDK calls, in its threads -------------------------------------------------------------------------

    def on_event(self, result: Any) -> None:  # Any: as the SDK has it
        """Pass on a result as the vendor sent it."""
        self._write_event("result-generated", payload={"output": result.output, "usage": result.usage})

    def on_error(self, result: Any) -> None:  # Any: as the SDK has it
        """Pass on why the task failed."""
        self._has_failed = True
        if result.status_code == WEBSOCKET_ERROR_CODE:
            self._write_event("task-failed", error_code=result.code, error_message=result.message)
        else:
            self._inbox.put(_failure(result.status_code, str(result.code), str(result.message)))

    def _started(self) -> None:
        self._recognition.drop_timer()
        self._link.bound()
        self._write_event("task-started")

    def _nudged(self) -> None:
        self._is_nudged = False

    def _ended(self, error: GatewayError | None) -> None:
        """The vendor has sent everything, which counts only if it was asked for the end and the task has not failed.

        ``on_complete`` is not used: it comes too for a result that looks like an end, and not at all for an end
        without a payload.
        """
        if self._has_failed:
            return
        if error is None and not self._is_finishing:
            error = UpstreamLost("the vendor's SDK ended the task by itself")
        if error:
            self._inbox.put(error)
        else:
            self._write_event("task-finished")

    def _write_event(self, event: str, *, payload: Json | None = None, **header: str) -> None:
        """Write what the vendor did again, for the adapter to read."""
        header |= {"event": event, "task_id": self._task_id}
        self._inbox.put(json.dumps({"header": header, "payload": payload or {}}))

    def _send_or_pass(self, frame: Frame) -> bool:
        try:
            self._recognition.send_audio_frame(frame)
        except InvalidParameter:
            return False
        return True


class Link:
    """The way into the event loop that the SDK runs in a thread of its own: what it reads, and how to end it."""

    def __init__(self, ended: Callable[[GatewayError | None], None]) -> None:
        self._ended = ended
        self._request: Any = None  # Any: a WebSocketRequest, whose methods have no types
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_cut = False
        self._has_ended = False
        self._read = 0
        self._taken = 0
        self._closing: asyncio.Future[object] | None = None

    def follow(self, request: Any) -> Iterator[Any]:  # Any: the SDK's own
        """Run the request, and pass on what it brings; runs in the SDK's worker thread."""
        self._request = request
        request.connection_handler = self._held_back(request.connection_handler())
        for part in request.call():
            self._taken += 1
            if part.status_code == HTTPStatus.OK and not _is_readable(part):
                # The worker would die of it without a word. A code is that of a handshake which was answered with 200.
                self._ended(handshake_error(part.code) if part.code else unreadable())
                return
            yield part
        self._ended(None)

    def bound(self) -> None:
        """Let no more of the audio wait on its way than on a WebSocket of our own, not minutes of it."""
        BoundedWebSocket.adopt(self._request.ws)
        connection = self._request.ws.get_extra_info("socket")
        if connection is not None:
            bound_unsent(connection)

    def cut(self) -> None:
        """Close the connection, at whatever stage; does not block, and may be called from any thread."""
        self._is_cut = True
        if self._loop:
            with contextlib.suppress(RuntimeError):  # It has ended by itself.
                self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        if self._has_ended:
            return
        ws = self._request.ws if self._request else None
        if ws:
            leave = ws.leave() if isinstance(ws, BoundedWebSocket) else ws.close()
            self._closing = asyncio.ensure_future(leave)
            return
        for task in asyncio.all_tasks():
            task.cancel()

    def _held_back(self, parts: AsyncIterator[Any]) -> Callable[[], AsyncIterator[Any]]:
        async def connection_handler() -> AsyncIterator[Any]:
            self._loop = asyncio.get_running_loop()
            if self._is_cut:
                return
            try:
                async for part in parts:
                    self._read += 1
                    while self._read - self._taken > _MOST_UNREAD and not self._is_cut:  # noqa: ASYNC110 of two loops
                        await asyncio.sleep(_UNREAD_POLL_SECONDS)
                    yield part
            finally:
                # The SDK closes the loop after this, whatever still runs in it.
                if self._closing is not None:
                    await asyncio.wait([self._closing])
                self._has_ended = True

        return connection_handler


class _Reachable(BaseApi):
    """Follows `Recognition` in the order of its methods: what it calls to open a connection."""

    @classmethod
    def call(cls, *, link: Link, workspace: str | None, **options: Any) -> Iterator[Any]:  # type: ignore[override] # Any: the SDK's own
        """Do what ``BaseApi.call`` does, and keep hold of the request."""
        headers = {WORKSPACE_HEADER: workspace} if workspace else None
        return link.follow(_build_api_request(sdk_module="audio", headers=headers, **options))


class _Recognition(Recognition, _Reachable):  # type: ignore[misc] # its `call` recognizes a file, the other one opens
    """A ``Recognition`` whose threads can be ended."""

    _worker: Any  # Any: threads, or None before the start
    _silence_timer: Any

    def drop_timer(self) -> None:
        """Do without the timer that ends a quiet task after 23 s as if all were well; the vendor has its own limit."""
        if self._silence_timer is not None:
            self._silence_timer.cancel()
            self._silence_timer = None

    def end(self) -> None:
        """Wait until its worker has ended; its connection has been cut."""
        self._running = False
        if self._worker is not None:
            self._worker.join(_JOIN_SECONDS)
        self.drop_timer()


_PROTOCOL_ERRORS: Final = re.compile(
    r"JSONDecodeError|KeyError|TypeError|UnknownMessageReceived|WSMsgType\.ERROR|binary"
)


def _failure(status: int, code: str, message: str) -> GatewayError:
    """Return what an error of the SDK's own means; its message is read, and never passed on.

    Source: dashscope 2.0.2, ``api_entities/websocket_request.py``: -1 stands for everything that is no HTTP status,
    and the code that the vendor closed the connection with is lost.
    """
    if status > 0:
        return handshake_error(status)
    if code == "ClientConnectorError":
        return UpstreamLost("the vendor cannot be reached")
    if _PROTOCOL_ERRORS.search(message):
        return unreadable()
    return UpstreamLost("the vendor closed the connection too soon")


def _is_readable(part: Any) -> bool:  # Any: the SDK's own
    """Return whether the SDK's worker survives a part, which gets an ``end_time`` if it lacks one."""
    output: object = part.output
    if not isinstance(output, dict) or not isinstance(part.usage, dict | None):
        return False
    sentence = output.get("sentence", {})
    if not isinstance(sentence, dict):
        return False
    sentence.setdefault("end_time", None)
    return True


def _phrase_id(payload: Json) -> str | None:
    resources = payload.get("resources") or ()
    return resources[0]["resource_id"] if resources else None

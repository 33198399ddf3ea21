"""One client's stream, as its call sees it: requests in, responses out, each within its time; by any door."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from pydantic import SecretStr

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.admission.edge_limits import EdgeLimits
from asrgateway_server.admission.rate_limit import PerMinute
from asrgateway_server.backends.base import Commit
from asrgateway_server.call.responses import CallFinished, Cursor, Response
from asrgateway_server.config import Update
from asrgateway_server.contract.requests import CONFIG_FIELD, update_from
from asrgateway_server.contract.responses import response_from
from asrgateway_server.early_end import EarlyEnd
from asrgateway_server.errors import ClientLimitReached, ClientStalled, InvalidRequest


class Stream(Protocol):
    """A client's messages, as a door reads and writes them."""

    def metadata(self) -> Iterable[tuple[str, str | bytes]]:
        """Return what the client sent beside its messages."""

    async def admit(self, call_id: str) -> None:
        """Show the client, where the door can, that its call is admitted, and its id."""

    async def read(self) -> pb.RecognizeRequest | None:
        """Return the next request; None once the client has half-closed.

        Raises:
            InvalidRequest: It cannot be read.
        """

    async def verify_half_close(self) -> None:
        """Wait for what may yet turn a half-close into another end; CancelledError comes of it."""

    def refuse_commit(self, error: ClientLimitReached) -> None:
        """Take note of a commit above the limit, which is passed over; or raise the error, which ends the call."""

    async def write(self, message: pb.RecognizeResponse) -> None:
        """Send a response; wait until it is on its way.

        Raises:
            ClientStalled: The client is gone.
        """


class CallClient:
    """See ``call.Client``.

    Reads come from one task for the whole call and are not timed out while anything may still come: after a cancelled
    read every later one reports the end, and the rest of the audio would be lost without an error.

    Attributes:
        is_stopped: The gateway reads no more.
    """

    def __init__(self, stream: Stream, call_id: str, limits: EdgeLimits) -> None:
        self.is_stopped = False
        self._stream = stream
        self._call_id = call_id
        self._limits = limits
        self._commit_rate = PerMinute(limits.max_commits_per_minute)
        self._commits_full_at = -math.inf
        self._call = EarlyEnd()
        self._audio_timer: asyncio.TimerHandle | None = None
        self._writing = asyncio.Lock()
        self._write_began: float | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._reading = asyncio.timeout(None)
        self._is_reading = False
        self._is_half_closed = False

    @asynccontextmanager
    async def until_stalled(self) -> AsyncIterator[None]:
        """Run a call; end it once its audio does not begin, or a response is left unread, for too long.

        Raises:
            ClientStalled: It was ended so.
        """
        seconds = self._limits.first_audio_timeout_seconds
        async with self._call:
            stalled = ClientStalled(f"no audio came within {seconds:g} s", field="audio")
            self._audio_timer = asyncio.get_running_loop().call_later(seconds, self._call.end, stalled)
            try:
                yield
            finally:
                self._cancel_audio_timer()
                if self._write_timer:
                    self._write_timer.cancel()

    def vendor_metadata(self) -> Mapping[str, SecretStr]:
        """Return what the client brings for vendors; raise InvalidRequest if it may not."""
        return self._limits.vendor_metadata.read(self._stream.metadata())

    # Requests ---------------------------------------------------------------------------------------------------

    def stop_reading(self) -> bool:
        """See ``drain.Client``."""
        if self._is_half_closed:
            return False
        self.is_stopped = True
        if self._is_reading:
            self._reading.reschedule(asyncio.get_running_loop().time())
        return True

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Be interrupted while ``read`` waits, once ``stop_reading`` is called."""
        try:
            async with asyncio.timeout(None) as self._reading:
                yield
        except TimeoutError:
            if not self.is_stopped:
                raise

    async def read_config(self) -> pb.StreamingConfig:
        """Return the first request's config.

        Raises:
            InvalidRequest: It is something else.
            ClientStalled: It did not come in time.
        """
        seconds = self._limits.config_timeout_seconds
        request = None
        try:
            async with asyncio.timeout(seconds), self.reading():
                request = await self._read()
        except TimeoutError:
            raise ClientStalled(f"no {CONFIG_FIELD} came within {seconds:g} s", field=CONFIG_FIELD) from None
        if request is None or request.WhichOneof("request") != CONFIG_FIELD:
            found = "the end of the stream" if request is None else request.WhichOneof("request") or "an empty request"
            raise InvalidRequest(f"the first request must carry {CONFIG_FIELD}, not {found}", field=CONFIG_FIELD)
        return request.streaming_config

    async def read(self) -> bytes | Commit | Update | None:
        """Return the next audio, commit or update; None once the client has half-closed.

        Raises:
            InvalidRequest: The request has no place here.
            ClientLimitReached: It is a commit too many, which the door does not pass over.
        """
        request = await self._read()
        if request is None:
            return None
        match request.WhichOneof("request"):
            case "audio":
                return self._audio(request.audio)
            case "commit":
                return self._commit()
            case "update":
                return update_from(request.update)
            case "streaming_config":
                raise InvalidRequest(
                    f"{CONFIG_FIELD} comes once, in the first request; this is another one", field=CONFIG_FIELD
                )
            case _:
                raise InvalidRequest("the request is empty; it carries audio, commit or update", field="request")

    async def _read(self) -> pb.RecognizeRequest | None:
        if self.is_stopped:
            return None
        self._is_reading = True
        try:
            request = await self._stream.read()
        finally:
            self._is_reading = False
        if request is None and not self.is_stopped:
            self._is_half_closed = True
            await self._stream.verify_half_close()
        return request

    def _audio(self, audio: bytes) -> bytes:
        if len(audio) > self._limits.max_message_bytes:
            raise InvalidRequest(
                f"the message holds {len(audio)} bytes of audio; the limit is {self._limits.max_message_bytes}",
                field="audio",
            )
        if audio and self._audio_timer:
            self._cancel_audio_timer()
        return audio

    def _cancel_audio_timer(self) -> None:
        if self._audio_timer:
            self._audio_timer.cancel()
            self._audio_timer = None

    def _commit(self) -> Commit | bytes:
        """Return a commit, or no audio in place of one above the limit."""
        now = time.monotonic()
        if (wait := self._commit_rate.wait_seconds(self._commits_full_at, now)) > 0:
            error = ClientLimitReached(
                f"a call may send {self._commit_rate.count} commits in a minute, and this one has sent more",
                field="commit",
                retry_after_seconds=wait,
            )
            self._stream.refuse_commit(error)
            return b""
        self._commits_full_at = self._commit_rate.full_again(self._commits_full_at, now)
        return Commit()

    # Responses --------------------------------------------------------------------------------------------------

    async def write(self, response: Response | None, cursor: Cursor) -> None:
        """Send a response; see ``ResponseWriter``.

        Raises:
            ClientStalled: The client is gone.
        """
        if self.is_stopped and isinstance(response, CallFinished):
            return  # What was cut is not complete.
        message = response_from(response, cursor, self._call_id)
        async with self._writing:
            self._write_began = asyncio.get_running_loop().time()
            if self._write_timer is None:
                self._watch_write(self._limits.write_timeout_seconds)
            try:
                await self._stream.write(message)
            finally:
                self._write_began = None

    def _watch_write(self, seconds: float) -> None:
        """Look in so many seconds whether a response is still unread; a timer for each would cost a third of it."""
        self._write_timer = asyncio.get_running_loop().call_later(seconds, self._verify_write)

    def _verify_write(self) -> None:
        self._write_timer = None
        if self._write_began is None:
            return
        seconds = self._limits.write_timeout_seconds
        left = self._write_began + seconds - asyncio.get_running_loop().time()
        if left > 0:
            self._watch_write(left)
        else:
            self._call.end(ClientStalled(f"no response was read for {seconds:g} s"))

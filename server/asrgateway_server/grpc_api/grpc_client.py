"""One client's stream, as its call sees it: requests in, responses out, each within its time."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, TypeAlias, cast

import grpc
from google.protobuf.message import DecodeError
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
from asrgateway_server.metrics import MethodMetrics

# How long gRPC takes to cancel a handler: of 900 calls that were cancelled on two busy cores 30 were not within one
# turn of the event loop, and all within 2 ms.
_CANCEL_IS_DUE_SECONDS: Final = 0.005
# The same once its deadline has passed.
_DEADLINE_IS_DUE_SECONDS: Final = 1.0
# Messages are counted a second or two of them at a time: counting costs a microsecond each.
_COUNTED_AT_ONCE: Final = 16

RecognizeContext: TypeAlias = "grpc.aio.ServicerContext[pb.RecognizeRequest, pb.RecognizeResponse]"


class GrpcClient:
    """See ``call.Client``.

    Reads come from one task for the whole call and are not timed out while anything may still come: after a cancelled
    read every later one reports the end, and the rest of the audio would be lost without an error.

    Attributes:
        is_stopped: The gateway reads no more.
    """

    def __init__(self, context: RecognizeContext, call_id: str, limits: EdgeLimits, metrics: MethodMetrics) -> None:
        self.is_stopped = False
        self._context = context
        self._call_id = call_id
        self._limits = limits
        self._metrics = metrics
        self._received = 0
        self._sent = 0
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
        return self._limits.vendor_metadata.read(self._context.invocation_metadata() or ())

    def count_messages(self) -> None:
        """Bring the numbers of messages up to date."""
        self._metrics.received.inc(self._received)
        self._metrics.sent.inc(self._sent)
        self._received = self._sent = 0

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
            ClientLimitReached: It is a commit too many.
        """
        request = await self._read()
        if request is None:
            return None
        match request.WhichOneof("request"):
            case "audio":
                return self._audio(request.audio)
            case "commit":
                self._count_commit()
                return Commit()
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
            # Typed without the marker for the end of the stream that it also returns.
            request: object = await self._context.read()
        except DecodeError:
            raise InvalidRequest("the request is garbled: its bytes are no RecognizeRequest", field="request") from None
        finally:
            self._is_reading = False
        if not isinstance(request, pb.RecognizeRequest):
            await self._half_closed()
            return None
        self._received += 1
        if self._received >= _COUNTED_AT_ONCE:
            self.count_messages()
        return request

    async def _half_closed(self) -> None:
        """Wait for what may make the end of the stream another one.

        Cancel, deadline and disconnect look like a half-close at first; their CancelledError follows, in the call's own
        task. An abandoned call must not be finished, and billed, as one that has sent everything.
        """
        if self.is_stopped:
            return
        self._is_half_closed = True
        await asyncio.sleep(_CANCEL_IS_DUE_SECONDS)
        remaining = cast("float | None", self._context.time_remaining())  # None without a deadline, unlike its type
        if remaining is not None and remaining <= 0:
            # Too late for a half-close.
            await asyncio.sleep(_DEADLINE_IS_DUE_SECONDS)

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

    def _count_commit(self) -> None:
        now = time.monotonic()
        if (wait := self._commit_rate.wait_seconds(self._commits_full_at, now)) > 0:
            raise ClientLimitReached(
                f"a call may send {self._commit_rate.count} commits in a minute, and this one has sent more",
                field="commit",
                retry_after_seconds=wait,
            )
        self._commits_full_at = self._commit_rate.full_again(self._commits_full_at, now)

    # Responses --------------------------------------------------------------------------------------------------

    async def write(self, response: Response | None, cursor: Cursor) -> None:
        """Hand a response to gRPC; see ``ResponseWriter``.

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
                await self._context.write(message)
            except grpc.aio.InternalError as error:
                # The client has left, and its CancelledError is on the way.
                await asyncio.sleep(_DEADLINE_IS_DUE_SECONDS)
                raise ClientStalled("the client is gone") from error
            finally:
                self._write_began = None
            self._sent += 1

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

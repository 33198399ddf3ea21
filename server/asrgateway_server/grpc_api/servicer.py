"""The methods of the service: the edge between gRPC and one call's recognition."""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, cast

import grpc
from google.protobuf.message import DecodeError
from pydantic import SecretStr

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway.v1 import recognition_pb2_grpc as pb_grpc
from asrgateway_server import logs
from asrgateway_server.backends.base import Backend, Commit
from asrgateway_server.call.call import recognize
from asrgateway_server.call.going_away import GoingAwayNotice
from asrgateway_server.call.limits import Limits
from asrgateway_server.call.responses import CallFinished, Cursor, Response
from asrgateway_server.config import RecognitionConfig, Update
from asrgateway_server.early_end import EarlyEnd
from asrgateway_server.errors import ClientLimitReached, ClientStalled, GatewayError, InvalidRequest, Overloaded
from asrgateway_server.grpc_api.caller import VendorMetadata
from asrgateway_server.grpc_api.client_identity import identity_of
from asrgateway_server.grpc_api.client_limits import ClientLimits
from asrgateway_server.grpc_api.drain import Drain
from asrgateway_server.grpc_api.rate_limit import PerMinute
from asrgateway_server.grpc_api.requests import CONFIG_FIELD, config_from, update_from
from asrgateway_server.grpc_api.responses import models_from, response_from
from asrgateway_server.metrics import MethodMetrics, Metrics
from asrgateway_server.models import Catalogue
from asrgateway_server.tracing import call_trace

# How long gRPC takes to cancel a handler: of 900 calls that were cancelled on two busy cores 30 were not within one
# turn of the event loop, and all within 2 ms.
_CANCEL_IS_DUE_SECONDS: Final = 0.005
# Messages read are counted a second or two of them at a time: counting costs a microsecond each.
_COUNTED_AT_ONCE: Final = 16
# The same once its deadline has passed.
_DEADLINE_IS_DUE_SECONDS: Final = 1.0

RecognizeContext: TypeAlias = "grpc.aio.ServicerContext[pb.RecognizeRequest, pb.RecognizeResponse]"


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeLimits:
    """What the operator allows at the edge.

    Attributes:
        max_streams: Open Recognize calls.
        max_client_streams: Those of one client; 0: as many as there are.
        max_client_starts_per_minute: How many one client may start; 0: as many as it likes.
        max_commits_per_minute: Commits of one call.
        vendor_metadata: Reads what clients bring for vendors.
        max_message_bytes: Largest audio message.
        config_timeout_seconds: How long a call may take to send its config.
        first_audio_timeout_seconds: How long it may then take to send the first audio.
        write_timeout_seconds: How long a caller may leave a response unread.
    """

    max_streams: int
    max_message_bytes: int
    config_timeout_seconds: float
    first_audio_timeout_seconds: float
    write_timeout_seconds: float
    max_commits_per_minute: int
    vendor_metadata: VendorMetadata
    max_client_streams: int = 0
    max_client_starts_per_minute: int = 0


class RecognitionServicer(pb_grpc.SpeechRecognitionServiceServicer):
    """Answers Recognize and ListModels."""

    def __init__(
        self,
        catalogue: Catalogue,
        backends: Mapping[str, Backend],
        edge_limits: EdgeLimits,
        call_limits: Limits,
        metrics: Metrics,
        drain: Drain,
    ) -> None:
        self._catalogue = catalogue
        self._backends = backends
        self._edge_limits = edge_limits
        self._call_limits = call_limits
        self._metrics = metrics
        self._recognize_metrics = metrics.of_method("Recognize")
        self._list_metrics = metrics.of_method("ListModels")
        self._drain = drain
        self._open_streams = 0
        self._clients = ClientLimits(edge_limits.max_client_streams, edge_limits.max_client_starts_per_minute)

    async def Recognize(self, request_iterator: object, context: RecognizeContext) -> None:  # type: ignore[override] # noqa: ARG002, N802 gRPC's names; requests are pulled from the context
        """Recognise one stream; raise a GatewayError to end it with another status than OK."""
        call_id = uuid.uuid4().hex
        logs.add_to_call(call_id=call_id)
        call_trace.get().tell(call_id=call_id)
        client = GrpcClient(context, call_id, self._edge_limits, self._recognize_metrics)
        try:
            # Refused before any response header, so that clients may send the call again by themselves.
            self._drain.refuse_late_calls()
            with self._admitted(identity_of(context).id):
                async with self._drain.open_call(client) as going_away:
                    # By itself the first response would carry it; an error while that is on its way could not be sent.
                    await context.send_initial_metadata(())
                    await self._recognize(client, going_away)
        finally:
            client.count_messages()

    async def _recognize(self, client: GrpcClient, going_away: GoingAwayNotice) -> None:
        with self._refusals_counted(client):
            vendor_metadata = client.vendor_metadata()
            message = await client.read_config()
            config = replace(config_from(message, self._catalogue), vendor_metadata=vendor_metadata)
        call_trace.get().tell(model=config.model.name)
        logs.add_to_call(model=config.model.name, request_id=message.request_id, resumes=message.resume.call_id)
        backend = self._backends[config.model.backend]
        with self._counted(config):
            async with self._audio_expected(client):
                await recognize(config, backend, client, self._call_limits, self._metrics, going_away)

    async def ListModels(self, request: pb.ListModelsRequest, context: object) -> pb.ListModelsResponse:  # noqa: ARG002, N802 gRPC's names
        """Return the catalogue."""
        self._list_metrics.received.inc()
        self._list_metrics.sent.inc()
        return models_from(self._catalogue)

    @asynccontextmanager
    async def _audio_expected(self, client: GrpcClient) -> AsyncIterator[None]:
        """End a call whose audio does not begin."""
        seconds = self._edge_limits.first_audio_timeout_seconds
        async with EarlyEnd() as call:
            stalled = ClientStalled(f"no audio came within {seconds:g} s", field="audio")
            timer = asyncio.get_running_loop().call_later(seconds, call.end, stalled)
            client.when_audio_comes(timer.cancel)
            try:
                yield
            finally:
                timer.cancel()

    @contextmanager
    def _admitted(self, client_id: str) -> Iterator[None]:
        with ExitStack() as admissions:
            try:
                admissions.enter_context(self._clients.admitted(client_id))
            except ClientLimitReached:
                self._metrics.streams_rejected.labels("quota").inc()
                raise
            admissions.enter_context(self._within_streams())
            yield

    @contextmanager
    def _within_streams(self) -> Iterator[None]:
        if self._open_streams >= self._edge_limits.max_streams:
            self._metrics.streams_rejected.labels("capacity").inc()
            raise Overloaded(
                f"all {self._edge_limits.max_streams} streams of this gateway are in use; try again later",
                retry_after_seconds=1.0,
            )
        self._open_streams += 1
        try:
            yield
        finally:
            self._open_streams -= 1

    @contextmanager
    def _refusals_counted(self, client: GrpcClient) -> Iterator[None]:
        try:
            yield
        except GatewayError:
            if not client.is_stopped:
                self._metrics.streams_rejected.labels("invalid").inc()
            raise

    @contextmanager
    def _counted(self, config: RecognitionConfig) -> Iterator[None]:
        metrics = self._metrics.of_model(config.model.name)
        began = time.monotonic()
        metrics.streams_active.inc()
        try:
            yield
        finally:
            metrics.streams_active.dec()
            metrics.stream_duration.observe(time.monotonic() - began)


class GrpcClient:
    """One caller's stream, as the recognizer sees it; see ``Client``.

    Reads come from one task for the whole call and are not timed out while anything is still to be heard: after a
    cancelled read every later one reports the end, and the rest of the audio would be lost without an error.

    Attributes:
        is_stopped: The gateway wants to hear no more.
    """

    def __init__(self, context: RecognizeContext, call_id: str, limits: EdgeLimits, metrics: MethodMetrics) -> None:
        self._context = context
        self._call_id = call_id
        self._limits = limits
        self._metrics = metrics
        self._uncounted = 0
        self._on_audio: Callable[[], object] | None = None
        self._commit_rate = PerMinute(limits.max_commits_per_minute)
        self._commits_full_at = -math.inf
        self._writing = asyncio.Lock()
        self._reading: asyncio.Timeout | None = None
        self._is_half_closed = False
        self.is_stopped = False

    def stop_reading(self) -> bool:
        """See ``drain.Client``."""
        if self._is_half_closed:
            return False
        self.is_stopped = True
        if self._reading is not None:
            self._reading.reschedule(asyncio.get_running_loop().time())
        return True

    def vendor_metadata(self) -> Mapping[str, SecretStr]:
        """Return what the client brings for vendors; raise InvalidRequest if it may not."""
        return self._limits.vendor_metadata.read(self._context.invocation_metadata() or ())

    def when_audio_comes(self, callback: Callable[[], object]) -> None:
        """Have something called at the first audio; empty audio is none."""
        self._on_audio = callback

    async def read_config(self) -> pb.StreamingConfig:
        """Return the first request's config.

        Raises:
            InvalidRequest: It is something else.
            ClientStalled: It did not come in time.
        """
        seconds = self._limits.config_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
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
                if request.audio and self._on_audio:
                    self._on_audio()
                    self._on_audio = None
                return self._checked(request.audio)
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

    async def write(self, response: Response | None, cursor: Cursor) -> None:
        """Hand a response to gRPC.

        Raises:
            ClientStalled: The caller has read nothing for too long.
        """
        if self.is_stopped and isinstance(response, CallFinished):
            return  # What was cut is not complete.
        message = response_from(response, cursor, self._call_id)
        seconds = self._limits.write_timeout_seconds
        try:
            async with asyncio.timeout(seconds), self._writing:
                await self._context.write(message)
                self._metrics.sent.inc()
        except TimeoutError:
            raise ClientStalled(f"no response was read for {seconds:g} s") from None
        except grpc.aio.InternalError as error:
            # The caller has left, and its CancelledError is on the way.
            await asyncio.sleep(_DEADLINE_IS_DUE_SECONDS)
            raise ClientStalled("the caller is gone") from error

    def count_messages(self) -> None:
        """Bring the number of messages read up to date."""
        self._metrics.received.inc(self._uncounted)
        self._uncounted = 0

    async def _read(self) -> pb.RecognizeRequest | None:
        request = None if self.is_stopped else await self._read_until_stopped()
        if isinstance(request, pb.RecognizeRequest):
            self._uncounted += 1
            if self._uncounted >= _COUNTED_AT_ONCE:
                self.count_messages()
            return request
        if self.is_stopped:
            return None
        self._is_half_closed = True
        # Cancel, deadline and disconnect look like a half-close at first; their CancelledError follows, in the call's
        # own task. An abandoned call must not be finished, and billed, as one that has said everything.
        await asyncio.sleep(_CANCEL_IS_DUE_SECONDS)
        remaining = cast("float | None", self._context.time_remaining())  # None without a deadline, unlike its type
        if remaining is not None and remaining <= 0:
            # Too late for a half-close.
            await asyncio.sleep(_DEADLINE_IS_DUE_SECONDS)
        return None

    async def _read_until_stopped(self) -> object:
        # Typed without the marker for the end of the stream that it also returns.
        try:
            async with asyncio.timeout(None) as self._reading:
                return await self._context.read()
        except TimeoutError:
            return None
        except DecodeError:
            raise InvalidRequest("the request is garbled: its bytes are no RecognizeRequest", field="request") from None
        finally:
            self._reading = None

    def _count_commit(self) -> None:
        now = time.monotonic()
        if (wait := self._commit_rate.wait_seconds(self._commits_full_at, now)) > 0:
            raise ClientLimitReached(
                f"up to {self._commit_rate.count} commits a minute are taken in one call; this is one more",
                field="commit",
                retry_after_seconds=wait,
            )
        self._commits_full_at = self._commit_rate.full_again(self._commits_full_at, now)

    def _checked(self, audio: bytes) -> bytes:
        if len(audio) > self._limits.max_message_bytes:
            raise InvalidRequest(
                f"the message holds {len(audio)} bytes of audio; up to {self._limits.max_message_bytes} are taken",
                field="audio",
            )
        return audio

"""The way of a Recognize call through any door: who may call, and what is counted of a call."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace

from asrgateway_server import logs
from asrgateway_server.admission.call_client import CallClient, Stream
from asrgateway_server.admission.client_limits import ClientLimits
from asrgateway_server.admission.drain import Drain
from asrgateway_server.admission.edge_limits import EdgeLimits
from asrgateway_server.backends.route import Routes
from asrgateway_server.call.call import recognize
from asrgateway_server.call.going_away import GoingAwayNotice
from asrgateway_server.call.limits import Limits
from asrgateway_server.call.replay_memory import ReplayMemory
from asrgateway_server.config import RecognitionConfig
from asrgateway_server.contract.requests import config_from
from asrgateway_server.errors import ClientLimitReached, GatewayError, Overloaded
from asrgateway_server.metrics import Metrics
from asrgateway_server.models import Catalogue
from asrgateway_server.tracing import call_trace


class Recognitions:
    """Runs the calls of all doors, within limits that they share."""

    def __init__(
        self,
        catalogue: Catalogue,
        routes: Routes,
        edge_limits: EdgeLimits,
        call_limits: Limits,
        metrics: Metrics,
        drain: Drain,
        replay_memory: ReplayMemory,
    ) -> None:
        self._catalogue = catalogue
        self._routes = routes
        self._edge_limits = edge_limits
        self._call_limits = call_limits
        self._metrics = metrics
        self._drain = drain
        self._replay_memory = replay_memory
        self._open_streams = 0
        self._clients = ClientLimits(edge_limits.max_client_streams, edge_limits.max_client_starts_per_minute)

    async def run(self, stream: Stream, client_id: str, *, config_timeout_seconds: float | None = None) -> None:
        """Recognise one stream.

        Args:
            stream: The client's messages.
            client_id: Whose limits hold.
            config_timeout_seconds: How long the config may take to come; None: as the operator says.

        Raises:
            GatewayError: The call ends with another status than OK.
        """
        call_id = uuid.uuid4().hex
        logs.add_to_call(call_id=call_id)
        call_trace.get().set_attributes(call_id=call_id)
        limits = self._edge_limits
        if config_timeout_seconds is not None:
            limits = replace(limits, config_timeout_seconds=config_timeout_seconds)
        client = CallClient(stream, call_id, limits)
        # Refused before any response header, so that clients may send the call again by themselves.
        self._drain.refuse_late_calls()
        with ExitStack() as admissions:
            self._take(admissions, self._clients.admitted(client_id), 1)
            async with self._drain.open_call(client) as going_away:
                await stream.admit(call_id)
                await self._recognize(client, client_id, going_away, admissions)

    async def _recognize(
        self, client: CallClient, client_id: str, going_away: GoingAwayNotice, admissions: ExitStack
    ) -> None:
        with self._refusals_counted(client):
            vendor_metadata = client.vendor_metadata()
            message = await client.read_config()
            config = config_from(message, self._catalogue)
            route = self._routes.find(message.model)
            model = route.hearing(config.language_codes).candidates[0].model
            config = replace(config, model=model, vendor_metadata=vendor_metadata)
        call_trace.get().set_attributes(model=config.model.name)
        logs.add_to_call(model=config.model.name, request_id=message.request_id, resumes=message.resume.call_id)

        def take_streams(count: int) -> None:
            self._take(admissions, self._clients.more_streams(client_id, count), count)
            admissions.enter_context(self._active(config, count))

        with self._counted(config):
            async with client.until_stalled():
                await recognize(
                    config,
                    route,
                    client,
                    self._call_limits,
                    self._metrics,
                    going_away,
                    self._replay_memory,
                    take_streams=take_streams,
                )

    def _take(self, admissions: ExitStack, of_client: AbstractContextManager[None], count: int) -> None:
        """Count streams of a call while it is open."""
        try:
            admissions.enter_context(of_client)
        except ClientLimitReached:
            self._metrics.streams_rejected.labels("quota").inc()
            raise
        admissions.enter_context(self._within_streams(count))

    @contextmanager
    def _within_streams(self, count: int) -> Iterator[None]:
        if self._open_streams + count > self._edge_limits.max_streams:
            self._metrics.streams_rejected.labels("capacity").inc()
            raise Overloaded(
                f"all {self._edge_limits.max_streams} streams of this gateway are in use; try again later",
                retry_after_seconds=1.0,
            )
        self._open_streams += count
        try:
            yield
        finally:
            self._open_streams -= count

    @contextmanager
    def _refusals_counted(self, client: CallClient) -> Iterator[None]:
        try:
            yield
        except GatewayError:
            if not client.is_stopped:
                self._metrics.streams_rejected.labels("invalid").inc()
            raise

    @contextmanager
    def _counted(self, config: RecognitionConfig) -> Iterator[None]:
        began = time.monotonic()
        try:
            with self._active(config, 1):
                yield
        finally:
            self._metrics.of_model(config.model.name).stream_duration.observe(time.monotonic() - began)

    @contextmanager
    def _active(self, config: RecognitionConfig, count: int) -> Iterator[None]:
        active = self._metrics.of_model(config.model.name).streams_active
        active.inc(count)
        try:
            yield
        finally:
            active.dec(count)

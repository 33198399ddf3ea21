"""Health checking on a port of its own, always plaintext, so that no limit on calls and no TLS can stop a probe."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from asrgateway_server.grpc_api.ports import MAX_CONNECTIONS, ONLY_ONE_LISTENER, bind, handshake_options
from asrgateway_server.metrics import SERVICE
from asrgateway_server.settings import Address

#: SERVING while the gateway accepts calls; load balancers check the empty name.
READINESS: Final = ("", SERVICE, "readiness", "startup")
#: SERVING as long as the event loop answers.
LIVENESS: Final = "liveness"

_OPTIONS: Final = (
    ONLY_ONE_LISTENER,
    # A probe's request is the name of a service; a watcher has a stream for each.
    ("grpc.max_receive_message_length", 4096),
    ("grpc.max_metadata_size", 8192),
    ("grpc.absolute_max_metadata_size", 8192),
    ("grpc.max_concurrent_streams", 16),
    # Requests that wait for the event loop; all of them are probes.
    ("grpc.server.max_pending_requests", 16),
    ("grpc.server.max_pending_requests_hard_limit", 32),
    ("grpc.max_connection_idle_ms", 60_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)
_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING


class HealthServer:
    """Answers grpc.health.v1 probes from before the first call until after the last.

    Args:
        listen: Its address.
        max_connections: How many may be open; further ones are closed at once.
        handshake_seconds: How long a new one may take.
    """

    def __init__(self, listen: Address, max_connections: int, handshake_seconds: float) -> None:
        self._servicer = health.aio.HealthServicer()
        options = [*_OPTIONS, *handshake_options(handshake_seconds), (MAX_CONNECTIONS, max_connections)]
        self._server = grpc.aio.server(options=options)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, self._server)
        self.address = bind(self._server, listen)

    async def __aenter__(self) -> Self:
        """Begin to answer: live, not ready."""
        await self._servicer.set(LIVENESS, _SERVING)
        await self.set_ready(is_ready=False)
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop at once, watchers included."""
        await self._server.stop(None)

    async def set_ready(self, *, is_ready: bool) -> None:
        """Set whether the gateway accepts calls."""
        for name in READINESS:
            await self._servicer.set(name, _SERVING if is_ready else _NOT_SERVING)

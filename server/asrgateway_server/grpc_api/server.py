"""The gRPC server for clients: its port, its access rules, and how it stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import grpc
from grpc_reflection.v1alpha import reflection

from asrgateway.v1 import recognition_pb2_grpc as pb_grpc
from asrgateway_server.admission.admission import Admission
from asrgateway_server.admission.drain import Drain
from asrgateway_server.admission.tls import certificate_from
from asrgateway_server.grpc_api.grpc_service import GrpcService
from asrgateway_server.grpc_api.interceptor import CallInterceptor
from asrgateway_server.grpc_api.key_interceptor import KeyInterceptor
from asrgateway_server.grpc_api.ports import MAX_CONNECTIONS, ONLY_ONE_LISTENER, ListenerOption, bind, handshake_options
from asrgateway_server.grpc_api.reflected import pool_of
from asrgateway_server.grpc_api.rotation import RotatingServer
from asrgateway_server.grpc_api.servicer import RecognitionServicer
from asrgateway_server.metrics import SERVICE
from asrgateway_server.models import Catalogue
from asrgateway_server.settings import Address, Settings

log = logging.getLogger(__name__)

# A call that gRPC has accepted reaches its handler after some turns of the event loop, slow ones on a busy machine.
_HANDOVER_SECONDS: Final = 0.25
# After its end a call's status has this long to leave the process.
_LAST_STATUS_SECONDS: Final = 2.0
# gRPC lets connections live for up to a tenth longer than `max_connection_age_seconds`.
_OLDEST_CONNECTION: Final = 1.2
# Without such a limit, connections with an older certificate are closed in order after this.
_RETIRE_SECONDS: Final = 1800.0
# Calls of one connection beyond `max_streams`: they get RESOURCE_EXHAUSTED.
_MORE_STREAMS: Final = 100


@asynccontextmanager
async def recognition_server(
    settings: Settings,
    catalogue: Catalogue,
    admission: Admission,
    max_connections: int,
    others: Sequence[GrpcService] = (),
) -> AsyncIterator[Address]:
    """Serve clients, by the contract and by other services; at the end let open calls finish.

    Raises:
        SettingsError: The port is in use, or a file of certificates cannot be used.
    """
    interceptors: list[grpc.aio.ServerInterceptor] = [
        CallInterceptor(
            admission.metrics,
            admission.tracer,
            settings.config_timeout_seconds,
            settings.write_timeout_seconds,
            admission.peer_calls,
            {service.name: service.shortest_failure_seconds for service in others},
        )
    ]
    if admission.keys:
        interceptors.append(KeyInterceptor(admission.keys, admission.metrics))
    servicer = RecognitionServicer(catalogue, admission.recognitions, admission.metrics)

    def make_server(option: ListenerOption = ONLY_ONE_LISTENER) -> grpc.aio.Server:
        server = grpc.aio.server(interceptors=interceptors, options=[option, *_options(settings, max_connections)])
        pb_grpc.add_SpeechRecognitionServiceServicer_to_server(servicer, server)
        server.add_generic_rpc_handlers(tuple(service.handler for service in others))
        if settings.reflection:
            names = (SERVICE, reflection.SERVICE_NAME, *(service.name for service in others))
            reflection.enable_server_reflection(names, server, pool_of(service.file for service in others))
        return server

    server: grpc.aio.Server | RotatingServer
    if certificate := certificate_from(settings):
        rotating = RotatingServer(
            make_server,
            settings.listen,
            certificate,
            retire_seconds=_OLDEST_CONNECTION * (settings.max_connection_age_seconds or _RETIRE_SECONDS),
        )
        admission.metrics.tls_certificate_expiry.set_function(lambda: rotating.expires_at)
        server, address = rotating, rotating.address
    else:
        server = make_server()
        address = bind(server, settings.listen)
    await server.start()
    try:
        yield address
    finally:
        await stop_after_calls(server, admission.drain)


def _options(settings: Settings, max_connections: int) -> list[tuple[str, int]]:
    options = [
        (MAX_CONNECTIONS, max_connections),
        *handshake_options(settings.handshake_timeout_seconds),
        # Above our own limit, so that a slightly too large message gets an error that names its field.
        ("grpc.max_receive_message_length", 2 * settings.max_message_bytes),
        # Well above our own limit: at gRPC's limit a client's next call would wait without any response.
        ("grpc.max_concurrent_streams", settings.max_streams + _MORE_STREAMS),
        # Both the same: between the two limits gRPC refuses at random.
        ("grpc.max_metadata_size", settings.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", settings.max_metadata_bytes),
        # Without this the C core accepts 4 MB, two minutes of audio, of a call that nobody reads.
        ("grpc.http2.bdp_probe", 0),
        # A second of audio may be in flight: enough for ten times realtime over 100 ms.
        ("grpc.http2.lookahead_bytes", 32 * 1024),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
    ]
    if settings.max_connection_idle_seconds:
        options.append(("grpc.max_connection_idle_ms", round(settings.max_connection_idle_seconds * 1000)))
    if settings.max_connection_age_seconds:
        # Without a grace period open calls go on without limit.
        options.append(("grpc.max_connection_age_ms", round(settings.max_connection_age_seconds * 1000)))
    return options


async def stop_after_calls(server: grpc.aio.Server | RotatingServer, drain: Drain) -> None:
    """Close the port, wait for the open calls, cut those that remain; other streams (reflection) get two seconds.

    GOAWAY makes clients open another connection. Until it arrives, gRPC's core cancels new calls that no handler has
    yet. So calls get some time to reach their handlers, and none is refused before. A cancelled call has no response
    headers: clients may send it again, and ours do.

    A call leaves the drain before its status leaves the process. ``Server.stop`` returns once both have.
    """
    drain.begin()
    stopping = asyncio.create_task(server.stop(drain.grace_seconds), name="stop")
    try:
        await asyncio.wait((stopping,), timeout=min(_HANDOVER_SECONDS, drain.grace_seconds / 20))
        await drain.finish()
        await asyncio.wait((stopping,), timeout=_LAST_STATUS_SECONDS)
    finally:
        await server.stop(0)
        await stopping

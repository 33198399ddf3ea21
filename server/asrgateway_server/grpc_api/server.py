"""The server that callers reach: its port, who may use it, and how it stops."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import grpc
from grpc_reflection.v1alpha import reflection

from asrgateway.v1 import recognition_pb2_grpc as pb_grpc
from asrgateway_server.grpc_api.drain import Drain
from asrgateway_server.grpc_api.interceptor import CallInterceptor
from asrgateway_server.grpc_api.keys import CallerKeys, KeyInterceptor
from asrgateway_server.grpc_api.ports import MAX_CONNECTIONS, ONLY_ONE_LISTENER, ListenerOption, bind, handshake_options
from asrgateway_server.grpc_api.rotation import RotatingServer
from asrgateway_server.grpc_api.servicer import RecognitionServicer
from asrgateway_server.grpc_api.tls import identity_from
from asrgateway_server.metrics import SERVICE, Metrics
from asrgateway_server.settings import Address, Settings, SettingsError
from asrgateway_server.tracing import Tracer

log = logging.getLogger(__name__)

# A call that gRPC has taken is with its handler after some turns of the event loop; a busy machine makes them long.
_HANDOVER_SECONDS: Final = 0.25
# gRPC lets connections live for up to a tenth longer than `max_connection_age_seconds`.
_OLDEST_CONNECTION: Final = 1.2
# Where they may live for ever, those that have seen an older certificate are asked to leave after so long.
_RETIRE_SECONDS: Final = 1800.0
# Calls of one connection beyond `max_streams`, to be told that there is no room.
_MORE_STREAMS: Final = 100


def verify_exposure(settings: Settings) -> None:
    """Refuse to let anyone on the network call, unless that is what the operator says.

    Raises:
        SettingsError: Others than this machine reach the port, and nothing tells who may call.
    """
    if _is_loopback(settings.listen.host) or settings.allow_anonymous:
        return
    if not settings.api_keys_file and not settings.tls_client_ca_file:
        raise SettingsError(
            f"listen is {settings.listen}: anyone who reaches this machine could call. Set api_keys_file, or "
            "tls_client_ca_file, to say who may; or set allow_anonymous=true where the network sees to that"
        )
    if settings.api_keys_file and not settings.tls_cert_file:
        log.warning("callers' keys arrive without TLS; let a proxy or mesh encrypt them, or set tls_cert_file")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@asynccontextmanager
async def recognition_server(
    settings: Settings,
    servicer: RecognitionServicer,
    metrics: Metrics,
    tracer: Tracer,
    drain: Drain,
    max_connections: int,
) -> AsyncIterator[Address]:
    """Serve callers; at the end let open calls finish.

    Raises:
        SettingsError: The port is taken, or a file of keys or certificates cannot be used.
    """
    interceptors: list[grpc.aio.ServerInterceptor] = [
        CallInterceptor(
            metrics,
            tracer,
            settings.config_timeout_seconds,
            settings.write_timeout_seconds,
            settings.max_calls_per_address,
        )
    ]
    keys = CallerKeys(Path(settings.api_keys_file), metrics) if settings.api_keys_file else None
    if keys:
        interceptors.append(KeyInterceptor(keys, metrics))

    def make_server(option: ListenerOption = ONLY_ONE_LISTENER) -> grpc.aio.Server:
        server = grpc.aio.server(interceptors=interceptors, options=[option, *_options(settings, max_connections)])
        pb_grpc.add_SpeechRecognitionServiceServicer_to_server(servicer, server)
        if settings.reflection:
            reflection.enable_server_reflection((SERVICE, reflection.SERVICE_NAME), server)
        return server

    server: grpc.aio.Server | RotatingServer
    if identity := identity_from(settings):
        rotating = RotatingServer(
            make_server,
            settings.listen,
            identity,
            retire_seconds=_OLDEST_CONNECTION * (settings.max_connection_age_seconds or _RETIRE_SECONDS),
        )
        metrics.tls_certificate_expiry.set_function(lambda: rotating.expires_at)
        server, address = rotating, rotating.address
    else:
        server = make_server()
        address = bind(server, settings.listen)
    await server.start()
    watching = asyncio.create_task(keys.watch(), name="watch keys") if keys else None
    try:
        yield address
    finally:
        try:
            await _stop(server, drain)
        finally:
            if watching:
                watching.cancel()


def _options(settings: Settings, max_connections: int) -> list[tuple[str, int]]:
    options = [
        (MAX_CONNECTIONS, max_connections),
        *handshake_options(settings.handshake_timeout_seconds),
        # Above our own limit, so that a message a little too large gets an error that names its field.
        ("grpc.max_receive_message_length", 2 * settings.max_message_bytes),
        # Well above our own limit: at this one a caller's next call would wait without a word.
        ("grpc.max_concurrent_streams", settings.max_streams + _MORE_STREAMS),
        # Between the two limits gRPC would refuse at random.
        ("grpc.max_metadata_size", settings.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", settings.max_metadata_bytes),
        # Without this the C core takes 4 MB, two minutes of audio, from a caller whose call nobody reads.
        ("grpc.http2.bdp_probe", 0),
        # A second of audio may be on its way to us: enough for ten times realtime over 100 ms.
        ("grpc.http2.lookahead_bytes", 32 * 1024),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
    ]
    if settings.max_connection_idle_seconds:
        options.append(("grpc.max_connection_idle_ms", round(settings.max_connection_idle_seconds * 1000)))
    if settings.max_connection_age_seconds:
        # Without a grace: calls that are open then go on for as long as they like.
        options.append(("grpc.max_connection_age_ms", round(settings.max_connection_age_seconds * 1000)))
    return options


async def _stop(server: grpc.aio.Server | RotatingServer, drain: Drain) -> None:
    """Close the port, wait for the open calls, cut those that remain; other streams, such as reflection, wait for none.

    Clients learn by GOAWAY that they have to open another connection. What arrives until they know it, gRPC's core
    cancels; that a handler has it already, or that no call is refused before, is all that can be done here. A call that
    is cancelled so has got no response headers: clients may send it again, and ours do.
    """
    drain.begin()
    stopping = asyncio.create_task(server.stop(drain.grace_seconds), name="stop")
    await asyncio.wait((stopping,), timeout=min(_HANDOVER_SECONDS, drain.grace_seconds / 20))
    await drain.finish()
    await server.stop(0)
    await stopping

"""Builds the servers, runs them, and stops them gracefully."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import Final

import grpc
from aiohttp import web
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from asrgateway.v1 import recognition_pb2_grpc as pb_grpc
from asrgateway_server.backends import open_backends
from asrgateway_server.metrics import SERVICE, Metrics
from asrgateway_server.offer import offered
from asrgateway_server.recognition.recognizer import Limits
from asrgateway_server.rpc.drain import Drain
from asrgateway_server.rpc.health import HealthServer
from asrgateway_server.rpc.interceptor import CallInterceptor
from asrgateway_server.rpc.loop_lag import observed_loop
from asrgateway_server.rpc.ports import ONLY_ONE_LISTENER, bind
from asrgateway_server.rpc.servicer import EdgeLimits, RecognitionServicer
from asrgateway_server.settings import Address, Settings, SettingsError

log = logging.getLogger(__name__)

_LOOP_CHECK_SECONDS: Final = 0.25
# The first new calls after SIGTERM are those that were on their way; a proxy that knows of it sends no more.
_REFUSE_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A running gateway.

    Attributes:
        address: Where callers reach it.
        health_address: Where probes reach it.
        http_address: Where Prometheus reaches it.
        metrics: What it counts.
        drain: How its calls end when it stops.
    """

    address: Address
    health_address: Address
    http_address: Address
    metrics: Metrics
    drain: Drain


async def serve(settings: Settings) -> None:
    """Run a gateway until SIGTERM or SIGINT; a second one ends its wait for open calls."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running_gateway(settings) as gateway:
        log.info(
            "listening",
            extra={
                "grpc": str(gateway.address),
                "health": str(gateway.health_address),
                "metrics": f"http://{gateway.http_address}/metrics",
            },
        )
        await stop.wait()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, gateway.drain.hurry)
        log.info("stopping", extra={"drain_seconds": settings.drain_seconds})
    log.info("stopped")


@asynccontextmanager
async def running_gateway(settings: Settings) -> AsyncIterator[Gateway]:
    """Open everything in the order in which it is needed; at the end let open calls finish, and close it.

    Raises:
        SettingsError: A port is taken, or a setting names something that is not there.
    """
    catalogue = offered(settings)
    metrics = Metrics(CollectorRegistry())
    metrics.build_info.labels(metadata.version("asrgateway-server"), settings.revision).set(1)
    metrics.streams_limit.set(settings.max_streams)
    drain = Drain(settings.drain_seconds, settings.drain_finalize_seconds, settings.max_stream_seconds, metrics)
    async with AsyncExitStack() as stack:
        health = await stack.enter_async_context(HealthServer(settings.health_listen))
        await stack.enter_async_context(observed_loop(metrics.event_loop_lag.observe, _LOOP_CHECK_SECONDS))
        http_address = await stack.enter_async_context(_http_server(settings.http_listen, metrics))
        backends = await stack.enter_async_context(open_backends(settings, metrics))
        servicer = RecognitionServicer(
            catalogue,
            backends,
            _edge_limits(settings),
            _call_limits(settings),
            metrics,
            drain,
        )
        address = await stack.enter_async_context(_recognition_server(settings, servicer, metrics, drain))
        await health.set_ready(is_ready=True)
        yield Gateway(
            address=address,
            health_address=health.address,
            http_address=http_address,
            metrics=metrics,
            drain=drain,
        )
        metrics.draining.set(1)
        drain.begin()
        await health.set_ready(is_ready=False)


def _edge_limits(settings: Settings) -> EdgeLimits:
    return EdgeLimits(
        max_streams=settings.max_streams,
        allow_caller_keys=settings.allow_caller_keys,
        max_message_bytes=settings.max_message_bytes,
        config_timeout_seconds=settings.config_timeout_seconds,
        write_timeout_seconds=settings.write_timeout_seconds,
    )


def _call_limits(settings: Settings) -> Limits:
    return Limits(
        max_utterance_seconds=settings.max_utterance_seconds,
        cursor_interval_seconds=settings.cursor_interval_seconds,
        backlog_speed=settings.backlog_speed,
        quiet_after_seconds=settings.quiet_after_seconds,
        task_silence_seconds=settings.task_silence_seconds,
    )


@asynccontextmanager
async def _recognition_server(
    settings: Settings, servicer: RecognitionServicer, metrics: Metrics, drain: Drain
) -> AsyncIterator[Address]:
    server = grpc.aio.server(
        interceptors=[CallInterceptor(metrics)],
        options=[
            ONLY_ONE_LISTENER,
            # Above our own limit, so that a message a little too large gets an error that names its field.
            ("grpc.max_receive_message_length", 2 * settings.max_message_bytes),
            # Without this the C core takes 4 MB, two minutes of audio, from a caller whose call nobody reads.
            ("grpc.http2.bdp_probe", 0),
            # A second of audio may be on its way to us: enough for ten times realtime over 100 ms.
            ("grpc.http2.lookahead_bytes", 32 * 1024),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
        ],
    )
    pb_grpc.add_SpeechRecognitionServiceServicer_to_server(servicer, server)
    reflection.enable_server_reflection((SERVICE, reflection.SERVICE_NAME), server)
    address = bind(server, settings.listen)
    await server.start()
    try:
        yield address
    finally:
        await _stop(server, drain)


async def _stop(server: grpc.aio.Server, drain: Drain) -> None:
    """Close the port, wait for the open calls, cut those that remain; other streams, such as reflection, wait for none.

    Once a server stops, gRPC cancels calls that had reached it and not yet its handler. So for a moment it refuses them
    itself, with an error that tells callers what to do.
    """
    drain.begin()
    await asyncio.sleep(min(_REFUSE_SECONDS, drain.grace_seconds / 20))
    stopping = asyncio.create_task(server.stop(drain.grace_seconds), name="stop")
    await drain.finish()
    await server.stop(0)
    await stopping


@asynccontextmanager
async def _http_server(listen: Address, metrics: Metrics) -> AsyncIterator[Address]:
    async def scrape(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(metrics.registry), headers={"Content-Type": content_type})

    application = web.Application()
    application.router.add_get("/metrics", scrape)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, listen.host, listen.port)
        try:
            await site.start()
        except OSError:
            raise SettingsError(f"cannot listen on {listen}: is it taken, or no address of this machine?") from None
        yield Address(listen.host, runner.addresses[0][1])
    finally:
        await runner.cleanup()

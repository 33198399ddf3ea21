"""Opens everything that a gateway is made of, and closes it gracefully."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from asrgateway_server.admission.admission import Admission
from asrgateway_server.admission.connections import connection_limits, counted_connections
from asrgateway_server.admission.drain import Drain
from asrgateway_server.admission.edge_limits import EdgeLimits
from asrgateway_server.admission.exposure import verify_exposure
from asrgateway_server.admission.keys import ClientKeys
from asrgateway_server.admission.peer_calls import PeerCalls
from asrgateway_server.admission.recognitions import Recognitions
from asrgateway_server.admission.vendor_metadata import VendorMetadata
from asrgateway_server.backends.base import Backend
from asrgateway_server.backends.circuit_breaker import CircuitLimits
from asrgateway_server.backends.route import Routes
from asrgateway_server.backends.vendor import Vendors
from asrgateway_server.call.limits import Limits
from asrgateway_server.call.replay_memory import ReplayMemory
from asrgateway_server.grpc_api.freed_memory import freed_memory_given_back
from asrgateway_server.grpc_api.health import HealthServer
from asrgateway_server.grpc_api.http_server import http_server
from asrgateway_server.grpc_api.last_scrape import LastScrape
from asrgateway_server.grpc_api.loop_lag import observed_loop
from asrgateway_server.grpc_api.server import recognition_server
from asrgateway_server.grpc_api.tracer import open_tracer
from asrgateway_server.metrics import Metrics
from asrgateway_server.models import Catalogue
from asrgateway_server.riva_api.options import RivaOptions
from asrgateway_server.riva_api.servicer import riva_service
from asrgateway_server.served_models import served_models
from asrgateway_server.settings import Address, Settings
from asrgateway_server.web_api.web_server import web_server

log = logging.getLogger(__name__)

_LOOP_CHECK_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A running gateway.

    Attributes:
        models: What it serves.
        address: Where clients reach it.
        health_address: Where probes reach it.
        http_address: Where Prometheus reaches it.
        web_address: Where browsers reach it; None if they do not.
        metrics: What it counts.
        drain: How its calls end when it stops.
        last_scrape: Whether its metrics outlive its calls.
    """

    models: Catalogue
    address: Address
    health_address: Address
    http_address: Address
    web_address: Address | None
    metrics: Metrics
    drain: Drain
    last_scrape: LastScrape


def log_ready(settings: Settings, gateway: Gateway) -> None:
    """Log where the gateway listens."""
    log.info(
        "listening",
        extra={
            "grpc": str(gateway.address),
            "health": str(gateway.health_address),
            "metrics": f"http://{gateway.http_address}/metrics",
            "web": web_url(settings, gateway),
        },
    )


async def serve(
    settings: Settings, vendors: Vendors, announce: Callable[[Settings, Gateway], None] = log_ready
) -> None:
    """Run a gateway until SIGTERM or SIGINT; a second one ends its wait for open calls, and for Prometheus.

    Args:
        settings: The operator's.
        vendors: By name.
        announce: Says that the gateway is ready.
    """
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[signal.Signals] = loop.create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _resolve, stop, number)
    async with running_gateway(settings, vendors) as gateway:
        _spare_the_collector()
        announce(settings, gateway)
        if await stop is signal.SIGTERM:
            gateway.last_scrape.expect()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _hurry, gateway)
        log.info("stopping", extra={"drain_seconds": settings.drain_seconds})
    log.info("stopped")


def web_url(settings: Settings, gateway: Gateway) -> str:
    """Return where a browser finds the page; empty if there is none."""
    if gateway.web_address is None:
        return ""
    return f"{'https' if settings.tls_cert_file else 'http'}://{gateway.web_address}"


def _resolve(stop: asyncio.Future[signal.Signals], number: signal.Signals) -> None:
    if not stop.done():
        stop.set_result(number)


def _hurry(gateway: Gateway) -> None:
    gateway.drain.stop_waiting()
    gateway.last_scrape.skip()


def _spare_the_collector() -> None:
    """Keep the garbage collector from what lives as long as the process.

    At 300 streams it took 0.7 to 0.9 s of each 9 s of processor time, in pauses of 80 ms; so it takes 0.14 s.

    Calls that failed upstream leave cycles, which only a collection of the oldest generation frees. With Python's 10
    for that generation it came twice in 20 minutes of 100 failing calls, and four of five objects were garbage by then.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 2)


@asynccontextmanager
async def running_gateway(settings: Settings, vendors: Vendors) -> AsyncIterator[Gateway]:
    """Open everything in the order in which it is needed; at the end let open calls finish, and close it.

    Raises:
        SettingsError: A port is taken, a file cannot be used, or a setting names something that is not there.
    """
    verify_exposure(settings)
    catalogue = served_models(settings, vendors)
    metrics = Metrics(CollectorRegistry())
    metrics.build_info.labels(metadata.version("asrgateway-server"), settings.revision).set(1)
    metrics.streams_limit.set(settings.max_streams)
    metrics.serve(catalogue.models)
    loop = asyncio.get_running_loop()
    metrics.event_loop_tasks.set_function(lambda: len(asyncio.all_tasks(loop)))
    limits = connection_limits(settings, metrics, sum(vendor.open_files(settings) for vendor in vendors.values()))
    drain = Drain(settings.drain_seconds, settings.drain_finalize_seconds, settings.max_stream_seconds, metrics)
    async with AsyncExitStack() as stack:
        tracer = await stack.enter_async_context(open_tracer(settings.otlp_endpoint, settings.trace_sample_ratio))
        health = await stack.enter_async_context(
            HealthServer(settings.health_listen, limits.health, settings.handshake_timeout_seconds)
        )
        await stack.enter_async_context(freed_memory_given_back())
        await stack.enter_async_context(observed_loop(metrics.event_loop_lag.observe, _LOOP_CHECK_SECONDS))
        http_address = await stack.enter_async_context(
            http_server(
                settings.http_listen,
                metrics,
                max_connections=limits.http,
                max_connections_per_peer=limits.http_per_peer,
                timeout_seconds=settings.handshake_timeout_seconds,
            )
        )
        last_scrape = LastScrape(settings.last_scrape_seconds, drain)
        stack.push_async_callback(last_scrape.wait)
        backends: dict[str, Backend] = {}
        for vendor in vendors.values():
            backends |= await stack.enter_async_context(vendor.open(settings, catalogue, metrics))
        keys = ClientKeys(Path(settings.api_keys_file), metrics) if settings.api_keys_file else None
        if keys:
            await stack.enter_async_context(keys.watched())
        recognitions = Recognitions(
            catalogue,
            Routes(catalogue, backends, _circuit_limits(settings), metrics),
            _edge_limits(settings, vendors),
            _call_limits(settings),
            metrics,
            drain,
            ReplayMemory(settings.replay_megabytes * 1024 * 1024),
        )
        admission = Admission(
            recognitions=recognitions,
            keys=keys,
            peer_calls=PeerCalls(settings.max_calls_per_address, metrics),
            drain=drain,
            metrics=metrics,
            tracer=tracer,
        )
        # Closed after the gRPC port, whose end is the drain of all calls.
        web_address = await stack.enter_async_context(web_server(settings, admission, limits.web))
        others = [riva_service(catalogue, admission, _riva_options(settings))] if settings.riva_facade else []
        address = await stack.enter_async_context(
            recognition_server(settings, catalogue, admission, limits.grpc, others)
        )
        await stack.enter_async_context(
            counted_connections(
                {"grpc": address.port, "health": health.address.port},
                {"grpc": limits.grpc, "health": limits.health},
                metrics,
            )
        )
        await health.set_ready(is_ready=True)
        yield Gateway(
            models=catalogue,
            address=address,
            health_address=health.address,
            http_address=http_address,
            web_address=web_address,
            metrics=metrics,
            drain=drain,
            last_scrape=last_scrape,
        )
        drain.begin()
        await health.set_ready(is_ready=False)


def _edge_limits(settings: Settings, vendors: Vendors) -> EdgeLimits:
    return EdgeLimits(
        max_streams=settings.max_streams,
        vendor_metadata=VendorMetadata(vendors, is_allowed=settings.allow_caller_keys),
        max_message_bytes=settings.max_message_bytes,
        max_client_streams=settings.max_client_streams,
        max_client_starts_per_minute=settings.max_client_starts_per_minute,
        max_commits_per_minute=settings.max_commits_per_minute,
        config_timeout_seconds=settings.config_timeout_seconds,
        first_audio_timeout_seconds=settings.first_audio_timeout_seconds,
        write_timeout_seconds=settings.write_timeout_seconds,
    )


def _riva_options(settings: Settings) -> RivaOptions:
    return RivaOptions(
        is_strict=settings.riva_strict,
        ignored_languages=frozenset(code.lower() for code in settings.riva_ignored_languages),
        config_timeout_seconds=settings.config_timeout_seconds,
        first_audio_timeout_seconds=settings.first_audio_timeout_seconds,
    )


def _circuit_limits(settings: Settings) -> CircuitLimits:
    seconds = settings.circuit_open_seconds
    return CircuitLimits(open_seconds=seconds, max_open_seconds=12 * seconds)


def _call_limits(settings: Settings) -> Limits:
    return Limits(
        max_utterance_seconds=settings.max_utterance_seconds,
        cursor_interval_seconds=settings.cursor_interval_seconds,
        backlog_speed=settings.backlog_speed,
        quiet_after_seconds=settings.quiet_after_seconds,
        max_injected_silence_seconds=settings.max_injected_silence_seconds,
        hibernate_after_seconds=settings.hibernate_after_seconds,
        hedge_after_seconds=settings.hedge_after_seconds,
        task_silence_seconds=settings.task_silence_seconds,
        task_idle_seconds=settings.task_idle_seconds,
        answer_seconds=settings.upstream_stall_timeout_seconds,
        replay_seconds=settings.replay_seconds,
        replay_speed=settings.replay_speed,
        max_channels=settings.max_channels,
        max_failures=settings.max_upstream_failures,
        reconnect_pause_seconds=settings.reconnect_pause_seconds,
    )

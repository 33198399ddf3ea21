"""Limits the connections to the gateway's ports, and counts them."""

from __future__ import annotations

import asyncio
import logging
import resource
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from asrgateway_server.metrics import Metrics
from asrgateway_server.settings import Settings

log = logging.getLogger(__name__)

CHECK_SECONDS: Final = 10.0
# Probes come one by one; the rest is for load balancers that watch.
_MAX_HEALTH_CONNECTIONS: Final = 100
# Other open files of a gateway: libraries, listeners, files of keys, connections for tables of hot words.
_OWN_FILES: Final = 64
_TABLES: Final = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
# Source: proc(5) and the kernel's net/tcp_states.h.
_ESTABLISHED: Final = "01"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Connections that may be open at once, by port.

    Attributes:
        grpc: Clients.
        health: Probes.
        http: Prometheus.
        http_per_peer: Those to the same port from one address.
        web: Browsers; 0 without a listener for them.
    """

    grpc: int
    health: int
    http: int
    http_per_peer: int
    web: int = 0


def connection_limits(settings: Settings, metrics: Metrics, vendor_files: int) -> ConnectionLimits:
    """Return how many connections the process can hold; raise its limit of open files to what it needs, if it may.

    Args:
        settings: The operator's.
        metrics: Show the limits.
        vendor_files: Files that vendors keep open, besides one for each call.
    """
    wanted = ConnectionLimits(
        grpc=settings.max_connections,
        health=_MAX_HEALTH_CONNECTIONS,
        http=settings.max_http_connections,
        http_per_peer=settings.max_http_connections_per_peer,
        web=settings.max_web_connections if settings.web_listen else 0,
    )
    needed = needed_files(wanted, settings, vendor_files)
    files = raise_file_limit(needed)
    limits = fitting(wanted, files - _OWN_FILES - vendor_files) if files < needed else wanted
    if limits != wanted:
        log.warning(
            "the limit of open files is too low; fewer connections are accepted",
            extra={"files": files, "needed": needed, "max_connections": limits.grpc},
        )
    ports = {"grpc": limits.grpc, "health": limits.health, "http": limits.http, "web": limits.web}
    for port, limit in ports.items():
        if limit:
            metrics.connections_limit.labels(port).set(limit)
    return limits


def needed_files(limits: ConnectionLimits, settings: Settings, vendor_files: int) -> int:
    """Return how many files are open when every limit is reached; each call may have a connection to a vendor."""
    return limits.grpc + limits.health + limits.http + limits.web + settings.max_streams + _OWN_FILES + vendor_files


def fitting(wanted: ConnectionLimits, files: int) -> ConnectionLimits:
    """Return limits that leave half of the files to connections to vendors."""
    clients, others = max(1, files * 3 // 8), max(2, files // 16)
    web = min(wanted.web, clients // 2)
    return replace(
        wanted,
        grpc=min(wanted.grpc, clients - web),
        web=web,
        health=min(wanted.health, others),
        http=min(wanted.http, others),
    )


def raise_file_limit(needed: int) -> int:
    """Raise the limit of open files to what is needed, if the system allows it; return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return needed
    if soft >= needed:
        return soft
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed


@asynccontextmanager
async def counted_connections(
    ports: Mapping[str, int], limits: Mapping[str, int], metrics: Metrics, check_seconds: float = CHECK_SECONDS
) -> AsyncIterator[None]:
    """Count the connections to gRPC's ports, because gRPC does not, and log when a limit is reached.

    Args:
        ports: Their numbers by name.
        limits: How many each takes.
        metrics: Show the numbers.
        check_seconds: How often they are counted.
    """
    counting = asyncio.create_task(_count(ports, limits, metrics, check_seconds), name="count connections")
    try:
        yield
    finally:
        counting.cancel()
        await asyncio.gather(counting, return_exceptions=True)


async def _count(ports: Mapping[str, int], limits: Mapping[str, int], metrics: Metrics, check_seconds: float) -> None:
    full: set[str] = set()
    is_readable = True
    while True:
        try:
            found = await asyncio.to_thread(open_connections)
        except OSError as error:  # For example: too many open files.
            if is_readable:
                log.warning("connections cannot be counted", extra={"problem": error.strerror})
            is_readable = False
            await asyncio.sleep(check_seconds)
            continue
        is_readable = True
        for name, port in ports.items():
            metrics.connections.labels(name).set(found[port])
            if found[port] < limits[name]:
                full.discard(name)
            elif name not in full:
                full.add(name)
                log.warning(
                    "a port has reached its limit of connections; further ones are closed at once",
                    extra={"port": name, "connections": found[port]},
                )
        await asyncio.sleep(check_seconds)


def open_connections() -> Counter[int]:
    """Return how many connections each port of this machine or pod has; none on systems other than Linux."""
    found: Counter[int] = Counter()
    for table in _TABLES:
        if not table.exists():
            continue
        for line in table.read_text().splitlines()[1:]:
            _, local, _, state, _ = line.split(maxsplit=4)
            if state == _ESTABLISHED:
                found[int(local.rpartition(":")[2], 16)] += 1
    return found

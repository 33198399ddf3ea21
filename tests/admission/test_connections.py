"""How many connections are taken, and how many there are."""

from __future__ import annotations

import errno
import logging
import resource
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from all_settings import Settings
from asrgateway_server.admission.connections import (
    ConnectionLimits,
    connection_limits,
    counted_connections,
    fitting,
    needed_files,
    open_connections,
    raise_file_limit,
)
from asrgateway_server.metrics import Metrics
from gateways import eventually

WANTED = ConnectionLimits(grpc=2000, health=100, http=100, http_per_peer=20)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


class Files:
    """What the system allows, in place of what it does."""

    def __init__(self, soft: int, hard: int) -> None:
        self.limits = (soft, hard)

    def getrlimit(self, what: int) -> tuple[int, int]:
        assert what == resource.RLIMIT_NOFILE
        return self.limits

    def setrlimit(self, what: int, limits: tuple[int, int]) -> None:
        assert what == resource.RLIMIT_NOFILE
        self.limits = limits


def allow(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int) -> Files:
    files = Files(soft, hard)
    monkeypatch.setattr(resource, "getrlimit", files.getrlimit)
    monkeypatch.setattr(resource, "setrlimit", files.setrlimit)
    return files


INFINITY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "allowed", "after"),
    [
        (1024, 524_288, 3000, (3000, 524_288)),
        (1024, INFINITY, 3000, (3000, INFINITY)),
        (1024, 2048, 2048, (2048, 2048)),
        (4096, 4096, 4096, (4096, 4096)),
        (INFINITY, INFINITY, 3000, (INFINITY, INFINITY)),
    ],
)
def test_the_limit_of_open_files_is_raised_to_what_is_needed(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, allowed: int, after: tuple[int, int]
) -> None:
    files = allow(monkeypatch, soft, hard)
    assert raise_file_limit(3000) == allowed
    assert files.limits == after


def test_with_enough_files_the_limits_are_those_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    allow(monkeypatch, 1024, 524_288)
    settings = Settings(max_connections=300, max_http_connections=7, max_http_connections_per_peer=3)
    limits = connection_limits(settings, metrics, 0)
    assert limits == ConnectionLimits(grpc=300, health=100, http=7, http_per_peer=3)
    assert caplog.records == []
    assert metrics.registry.get_sample_value("asrgateway_connections_limit", {"port": "grpc"}) == 300


def test_too_few_files_are_logged_and_half_of_them_remain_for_vendors(
    monkeypatch: pytest.MonkeyPatch, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    allow(monkeypatch, 256, 256)
    limits = connection_limits(Settings(), metrics, 4)
    assert limits.grpc + limits.health + limits.http < 128
    assert [record.message for record in caplog.records] == [
        "the limit of open files is too low; fewer connections are accepted"
    ]
    assert vars(caplog.records[0])["max_connections"] == limits.grpc


def test_with_very_few_files_at_least_one_connection_is_accepted() -> None:
    assert fitting(WANTED, -10) == ConnectionLimits(grpc=1, health=2, http=2, http_per_peer=20)


def test_files_of_vendors_are_counted_too() -> None:
    needed = [needed_files(WANTED, Settings(), vendor_files) for vendor_files in (0, 40)]
    assert needed[1] == needed[0] + 40 > WANTED.grpc


async def test_connections_are_counted_and_a_full_port_is_logged_once(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    def count() -> float | None:
        return metrics.registry.get_sample_value("asrgateway_connections", {"port": "grpc"})

    caplog.set_level(logging.WARNING)
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:
        port = listener.getsockname()[1]
        async with counted_connections({"grpc": port}, {"grpc": 3}, metrics, check_seconds=0.01):
            await eventually(lambda: count() == 0)
            for number in range(1, 5):
                stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                await eventually(lambda number=number: count() == number)  # type: ignore[misc] # mypy cannot infer it
    assert [vars(record)["connections"] for record in caplog.records] == [3]


async def test_connections_are_counted_again_once_there_are_files_to_open(
    metrics: Metrics, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_files(_path: Path) -> str:
        raise OSError(errno.EMFILE, "Too many open files")

    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(Path, "read_text", out_of_files)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with counted_connections({"grpc": port}, {"grpc": 3}, metrics, check_seconds=0.01):
            await eventually(lambda: bool(caplog.records))
            monkeypatch.undo()
            with socket.create_connection(("127.0.0.1", port)):
                await eventually(
                    lambda: metrics.registry.get_sample_value("asrgateway_connections", {"port": "grpc"}) == 1
                )
    assert caplog.messages == ["connections cannot be counted"]


def test_connections_over_ipv6_are_counted_too() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("::1", port)):
            assert open_connections()[port] == 1
        assert open_connections()[port] == 0

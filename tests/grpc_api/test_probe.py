"""The health check of the image."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from all_settings import Settings
from asrgateway_server.grpc_api.health import HealthServer
from asrgateway_server.grpc_api.probe import DEFAULT_ADDRESS, main, reachable
from asrgateway_server.settings import Address


@pytest.mark.parametrize(("is_ready", "code", "said"), [(True, 0, "SERVING\n"), (False, 1, "NOT_SERVING\n")])
async def test_the_probe_reports_whether_the_gateway_accepts_calls(
    is_ready: bool, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with HealthServer(Address("127.0.0.1", 0), 10, 10.0) as health:
        await health.set_ready(is_ready=is_ready)
        assert await asyncio.to_thread(main, [str(health.address)], {}) == code
    assert capsys.readouterr().out == said


def test_no_answer_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], {"ASRGATEWAY_HEALTH_LISTEN": "127.0.0.1:1"}) == 1
    assert capsys.readouterr().err == "no answer from 127.0.0.1:1: UNAVAILABLE\n"


def test_the_probe_follows_the_offset_of_all_ports(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], {"ASRGATEWAY_HEALTH_LISTEN": "127.0.0.1:1", "ASRGATEWAY_LISTEN_OFFSET": "1"}) == 1
    assert capsys.readouterr().err == "no answer from 127.0.0.1:2: UNAVAILABLE\n"


@pytest.mark.parametrize(
    ("listen", "address"),
    [("0.0.0.0:50052", "127.0.0.1:50052"), ("[::]:1", "[::1]:1"), ("10.0.0.7:50052", "10.0.0.7:50052")],
)
def test_the_probe_uses_an_address_that_this_machine_reaches(listen: str, address: str) -> None:
    assert reachable(listen) == address


def test_the_probe_uses_the_gateways_default_address() -> None:
    assert str(Settings().health_listen) == DEFAULT_ADDRESS


def test_the_probe_imports_no_large_library() -> None:
    module = "asrgateway_server.grpc_api.probe"
    code = f"import sys, {module}; print([m for m in sys.modules if m.startswith(('aiohttp', 'av'))])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout == "[]\n"

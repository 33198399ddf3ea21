"""`make demo`, as a newcomer meets it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from calls import ROOT
from gateways import eventually
from processes import children, is_running

DEMO = ROOT / "clients" / "demo.py"


@asynccontextmanager
async def demo(*arguments: str, **environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(DEMO), *arguments),
        env=os.environ | environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def outcome(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    out, error = await process.communicate()
    return process.returncode, out.decode(), error.decode()


async def test_it_recognises_the_recordings_and_ends_well() -> None:
    async with demo("--fast", ASRGATEWAY_LISTEN="no address", DASHSCOPE_API_KEY="no key") as process:
        code, out, error = await outcome(process)
    assert (code, error) == (0, "")
    lines = out.splitlines()
    assert "  please call my mother tomorrow morning" in lines
    assert "  the boy was there when the sun rose" in lines
    assert "  ... please call" in lines
    assert len([line for line in lines if line.startswith("  first package ")]) == 3
    assert lines[-1] == "All texts are as expected; the gateway has stopped."


async def test_it_may_call_as_rivas_clients_do() -> None:
    async with demo("--fast", "--riva") as process:
        code, out, error = await outcome(process)
    assert (code, error) == (0, "")
    lines = out.splitlines()
    assert "  please call my mother tomorrow morning" in lines
    assert "  ... please call" in lines
    assert lines[-1] == "All texts are as expected; the gateway has stopped."


async def test_it_stops_its_gateway_when_it_is_interrupted() -> None:
    async with demo() as process:
        assert process.stdout is not None
        await process.stdout.readuntil(b"  ... ")
        (gateway,) = children(process.pid)
        workers = children(gateway)
        process.send_signal(signal.SIGINT)
        code, _, error = await outcome(process)
    assert (code, error) == (130, "")
    assert not is_running(gateway)
    await eventually(lambda: not any(is_running(worker) for worker in workers))


#: A gateway that listens, answers nothing and stays until it is stopped.
SILENT_GATEWAY = """
import json, socket, sys, time
server = socket.create_server(("127.0.0.1", 0))
listening = {"message": "listening", "grpc": "127.0.0.1:%d" % server.getsockname()[1]}
print(json.dumps(listening), file=sys.stderr, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_it_stops_its_gateway_when_it_has_to_end(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "asrgateway_server.py").write_text(SILENT_GATEWAY)
    async with demo(PYTHONPATH=str(tmp_path), PYTHONUNBUFFERED="1") as process:
        assert process.stdout is not None
        await process.stdout.readuntil(b"The gateway listens on ")
        (gateway,) = children(process.pid)
        process.send_signal(number)
        code, _, error = await outcome(process)
    assert (code, error) == (130, "")
    assert not is_running(gateway)


async def test_it_shows_why_the_gateway_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "asrgateway_server.py").write_text("raise SystemExit('no luck today')")
    async with demo("--fast", PYTHONPATH=str(tmp_path)) as process:
        code, out, error = await outcome(process)
    assert (code, out) == (1, "")
    assert error == "The gateway did not start:\n  no luck today\n"


async def test_it_shows_how_a_gateway_died() -> None:
    async with demo() as process:
        assert process.stdout is not None
        await process.stdout.readuntil(b"  ... ")
        (gateway,) = children(process.pid)
        os.kill(gateway, signal.SIGKILL)
        code, _, error = await outcome(process)
    assert code == 1
    assert error.startswith("UNAVAILABLE: ")

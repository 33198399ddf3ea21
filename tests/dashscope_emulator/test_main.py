"""The emulator as a process."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys

import aiohttp
import pytest

ARGUMENTS = ("-m", "dashscope_emulator", "--recognizer", "script")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_prints_its_address_and_ends_on_a_signal(
    session: aiohttp.ClientSession, number: signal.Signals
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *ARGUMENTS, "--port", "0", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        line = (await process.stdout.readline()).decode()
        url = line.split()[-1]
        assert line == f"DashScope emulator (script) listens on {url}\n"
        async with session.ws_connect(f"{url}/api-ws/v1/inference?api_key=k") as socket:
            process.send_signal(number)
            await socket.receive()
            assert socket.close_code == 1001
        rest = await process.communicate()
    assert (process.returncode, rest) == (0, (b"", b""))


async def test_a_port_in_use_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *ARGUMENTS, "--port", str(port), stderr=asyncio.subprocess.PIPE
        )
        _, errors = await process.communicate()
    assert process.returncode == 1
    assert errors.decode().startswith(f"cannot listen on 127.0.0.1:{port}: ")
    assert errors.count(b"\n") == 1

"""A gateway that reads nothing: the commands of all languages wait for it, and hold little."""

from __future__ import annotations

import asyncio

from dashscope_emulator.faults import Fault, SlowRead
from emulated_vendor import vendor_and_gateway
from languages.commands import start
from languages.recordings import MODEL

#: 33 minutes; a client may keep one or two, and pipes and sockets hold some.
AUDIO_BYTES = 64 << 20
HELD_BYTES = 16 << 20
PIECE = bytes(64 << 10)
#: Without a byte taken for so long a client waits.
STANDSTILL_SECONDS = 5


async def test_audio_that_the_gateway_does_not_read_stays_where_it_is(command: tuple[str, ...]) -> None:
    faults = (Fault(action=SlowRead(seconds=600.0), audio_ms=200),)
    async with vendor_and_gateway(emulator={"faults": faults}) as (_, gateway, _):
        process = await start(command, "--target", str(gateway.address), "--model", MODEL, "--fast", "-")
        try:
            assert await _taken_bytes(process) < HELD_BYTES
        finally:
            process.kill()
            await process.wait()


async def _taken_bytes(process: asyncio.subprocess.Process) -> int:
    assert process.stdin is not None
    taken = 0
    try:
        while taken < AUDIO_BYTES:
            process.stdin.write(PIECE)
            async with asyncio.timeout(STANDSTILL_SECONDS):
                await process.stdin.drain()
            taken += len(PIECE)
    except TimeoutError:
        pass
    return taken

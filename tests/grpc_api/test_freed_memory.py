from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest

from asrgateway_server.grpc_api.freed_memory import freed_memory_given_back
from gateways import eventually

MB = 1024 * 1024
LIBRARY = ctypes.CDLL(None)
LIBRARY.malloc.restype = ctypes.c_void_p
LIBRARY.free.argtypes = [ctypes.c_void_p]


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not hasattr(LIBRARY, "mallinfo2"), reason="the C library is not glibc")
async def test_much_freed_memory_is_returned() -> None:
    LIBRARY.malloc_trim(0)  # What earlier tests have freed would be used again, and hide what is taken here.
    before = resident_bytes()
    blocks = [LIBRARY.malloc(64 * 1024) for _ in range(2048)]
    for block in blocks:
        ctypes.memset(block, 1, 64 * 1024)
    # One that stays keeps the library from giving back those before it.
    kept = LIBRARY.malloc(64 * 1024)
    for block in blocks:
        LIBRARY.free(block)
    assert resident_bytes() > before + 100 * MB
    async with freed_memory_given_back(check_seconds=0.01):
        await eventually(lambda: resident_bytes() < before + 20 * MB)
    LIBRARY.free(kept)

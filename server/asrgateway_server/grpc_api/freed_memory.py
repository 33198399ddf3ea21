"""Returns freed memory to the system.

The C library keeps freed memory, separately for each thread that allocated it: after 7 MB of headers that unpack to
1 GB it kept all of that, and the next such flood, in other threads, took another.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar, Final

CHECK_SECONDS: Final = 10.0
# Blocks from this size on are given back as soon as they are free. The C library begins with the same size, but raises
# it with each such block that is freed; the audio that calls keep then leaves ever more holes. Number and default:
# mallopt(3), M_MMAP_THRESHOLD.
_OWN_BLOCK: Final = -3
_OWN_BLOCK_BYTES: Final = 128 * 1024
#: A gateway at work has less than this free, and needs it again soon.
KEPT_BYTES: Final = 64 * 1024 * 1024


class _MallocInfo(ctypes.Structure):
    """`struct mallinfo2` of glibc: see mallinfo(3)."""

    _fields_: ClassVar = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "used", "free", "top")
    ]

    free: int


@asynccontextmanager
async def freed_memory_given_back(
    check_seconds: float = CHECK_SECONDS, kept_bytes: int = KEPT_BYTES
) -> AsyncIterator[None]:
    """Check regularly, and return memory if much is free; do nothing where the C library is not glibc."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        yield
        return
    library.mallopt(_OWN_BLOCK, _OWN_BLOCK_BYTES)
    giving = asyncio.create_task(_give_back_regularly(library, check_seconds, kept_bytes), name="return memory")
    try:
        yield
    finally:
        giving.cancel()
        await asyncio.gather(giving, return_exceptions=True)


async def _give_back_regularly(library: ctypes.CDLL, check_seconds: float, kept_bytes: int) -> None:
    library.mallinfo2.restype = _MallocInfo
    while True:
        await asyncio.sleep(check_seconds)
        if library.mallinfo2().free > kept_bytes:
            await asyncio.to_thread(library.malloc_trim, 0)

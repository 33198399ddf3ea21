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
    giving = asyncio.create_task(_give_back_regularly(check_seconds, kept_bytes), name="return memory")
    try:
        yield
    finally:
        giving.cancel()
        await asyncio.gather(giving, return_exceptions=True)


async def _give_back_regularly(check_seconds: float, kept_bytes: int) -> None:
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        return
    library.mallinfo2.restype = _MallocInfo
    while True:
        await asyncio.sleep(check_seconds)
        if library.mallinfo2().free > kept_bytes:
            await asyncio.to_thread(library.malloc_trim, 0)

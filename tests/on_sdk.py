"""A gateway that reaches the vendor through the vendor's own SDK, and the threads which that starts."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from asrgateway_server.lifecycle import Gateway
from calls import Stub
from dashscope_emulator import Emulator
from emulated_vendor import vendor_and_gateway
from gateways import eventually

#: Those that ran before the gateway of the test that runs: pytest's workers have some, and so have other tests.
_others: set[threading.Thread] = set()

ON_SDK = "paraformer=official_sdk,fun_asr=official_sdk,qwen3_asr=official_sdk"


@asynccontextmanager
async def vendor_and_gateway_on_sdk(
    *, emulator: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[tuple[Emulator, Gateway, Stub]]:
    """As ``vendor_and_gateway``; in the end no thread of the SDK may be left."""
    wanted = {"transports": ON_SDK} | settings
    _others.clear()
    _others.update(threading.enumerate())
    async with vendor_and_gateway(emulator=emulator, **wanted) as running:
        yield running
        await eventually(lambda: sdk_threads() == [])
    assert [name for name in thread_names() if "official_sdk" in name] == []


def sdk_threads() -> list[str]:
    """Threads that the SDK started, by name; the gateway's own, which wait for work, are not among them."""
    known = ("MainThread", "official_sdk", "asyncio", "_poll_wrapper", "pytest_timeout")
    started = [thread.name for thread in threading.enumerate() if thread not in _others]
    return [name for name in started if not any(other in name for other in known)]


def thread_names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]

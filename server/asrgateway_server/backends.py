"""The registry: one line for each backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from asrgateway_server.adapters.fun_asr import fun_asr
from asrgateway_server.adapters.paraformer import paraformer
from asrgateway_server.adapters.pocketsphinx import PocketSphinx
from asrgateway_server.adapters.qwen3_asr import Qwen3Asr
from asrgateway_server.metrics import Metrics
from asrgateway_server.settings import Settings
from asrgateway_server.transports.base import Backend, OpenBackend
from asrgateway_server.transports.websocket import over_websocket
from asrgateway_server.transports.worker_process import in_worker

BACKENDS: Final[Mapping[str, OpenBackend]] = {
    "pocketsphinx": in_worker(PocketSphinx),
    "paraformer": over_websocket(paraformer),
    "fun_asr": over_websocket(fun_asr),
    "qwen3_asr": over_websocket(Qwen3Asr),
}


@asynccontextmanager
async def open_backends(settings: Settings, metrics: Metrics) -> AsyncIterator[Mapping[str, Backend]]:
    """Open every backend, and close them all at the end."""
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(open_backend(settings, metrics))
            for name, open_backend in BACKENDS.items()
        }

"""Opens what traces calls, as far as the operator wants it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asrgateway_server.settings import SettingsError
from asrgateway_server.tracing import OnlyIds, Tracer


@asynccontextmanager
async def open_tracer(endpoint: str, sample_ratio: float) -> AsyncIterator[Tracer]:
    """Open a tracer that sends spans to ``endpoint``; to nobody if that is empty.

    Raises:
        SettingsError: What sends them is not installed.
    """
    if not endpoint:
        yield OnlyIds()
        return
    try:
        # 0.14 s and 14 MB that only those pay who want it.
        from asrgateway_server.grpc_api.otlp import ExportingTracer  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            f"otlp_endpoint needs packages that are not installed ({error.name}): "
            "pip install 'asrgateway-server[tracing]', or leave it empty"
        ) from None
    tracer = ExportingTracer(endpoint, sample_ratio)
    try:
        yield tracer
    finally:
        await asyncio.to_thread(tracer.close)

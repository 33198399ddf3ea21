"""Which tracer an operator gets; what it sends is shown by tests/observability/test_tracing.py."""

from __future__ import annotations

import sys

import pytest

from asrgateway_server.grpc_api.otlp import ExportingTracer
from asrgateway_server.grpc_api.tracer import open_tracer
from asrgateway_server.settings import SettingsError
from asrgateway_server.tracing import IdOnlyTracer


async def test_without_a_collector_only_ids_are_read() -> None:
    async with open_tracer("", 1.0) as tracer:
        assert isinstance(tracer, IdOnlyTracer)


async def test_with_a_collector_spans_are_made() -> None:
    async with open_tracer("http://127.0.0.1:1", 0.0) as tracer:
        assert isinstance(tracer, ExportingTracer)


async def test_without_the_packages_the_operator_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asrgateway_server.grpc_api.otlp", None)
    with pytest.raises(SettingsError, match=r"pip install 'asrgateway-server\[tracing\]'"):
        async with open_tracer("http://127.0.0.1:4318", 1.0):
            pass

"""The spans of calls, without a collector; what one receives is shown by tests/observability/test_tracing.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from asrgateway_server.grpc_api.otlp import ExportingTracer

TRACE = "0af7651916cd43dd8448eb211c80319c"


@contextmanager
def tracer(sample_ratio: float) -> Iterator[ExportingTracer]:
    made = ExportingTracer("http://127.0.0.1:1", sample_ratio)
    yield made
    made.close()


@pytest.mark.parametrize("sample_ratio", [0.0, 1.0])
def test_a_client_that_traces_decides_by_itself(sample_ratio: float) -> None:
    with tracer(sample_ratio) as made:
        kept, dropped = (
            made.begin("Recognize", {"traceparent": f"00-{TRACE}-b7ad6b7169203331-{flags}"}) for flags in ("01", "00")
        )
        assert (kept.trace_id, kept.exemplar) == (TRACE, {"trace_id": TRACE})
        assert (dropped.trace_id, dropped.exemplar) == (TRACE, None)


@pytest.mark.parametrize(("sample_ratio", "is_kept"), [(0.0, False), (1.0, True)])
def test_the_operator_decides_for_the_others(sample_ratio: float, is_kept: bool) -> None:
    with tracer(sample_ratio) as made:
        assert (made.begin("Recognize", {}).exemplar is not None) is is_kept


def test_each_call_is_a_trace_of_its_own() -> None:
    with tracer(0.0) as made:
        ids = {made.begin("Recognize", {}).trace_id for _ in range(10)}
    assert len(ids) == 10
    assert all(len(trace_id) == 32 and int(trace_id, 16) for trace_id in ids)


def test_news_of_a_task_that_never_began_is_passed_over() -> None:
    with tracer(0.0) as made:
        call = made.begin("Recognize", {})
        call.task_ready("fun-asr-realtime", "request-1")
        call.task_failed("UpstreamLost")
        call.end(0, "")

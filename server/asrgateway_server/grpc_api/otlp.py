"""Spans of calls and upstream tasks, sent to a collector as OTLP over HTTP; needs the extra ``tracing``.

Only ``tracer`` imports it, and only when a collector is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import metadata as distributions
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from asrgateway_server.metrics import SERVICE
from asrgateway_server.tracing import CallTrace

_EXPORT_SECONDS: Final = 5
_FLUSH_MS: Final = 5_000

# Of the asyncio task that runs the upstream's: the channels of a call have one each at a time.
_task_span: ContextVar[Span | None] = ContextVar("task_span", default=None)


class ExportingTracer:
    """Makes spans and sends them in batches, from a thread of its own; see ``tracing.Tracer``.

    Args:
        endpoint: The collector's scheme, host and port.
        sample_ratio: Share of the traced calls, among those whose clients do not decide it themselves.
    """

    def __init__(self, endpoint: str, sample_ratio: float) -> None:
        version = distributions.version("asrgateway-server")
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(sample_ratio)),
            resource=Resource.create({"service.name": "asr-gateway", "service.version": version}),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("asrgateway_server", version)
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, method: str, metadata: Mapping[str, str]) -> CallTrace:
        """See ``tracing.Tracer``."""
        other_service, _, name = method.rpartition("/")
        service = other_service or SERVICE
        span = self._tracer.start_span(
            f"{service}/{name}",
            # Not the thread's own context, which belongs to the previous call.
            context=self._propagator.extract(metadata, Context()),
            kind=SpanKind.SERVER,
            attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": name},
        )
        return _ExportedCall(self._tracer, span)

    def close(self) -> None:
        """Send the spans that wait, for a few seconds at most; blocks."""
        self._provider.force_flush(_FLUSH_MS)
        self._provider.shutdown()


class _ExportedCall(CallTrace):
    def __init__(self, tracer: Tracer, span: Span) -> None:
        context = span.get_span_context()
        super().__init__(f"{context.trace_id:032x}", is_sampled=context.trace_flags.sampled)
        self._tracer = tracer
        self._span = span

    def set_attributes(self, **attributes: str) -> None:
        self._span.set_attributes({f"asrgateway.{name}": value for name, value in attributes.items() if value})

    def end(self, code: int, reason: str) -> None:
        self._span.set_attribute("rpc.grpc.status_code", code)
        if code:
            self._span.set_status(Status(StatusCode.ERROR, reason))
        self._span.end()

    @contextmanager
    def task(self, model: str) -> Iterator[None]:
        span = self._tracer.start_span(
            "upstream task",
            context=set_span_in_context(self._span, Context()),
            kind=SpanKind.CLIENT,
            attributes={"asrgateway.model": model},
        )
        _task_span.set(span)
        try:
            yield
        finally:
            span.end()

    def task_ready(self, model: str, request_id: str) -> None:
        if (span := _task_span.get()) is None:
            return
        span.set_attribute("asrgateway.model", model)
        if request_id:
            span.set_attribute("asrgateway.upstream_request_id", request_id)

    def task_failed(self, kind: str) -> None:
        if span := _task_span.get():
            span.set_status(Status(StatusCode.ERROR, kind))

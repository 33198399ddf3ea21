"""A collector of traces: takes OTLP over HTTP and keeps it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from asrgateway_server.settings import Address


@dataclass(slots=True)
class Collector:
    """What came.

    Attributes:
        url: Where it listens.
        spans: In the order in which they ended.
        bodies: The requests as they were.
        services: The names of who sent them.
        authorizations: What they showed to be let in.
    """

    url: str
    spans: list[Span] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    authorizations: set[str] = field(default_factory=set)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name.endswith(name)]


def attributes(span: Span) -> dict[str, str]:
    """Its attributes, numbers as text."""
    return {pair.key: pair.value.string_value or str(pair.value.int_value) for pair in span.attributes}


@asynccontextmanager
async def running_collector(host: str = "127.0.0.1") -> AsyncIterator[Collector]:
    """Collect traces on a free port."""
    collector = Collector(url="")

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        collector.bodies.append(body)
        collector.authorizations.add(request.headers.get("Authorization", ""))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            told = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            collector.services.add(told["service.name"])
            collector.spans += [span for scope in resource.scope_spans for span in scope.spans]
        return web.Response(content_type="application/x-protobuf")

    application = web.Application()
    application.router.add_post("/v1/traces", take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, 0).start()
        collector.url = f"http://{Address(host, runner.addresses[0][1])}"
        yield collector
    finally:
        await runner.cleanup()

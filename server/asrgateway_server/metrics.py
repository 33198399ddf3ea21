"""Every Prometheus metric of the process. Label values come from closed sets."""

from __future__ import annotations

from functools import cache
from typing import Final

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

SERVICE: Final = "asrgateway.v1.SpeechRecognitionService"
#: Methods of the service, and how gRPC metrics name their kind.
METHODS: Final = {"Recognize": "bidi_stream", "ListModels": "unary"}

_GRPC_LABELS: Final = ("grpc_type", "grpc_service", "grpc_method")
_DELAY_BUCKETS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10)
_OVERHEAD_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)
_DURATION_BUCKETS: Final = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)


class Metrics:
    """The metrics, in a registry of their own or a shared one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.streams_active = Gauge("asrgateway_streams_active", "Open Recognize calls.", ["model"], registry=registry)
        self.streams_limit = Gauge(
            "asrgateway_streams_limit", "Recognize calls that may be open at once.", registry=registry
        )
        self.streams_rejected = Counter(
            "asrgateway_streams_rejected", "Recognize calls refused, by reason.", ["reason"], registry=registry
        )
        self.stream_errors = Counter(
            "asrgateway_stream_errors",
            "Recognize calls that ended with another status than OK.",
            ["grpc_code", "reason"],
            registry=registry,
        )
        self.stream_duration = Histogram(
            "asrgateway_stream_duration_seconds",
            "How long Recognize calls last.",
            ["model"],
            buckets=_DURATION_BUCKETS,
            registry=registry,
        )
        self.first_package_delay = Histogram(
            "asrgateway_first_package_delay_seconds",
            "First audio of a call to its first text.",
            ["model", "scope"],
            buckets=_DELAY_BUCKETS,
            registry=registry,
        )
        self.last_package_delay = Histogram(
            "asrgateway_last_package_delay_seconds",
            "End of a call's audio to its last message.",
            ["model", "scope"],
            buckets=_DELAY_BUCKETS,
            registry=registry,
        )
        self.overhead = Histogram(
            "asrgateway_overhead_seconds",
            "Message read from the backend to response handed to gRPC.",
            buckets=_OVERHEAD_BUCKETS,
            registry=registry,
        )
        self.audio_received_seconds = Counter(
            "asrgateway_audio_received_seconds", "Audio received from callers.", ["model"], registry=registry
        )
        self.audio_received_bytes = Counter(
            "asrgateway_audio_received_bytes", "Audio bytes received from callers.", ["encoding"], registry=registry
        )
        self.upstream_audio_sent_seconds = Counter(
            "asrgateway_upstream_audio_sent_seconds", "Audio handed to backends.", ["model"], registry=registry
        )
        self.silence_injected_seconds = Counter(
            "asrgateway_silence_injected_seconds",
            "Silence sent to backends in the place of quiet callers.",
            ["model"],
            registry=registry,
        )
        self.results = Counter("asrgateway_results", "Results sent to callers.", ["model", "kind"], registry=registry)
        self.workers_busy = Gauge("asrgateway_workers_busy", "Embedded workers in a call.", registry=registry)
        self.workers_limit = Gauge("asrgateway_workers_limit", "Embedded workers.", registry=registry)
        self.worker_restarts = Counter(
            "asrgateway_worker_restarts", "Embedded workers started in place of a dead one.", registry=registry
        )
        self.draining = Gauge("asrgateway_draining", "1 while the process waits for its last calls.", registry=registry)
        self.build_info = Gauge("asrgateway_build_info", "Always 1.", ["version"], registry=registry)
        self.grpc_started = Counter("grpc_server_started", "RPCs started.", _GRPC_LABELS, registry=registry)
        self.grpc_received = Counter(
            "grpc_server_msg_received", "Messages received from callers.", _GRPC_LABELS, registry=registry
        )
        self.grpc_sent = Counter("grpc_server_msg_sent", "Messages sent to callers.", _GRPC_LABELS, registry=registry)
        self.grpc_handled = Counter(
            "grpc_server_handled", "RPCs completed, by status.", (*_GRPC_LABELS, "grpc_code"), registry=registry
        )
        self.grpc_handling = Histogram(
            "grpc_server_handling_seconds",
            "How long RPCs take.",
            _GRPC_LABELS,
            buckets=(0.005, 0.025, 0.1, 0.5, *_DURATION_BUCKETS),
            registry=registry,
        )
        self._pre_create()
        # One look-up of labels for each model, none for each message.
        self.of_model = cache(self._of_model)

    def _pre_create(self) -> None:
        """Make every method's series exist from the start, so that a rate over the first error is right."""
        for method, kind in METHODS.items():
            labels = (kind, SERVICE, method)
            for family in (self.grpc_started, self.grpc_received, self.grpc_sent, self.grpc_handling):
                family.labels(*labels)
            for code in grpc.StatusCode:
                self.grpc_handled.labels(*labels, code.name)

    def _of_model(self, model: str) -> ModelMetrics:
        return ModelMetrics(self, model)


class ModelMetrics:
    """The metrics of one model's calls, looked up once."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self.streams_active = metrics.streams_active.labels(model)
        self.stream_duration = metrics.stream_duration.labels(model)
        self.first_package_delay_client = metrics.first_package_delay.labels(model, "client")
        self.first_package_delay_upstream = metrics.first_package_delay.labels(model, "upstream")
        self.last_package_delay_client = metrics.last_package_delay.labels(model, "client")
        self.last_package_delay_upstream = metrics.last_package_delay.labels(model, "upstream")
        self.overhead = metrics.overhead
        self.audio_received_seconds = metrics.audio_received_seconds.labels(model)
        self.upstream_audio_sent_seconds = metrics.upstream_audio_sent_seconds.labels(model)
        self.silence_injected_seconds = metrics.silence_injected_seconds.labels(model)
        self.partial_results = metrics.results.labels(model, "partial")
        self.final_results = metrics.results.labels(model, "final")

"""Every Prometheus metric of the process. Label values come from closed sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Final

import grpc
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

SERVICE: Final = "asrgateway.v1.SpeechRecognitionService"
#: Methods of the service, and how gRPC metrics name their kind.
METHODS: Final = {"Recognize": "bidi_stream", "ListModels": "unary"}
#: The same of NVIDIA Riva's service, where it is served too.
RIVA_SERVICE: Final = "nvidia.riva.asr.RivaSpeechRecognition"
RIVA_METHODS: Final = {
    "StreamingRecognize": "bidi_stream",
    "Recognize": "unary",
    "GetRivaSpeechRecognitionConfig": "unary",
}
#: Methods of every service whose calls are counted.
METHODS_OF: Final = {SERVICE: METHODS, RIVA_SERVICE: RIVA_METHODS}

#: What a value counts as that has no label of its own.
OTHER: Final = "other"
#: Models with labels of their own: the first that are called; the rest count as one.
MAX_MODELS: Final = 10
#: Endpoints likewise, in the order of the configuration.
MAX_ENDPOINTS: Final = 10
#: What is not the operator's to mend: the vendor refused a caller's key.
CALLERS_KEY: Final = "callers_key"
#: Why a call is refused.
REJECTIONS: Final = ("capacity", "quota", "auth", "draining", "invalid")
#: What a connection to a vendor is doing.
CONNECTION_STATES: Final = ("connecting", "idle", "in_use")
#: How opening one ended.
CONNECT_RESULTS: Final = ("ok", "refused", "throttled", "lost", "timeout", CALLERS_KEY)
#: Whose key a task was to start with: the gateway's, a caller's.
KEY_OWNERS: Final = ("gateways_key", CALLERS_KEY)
#: Why another task follows one that ended too soon: the vendor ended it at a limit of its own, it was lost or stalled,
#: or there was no room for it.
RECONNECTS: Final = ("ended", "lost", "throttled")
#: What a call gets that asks for a connection.
CONNECTION_REUSES: Final = ("warm", "cold", "dead")
#: What errors of every vendor may count as; each vendor adds labels of its own.
COMMON_CODES: Final = ("none", CALLERS_KEY, OTHER)

_GRPC_LABELS: Final = ("grpc_type", "grpc_service", "grpc_method")
# The limits of the objectives in helm/asr-gateway/files/rules are among these: a share is exact at a bucket only.
_DELAY_BUCKETS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10)
_OVERHEAD_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)
_DURATION_BUCKETS: Final = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)
_FACTOR_BUCKETS: Final = (0.1, 0.25, 0.5, 0.75, 0.9, 1, 1.1, 1.25, 1.5, 2, 4)
_CONNECT_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_START_WAIT_BUCKETS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 10)
_LOOP_LAG_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)

# When a series began is a series more for each of them, and no question here needs it.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics, in a registry of their own or a shared one.

    Series with the label ``model`` begin with the model's first call, but for the open calls and the circuits of served
    models; those with ``upstream`` begin when its backend opens. All others are there from the start, so that a rate
    over the first event is right.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._make_grpc()
        self._make_streams()
        self._make_delays()
        self._make_audio()
        self._make_upstream()
        self._make_process()
        # Labels are looked up once, never for a message.
        self.of_method = cache(lambda method, service=SERVICE: MethodMetrics(self, method, service))
        self._models: dict[str, ModelMetrics] = {}
        self._endpoints: dict[str, EndpointMetrics] = {}
        for method in METHODS:
            self.of_method(method)

    def serve(self, models: Iterable[str]) -> None:
        """Show that served models have no open calls: an autoscaler takes a series that is not there for a fault."""
        for model in models:
            self.streams_active.labels(model)

    def of_model(self, model: str) -> ModelMetrics:
        """Return the metrics of a model's calls."""
        if (known := self._models.get(model)) is None:
            label = model if len(self._models) < MAX_MODELS else OTHER
            known = self._models[model] = self._models.get(label) or ModelMetrics(self, label)
            self._models[label] = known
        return known

    def of_endpoint(self, endpoint: str, codes: Iterable[str] = ()) -> EndpointMetrics:
        """Return the metrics of the connections to one address of a vendor.

        Args:
            endpoint: Its name.
            codes: What errors there may count as, where it is new.
        """
        if (known := self._endpoints.get(endpoint)) is None:
            label = endpoint if len(self._endpoints) < MAX_ENDPOINTS else OTHER
            known = self._endpoints[endpoint] = self._endpoints.get(label) or EndpointMetrics(self, label)
            self._endpoints[label] = known
            known.expect(codes)
        return known

    def watch_circuit(self, model: str, is_open: Callable[[], bool]) -> None:
        """Show whether tasks of a model may start; ``is_open`` says so whenever the metrics are read."""
        self.circuit_open.labels(model).set_function(is_open)

    def expect_failovers(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Show that no call has gone on, or begun, with the second model of a pair in place of the first."""
        for pair in pairs:
            self.failovers.labels(*pair)
            self.hedged_starts.labels(*pair)

    @contextmanager
    def backlog_of(self, seconds: Callable[[], float]) -> Iterator[None]:
        """Count a call's backlog while it is open; ``seconds`` returns it whenever the metrics are read."""
        self._backlogs.add(seconds)
        try:
            yield
        finally:
            self._backlogs.discard(seconds)

    def _make_grpc(self) -> None:
        self.grpc_started = self._counter("grpc_server_started", "RPCs started.", _GRPC_LABELS)
        self.grpc_received = self._counter("grpc_server_msg_received", "Messages received from clients.", _GRPC_LABELS)
        self.grpc_sent = self._counter("grpc_server_msg_sent", "Messages sent to clients.", _GRPC_LABELS)
        self.grpc_handled = self._counter(
            "grpc_server_handled", "RPCs completed, by status.", (*_GRPC_LABELS, "grpc_code")
        )
        self.grpc_handling = self._histogram(
            "grpc_server_handling_seconds",
            "How long RPCs take.",
            (0.005, 0.025, 0.1, 0.5, *_DURATION_BUCKETS),
            _GRPC_LABELS,
        )

    def _make_streams(self) -> None:
        self.streams_active = self._gauge("asrgateway_streams_active", "Open Recognize calls.", ["model"])
        self.streams_limit = self._gauge("asrgateway_streams_limit", "Recognize calls that may be open at once.")
        self.streams_rejected = self._counter(
            "asrgateway_streams_rejected", "Recognize calls refused, by reason.", ["reason"]
        )
        for reason in REJECTIONS:
            self.streams_rejected.labels(reason)
        self.stream_errors = self._counter(
            "asrgateway_stream_errors",
            "Recognize calls that ended with another status than OK, by cause.",
            ["grpc_code", "reason"],
        )
        self.stream_duration = self._histogram(
            "asrgateway_stream_duration_seconds", "How long Recognize calls last.", _DURATION_BUCKETS, ["model"]
        )
        self.results = self._counter("asrgateway_results", "Results sent to clients.", ["model", "kind"])

    def _make_delays(self) -> None:
        self.first_package_delay = self._histogram(
            "asrgateway_first_package_delay_seconds",
            "First audio of a call to its first text.",
            _DELAY_BUCKETS,
            ["model", "scope"],
        )
        self.last_package_delay = self._histogram(
            "asrgateway_last_package_delay_seconds",
            "End of a call's audio to its last message.",
            _DELAY_BUCKETS,
            ["model", "scope"],
        )
        self.result_lag = self._histogram(
            "asrgateway_result_lag_seconds",
            "Arrival of the last audio of an utterance to its final result handed to gRPC.",
            (*_DELAY_BUCKETS, 30),
            ["model"],
        )
        self.overhead = self._histogram(
            "asrgateway_overhead_seconds",
            "Message read from the upstream to response handed to gRPC.",
            _OVERHEAD_BUCKETS,
        )
        self.realtime_factor = self._histogram(
            "asrgateway_realtime_factor_ratio",
            "Time that a call's upstream took for its audio, over the length of that audio.",
            _FACTOR_BUCKETS,
            ["model"],
        )

    def _make_audio(self) -> None:
        self.audio_received_seconds = self._counter(
            "asrgateway_audio_received_seconds", "Audio received from clients.", ["model"]
        )
        self.audio_received_bytes = self._counter(
            "asrgateway_audio_received_bytes", "Audio bytes received from clients.", ["encoding"]
        )
        self.upstream_audio_sent_seconds = self._counter(
            "asrgateway_upstream_audio_sent_seconds", "Audio of clients handed to upstreams.", ["model"]
        )
        self.silence_injected_seconds = self._counter(
            "asrgateway_silence_injected_seconds",
            "Silence sent to upstreams in the place of quiet clients.",
            ["model"],
        )
        self.replayed_audio_seconds = self._counter(
            "asrgateway_replayed_audio_seconds",
            "Audio of clients handed to upstreams again, because the task that had it was lost.",
            ["model"],
        )
        self.dropped_audio_seconds = self._counter(
            "asrgateway_dropped_audio_seconds",
            "Audio lost to calls: their task was lost after more audio without a final result than is kept.",
            ["model"],
        )
        self.reconnects = self._counter(
            "asrgateway_upstream_reconnects",
            "Tasks that ended too soon and were followed by another one, by cause.",
            ["model", "reason"],
        )
        self.circuit_open = self._gauge(
            "asrgateway_upstream_circuit_open",
            "1 while no task of the model may start, because too many were lost before they began.",
            ["model"],
        )
        self.failovers = self._counter(
            "asrgateway_upstream_failovers",
            "Calls that went on with another model of their route.",
            ["from_model", "to_model"],
        )
        self.hedged_starts = self._counter(
            "asrgateway_hedged_starts",
            "Calls that began at a second model of their route too, because the first one was slow; those where it was "
            "ready first count as failovers.",
            ["from_model", "to_model"],
        )
        self.rollovers = self._counter(
            "asrgateway_upstream_rollovers",
            "Tasks that the gateway ended to begin another one: at a commit, or before a limit of the vendor's.",
            ["model"],
        )
        self.hibernations = self._counter(
            "asrgateway_hibernations",
            "Times that a quiet call was left without a task until its next audio.",
            ["model"],
        )
        self.failed_channels = self._counter(
            "asrgateway_failed_channels",
            "Channels that could not be recognised any more, while the others of their call went on.",
            ["model"],
        )
        self.billed_audio_seconds = self._counter(
            "asrgateway_billed_audio_seconds",
            "Audio that the vendor bills: as it says, or else all that it was sent.",
            ["model"],
        )
        self.estimated_cost_cny = self._counter(
            "asrgateway_estimated_cost_cny", "What is billed, at the list price of the catalogue.", ["model"]
        )
        self._backlogs: set[Callable[[], float]] = set()
        waiting = self._gauge(
            "asrgateway_backlog_audio_seconds", "Audio that was received and waits for an upstream, all calls together."
        )
        waiting.set_function(lambda: sum(seconds() for seconds in self._backlogs))
        longest = self._gauge("asrgateway_backlog_audio_max_seconds", "The same, of the call in which the most waits.")
        longest.set_function(lambda: max((seconds() for seconds in self._backlogs), default=0.0))

    def _make_upstream(self) -> None:
        self.upstream_connections = self._gauge(
            "asrgateway_upstream_connections", "Connections to vendors.", ["upstream", "state"]
        )
        self.upstream_connects = self._counter(
            "asrgateway_upstream_connects", "Attempts to open a connection to a vendor.", ["upstream", "result"]
        )
        self.upstream_connect_duration = self._histogram(
            "asrgateway_upstream_connect_duration_seconds",
            "How long it takes to open a connection to a vendor, TLS and handshake included.",
            _CONNECT_BUCKETS,
            ["upstream"],
        )
        self.upstream_connection_reuse = self._counter(
            "asrgateway_upstream_connection_reuse",
            "Connections to vendors that calls asked for.",
            ["upstream", "result"],
        )
        self.upstream_errors = self._counter(
            "asrgateway_upstream_errors",
            "Connections that a vendor ended with an error.",
            ["upstream", "upstream_code"],
        )

        starts = self._histogram(
            "asrgateway_ratelimit_wait_seconds",
            "How long tasks waited to start, so that the vendor's limit is kept.",
            _START_WAIT_BUCKETS,
            ["scope"],
        )
        rejections = self._counter(
            "asrgateway_ratelimit_rejections", "Tasks that were not started, because the wait was too long.", ["scope"]
        )
        #: By whether the key is a caller's own.
        self.start_waits = [starts.labels(owner) for owner in KEY_OWNERS]
        self.start_rejections = [rejections.labels(owner) for owner in KEY_OWNERS]

    def _make_process(self) -> None:
        self.workers_busy = self._gauge("asrgateway_workers_busy", "Worker processes in a call.", ["model"])
        self.workers_limit = self._gauge("asrgateway_workers_limit", "Worker processes that there may be.", ["model"])
        self.worker_restarts = self._counter(
            "asrgateway_worker_restarts", "Worker processes started in place of a dead one.", ["model"]
        )
        self.event_loop_lag = self._histogram(
            "asrgateway_event_loop_lag_seconds", "How late a timer of the event loop rings.", _LOOP_LAG_BUCKETS
        )
        self.event_loop_tasks = self._gauge(
            "asrgateway_event_loop_tasks", "Tasks of the event loop; they become more and fewer with the open calls."
        )
        self.draining = self._gauge("asrgateway_draining", "1 while the process waits for its last calls.")
        self.drain_deadline = self._gauge(
            "asrgateway_drain_deadline_timestamp_seconds",
            "When the calls are cut that are still open then; NaN until the process stops.",
        )
        self.drain_deadline.set(math.nan)
        self.drain_streams_cut = self._counter(
            "asrgateway_drain_streams_cut", "Recognize calls cut because the process stopped."
        )
        self.connections = self._gauge("asrgateway_connections", "Open connections of clients, by port.", ["port"])
        self.connections_limit = self._gauge(
            "asrgateway_connections_limit", "Connections of clients that may be open at once, by port.", ["port"]
        )
        self.connections_refused = self._counter(
            "asrgateway_connections_refused",
            "Connections closed at once because of a limit; gRPC counts none of its own.",
            ["port"],
        )
        self.tls_certificate_expiry = self._gauge(
            "asrgateway_tls_certificate_expiry_timestamp_seconds",
            "When the certificate that clients see expires; NaN without one.",
        )
        self.tls_certificate_expiry.set(math.nan)
        self.api_keys_file_problems = self._gauge(
            "asrgateway_api_keys_file_problems",
            "Lines of the file of clients' keys that are not keys; one more while it cannot be read.",
        )
        self.build_info = self._gauge("asrgateway_build_info", "Always 1.", ["version", "revision"])

    def _gauge(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(name, help_text, labels, registry=self.registry)

    def _counter(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(name, help_text, labels, registry=self.registry)

    def _histogram(self, name: str, help_text: str, buckets: Sequence[float], labels: Sequence[str] = ()) -> Histogram:
        return Histogram(name, help_text, labels, buckets=buckets, registry=self.registry)


class MethodMetrics:
    """The metrics of one method of a service."""

    def __init__(self, metrics: Metrics, method: str, service: str) -> None:
        labels = (METHODS_OF[service][method], service, method)
        self.started = metrics.grpc_started.labels(*labels)
        self.received = metrics.grpc_received.labels(*labels)
        self.sent = metrics.grpc_sent.labels(*labels)
        self.handling = metrics.grpc_handling.labels(*labels)
        self.handled = {code: metrics.grpc_handled.labels(*labels, code.name) for code in grpc.StatusCode}


class ModelMetrics:
    """The metrics of one model's calls."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self.streams_active = metrics.streams_active.labels(model)
        self.stream_duration = metrics.stream_duration.labels(model)
        self.first_package_delay_client = metrics.first_package_delay.labels(model, "client")
        self.first_package_delay_upstream = metrics.first_package_delay.labels(model, "upstream")
        self.last_package_delay_client = metrics.last_package_delay.labels(model, "client")
        self.last_package_delay_upstream = metrics.last_package_delay.labels(model, "upstream")
        self.result_lag = metrics.result_lag.labels(model)
        self.realtime_factor = metrics.realtime_factor.labels(model)
        self.overhead = metrics.overhead
        self.backlog_of = metrics.backlog_of
        self.audio_received_seconds = metrics.audio_received_seconds.labels(model)
        self.upstream_audio_sent_seconds = metrics.upstream_audio_sent_seconds.labels(model)
        self.silence_injected_seconds = metrics.silence_injected_seconds.labels(model)
        self.replayed_audio_seconds = metrics.replayed_audio_seconds.labels(model)
        self.dropped_audio_seconds = metrics.dropped_audio_seconds.labels(model)
        self.reconnects = {reason: metrics.reconnects.labels(model, reason) for reason in RECONNECTS}
        self.rollovers = metrics.rollovers.labels(model)
        self.hibernations = metrics.hibernations.labels(model)
        self.failed_channels = metrics.failed_channels.labels(model)
        self.billed_audio_seconds = metrics.billed_audio_seconds.labels(model)
        self.estimated_cost_cny = metrics.estimated_cost_cny.labels(model)
        self.partial_results = metrics.results.labels(model, "partial")
        self.final_results = metrics.results.labels(model, "final")


class EndpointMetrics:
    """The metrics of the connections to one address of a vendor."""

    def __init__(self, metrics: Metrics, endpoint: str) -> None:
        self._endpoint = endpoint
        self._upstream_errors = metrics.upstream_errors
        self.connections = {state: metrics.upstream_connections.labels(endpoint, state) for state in CONNECTION_STATES}
        self.connects = {result: metrics.upstream_connects.labels(endpoint, result) for result in CONNECT_RESULTS}
        self.reuses = {
            result: metrics.upstream_connection_reuse.labels(endpoint, result) for result in CONNECTION_REUSES
        }
        self.connect_duration = metrics.upstream_connect_duration.labels(endpoint)
        self._errors: dict[str, Counter] = {}
        self.expect(COMMON_CODES)

    def expect(self, codes: Iterable[str]) -> None:
        """Show that errors of these codes have not been there yet."""
        self._errors |= {code: self._upstream_errors.labels(self._endpoint, code) for code in codes}

    def failed(self, code: str) -> None:
        """Count an error under one of the codes that are expected."""
        self._errors.get(code, self._errors[OTHER]).inc()

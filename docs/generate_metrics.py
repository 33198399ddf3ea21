"""Write docs/metrics.md from the metrics that the server exports, or check that it is fresh.

Run by `make docs` and `make check`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Metric

from asrgateway_server.contract.status import endings
from asrgateway_server.metrics import (
    CALLERS_KEY,
    CONNECT_RESULTS,
    CONNECTION_STATES,
    KEY_OWNERS,
    MAX_ENDPOINTS,
    MAX_MODELS,
    OTHER,
    REJECTIONS,
    Metrics,
)
from asrgateway_server.vendors.dashscope.error_codes import FAMILIES

PAGE: Final = Path(__file__).resolve().parent / "metrics.md"

#: Metrics of libraries.
OF_LIBRARIES: Final = ("process_", "python_")


def listed(values: tuple[str, ...] | list[str]) -> str:
    """Return values as a list in a sentence."""
    return ", ".join(f"`{value}`" for value in values)


LABELS: Final = {
    "`model`": f"names of models; the first {MAX_MODELS} that are called, the rest is `other`",
    "`from_model`, `to_model`": "names of models of one route",
    "`upstream`": "`dashscope` is the vendor at `dashscope_url`, others as the configuration names them; "
    f"at most {MAX_ENDPOINTS}, the rest is `other`",
    "`scope`": "`client`: at the gateway's edge; `upstream`: the recogniser's part of it; "
    f"of the start limiter: whose key, {listed(KEY_OWNERS)}",
    "`grpc_code`": "status of a call, in capitals",
    "`reason` of errors": f"who caused it: {listed(sorted({cause for _, cause in endings()}))}",
    "`reason` of refusals": listed(REJECTIONS),
    "`result` of connects": f"{listed(CONNECT_RESULTS)}; the last one is the refusal of a caller's key",
    "`result` of reuse": "`warm`: the connection was open already; `cold`: it was opened for the call; "
    "`dead`: it was opened because an older one turned out to be gone",
    "`state` of connections": listed(CONNECTION_STATES),
    "`upstream_code`": "the vendor's code up to its first dot, if it is one of these: "
    f"{listed([*FAMILIES, CALLERS_KEY, OTHER])}; "
    "`http` is a refused handshake, `close` a close code, `none` a connection lost without one",
    "`kind` of results": "`partial`, `final`",
    "`port`": "`grpc`, `health`, `http`, `web`: where clients connect",
    "`encoding`": "of the client's audio",
}

HEAD: Final = f"""# Metrics

The tables are written from `server/asrgateway_server/metrics.py` by `make docs`. Names and labels are stable.

Prometheus finds them at `/metrics` on `http_listen`, as text or OpenMetrics. In OpenMetrics the delays carry exemplars:
the `trace_id` of a call whose trace is kept. `process_*` and `python_*` are those of Prometheus's Python client.

[Delays](latency.md) are defined on a page of their own. The chart brings a dashboard and alerts; each alert has a page
in [runbooks](runbooks/).

![Six panels: calls ended, failures, first package, result lag, connects, silence](images/dashboard.svg)

`python -m observability.draw`, with `tests` on the path, draws these from a real Prometheus that watches a gateway
in front of the emulator. They show what the panels look like, not how fast anything is.

## Labels

Every label takes values from a closed set, so that a pod has less than a thousand series with five models in use. No
label identifies a client or a call; log lines and traces do. Transcripts are nowhere.

| Label | Values |
|---|---|
{"".join(f"| {label} | {values} |{chr(10)}" for label, values in LABELS.items())}
Series with `model` or `encoding` begin with the first such call, but for `asrgateway_streams_active` and
`asrgateway_upstream_circuit_open`, which show every served model from the start; so are all others there, so that
`rate()` sees the first event.
"""


def page() -> str:
    """Return the whole page."""
    families = [family for family in sample().registry.collect() if not family.name.startswith(OF_LIBRARIES)]
    return HEAD + "".join(
        f"\n## {title}\n\n| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n{''.join(rows)}"
        for title, rows in (
            ("Calls, as every gRPC service counts them", [row(one) for one in families if is_grpc(one)]),
            ("The gateway's own", [row(one) for one in families if not is_grpc(one)]),
        )
    )


def sample() -> Metrics:
    """Return metrics in which each has all its labels."""
    metrics = Metrics(CollectorRegistry())
    metrics.of_model("model")
    metrics.of_endpoint("endpoint")
    metrics.watch_circuit("model", lambda: False)
    metrics.expect_failovers([("one", "another")])
    metrics.stream_errors.labels("UNAVAILABLE", "upstream")
    metrics.audio_received_bytes.labels("LINEAR16")
    metrics.build_info.labels("1", "r")
    return metrics


def is_grpc(family: Metric) -> bool:
    """Whether other services have it too."""
    return family.name.startswith("grpc_")


def row(family: Metric) -> str:
    """Return the table row of one metric."""
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels = dict.fromkeys(label for one in family.samples for label in one.labels if label != "le")
    meaning = family.documentation + "".join(f"<br>{line}" for line in buckets(family))
    return f"| `{name}` | {family.type} | {' '.join(f'`{label}`' for label in labels)} | {meaning} |\n"


def buckets(family: Metric) -> Iterator[str]:
    """Yield the limits of a histogram's buckets."""
    limits = list(dict.fromkeys(one.labels["le"] for one in family.samples if "le" in one.labels))
    if limits:
        yield f"Up to {' '.join(limit.removesuffix('.0') for limit in limits[:-1])}."


def main() -> None:
    """Write the page, or with ``--check`` compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the page is not fresh")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page():
        sys.exit(f"not fresh, run `make docs`: {PAGE.name}")


if __name__ == "__main__":
    main()

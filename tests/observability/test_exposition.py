"""What Prometheus is given."""

from __future__ import annotations

import subprocess

from asrgateway_server.metrics import MAX_MODELS
from observability.load import MODELS, TRACE_ID, Observed
from observability.prometheus import tool


def test_promtool_finds_nothing_to_say_about_the_metrics(observed: Observed) -> None:
    check = subprocess.run(
        [tool("promtool"), "check", "metrics"],
        input=observed.exposition,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (check.stdout, check.stderr, check.returncode) == ("", "", 0)


def test_every_model_that_was_called_is_counted_by_itself(observed: Observed) -> None:
    found = observed.prometheus.query("asrgateway_results_total", observed.at)
    assert {*MODELS, "embedded"} <= {series["metric"]["model"] for series in found}
    assert len({series["metric"]["model"] for series in found}) <= MAX_MODELS


def test_a_scrape_stays_small(observed: Observed) -> None:
    (samples,) = observed.prometheus.query("scrape_samples_scraped", observed.at)
    assert float(samples["value"][1]) < 1_000


def test_a_scrape_is_quick(observed: Observed) -> None:
    (seconds,) = observed.prometheus.query("quantile_over_time(0.5, scrape_duration_seconds[1m])", observed.at)
    assert float(seconds["value"][1]) < 0.1


def test_delays_lead_to_the_traces_of_their_calls(observed: Observed) -> None:
    for name in ("first_package_delay", "last_package_delay", "result_lag"):
        found = observed.prometheus.get(
            "query_exemplars",
            query=f"asrgateway_{name}_seconds_bucket",
            start=observed.at - 300,
            end=observed.at,
        )
        assert {exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]} == {TRACE_ID}

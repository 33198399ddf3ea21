"""What Prometheus is given."""

from __future__ import annotations

import subprocess

from asrgateway_server.metrics import MAX_MODELS
from observability.load import MODELS, TRACE_ID, Observed
from observability.operator_scrape import JOBS
from observability.prometheus import tool


def test_promtool_finds_nothing_to_say_about_the_metrics(observed: Observed) -> None:
    check = subprocess.run(
        [tool("promtool"), "check", "metrics"],
        input=observed.exposition,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (check.stdout, check.stderr, check.returncode) == ("", "", 0)


def test_every_model_that_was_called_is_counted_by_itself(observed: Observed) -> None:
    found = observed.prometheus.query("asrgateway_results_total", observed.at)
    assert {*MODELS, "embedded"} <= {series["metric"]["model"] for series in found}
    assert len({series["metric"]["model"] for series in found}) <= MAX_MODELS


def test_each_monitor_finds_the_gateway(observed: Observed) -> None:
    found = observed.prometheus.query("up == 1", observed.at)
    assert {series["metric"]["job"] for series in found} == set(JOBS.values())
    assert [series["metric"].keys() & {"pod", "container", "endpoint"} for series in found] == [
        {"pod", "container", "endpoint"}
    ] * len(JOBS)


def test_prometheus_renames_no_label(observed: Observed) -> None:
    """With `honorLabels: false` the labels of the target win; ours of the same name would be `exported_…`."""
    labels = observed.prometheus.get("labels")
    assert {"upstream", "endpoint", "model"} <= set(labels)
    assert [label for label in labels if label.startswith("exported_")] == []


def test_a_scrape_stays_small(observed: Observed) -> None:
    (samples,) = observed.prometheus.query("max(scrape_samples_scraped)", observed.at)
    assert float(samples["value"][1]) < 1_000


def test_a_scrape_is_quick(observed: Observed) -> None:
    """The quickest of a minute, because others may load the machine."""
    (seconds,) = observed.prometheus.query("max(min_over_time(scrape_duration_seconds[1m]))", observed.at)
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

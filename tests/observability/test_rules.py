"""Recording rules and alerts: each fires when it should, and is silent when it should be."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from calls import ROOT
from observability.load import Observed
from observability.operator_scrape import JOBS, TARGET_LABELS
from observability.prometheus import RULES, Json, alerts, groups, metrics_in, rules, tool

SEVERITIES = {"critical", "warning"}

# As prometheus-operator names a target that it finds by our ServiceMonitor.
RELEASE = 'job="asr-asr-gateway-metrics",service="asr-asr-gateway-metrics"'
JOB = f'namespace="speech",{RELEASE}'
JOB += ',container="gateway",endpoint="metrics"'
POD = f'{JOB},pod="asr-gateway-0"'
HANDLED = f'grpc_server_handled_total{{{POD},grpc_method="Recognize",grpc_code="OK"}}'

Series = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Two stories of series that begin at 0 and have a value each minute.

    Attributes:
        alert: The alert, without its prefix.
        fires: It fires at the end of this one.
        silent: It does not fire at the end of this one.
        minutes: When the end is.
    """

    alert: str
    fires: Series
    silent: Series
    minutes: int = 30

    def __str__(self) -> str:
        return self.alert


def errors(reason: str, values: str) -> Series:
    return {f'asrgateway_stream_errors_total{{{POD},grpc_code="UNAVAILABLE",reason="{reason}"}}': values}


def lags(late_per_minute: int, all_per_minute: int) -> Series:
    in_time = all_per_minute - late_per_minute
    return {
        f'asrgateway_result_lag_seconds_bucket{{{POD},model="m",le="2.0"}}': f"0+{in_time}x6000",
        f'asrgateway_result_lag_seconds_count{{{POD},model="m"}}': f"0+{all_per_minute}x6000",
    }


def buckets(name: str, labels: str, slow_le: str, fast_le: str, slow: int, fast: int) -> Series:
    """A histogram with ``slow`` observations a minute between the two limits and ``fast`` ones below."""
    return {
        f'{name}_bucket{{{labels},le="{fast_le}"}}': f"0+{fast}x600",
        f'{name}_bucket{{{labels},le="{slow_le}"}}': f"0+{slow + fast}x600",
        f'{name}_bucket{{{labels},le="+Inf"}}': f"0+{slow + fast}x600",
    }


def counter(name: str, labels: str, values: str) -> Series:
    return {f"asrgateway_{name}{{{POD},{labels}}}" if labels else f"asrgateway_{name}{{{POD}}}": values}


def connects(ok: str, lost: str, callers_key: str = "0x60", upstream: str = "dashscope") -> Series:
    name = f'asrgateway_upstream_connects_total{{{POD},upstream="{upstream}",result='
    return {f'{name}"ok"}}': ok, f'{name}"lost"}}': lost, f'{name}"callers_key"}}': callers_key}


def vendor_errors(code: str, values: str) -> Series:
    return counter("upstream_errors_total", f'upstream="dashscope",upstream_code="{code}"', values)


def streams(active: int, limit: int) -> Series:
    return {
        f'asrgateway_streams_active{{{POD},model="m"}}': f"{active}x60",
        f"asrgateway_streams_limit{{{POD}}}": f"{limit}x60",
    }


def stopping(*, active: int, seconds_left: int, pod: str = "a") -> Series:
    """A pod that has so much time left after half an hour."""
    of_pod = f'{JOB},pod="{pod}"'
    return {
        f'asrgateway_streams_active{{{of_pod},model="m"}}': f"{active}x60",
        f'asrgateway_streams_active{{{of_pod},model="never called"}}': "0x60",
        f"asrgateway_drain_deadline_timestamp_seconds{{{of_pod}}}": f"{1800 + seconds_left}x60",
    }


def builds(first: str, second: str) -> Series:
    name = "asrgateway_build_info{" + JOB + ',revision="r",pod='
    return {f'{name}"a",version="{first}"}}': "1x600", f'{name}"b",version="{second}"}}': "1x600"}


def renamed(series: Series) -> Series:
    """The same of a release with another name."""
    assert all(RELEASE in name for name in series)
    other = RELEASE.replace("asr-asr-gateway", "speech")
    return {name.replace(RELEASE, other): values for name, values in series.items()}


def silence(injected: int, sent: int) -> Series:
    return {
        f'asrgateway_silence_injected_seconds_total{{{POD},model="m"}}': f"0+{injected}x120",
        f'asrgateway_upstream_audio_sent_seconds_total{{{POD},model="m"}}': f"0+{sent}x120",
    }


def certificate(*, days: int) -> Series:
    """It ends so many days after the beginning, which for promtool is 1970."""
    return counter("tls_certificate_expiry_timestamp_seconds", "", f"{days * 86_400}x120")


def lag(slow: int, fast: int) -> Series:
    return buckets("asrgateway_event_loop_lag_seconds", POD, "1.0", "0.1", slow, fast)


def factor(slow: int, fast: int) -> Series:
    return buckets("asrgateway_realtime_factor_ratio", f'{POD},model="m"', "2.0", "0.5", slow, fast)


CASES = (
    Case(
        alert="NoCapacity",
        fires=counter("streams_rejected_total", 'reason="capacity"', "0+1x60"),
        silent=counter("streams_rejected_total", 'reason="invalid"', "0+1x60"),
    ),
    Case(alert="StreamSaturation", fires=streams(90, 100), silent=streams(80, 100)),
    Case(
        alert="UpstreamConnectFailing",
        fires=connects(ok="0+7x60", lost="0+3x60"),
        silent=connects(ok="0+9x60", lost="0+1x60", callers_key="0+9x60"),
    ),
    Case(
        alert="UpstreamRefusesAccount",
        fires=vendor_errors("Arrearage", "0+1x60"),
        silent=vendor_errors("InternalError", "0+1x60"),
    ),
    Case(
        alert="UpstreamThrottled",
        fires=vendor_errors("Throttling", "0+1x60"),
        # A burst that is over after a minute.
        silent=vendor_errors("Throttling", "0x20 50x40"),
    ),
    Case(
        alert="UpstreamFlapping",
        fires=streams(10, 100) | counter("upstream_reconnects_total", 'model="m",reason="lost"', "0+4x60"),
        # The vendor's own limits, and a single bad minute.
        silent=streams(10, 100)
        | counter("upstream_reconnects_total", 'model="m",reason="ended"', "0+4x60")
        | counter("upstream_reconnects_total", 'model="m",reason="lost"', "0x20 9x40"),
    ),
    Case(
        alert="CircuitOpen",
        # It lets one call try from time to time.
        fires=counter("upstream_circuit_open", 'model="m"', "0x20 " + "1 0 " * 20),
        silent=counter("upstream_circuit_open", 'model="m"', "0x26 1 1 0x30"),
    ),
    Case(
        alert="RouteDegraded",
        fires=counter("upstream_failovers_total", 'from_model="a",to_model="b"', "0x25 1x40"),
        silent=counter("upstream_failovers_total", 'from_model="a",to_model="b"', "0x10 1x50"),
    ),
    Case(
        alert="AudioLost",
        fires=counter("dropped_audio_seconds_total", 'model="m"', "0x25 3x40"),
        silent=counter("dropped_audio_seconds_total", 'model="m"', "3x60"),
    ),
    Case(
        alert="BacklogGrowing",
        fires=counter("backlog_audio_max_seconds", "", "6x60"),
        silent=counter("backlog_audio_max_seconds", "", "0x27 8 0x30"),
    ),
    Case(alert="SlowerThanRealtime", fires=factor(slow=2, fast=8), silent=factor(slow=0, fast=10)),
    Case(alert="EventLoopLag", fires=lag(slow=5, fast=95), silent=lag(slow=0, fast=100)),
    Case(
        alert="DrainCutStreams",
        fires=counter("drain_streams_cut_total", "", "0x20 2x40"),
        silent=counter("drain_streams_cut_total", "", "2x60"),
    ),
    Case(
        alert="DrainWillCutStreams",
        fires=stopping(active=3, seconds_left=119),
        silent=stopping(active=3, seconds_left=121) | stopping(active=0, seconds_left=1, pod="b"),
    ),
    Case(
        alert="WorkerRestarts",
        fires=counter("worker_restarts_total", "", "0x20 4x40"),
        silent=counter("worker_restarts_total", "", "0x20 1x40"),
    ),
    Case(alert="VersionSkew", fires=builds("1.0.0", "1.1.0"), silent=builds("1.0.0", "1.0.0"), minutes=150),
    Case(
        alert="TargetDown",
        # A pod of a rollout that no scrape has reached yet, in a job of any name.
        fires=renamed(builds("1.0.0", "1.0.0")) | renamed({f'up{{{JOB},instance="new"}}': "_x20 0x40"}),
        # Somebody else's job, and one that was never a gateway's.
        silent=builds("1.0.0", "1.0.0")
        | {f'up{{{JOB},instance="a"}}': "1x60", 'up{job="shop"}': "0x60", 'up{namespace="speech",job="shop"}': "0x60"},
    ),
    Case(alert="Absent", fires={'up{job="shop"}': "1x60"}, silent=builds("1.0.0", "1.0.0")),
    Case(
        alert="CertificateExpiringSoon",
        fires=certificate(days=13),
        # Without TLS there is none.
        silent=certificate(days=15)
        | {f'asrgateway_tls_certificate_expiry_timestamp_seconds{{{JOB},pod="b"}}': " ".join(["NaN"] * 91)},
        minutes=90,
    ),
    Case(
        alert="KeysFileBroken",
        fires=counter("api_keys_file_problems", "", "0x20 1x40"),
        # Half a file, seen while it is written.
        silent=counter("api_keys_file_problems", "", "0x20 1 0x40"),
    ),
    Case(
        alert="CostRunRate",
        fires=counter("estimated_cost_cny_total", 'model="m"', "0+1x200"),
        silent=counter("estimated_cost_cny_total", 'model="m"', "0+0.5x200"),
        minutes=120,
    ),
    Case(
        alert="SilenceRatioHigh",
        fires=silence(injected=40, sent=100),
        silent=silence(injected=20, sent=100),
        minutes=60,
    ),
    Case(
        alert="ErrorBudgetBurn",
        fires={HANDLED: "0+100x180"} | errors("upstream", "0+10x180"),
        silent={HANDLED: "0+1000x180"} | errors("upstream", "0+1x180"),
        minutes=120,
    ),
    Case(
        alert="LatencyBudgetBurn",
        fires=lags(late_per_minute=80, all_per_minute=100),
        silent=lags(late_per_minute=2, all_per_minute=100),
        minutes=120,
    ),
)


def firing(alert: str, **labels: str) -> str:
    """1 while the alert fires, 0 while it does not."""
    matchers = "".join(f',{name}="{value}"' for name, value in labels.items())
    return f'clamp_max(count(ALERTS{{alertname="AsrGateway{alert}",alertstate="firing"{matchers}}}) or vector(0), 1)'


def judge(folder: Path, series: Series, minutes: int, query: str, value: float, *, step_minutes: int = 1) -> None:
    """Let promtool tell a story to our rules, with a value each step, and ask at its end."""
    file = folder / "story.yaml"
    story = {
        "interval": f"{step_minutes}m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": query, "eval_time": f"{minutes}m", "exp_samples": [{"labels": "{}", "value": value}]}
        ],
    }
    whole = {
        "rule_files": [str(path) for path in RULES],
        "evaluation_interval": f"{step_minutes}m",
        # In steps longer than five minutes, what is recorded after it is asked for is too old.
        "group_eval_order": [group["name"] for group in groups()],
        "tests": [story],
    }
    file.write_text(yaml.safe_dump(whole), encoding="utf-8")
    run = subprocess.run(
        [tool("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_alert_fires_when_it_should(tmp_path: Path, case: Case) -> None:
    judge(tmp_path, case.fires, case.minutes, firing(case.alert), 1)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_alert_is_silent_when_it_should_be(tmp_path: Path, case: Case) -> None:
    judge(tmp_path, case.silent, case.minutes, firing(case.alert), 0)


def test_every_alert_has_its_two_stories() -> None:
    assert {f"AsrGateway{case.alert}" for case in CASES} == {rule["alert"] for rule in alerts()}


def test_a_pod_that_does_not_stop_cuts_nothing(tmp_path: Path) -> None:
    deadline = {f"asrgateway_drain_deadline_timestamp_seconds{{{POD}}}": " ".join(["NaN"] * 61)}
    judge(tmp_path, streams(90, 100) | deadline, 30, firing("DrainWillCutStreams"), 0)


def test_a_new_version_that_never_stays_up_is_seen(tmp_path: Path) -> None:
    """A common way for a rollout to hang: the new pod crashes, and is there for a minute of each eight."""
    build = f'asrgateway_build_info{{{JOB},revision="r",pod='
    story = {f'{build}"a",version="1.0.0"}}': "1x150", f'{build}"b",version="1.1.0"}}': "1 stale _x6 " * 20}
    judge(tmp_path, story, 150, firing("VersionSkew"), 1)


def test_a_new_version_that_scrapes_meet_less_than_every_ten_minutes_is_not_seen(tmp_path: Path) -> None:
    """The limit of the alert, which its runbook names."""
    build = f'asrgateway_build_info{{{JOB},revision="r",pod='
    story = {f'{build}"a",version="1.0.0"}}': "1x150", f'{build}"b",version="1.1.0"}}': "1 stale _x10 " * 13}
    judge(tmp_path, story, 150, firing("VersionSkew"), 0)


def test_a_certificate_is_seen_to_expire_whatever_scrapes_fail(tmp_path: Path) -> None:
    name = f"asrgateway_tls_certificate_expiry_timestamp_seconds{{{POD}}}"
    judge(tmp_path, {name: f"{13 * 86_400}x19 stale " * 6}, 90, firing("CertificateExpiringSoon"), 1)


def test_one_vendors_failures_do_not_hide_behind_the_calls_of_another(tmp_path: Path) -> None:
    """One of two upstreams fails; of all connections together that is a tenth."""
    busy = connects(ok="0+90x60", lost="0x60")
    broken = connects(ok="0x60", lost="0+10x60", upstream="singapore")
    judge(tmp_path, busy | broken, 30, firing("UpstreamConnectFailing", upstream="singapore"), 1)
    judge(tmp_path, busy | broken, 30, firing("UpstreamConnectFailing", upstream="dashscope"), 0)


@pytest.mark.parametrize("alert", alerts(), ids=lambda rule: f"{rule['alert']} {rule['labels'].get('window', '')}")
def test_an_alert_names_only_labels_that_its_series_have(alert: Json) -> None:
    """A label that an expression sums away, or never had, is an empty place in the sentence."""
    named = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"] + alert["annotations"]["description"]))
    kept = [set(re.findall(r"\w+", group)) for group in re.findall(r"by \(([^)]*)\)", alert["expr"])]
    whole = [TARGET_LABELS] if re.search(r"\b(up|on)\b", alert["expr"]) else []
    recorded = [{"namespace", "job", *alert["labels"]}]
    assert named <= set.union(*(kept + [set(labels) for labels in whole] or recorded))


@pytest.mark.parametrize("reason", ["drain", "client", "capacity", "quota"])
def test_only_the_gateways_and_the_vendors_failures_burn_budget(tmp_path: Path, reason: str) -> None:
    story = {HANDLED: "0+100x180"} | errors("upstream", "0x180") | errors(reason, "0+50x180")
    judge(tmp_path, story, 120, "sum(job:asrgateway_stream_errors:ratio_rate1h)", 0)


def test_few_calls_page_nobody(tmp_path: Path) -> None:
    """One failure of ten is no trend."""
    story = {HANDLED: "0x60 10x120"} | errors("upstream", "0x60 1x120")
    judge(tmp_path, story, 62, firing("ErrorBudgetBurn"), 0)


@pytest.mark.parametrize(
    ("window", "hours", "failures", "step_minutes"),
    [("1h", 2, 8, 1), ("6h", 7, 4, 5), ("1d", 27, 2, 20), ("3d", 76, 1, 30)],
)
def test_a_slower_burn_is_seen_in_a_longer_window(
    tmp_path: Path, window: str, hours: int, failures: int, step_minutes: int
) -> None:
    """The objective allows 0.5 of 100; 8 burn it 16 times too fast, 1 twice."""
    story = {HANDLED: "0+100x200"} | errors("upstream", f"0+{failures}x200")
    query = firing("ErrorBudgetBurn", window=window)
    judge(tmp_path, story, hours * 60, query, 1, step_minutes=step_minutes)


def test_an_objective_from_the_charts_values_is_kept(tmp_path: Path) -> None:
    lenient = {"asrgateway:slo_objective": "0.8x180"}
    case = next(case for case in CASES if case.alert == "ErrorBudgetBurn")
    judge(tmp_path, case.fires | lenient, case.minutes, firing("ErrorBudgetBurn"), 0)


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_promtool_finds_nothing_to_say_about_the_rules(path: Path) -> None:
    command = [tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", str(path)]
    check = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert check.returncode == 0, check.stdout + check.stderr


def test_prometheus_evaluates_every_rule(observed: Observed) -> None:
    groups = observed.prometheus.get("rules")["groups"]
    evaluated = [rule for group in groups for rule in group["rules"]]
    assert len(evaluated) == len(rules())
    assert [(rule["name"], rule.get("lastError")) for rule in evaluated if rule["health"] != "ok"] == []


@pytest.mark.parametrize("name", [rule["record"] for rule in rules() if "record" in rule])
def test_every_recorded_series_has_a_value(observed: Observed, name: str) -> None:
    found = observed.prometheus.query(name, observed.at)
    assert {frozenset(series["metric"].items()) for series in found} == {
        frozenset({"__name__": name, "namespace": "speech", "job": job}.items()) for job in JOBS.values()
    }
    assert [series for series in found if not 0 <= float(series["value"][1]) <= 1] == []


def test_the_rules_ask_for_what_is_exported(observed: Observed) -> None:
    assert {name for rule in rules() for name in metrics_in(rule["expr"])} - observed.exported == set()


@pytest.mark.parametrize("alert", alerts(), ids=lambda rule: f"{rule['alert']} {rule['labels'].get('window', '')}")
def test_every_alert_says_what_it_is_and_what_to_do(alert: Json) -> None:
    assert alert["labels"]["severity"] in SEVERITIES
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["description"].endswith(".")
    runbook = ROOT / alert["annotations"]["runbook_url"]
    assert runbook.name == f"{alert['alert']}.md"
    assert runbook.is_file()


def test_every_runbook_belongs_to_an_alert() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")}
    assert pages == {rule["alert"] for rule in alerts()}


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "runbooks").glob("*.md")), ids=lambda page: page.stem)
def test_a_runbook_is_short_and_has_its_three_parts(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    parts = [line for line in text.splitlines() if line.startswith("#")]
    assert parts == [f"# {page.stem}", "## What it means", "## How to see it", "## What to do"]
    assert len(text.splitlines()) < 50


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "runbooks").glob("*.md")), ids=lambda page: page.stem)
def test_a_runbook_asks_for_what_is_exported(observed: Observed, page: Path) -> None:
    assert metrics_in(page.read_text(encoding="utf-8")) - observed.exported - observed.families == set()

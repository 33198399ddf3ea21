"""Every alert fires: a real fault at a real gateway, seen by a real Prometheus through the operator's relabelling.

By default those are forced that fire within seconds. `ASRGATEWAY_LONG_TESTS=1` forces them all, as `make alerts` does,
four at a time.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from observability.faster_rules import RANGE, faster, rendered_groups, write_faster_rules
from observability.forced import CASES, Case
from observability.operator_scrape import scrape_configs
from observability.prometheus import alerts, running_prometheus

VALUES = {"prometheusRule": {"costBudgetCnyPerDay": 5}}
IS_LONG = bool(os.environ.get("ASRGATEWAY_LONG_TESTS"))


def forced() -> list[Case]:
    return [case for case in CASES if IS_LONG or case.is_quick]


def count(alert: str, state: str = ".*") -> str:
    """How many monitors and windows it is pending or firing for."""
    return f'count(count by (job, window) (ALERTS{{alertname="AsrGateway{alert}",alertstate=~"{state}"}})) or vector(0)'


@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", forced(), ids=str)
async def test_an_alert_fires_at_its_fault(tmp_path: Path, case: Case) -> None:
    rules = [write_faster_rules(tmp_path, VALUES)]
    async with (
        case.scene(tmp_path) as scene,
        running_prometheus(tmp_path, scrape_configs(*scene.targets), rules) as prometheus,
    ):
        await prometheus.scraped(3)
        await prometheus.until(count(case.alert), 0)
        async with scene.fault():
            await prometheus.until(count(case.alert, "firing"), case.times, case.seconds)


def test_every_alert_has_its_fault() -> None:
    assert {f"AsrGateway{case.alert}" for case in CASES} == {rule["alert"] for rule in alerts()}


def test_ranges_and_waits_become_60_times_shorter() -> None:
    (ratio, alert) = faster(
        {
            "rules": [
                {"record": "ratio_rate1d", "expr": "rate(errors[1d]) / rate(calls[5m])"},
                {"alert": "Burn", "expr": "ratio_rate1d > 0.1 and end - time() < 120", "for": "2h"},
            ]
        }
    )["rules"]
    assert ratio == {"record": "ratio_rate1d", "expr": "rate(errors[1440000ms]) / rate(calls[5000ms])"}
    assert alert == {"alert": "Burn", "expr": "ratio_rate1d > 0.1 and end - time() < 120", "for": "120000ms"}


def test_no_rule_has_a_duration_elsewhere() -> None:
    expressions = [rule["expr"] for group in rendered_groups(VALUES) for rule in group["rules"]]
    assert expressions
    assert [expression for expression in expressions if re.search(r"(?<![\w[])\d+[smhdwy]\b", expression)] == []
    ranges = [found for expression in expressions for found in re.findall(r"\[[^\]]*\]", expression)]
    assert ranges
    assert [one for one in ranges if not RANGE.fullmatch(one)] == []

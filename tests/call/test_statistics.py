"""Delays, amounts and costs of a call."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from asrgateway_server.call.responses import Cursor
from asrgateway_server.call.statistics import Delays, Statistics
from asrgateway_server.config import AudioFormat, RecognitionConfig
from asrgateway_server.metrics import Metrics
from asrgateway_server.models import Model
from asrgateway_server.vendors.pocketsphinx.catalogue import EMBEDDED

REMOTE = replace(EMBEDDED, name="remote", endpoint="there", price_per_second_cny=0.5)
OTHER = replace(REMOTE, name="other", price_per_second_cny=2.0)


def statistics(model: Model = REMOTE) -> tuple[Statistics, Metrics]:
    metrics = Metrics(CollectorRegistry())
    config = RecognitionConfig(model=model, audio=AudioFormat(sample_rate_hertz=8_000))
    return Statistics(config, metrics), metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"asrgateway_{name}", labels)


# Delays -----------------------------------------------------------------------------------------------------------


def test_delays_are_the_times_between_instants() -> None:
    delays = Delays(audio_read=1.0, audio_sent=1.5, text_read=2.0, text_written=2.25, half_close_read=3.0, end_sent=3.5)
    delays.end_read = 4.5
    assert delays.first_package_seconds == 1.25
    assert delays.upstream_first_package_seconds == 0.5
    assert delays.upstream_last_package_seconds == 1.0
    assert delays.last_package_seconds(5.0) == 2.0


def test_a_delay_without_one_of_its_instants_is_none() -> None:
    delays = Delays(audio_read=1.0, end_sent=2.0)
    assert delays.first_package_seconds is None
    assert delays.upstream_first_package_seconds is None
    assert delays.upstream_last_package_seconds is None
    assert delays.last_package_seconds(5.0) is None
    assert delays.realtime_factor(1.0) is None


def test_waiting_for_the_client_does_not_count_as_work() -> None:
    delays = Delays(audio_sent=1.0, end_sent=5.0, idle_seconds=3.0)
    assert delays.realtime_factor(2.0) == 0.5
    assert delays.realtime_factor(0.0) is None


# Amounts ----------------------------------------------------------------------------------------------------------


def test_the_cursor_says_how_far_the_call_has_come() -> None:
    stats, _ = statistics()
    assert stats.received(3_200, 200) == pytest.approx(0.2)
    stats.sent(150)
    stats.silence_sent(100)
    stats.final_ms = 90
    assert stats.cursor == Cursor(received_ms=200, sent_ms=150, final_ms=90, silence_ms=100)
    assert stats.backlog_seconds == pytest.approx(0.05)


def test_amounts_are_counted_a_second_at_a_time_and_at_the_end() -> None:
    stats, metrics = statistics()
    stats.received(1_000, 700)
    stats.sent(700)
    assert value(metrics, "audio_received_seconds_total", model="remote") == 0
    stats.received(1_000, 1_400)
    assert value(metrics, "audio_received_seconds_total", model="remote") == pytest.approx(1.4)
    stats.close()
    assert value(metrics, "upstream_audio_sent_seconds_total", model="remote") == pytest.approx(0.7)
    assert value(metrics, "audio_received_bytes_total", encoding="LINEAR16") == 2_000


# Costs ------------------------------------------------------------------------------------------------------------


def test_a_task_costs_what_the_vendor_bills() -> None:
    stats, metrics = statistics()
    stats.begin_task(REMOTE, stats.sent_ms)
    stats.sent(1_500)
    stats.end_task(2_000)
    assert value(metrics, "billed_audio_seconds_total", model="remote") == 2.0
    assert value(metrics, "estimated_cost_cny_total", model="remote") == 1.0
    assert (stats.finished().billed_ms, stats.finished().estimated_cost_cny) == (2_000, 1.0)


def test_a_task_without_a_bill_costs_the_audio_that_was_sent() -> None:
    stats, metrics = statistics()
    stats.begin_task(REMOTE, stats.sent_ms)
    stats.sent(1_500)
    stats.silence_sent(500)
    stats.end_task(None)
    assert value(metrics, "billed_audio_seconds_total", model="remote") == 2.0
    assert (stats.finished().billed_ms, stats.finished().estimated_cost_cny) == (None, 1.0)


def test_tasks_add_up() -> None:
    stats, _ = statistics()
    for sent_ms in (1_000, 2_000):
        stats.begin_task(REMOTE, stats.sent_ms)
        stats.sent(sent_ms)
        stats.end_task(1_000)
    assert (stats.finished().billed_ms, stats.finished().estimated_cost_cny) == (2_000, 1.0)


def test_each_model_has_its_own_price_and_its_own_series() -> None:
    stats, metrics = statistics()
    stats.begin_task(REMOTE, stats.sent_ms)
    stats.sent(1_000)
    stats.end_task(None)
    stats.begin_task(OTHER, stats.sent_ms)
    stats.sent(3_000)
    stats.end_task(None)
    stats.close()
    assert stats.finished().estimated_cost_cny == 4.5
    assert value(metrics, "upstream_audio_sent_seconds_total", model="remote") == pytest.approx(1.0)
    assert value(metrics, "upstream_audio_sent_seconds_total", model="other") == pytest.approx(2.0)
    assert value(metrics, "billed_audio_seconds_total", model="other") == pytest.approx(2.0)


def test_a_recogniser_in_the_gateway_costs_nothing() -> None:
    stats, metrics = statistics(EMBEDDED)
    stats.begin_task(EMBEDDED, stats.sent_ms)
    stats.sent(1_000)
    stats.end_task(None)
    assert value(metrics, "billed_audio_seconds_total", model="embedded") == 0
    assert stats.finished().estimated_cost_cny is None

"""The bench itself: every row is there and nothing is lost. It says nothing about how long anything took."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.bench import measure
from benchmarks.figures import VOID_ABOVE, Figures, Opening, Row, Subject
from benchmarks.goals import Verdict, goals
from benchmarks.recorder import Outcome, Recorder
from benchmarks.report import as_json, as_markdown, as_text, this_machine
from benchmarks.schedule import QUICK
from benchmarks.workload import expected_results

TINY = replace(QUICK, streams=(2,), variant_streams=2, gateway_sdk_streams=2)


@pytest.mark.timeout(240)  # a dozen processes, one after another
async def test_every_way_is_measured_and_nothing_is_lost(tmp_path: Path) -> None:
    progress: list[str] = []
    figures = await measure(TINY, tmp_path, progress.append)
    assert [(row.subject, row.streams) for row in figures.rows] == [
        (Subject.BARE, 2),
        (Subject.FLOOR, 2),
        (Subject.GATEWAY, 2),
        (Subject.GATEWAY_TLS, 2),
        (Subject.GATEWAY_TLS_BOTH, 2),
        (Subject.GATEWAY_QWEN3, 2),
        (Subject.GATEWAY_OPUS, 2),
        (Subject.GATEWAY_RIVA, 2),
        (Subject.SDK, 1),
        (Subject.GATEWAY_SDK, 2),
    ]
    assert [row.subject for row in figures.rows if row.memory_kb is not None] == [
        Subject.GATEWAY_TLS,
        Subject.GATEWAY_TLS_BOTH,
    ]
    assert [row.outcome.errors for row in figures.rows] == [()] * len(figures.rows)
    assert [(row.outcome.lost, row.outcome.repeated) for row in figures.rows] == [(0, 0)] * len(figures.rows)
    assert all(row.outcome.results and row.outcome.lag_p50_ms for row in figures.rows)
    assert [(opening.subject, opening.is_warm) for opening in figures.openings] == [
        (Subject.BARE, False),
        (Subject.GATEWAY_TLS, False),
        (Subject.GATEWAY_TLS, True),
        (Subject.SDK, False),
    ]
    assert len(progress) == len(figures.rows) + 1


def outcome(streams: int, lag_ms: float, first_package_ms: float, lost: int = 0) -> Outcome:
    return Outcome(
        streams=streams,
        results=1000,
        lost=lost,
        repeated=0,
        extra=0,
        failed=0,
        errors=(),
        window_audio_seconds=20.0 * streams,
        impossible=0,
        lag_p50_ms=lag_ms,
        lag_p99_ms=lag_ms * 5,
        lag_max_ms=lag_ms * 9,
        first_package_ms=first_package_ms,
    )


def row(subject: Subject, streams: int, lag_ms: float = 0.5, cpu_ms: float = 1.0, busy: float = 0.5) -> Row:
    first_package_ms = 400.0 if subject is Subject.SDK else 230 + lag_ms
    return Row(
        subject=subject,
        outcome=outcome(streams, lag_ms, first_package_ms),
        cpu_ms=cpu_ms,
        memory_kb=150.0 if subject is Subject.GATEWAY_TLS else None,
        load_core_busy=busy,
        others_busy=0.0,
    )


def figures_of(*rows: Row) -> Figures:
    cold = Opening(subject=Subject.GATEWAY_TLS, median_ms=405.0, round_trip_ms=100.0)
    warm = replace(cold, median_ms=105.0, is_warm=True)
    return Figures(rows=rows, openings=(cold, warm), highest_streams=500, search_ended="", seconds=1.0)


GOOD = (
    *(row(Subject.BARE, streams, lag_ms=0.1) for streams in (100, 300, 500)),
    *(row(Subject.FLOOR, streams) for streams in (100, 300, 500)),
    *(row(Subject.GATEWAY, streams, cpu_ms=1.25) for streams in (100, 300, 500)),
    row(Subject.GATEWAY_TLS, 300),
    row(Subject.GATEWAY_TLS_BOTH, 300),
    row(Subject.GATEWAY_QWEN3, 300),
    row(Subject.GATEWAY_OPUS, 300),
    row(Subject.GATEWAY_RIVA, 300, cpu_ms=1.25),
    row(Subject.SDK, 100, lag_ms=170.0, cpu_ms=5.7),
    row(Subject.GATEWAY_SDK, 50, lag_ms=30.0),
)


def test_a_run_within_all_limits_meets_every_goal() -> None:
    assert {goal.verdict for goal in goals(figures_of(*GOOD))} == {Verdict.MET}


def test_a_missed_goal_tells_by_how_much() -> None:
    costly = [replace(one, cpu_ms=1.75) if one.subject is Subject.GATEWAY else one for one in GOOD]
    missed = [goal for goal in goals(figures_of(*costly)) if goal.verdict is Verdict.MISSED]
    assert [(goal.unit, goal.margin) for goal in missed] == [("x", -0.25), ("x", -0.25)]


def test_a_lost_result_misses_the_goal_whatever_the_figures() -> None:
    lossy = replace(GOOD[6], outcome=outcome(100, 0.5, 230.5, lost=1))
    verdicts = [goal.verdict for goal in goals(figures_of(*GOOD[:6], lossy, *GOOD[7:]))]
    assert verdicts.count(Verdict.MISSED) == 1


def test_too_busy_a_load_core_voids_a_figure() -> None:
    busy = [replace(one, load_core_busy=VOID_ABOVE + 0.01) if one.streams == 300 else one for one in GOOD]
    verdicts = {goal.name: goal.verdict for goal in goals(figures_of(*busy))}
    assert verdicts["result lag at 300 streams, p50"] is Verdict.VOID
    assert verdicts["500 streams on one core: added lag, p99"] is Verdict.MET


def test_a_result_that_came_before_it_was_sent_voids_a_figure() -> None:
    wrong = [replace(one, outcome=replace(one.outcome, impossible=1)) if one.streams == 300 else one for one in GOOD]
    verdicts = {goal.name: goal.verdict for goal in goals(figures_of(*wrong))}
    assert verdicts["result lag at 300 streams, p50"] is Verdict.VOID


def recorded(*messages: bytes) -> Outcome:
    recorder = Recorder()
    recorder.is_open = True
    stream = recorder.stream()
    for message in messages:
        stream.heard(message)
    return recorder.outcome()


def test_stamps_stay_in_order_when_the_clock_grows_by_a_digit() -> None:
    """Before a stamp stands the length of its text, which may be the code of a digit."""
    outcome = recorded(*(b"9%019d one two three" % uptime_ns for uptime_ns in (999_999_999_999, 1_000_000_000_000)))
    assert (outcome.results, outcome.repeated) == (2, 0)


def test_a_result_from_the_future_is_impossible() -> None:
    assert recorded(b"%019d one two three" % (time.monotonic_ns() + 10**12)).impossible == 1


def test_what_is_not_there_is_not_measured() -> None:
    verdicts = [goal.verdict for goal in goals(figures_of(row(Subject.GATEWAY, 20)))]
    assert verdicts.count(Verdict.NOT_MEASURED) == len(verdicts) - 3


def test_the_report_holds_every_row() -> None:
    figures, machine = figures_of(*GOOD), this_machine()
    for text in (as_text(figures), as_markdown(figures, machine)):
        assert all(one.subject.value in text for one in GOOD)
        assert "warm" in text
    assert len(json.loads(json.dumps(as_json(figures, machine)))["rows"]) == len(GOOD)


def test_only_dialect_a_is_compared_with_the_floor() -> None:
    lines = as_markdown(figures_of(*GOOD), this_machine()).splitlines()
    cells = {name.strip(): rest for name, *rest in (line[1:].split("|") for line in lines if "| 300 |" in line)}
    assert cells[Subject.GATEWAY_TLS_BOTH.value][7].strip() == "1.00"
    assert cells[Subject.GATEWAY_QWEN3.value][7].strip() == ""


@pytest.mark.parametrize(
    ("packets", "results"), [(0, 0), (1, 0), (2, 2), (4, 2), (5, 3), (39, 14), (40, 14), (41, 14), (42, 16)]
)
def test_the_results_of_a_stream_follow_from_its_packets(packets: int, results: int) -> None:
    """An interim after 200 ms and each 300 ms from there, a final after 4 s, and one more where a sentence is open."""
    assert expected_results(packets) == results

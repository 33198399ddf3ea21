"""`asr-client load`: what it measures, and that it ends."""

import json
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from asrgateway import Cursor, RecognitionResult, RecognizeResponse, StreamEvent, StreamEventType
from asrgateway.arguments import parse
from asrgateway.cli import run
from asrgateway.load_statistics import CallTimes, LoadStatistics, Quantiles, quantiles
from scripted_gateway import Failure, Gateway, final, finished, interim, started


def call_that_sent(count: int, *, message_seconds: float = 0.1, began: float = 50.0) -> CallTimes:
    """Return a call that has sent so many messages, each when it was due."""
    times = CallTimes(message_seconds)
    for number in range(count):
        times.sent(began + number * message_seconds)
    return times


def final_at(end_ms: int) -> RecognizeResponse:
    result = RecognitionResult(is_final=True, transcript="hello", end_offset=Duration(nanos=end_ms * 1_000_000))
    return RecognizeResponse(result=result)


@pytest.mark.parametrize(
    ("end_ms", "lag_seconds"),
    [(200, 0.9), (201, 0.8), (299, 0.8), (300, 0.8), (0, 1.0), (900, 0.6)],
)
def test_the_lag_counts_from_the_message_that_holds_the_end_of_the_result(end_ms: int, lag_seconds: float) -> None:
    times = call_that_sent(5)
    times.received(final_at(end_ms), 51.0)
    assert times.lag_seconds == pytest.approx([lag_seconds])


def test_the_first_package_counts_from_the_first_audio_to_the_first_text() -> None:
    times = call_that_sent(2)
    times.received(started(), 50.1)
    times.received(interim(""), 50.2)
    times.received(interim("hel"), 50.25)
    times.received(final("hello"), 50.3)
    assert times.first_package_seconds == pytest.approx(0.25)


def test_a_message_that_is_sent_too_late_shows() -> None:
    times = CallTimes(0.1)
    for now in (50.0, 50.1, 50.35, 50.3):
        times.sent(now)
    assert times.send_delay_seconds == pytest.approx([0, 0, 0.15, 0])


def test_dropped_audio_is_lost() -> None:
    times = call_that_sent(100)
    dropped = StreamEvent(
        event_type=StreamEventType.STREAM_EVENT_TYPE_AUDIO_DROPPED,
        start_offset=Duration(seconds=1),
        end_offset=Duration(seconds=3),
    )
    times.received(RecognizeResponse(stream_event=dropped), 60.0)
    assert times.lost_seconds(is_complete=True) == 2.0


def test_what_an_error_leaves_without_a_final_result_is_lost() -> None:
    times = call_that_sent(100)
    times.received(RecognizeResponse(cursor=Cursor(finalized=Duration(seconds=7))), 60.0)
    assert times.lost_seconds(is_complete=False) == pytest.approx(3.0)
    assert times.lost_seconds(is_complete=True) == 0.0


def test_calls_are_counted_by_status() -> None:
    statistics = LoadStatistics()
    statistics.add(call_that_sent(10), "OK")
    statistics.add(call_that_sent(5), "UNAVAILABLE")
    assert (statistics.calls, statistics.failed, statistics.audio_seconds) == (2, 1, 1.5)
    assert statistics.statuses == {"OK": 1, "UNAVAILABLE": 1}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], Quantiles(p50=None, p99=None, max=None)),
        ([3.0], Quantiles(p50=3.0, p99=3.0, max=3.0)),
        ([float(n) for n in range(200, 0, -1)], Quantiles(p50=100.0, p99=198.0, max=200.0)),
    ],
)
def test_quantiles_are_values_that_occurred(values: list[float], expected: Quantiles) -> None:
    assert quantiles(values) == expected


async def asr_load(gateway: Gateway, path: Path, *more: str) -> int:
    arguments = ["load", str(path), "--streams", "3", "--duration", "0.4", "--target", gateway.target, *more]
    return await run(parse(arguments))


async def test_a_load_test_ends_by_itself_and_prints_a_table(
    gateway: Gateway, wav_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.script.going_away = [final("hello"), finished()]
    assert await asr_load(gateway, wav_file, "--ramp", "0.1") == 0
    headings, first, lag, delay, whole, lost, errors = capsys.readouterr().out.splitlines()
    assert headings.split() == ["p50", "p99", "max"]
    assert [line.split("  ")[0] for line in (first, lag, delay)] == [
        "first package",
        "result lag",
        "sent later than due",
    ]
    assert whole.startswith("3 streams, 3 calls, ")
    assert whole.endswith(" 3 final results")
    assert (lost, errors) == ("lost: 0.0 s of audio", "errors: none")


async def test_a_stream_repeats_the_recording_without_its_header(gateway: Gateway, wav_file: Path) -> None:
    assert await asr_load(gateway, wav_file, "--streams", "1", "--hotword", "boy") == 0
    config = gateway.script.received[0].streaming_config
    assert (config.decoding_config.sample_rate_hertz, config.decoding_config.audio_channel_count) == (8000, 2)
    assert config.adaptation.hotwords[0].text == "boy"
    assert gateway.script.audio == bytes(len(gateway.script.audio))
    assert len(gateway.script.audio) >= 3 * 3200


async def test_errors_are_counted_and_end_with_1(
    gateway: Gateway, wav_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.script.failure = Failure(code=grpc.StatusCode.RESOURCE_EXHAUSTED, message="full")
    assert await asr_load(gateway, wav_file, "--json") == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("asr-client: RESOURCE_EXHAUSTED: full\n")
    measured = json.loads(captured.out)
    assert measured["statuses"] == {"RESOURCE_EXHAUSTED": 3}
    assert (measured["calls"], measured["failed"], measured["finals"]) == (3, 3, 0)
    assert measured["first_package_seconds"] == {"p50": None, "p99": None, "max": None}


async def test_a_recording_without_audio_ends_with_2(
    gateway: Gateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "empty.raw"
    path.touch()
    assert await asr_load(gateway, path, "--rate", "8000") == 2
    assert "holds no audio" in capsys.readouterr().err

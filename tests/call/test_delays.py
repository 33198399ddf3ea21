from __future__ import annotations

import pytest

from asrgateway_server.call.delays import Delays, observe

CALL = Delays(
    audio_read=10.0,
    audio_sent=10.1,
    text_read=10.5,
    text_given=10.75,
    half_close_read=20.0,
    end_sent=20.25,
    end_read=20.5,
)


def test_the_client_waits_from_its_first_audio_to_its_first_text() -> None:
    assert CALL.first_package_seconds == 0.75


def test_the_backend_takes_from_the_first_audio_it_got_to_its_first_text() -> None:
    assert CALL.upstream_first_package_seconds == pytest.approx(0.4)


def test_the_client_waits_from_its_half_close_to_the_last_message() -> None:
    assert CALL.last_package_seconds(21.0) == 1.0


def test_the_backend_takes_from_the_end_of_audio_to_its_last_event() -> None:
    assert CALL.upstream_last_package_seconds == 0.25


def test_there_is_no_first_package_without_text() -> None:
    delays = Delays(audio_read=10.0, audio_sent=10.1)
    assert (delays.first_package_seconds, delays.upstream_first_package_seconds) == (None, None)


def test_there_is_no_last_package_without_an_end() -> None:
    delays = Delays(audio_read=10.0, end_sent=20.0)
    assert (delays.last_package_seconds(21.0), delays.upstream_last_package_seconds) == (None, None)


def test_a_delay_of_nothing_is_a_delay() -> None:
    assert Delays(audio_read=0.0, text_given=0.0).first_package_seconds == 0.0


def test_the_realtime_factor_leaves_out_what_the_client_made_the_backend_wait() -> None:
    delays = Delays(audio_sent=10.0, end_sent=20.0, idle_seconds=8.0)
    assert delays.realtime_factor(4.0) == 0.5


def test_there_is_no_realtime_factor_without_audio_or_end() -> None:
    assert Delays(audio_sent=10.0, end_sent=20.0).realtime_factor(0.0) is None
    assert Delays(audio_sent=10.0).realtime_factor(4.0) is None


def test_only_a_delay_that_there_was_is_counted() -> None:
    counted: list[tuple[float, dict[str, str] | None]] = []
    observe(lambda *observed: counted.append(observed), None)
    observe(lambda *observed: counted.append(observed), 0.0, {"trace_id": "t"})
    assert counted == [(0.0, {"trace_id": "t"})]

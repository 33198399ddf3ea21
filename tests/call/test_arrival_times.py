from __future__ import annotations

from asrgateway_server.call.arrival_times import ArrivalTimes


def arrivals(*messages: tuple[int, float]) -> ArrivalTimes:
    made = ArrivalTimes()
    for received_ms, now in messages:
        made.add(received_ms, now)
    return made


def test_audio_came_with_the_message_that_completed_it() -> None:
    assert arrivals((100, 1.0), (200, 2.0), (300, 3.0)).of(101) == 2.0


def test_a_message_completes_the_audio_up_to_its_own_end() -> None:
    assert arrivals((100, 1.0), (200, 2.0)).of(100) == 1.0


def test_what_was_rounded_up_came_with_the_last_message() -> None:
    assert arrivals((100, 1.0), (200, 2.0)).of(201) == 2.0


def test_two_utterances_may_end_in_one_message() -> None:
    made = arrivals((100, 1.0), (5_000, 2.0))
    assert (made.of(2_000), made.of(4_000)) == (2.0, 2.0)


def test_before_the_first_message_there_is_no_time() -> None:
    assert arrivals().of(0) is None


def test_messages_of_long_ago_are_forgotten() -> None:
    made = arrivals(*((count, float(count)) for count in range(100_000)))
    assert (made.of(0) or 0.0) > 90_000.0

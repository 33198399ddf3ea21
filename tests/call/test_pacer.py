"""How fast waiting audio is sent."""

from __future__ import annotations

import pytest

from asrgateway_server.call.pacer import Pacer

PACKET_SECONDS = 0.25


def test_the_first_packet_does_not_wait() -> None:
    assert Pacer().wait_seconds(7.0, PACKET_SECONDS) == 0.0


def test_live_audio_is_never_delayed() -> None:
    pacer = Pacer()
    assert [pacer.wait_seconds(now, PACKET_SECONDS) for now in (7.0, 7.25, 7.5, 9.0)] == [0.0] * 4


def test_packets_that_waited_are_sent_one_after_the_other() -> None:
    pacer = Pacer()
    assert [pacer.wait_seconds(7.0, PACKET_SECONDS) for _ in range(4)] == [0.0, 0.25, 0.5, 0.75]


def test_a_pause_earns_no_burst() -> None:
    pacer = Pacer()
    pacer.wait_seconds(7.0, PACKET_SECONDS)
    assert [pacer.wait_seconds(20.0, PACKET_SECONDS) for _ in range(3)] == [0.0, 0.25, 0.5]


@pytest.mark.parametrize("speed", [1.0, 2.0, 8.0])
def test_a_backlog_takes_its_length_divided_by_the_speed(speed: float) -> None:
    pacer, now = Pacer(), 7.0
    for _ in range(9):
        now += pacer.wait_seconds(now, PACKET_SECONDS / speed)
    assert now == 7.0 + 8 * PACKET_SECONDS / speed

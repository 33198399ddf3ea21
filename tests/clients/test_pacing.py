"""When messages go out, on a clock that only sleeping and the consumer move."""

from asrgateway.pacing import at_speaking_speed


class Clock:
    """A clock that stands still unless someone sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def times(message_seconds: float, busy_seconds: list[float]) -> list[float]:
    """Return when each message came, counted from the start, if handling it takes so long."""
    clock = Clock()
    messages = at_speaking_speed([b"x"] * len(busy_seconds), message_seconds, clock=clock, sleep=clock.sleep)
    arrivals = []
    for busy in busy_seconds:
        await anext(messages)
        arrivals.append(round(clock.now - 100.0, 6))
        clock.now += busy
    return arrivals


async def test_a_message_goes_out_every_100_ms_and_the_first_at_once() -> None:
    assert await times(0.1, [0, 0, 0, 0]) == [0.0, 0.1, 0.2, 0.3]


async def test_time_spent_on_a_message_does_not_shift_the_next() -> None:
    assert await times(0.1, [0.03, 0.03, 0.03, 0.03]) == [0.0, 0.1, 0.2, 0.3]


async def test_a_delay_is_caught_up() -> None:
    assert await times(0.1, [0.25, 0, 0, 0]) == [0.0, 0.25, 0.25, 0.3]


async def test_no_pace_means_no_wait() -> None:
    assert await times(0.0, [0, 0, 0]) == [0.0, 0.0, 0.0]

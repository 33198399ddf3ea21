"""Speaking speed: messages are sent when a microphone would have recorded them."""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable


async def at_speaking_speed(
    messages: Iterable[bytes] | AsyncIterable[bytes],
    message_seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[bytes]:
    """Yield message n at n times ``message_seconds`` after the first, or at once when that is past.

    Every message is due by the clock, not relative to the one before it, so delays do not add up.
    """
    begin: float | None = None
    number = 0
    async for message in _iterated(messages):
        begin = clock() if begin is None else begin
        await sleep(max(0.0, begin + number * message_seconds - clock()))
        yield message
        number += 1


async def _iterated(messages: Iterable[bytes] | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    if isinstance(messages, AsyncIterable):
        async for message in messages:
            yield message
    else:
        for message in messages:
            yield message

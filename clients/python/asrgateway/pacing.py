"""Speaking speed: messages go out when a microphone would have them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable


async def at_speaking_speed(
    messages: Iterable[bytes],
    message_seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[bytes]:
    """Yield message n at n times ``message_seconds`` after the first, or at once when that is past.

    Every message is due by the clock, not by the one before it, so that delays do not add up.
    """
    begin = clock()
    for number, message in enumerate(messages):
        await sleep(max(0.0, begin + number * message_seconds - clock()))
        yield message

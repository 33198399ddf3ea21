"""A gateway that is busy, restarting or not there is waited for, and standard error says so."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from asrgateway.advice import advice_for, is_wrong_place
from asrgateway.connection import Connection
from asrgateway.errors import RecognitionError
from asrgateway.kept_items import KEPT_SECONDS
from asrgateway.report import Report
from asrgateway.retries import Reconnect, Retries
from asrgateway.terminal import Terminal

T = TypeVar("T")

_AHEAD_SECONDS: Final = 1.0


def reconnect_for(
    connection: Connection, wait_seconds: float | None, report: Report, *, is_live: bool
) -> Reconnect | bool:
    """Return how a call is continued by another one, with a report that says so; False: not at all."""
    if wait_seconds is None:
        return False

    def on_retry(error: RecognitionError, _pause_seconds: float) -> None:
        if is_wrong_place(error):
            raise error
        report.retrying(error, advice_for(error, connection), wait_seconds)

    # A recording can wait, and its progress stays true.
    ahead_seconds = KEPT_SECONDS if is_live else _AHEAD_SECONDS
    return Reconnect(give_up_seconds=wait_seconds, read_ahead_seconds=ahead_seconds, on_retry=on_retry)


async def answer_of(
    ask: Callable[[], Awaitable[T]], connection: Connection, wait_seconds: float | None, terminal: Terminal
) -> T:
    """Ask until there is an answer, and return it.

    Raises:
        RecognitionError: There was none in time, or asking again would not help.
    """
    retries = Retries(wait_seconds or 0.0)
    has_said_so = False
    while True:
        try:
            return await ask()
        except RecognitionError as error:
            if wait_seconds is None or is_wrong_place(error):
                raise
            pause = retries.pause_seconds(error, asyncio.get_running_loop().time(), random.random())  # noqa: S311 - no secret
            if not has_said_so:
                has_said_so = True
                terminal.note(f"note: {error}")
                terminal.note(f"note: trying again for {wait_seconds:.0f} s. {advice_for(error, connection)}")
            await asyncio.sleep(pause)

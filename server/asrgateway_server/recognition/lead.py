"""How far a client's audio is ahead of the clock. Pure: the clock's readings are passed in."""

from __future__ import annotations

from typing import Final

# A burst of more than this says nothing about when the client will speak again.
_MOST_SECONDS: Final = 2.0


class Lead:
    """Each message adds its duration to the lead, the clock takes it away; without lead for long enough it is quiet.

    A plain pause between messages would not do: clients that send half a second at a time pause for as long.

    Args:
        quiet_after_seconds: How long the lead has to be used up.
    """

    def __init__(self, quiet_after_seconds: float) -> None:
        self._quiet_after_seconds = quiet_after_seconds
        self._used_up: float | None = None

    def add(self, now: float, seconds: float) -> None:
        """Count a message that has arrived."""
        used_up = now if self._used_up is None else max(now, self._used_up)
        self._used_up = min(used_up + seconds, now + _MOST_SECONDS)

    def hold(self, now: float) -> None:
        """Count the time until now as used: the client could not have sent anything sooner."""
        if self._used_up is not None:
            self._used_up = max(self._used_up, now)

    @property
    def quiet_at(self) -> float | None:
        """When it will be quiet, if nothing comes; None before the first audio."""
        return None if self._used_up is None else self._used_up + self._quiet_after_seconds

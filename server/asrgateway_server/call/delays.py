"""First and last package delay, as the client and as the backend cause them. Pure: instants are passed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Delays:
    """Instants of one call, as ``time.monotonic()`` tells them; each is set once, None until then.

    Attributes:
        audio_read: The first audio was read from gRPC.
        audio_sent: The first audio was handed to the adapter.
        text_read: The first text was read from the backend.
        text_given: That text was handed to gRPC.
        half_close_read: The client's half-close was read.
        end_sent: The adapter was told of the end.
        end_read: The backend's last event was read.
        idle_seconds: Not an instant: for how long, since its first audio, the backend waited for more.
    """

    audio_read: float | None = None
    audio_sent: float | None = None
    text_read: float | None = None
    text_given: float | None = None
    half_close_read: float | None = None
    end_sent: float | None = None
    end_read: float | None = None
    idle_seconds: float = 0.0

    @property
    def first_package_seconds(self) -> float | None:
        """First audio read from gRPC to first text handed to gRPC."""
        return _between(self.audio_read, self.text_given)

    @property
    def upstream_first_package_seconds(self) -> float | None:
        """First audio handed to the adapter to first text read."""
        return _between(self.audio_sent, self.text_read)

    @property
    def upstream_last_package_seconds(self) -> float | None:
        """End of the audio handed to the adapter to the backend's last event."""
        return _between(self.end_sent, self.end_read)

    def realtime_factor(self, audio_seconds: float) -> float | None:
        """Time from the first to the last audio handed over, without waiting for the client, by the audio's length."""
        taken = _between(self.audio_sent, self.end_sent)
        return None if taken is None or not audio_seconds else max(0.0, taken - self.idle_seconds) / audio_seconds

    def last_package_seconds(self, now: float) -> float | None:
        """Half-close read to ``now``, when the last message is handed to gRPC."""
        return _between(self.half_close_read, now)


def observe(
    observer: Callable[[float, dict[str, str] | None], None],
    seconds: float | None,
    exemplar: dict[str, str] | None = None,
) -> None:
    """Count a delay that there was, with what leads to its call's trace."""
    if seconds is not None:
        observer(seconds, exemplar)


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start
